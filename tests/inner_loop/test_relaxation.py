"""Relaxation rules against gradients: predictive coding's three variants, equilibrium propagation, contrastive Hebb."""

import math
from itertools import pairwise

import pytest
import torch
from small_layers import (
    backprop,
    cosine,
    cross_entropy,
    descent,
    lesson_for,
    relative_error,
    small_net,
    squared_error,
)
from torch import Tensor

from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.relaxation.contrastive import ContrastiveHebbian
from metaplastic.inner_loop.relaxation.equilibrium import EquilibriumPropagation, propagate
from metaplastic.inner_loop.relaxation.predictive_coding import PredictiveCoding, free_energy, relaxed
from metaplastic.inner_loop.relaxation.settling import Motion, Pull, settle, silent
from metaplastic.inner_loop.rules.layered import LayeredRule

COSTS = {"squared_error": squared_error, "cross_entropy": cross_entropy}
RULES: list[LayeredRule] = [
    PredictiveCoding(eta=1.0, steps=11),
    PredictiveCoding(eta=1.0, variant="fixed_prediction", steps=11),
    PredictiveCoding(eta=1.0, variant="z_il"),
    EquilibriumPropagation(eta=1.0, free_steps=12),
    EquilibriumPropagation(eta=1.0, free_steps=12, states="network", nudge="symmetric", feedback=0.3),
    ContrastiveHebbian(eta=1.0, steps=9),
]
NAMES = ["relaxed", "fixed_prediction", "z_il", "equilibrium", "symmetric", "contrastive"]


def changes(net: Layers, rule: LayeredRule, cost=squared_error) -> tuple[Tensor, ...]:
    return rule.change(net, {}, lesson_for(net, rule, cost))[0]


# predictive coding


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_z_il_is_backpropagation(activation, cost):
    net, rule = small_net(activation), PredictiveCoding(eta=1.0, variant="z_il")
    wanted = backprop(net, lesson_for(net, rule, cost), cost)
    assert relative_error(changes(net, rule, cost), wanted) < 1e-10


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(
    "settings", [{"rate": 1.0, "steps": 2}, {"rate": 0.3, "steps": 90, "variance": 0.7, "output_variance": 3}]
)
def test_fixed_predictions_are_backpropagation_once_settled(activation, settings):
    net, rule = (
        small_net(activation),
        PredictiveCoding(eta=1.0, variant="fixed_prediction", **{"rate": 0.3, **settings}),
    )
    wanted = backprop(net, lesson_for(net, rule, cross_entropy), cross_entropy)
    assert relative_error(changes(net, rule, cross_entropy), wanted) < 1e-10


def test_one_step_of_fixed_predictions_moves_a_value_by_the_rate_and_its_error_by_the_variance():
    net = small_net("tanh")
    rule = PredictiveCoding(eta=1.0, variant="fixed_prediction", rate=0.3, steps=1, variance=0.7, output_variance=2.0)
    lesson = lesson_for(net, rule, squared_error)
    top = -lesson.top_error / 2.0
    below = 0.3 * lesson.layers[1].gate * (top @ net.weights[2][..., 1:]) / 0.7
    wanted = [
        2.0 * e.mT @ layer.pre / 5
        for e, layer in zip((0 * lesson.layers[0].post, below, top), lesson.layers, strict=True)
    ]
    found = rule.change(net, {}, lesson)[0]
    torch.testing.assert_close(found[1], wanted[1])
    torch.testing.assert_close(found[2], wanted[2])
    assert float(found[0].abs().max()) == 0  # nothing has come down so far yet


def test_relaxed_predictive_coding_comes_to_backpropagation_as_the_output_is_trusted_less_and_not_before():
    net = small_net("tanh", gain=1.5)
    found = []
    for variance in (1.0, 10.0, 1000.0):
        rule = PredictiveCoding(eta=1.0, rate=0.4, steps=60, output_variance=variance)
        wanted = backprop(net, lesson_for(net, rule, squared_error), squared_error)
        found.append(cosine(changes(net, rule), wanted))
    assert found[0] < 0.97  # the trap: unit variances are not backpropagation
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.9999


def test_relaxation_rises_the_free_energy_to_its_slope_of_zero():
    net, rule = small_net("tanh"), PredictiveCoding(rate=0.3)
    lesson = lesson_for(net, rule, squared_error)
    values = [*(layer.potential for layer in lesson.layers[:-1]), lesson.target.expand_as(lesson.output)]
    variances = rule.variances({**lesson.numbers, "variance_ratio": lesson.numbers["variance"] * 1.7}, len(values))
    rate = lesson.numbers["rate"]
    course = []
    for steps in (0, 10, 250):
        now = relaxed(net, lesson.x, values, variances, rate, torch.full_like(rate, steps))
        course.append(free_energy(now.error, variances))
    assert bool((course[1] > course[0]).all())
    assert bool((course[2] >= course[1]).all())
    slope = now.gate[0] * (now.error[1] @ net.carriers(1)) - now.error[0]
    assert float(slope.abs().max()) < 1e-5  # halvings at the last bits of F end it


def test_its_change_is_the_slope_of_the_free_energy_at_rest():
    net, rule = small_net("tanh"), PredictiveCoding(eta=1.0, output_variance=2.0, variance=0.8)
    lesson = lesson_for(net, rule, squared_error)
    values = [*(layer.potential for layer in lesson.layers[:-1]), lesson.output - lesson.top_error]
    variances = rule.variances(lesson.numbers, len(values))
    # where the values end: integrate (3) once more, by autograd's own slope
    for _ in range(int(rule.steps)):
        leaves = [v.detach().requires_grad_() for v in values[:-1]]
        energy = _energy(net, lesson.x, [*leaves, values[-1]], variances).sum()
        slopes = torch.autograd.grad(energy, leaves)
        values = [*(v + rule.rate * s for v, s in zip(leaves, slopes, strict=True)), values[-1]]
    rested = [v.detach() for v in values]

    def cost(weights):
        return -2.0 * _energy(net._replace(weights=weights), lesson.x, rested, variances).mean(-1)

    assert relative_error(changes(net, rule), descent(net, cost)) < 1e-10


def _energy(net, x, values, variances):
    """(2) written anew: one term a layer."""
    below, total = x, 0.0
    for w, value, variance in zip(net.weights, values, variances, strict=True):
        mu = torch.nn.functional.pad(below, (1, 0), value=1.0) @ w.mT
        total = total - 0.5 * ((value - mu) ** 2).sum(-1) / variance[..., 0]
        below = torch.tanh(value)
    return total


# equilibrium propagation


def equilibrium_errors(states: str, symmetric: bool, betas: list[float]) -> list[float]:
    """Relative error to autograd through the resting state, for each beta."""
    net = small_net("tanh", sizes=(5, 4, 3), gain=0.4)
    if states == "clip":  # well inside [0, 1], where the resting state is smooth in the weights
        net = net._replace(weights=tuple(_biased(w) for w in net.weights))
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    motion, steps = Motion(one, 0.5 * one, states == "clip"), 100 * one
    lesson = lesson_for(net, EquilibriumPropagation(), squared_error)
    x, target = lesson.x, lesson.target

    def cost(weights):
        other = net._replace(weights=weights)
        return squared_error(settle(other, x, silent(other, x), motion, steps)[-1], target).mean(-1)

    wanted = descent(net, cost)
    free = settle(net, x, silent(net, x), motion, steps)
    return [
        relative_error(propagate(net, x, free, Pull(target, beta * one), motion, steps, symmetric=symmetric), wanted)
        for beta in betas
    ]


def _biased(w: Tensor) -> Tensor:
    w = 0.5 * w
    w[..., 0] = 0.4
    return w


@pytest.mark.parametrize("states", ["clip", "network"])
@pytest.mark.parametrize(("symmetric", "slope"), [(False, 1), (True, 2)])
def test_the_error_of_equilibrium_propagation_falls_with_beta_or_its_square(states, symmetric, slope):
    betas = [0.1, 0.03, 0.01]
    found = equilibrium_errors(states, symmetric, betas)
    steps = [math.log(a / b) for a, b in pairwise(found)]
    ratios = [math.log(a / b) for a, b in pairwise(betas)]
    assert [s / r for s, r in zip(steps, ratios, strict=True)] == pytest.approx([slope, slope], abs=0.2)
    assert found[-1] < 0.05


def test_the_sign_of_the_nudge_is_a_coin_of_each_minibatch():
    net = small_net("tanh", gain=0.5)
    sides = {sign: propagate_once(net, sign * 0.5) for sign in (1.0, -1.0)}
    rule = EquilibriumPropagation(eta=1.0, eta_ratio=1.0, free_steps=12)
    lesson = lesson_for(net, rule, squared_error)
    seen, together = set(), []
    for minibatch in range(10):
        signs = []
        found = rule.change(net, {}, lesson._replace(key=lesson.key + minibatch))[0]
        for life in range(found[0].shape[1]):
            fits = [s for s, side in sides.items() if torch.equal(found[0][:, life], side[0][:, life])]
            assert len(fits) == 1
            seen.add((life, fits[0]))
            signs.append(fits[0])
        together.append(len(set(signs)) == 1)
    assert len(seen) == 2 * found[0].shape[1]
    assert not all(together)  # lifetimes toss coins of their own


@pytest.mark.parametrize("states", ["clip", "network"])
def test_equilibrium_propagation_answers_from_its_rest(states):
    """At rest each state is what its input makes of it, eq. (3), and the gate is the slope of that."""
    net = small_net("tanh", gain=0.4)
    rule = EquilibriumPropagation(free_steps=200, feedback=0.5, states=states)
    layers = lesson_for(net, rule, squared_error).layers
    for k, layer in enumerate(layers):
        is_last = k == len(layers) - 1
        a = layer.potential.detach().requires_grad_()
        state = a.clamp(0, 1) if states == "clip" else a if is_last else a.tanh()
        torch.testing.assert_close(layer.post, state.detach(), rtol=0, atol=1e-10)
        (slope,) = torch.autograd.grad(state.sum(), a)
        torch.testing.assert_close(layer.gate, slope, rtol=0, atol=1e-10)
        above = 0 if is_last else 0.5 * layers[k + 1].post @ net.carriers(k + 1)
        torch.testing.assert_close(layer.potential, layer.pre @ net.weights[k].mT + above, rtol=0, atol=1e-10)
    assert relative_error((layers[-1].post,), (net.forward(lesson_for(net, rule, squared_error).x)[-1].post,)) > 0.01


def propagate_once(net: Layers, beta: float) -> tuple[Tensor, ...]:
    rule = EquilibriumPropagation(free_steps=12)
    lesson = lesson_for(net, rule, squared_error)
    motion = rule.motion(lesson.numbers)
    free = settle(net, lesson.x, silent(net, lesson.x), motion, lesson.numbers["free_steps"])
    pull = Pull(lesson.target, torch.full((1, 1, 1, 1), beta, dtype=torch.float64))
    return propagate(net, lesson.x, free, pull, motion, lesson.numbers["nudged_steps"], symmetric=False)


def test_rates_of_equilibrium_propagation_grow_from_layer_to_layer_down():
    net = small_net("tanh", gain=0.5)
    even, steep = (changes(net, EquilibriumPropagation(eta=0.5, eta_ratio=ratio, free_steps=9)) for ratio in (1.0, 3.0))
    for scale, a, b in zip((9, 3, 1), even, steep, strict=True):
        torch.testing.assert_close(scale * a, b)


def test_published_settings_of_equilibrium_propagation_are_the_defaults():
    rule = EquilibriumPropagation()
    assert (rule.beta, rule.rate, rule.nudged_steps, rule.nudge, rule.states) == (0.5, 0.5, 4, "random_sign", "clip")
    assert [rule.eta * rule.eta_ratio**k for k in (1, 0)] == pytest.approx([0.1, 0.05])


# contrastive Hebbian learning


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_the_error_of_contrastive_hebb_is_proportional_to_the_feedback(cost):
    net, found, gammas = small_net("tanh"), [], (0.1, 0.03, 0.01)
    for gamma in gammas:
        rule = ContrastiveHebbian(eta=1.0, feedback=gamma, rate=1.0, steps=20)
        wanted = backprop(net, lesson_for(net, rule, cost), cost)
        found.append(relative_error(changes(net, rule, cost), wanted))
    slopes = [math.log(found[k] / found[k + 1]) / math.log(gammas[k] / gammas[k + 1]) for k in range(len(gammas) - 1)]
    assert slopes == pytest.approx([1, 1], abs=0.2)
    assert found[-1] < 0.05


# all of them


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_brains_do_not_touch_each_other(rule):
    net = small_net("tanh", gain=0.6)
    whole = changes(net, rule)
    other = net._replace(weights=tuple(torch.cat([w[:1], w[1:] * 1.3]) for w in net.weights))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole, changes(other, rule), strict=True))
    assert not any(torch.equal(a[1], b[1]) for a, b in zip(whole, changes(other, rule), strict=True))
    one = Layers(tuple(w[1:2] for w in net.weights), tuple(m[1:2] for m in net.masks), net.activation, net.bias)
    for a, b in zip(whole, changes(one, rule), strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_without_a_rate_no_bit_changes(rule):
    net = small_net("relu", gain=0.6)
    after = [
        w + change for w, change in zip(net.weights, changes(net, rule.model_copy(update={"eta": 0.0})), strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(after, net.weights, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_individuals_have_numbers_of_their_own(rule):
    net = small_net("tanh", gain=0.6)
    lesson = lesson_for(net, rule, squared_error)
    both = torch.tensor([1.0, 3.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    steps = {name: value + 2 * (both - 1) for name, value in lesson.numbers.items() if name.endswith("steps")}
    mixed = rule.change(net, {}, lesson._replace(numbers={**lesson.numbers, **steps, "eta": both}))[0]
    second = {name: value[1:].expand(2, 1, 1, 1) for name, value in {**steps, "eta": both}.items()}
    for numbers, who in ((lesson.numbers, 0), ({**lesson.numbers, **second}, 1)):
        alone = rule.change(net, {}, lesson._replace(numbers=numbers))[0]
        assert all(torch.equal(a[who], b[who]) for a, b in zip(mixed, alone, strict=True))


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_missing_neurons_stay_silent(rule):
    net = small_net("sigmoid", gain=0.6)
    masks = [mask.clone() for mask in net.masks]
    masks[0][:, :, 4:] = 0
    masks[1][:, :, :, 5:] = 0  # after the constant
    small = Layers(
        (net.weights[0][..., :4, :], net.weights[1][..., :5], *net.weights[2:]),
        (masks[0][..., :4, :], masks[1][..., :5], *masks[2:]),
        net.activation,
        net.bias,
    )
    padded = net._replace(
        masks=tuple(masks), weights=tuple(w * mask for w, mask in zip(net.weights, masks, strict=True))
    )
    found, wanted = changes(padded, rule), changes(small, rule)
    torch.testing.assert_close(found[0][..., :4, :], wanted[0])
    torch.testing.assert_close(found[1][..., :5], wanted[1])
    torch.testing.assert_close(found[2], wanted[2])
    assert not found[0][..., 4:, :].any()
    assert not found[1][..., 5:].any()
