"""Every objective of rules.md 10: its error is its cost's gradient, and its streams of reward obey their laws."""

import math

import numpy as np
import pytest
import torch

from metaplastic import rng
from metaplastic.core import Gene, Values
from metaplastic.inner_loop.objectives import (
    OBJECTIVES,
    BinaryCrossEntropy,
    Cost,
    CrossEntropy,
    Mixture,
    SquaredError,
    answer,
    curiosity,
    empowerment,
    mixture,
    needs,
    prediction,
    terms_of,
)

KEY = rng.root(11)
P, S, A = 2, 3, 5


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return rng.normals(rng.fold(KEY, seed), *shape).double()


Q, OTHER = draw(P, S, A), draw(P, S, A, seed=1)
ACTION = torch.tensor([[0, 4, 2], [1, 1, 3]])
REWARD = draw(P, S, seed=2)
TARGET = torch.nn.functional.one_hot(ACTION, A).double()
BEFORE = curiosity.Belief(draw(P, A, seed=3), draw(P, A, seed=4))
RHO = draw(P, A, seed=5)
VARIANCE = draw(P, 1, seed=6).exp()

ERRORS = {
    "cross-entropy": (Q, lambda q: CrossEntropy.cost(q, TARGET), lambda q: CrossEntropy.top_error(q, TARGET)),
    "binary cross-entropy": (
        Q,
        lambda q: BinaryCrossEntropy.cost(q, TARGET),
        lambda q: BinaryCrossEntropy.top_error(q, TARGET),
    ),
    "squared error": (Q, lambda q: SquaredError.cost(q, OTHER), lambda q: SquaredError.top_error(q, OTHER)),
    "policy gradient": (
        Q,
        lambda q: answer.policy_cost(q, ACTION, REWARD),
        lambda q: answer.policy_error(q, ACTION, REWARD),
    ),
    "value": (
        REWARD,
        lambda v: answer.value_cost(v, OTHER[..., 0], OTHER[..., 1], 0.9),
        lambda v: answer.value_error(v, OTHER[..., 0], OTHER[..., 1], 0.9),
    ),
    "action value": (
        Q,
        lambda q: answer.action_value_cost(q, ACTION, REWARD),
        lambda q: answer.action_value_error(q, ACTION, REWARD),
    ),
    "prediction": (
        draw(P, A, seed=7),
        lambda e: prediction.free_energy([e, OTHER[:, 0]], [VARIANCE, VARIANCE + 1]),
        lambda e: prediction.prediction_errors([e, OTHER[:, 0]], [VARIANCE, VARIANCE + 1])[0],
    ),
    "variance of a prediction": (
        VARIANCE,
        lambda v: prediction.free_energy([OTHER[:, 0]], [v]),
        lambda v: prediction.variance_error(OTHER[:, 0], v)[:, None],
    ),
    "self-prediction": (Q, lambda z: prediction.self_cost(z, OTHER), lambda z: prediction.self_error(z, OTHER)),
    "cosine of self-prediction": (
        Q,
        lambda z: prediction.cosine_cost(z, OTHER),
        lambda z: prediction.cosine_error(z, OTHER),
    ),
    "information gain, by mean": (
        OTHER[:, 0],
        lambda m: curiosity.divergence(curiosity.Belief(m, RHO), BEFORE),
        lambda m: curiosity.divergence_error(curiosity.Belief(m, RHO), BEFORE).mean,
    ),
    "information gain, by deviation": (
        RHO,
        lambda r: curiosity.divergence(curiosity.Belief(OTHER[:, 0], r), BEFORE),
        lambda r: curiosity.divergence_error(curiosity.Belief(OTHER[:, 0], r), BEFORE).rho,
    ),
    "distillation": (
        Q,
        lambda g: curiosity.distillation(OTHER, g),
        lambda g: curiosity.distillation_error(OTHER, g),
    ),
    "need": (
        Q,
        lambda h: needs.need(h, OTHER, TARGET + 1),
        lambda h: needs.need_error(h, OTHER, TARGET + 1),
    ),
    "energy of transmission": (
        Q,
        lambda w: needs.energy(REWARD[:, 0], Q.detach(), w, OTHER[:, 0].abs(), 2.0, 3.0, 1.0),
        lambda w: needs.energy_error(w, OTHER[:, 0].abs()),
    ),
    "wiring": (Q, lambda w: needs.wiring(w, OTHER.abs()), lambda w: needs.wiring_error(w, OTHER.abs())),
}
"""name -> where, cost, error"""


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_the_gradient_of_its_cost(name):
    seen, cost, error = ERRORS[name]
    seen = seen.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(seen).sum(), [seen])
    torch.testing.assert_close(error(seen.detach()), gradient, rtol=1e-10, atol=1e-12)


def test_costs_of_the_answer_by_hand():
    q, target = torch.tensor([[1.0, 3.0, 0.0]]).double(), torch.tensor([[0.0, 1.0, 0.0]]).double()
    assert CrossEntropy.cost(q, target).item() == pytest.approx(math.log(math.e + math.e**3 + 1) - 3)
    by_sigmoids = -sum(math.log(p) for p in (1 / (1 + math.e), 1 / (1 + math.e**-3), 0.5))
    assert BinaryCrossEntropy.cost(q, target).item() == pytest.approx(by_sigmoids)
    assert SquaredError.cost(q, target).item() == pytest.approx(0.5 * (1 + 4))
    assert answer.value_cost(q[:, 0], q[:, 1], q[:, 1], 0.5).item() == pytest.approx(0.5 * (3 + 1.5 - 1) ** 2)


def test_the_target_of_a_value_is_held_fixed():
    following = OTHER[..., 0].clone().requires_grad_()
    assert not answer.value_cost(Q[..., 0], REWARD, following, 0.9).requires_grad


@pytest.mark.parametrize("kind", [kind for kind, cls in OBJECTIVES.items() if issubclass(cls, Cost)])
def test_the_kernels_expression_of_a_drive_is_the_drive(kind):
    cost = OBJECTIVES[kind]
    numbers = {"weight": 0.7, "target": 0.2, "rate": 0.1}
    names = {"ZERO": np.float32(0), "ONE": np.float32(1), "np": np, **numbers}
    text = cost.kernel.format(**{name: name for name in numbers})
    for y, mean in [(0.3, 0.4), (-0.2, 0.9995), (0.0, 0.0002)]:
        found = eval(text, {**names, "y": np.float32(y), "mean": np.float32(mean)})
        given = {name: torch.tensor(value) for name, value in numbers.items()}
        assert found == pytest.approx(cost.drive(torch.tensor(y), torch.tensor(mean), given).item(), rel=1e-4)


# prediction


def test_description_length_falls_when_the_variance_is_fitted():
    errors, weights = draw(P, 40, A) * 3, draw(P, 4, 2, seed=9)
    fitted = errors.square().mean((-1, -2))[:, None, None]

    def length(variance):
        return prediction.description_length([errors], [variance], [weights])

    for other in (0.5, 0.9, 1.1, 4.0):
        assert (length(fitted * other) > length(fitted)).all()
    normal = torch.distributions.Normal(torch.zeros_like(errors), fitted.sqrt().expand_as(errors))
    prior = torch.distributions.Normal(torch.zeros_like(weights), 1.0)
    by_law = -normal.log_prob(errors).sum((-1, -2)) - prior.log_prob(weights).sum((-1, -2))
    torch.testing.assert_close(length(fitted), by_law, rtol=1e-10, atol=1e-10)


def test_a_collapsed_self_prediction_is_seen_by_its_spread():
    assert (prediction.spread(torch.ones(P, S, A).double()) == 0).all()
    torch.testing.assert_close(prediction.spread(Q), Q.var(1, unbiased=False).mean(-1))


# curiosity


def test_nothing_learned_is_no_gain():
    torch.testing.assert_close(curiosity.divergence(BEFORE, BEFORE), torch.zeros(P).double())


def test_the_divergence_is_what_a_sample_of_it_says():
    after = curiosity.Belief(OTHER[:1, 0] * 0.3, RHO[:1])
    before = curiosity.Belief(torch.zeros(1, A).double(), RHO[:1] * 0.5)
    new, old = (torch.distributions.Normal(b.mean, torch.nn.functional.softplus(b.rho)) for b in (after, before))
    sample = after.mean + torch.nn.functional.softplus(after.rho) * draw(200_000, A, seed=8)
    sampled = (new.log_prob(sample) - old.log_prob(sample)).sum(-1).mean()
    assert curiosity.divergence(after, before).item() == pytest.approx(sampled.item(), rel=1e-2)


def test_gain_is_measured_in_medians_of_late():
    late = curiosity.Late(torch.zeros(P, 3).double())
    for value in (9.0, 1.0, 2.0, 4.0):  # the first is forgotten
        late = late.note(torch.full((P,), value).double())
    gain = curiosity.information_gain(torch.tensor([6.0, 3.0]).double(), late, scale=0.5)
    torch.testing.assert_close(gain, torch.tensor([1.5, 0.75]).double())


def test_what_was_seen_often_is_less_new():
    seen = curiosity.count_novelty(torch.tensor([1, 4, 100]))
    torch.testing.assert_close(seen, torch.tensor([1.0, 0.5, 0.1]))


# empowerment


@pytest.mark.parametrize("error", [0.0, 0.11, 0.5])
def test_the_capacity_of_a_noisy_symbol_is_what_its_noise_leaves(error):
    channel = torch.tensor([[1 - error, error], [error, 1 - error]]).double()
    entropy = -sum(p * math.log2(p) for p in (error, 1 - error) if p > 0)
    assert empowerment.capacity(channel)[0].item() == pytest.approx(1 - entropy, abs=1e-4)


def test_the_capacity_of_the_z_channel_needs_an_uneven_input():
    half = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).double()
    bits, inputs = empowerment.capacity(half, gap=1e-8)
    assert bits.item() == pytest.approx(math.log2(5 / 4), abs=1e-7)
    assert inputs[1].item() == pytest.approx(0.4, abs=1e-3)


def grid(side: int) -> torch.Tensor:
    """P(s' | s, a) on a torus of side x side cells; stay, up, down, left, right."""
    place = torch.arange(side * side).reshape(side, side)
    moves = [place] + [place.roll(shift, axis) for axis in (0, 1) for shift in (1, -1)]
    return torch.nn.functional.one_hot(torch.stack(moves, -1).flatten(0, 1), side * side).double()


@pytest.mark.parametrize(("n", "cells"), [(1, 5), (2, 13)])
def test_an_open_grid_empowers_by_the_cells_that_can_be_reached(n, cells):
    world = grid(5)
    torch.testing.assert_close(empowerment.reachable(world > 0, n), torch.full((25,), math.log2(cells)))
    found = empowerment.empowerment(world[None], n)[0, 7]
    assert found.item() == pytest.approx(math.log2(cells), abs=2e-4)


def test_channels_end_each_for_itself():
    channels = torch.softmax(draw(4, 3, 6), -1)
    whole = empowerment.capacity(channels)[0]
    for k in range(4):
        torch.testing.assert_close(empowerment.capacity(channels[k])[0], whole[k], rtol=1e-12, atol=1e-14)


def test_a_channel_that_is_none_is_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        empowerment.capacity(torch.ones(2, 3))


def test_the_variational_bound_is_below_the_information():
    joint = torch.softmax(draw(1, 12), -1).reshape(3, 4)  # a, s'
    policy, following = joint.sum(1), joint.sum(0)
    information = (joint * (joint / (policy[:, None] * following)).log2()).sum()
    for slack, kind in ((0.0, "tight"), (0.3, "loose")):
        inverse = torch.log_softmax((joint / following).log() + slack * draw(3, 4, seed=3), 0)
        each = torch.stack(
            [
                empowerment.variational(inverse[:, s], policy.log(), one)
                for s in range(4)
                for one in torch.eye(3).double()
            ]
        )
        bound = (each.reshape(4, 3).T * joint).sum()
        assert (abs(bound - information) < 1e-10) == (kind == "tight")
        assert bound <= information + 1e-10


# needs


def test_relief_telescopes():
    states = draw(7, P, 4)
    wanted, weight = draw(P, 4, seed=1), draw(P, 4, seed=2).abs()
    levels = torch.stack([needs.need(state, wanted, weight, power=4, root=3) for state in states])
    total = needs.relief(levels[:-1], levels[1:]).sum(0)
    torch.testing.assert_close(total, levels[0] - levels[-1], rtol=1e-10, atol=1e-10)


# mixtures


def mixed(weighting: str, *weights) -> Mixture:
    terms = [{"kind": kind} for kind in ("reward", "energy", "cross_entropy")]
    one = Mixture.model_validate({"terms": terms, "weighting": weighting})
    terms = tuple(term.model_copy(update={"weight": w}) for term, w in zip(one.terms, weights, strict=True))
    return one.model_copy(update={"terms": terms})


def test_weights_of_a_mixture_are_softmaxed_for_each_individual():
    genes = Values(torch.tensor([0.0, math.log(6.0)]).double())
    found = [term.weight.data for term in terms_of(mixed("softmax", 0.0, genes, math.log(2.0)))]
    torch.testing.assert_close(
        torch.stack(found), torch.tensor([[1 / 4, 1 / 9], [1 / 4, 6 / 9], [2 / 4, 2 / 9]]).double()
    )


def test_weights_of_a_mixture_can_be_kept_above_zero():
    found = terms_of(mixed("softplus", -3.0, 0.0, 2.0))
    for term, given in zip(found, (-3.0, 0.0, 2.0), strict=True):
        assert term.weight.data.item() == pytest.approx(math.log(1 + math.exp(given)))


def test_weights_without_a_value_yet_stay_as_they_are():
    gene = Gene(0.0, 1.0)
    assert [term.weight for term in terms_of(mixed("softmax", gene, 0.0, 1.0))] == [gene, 0.0, 1.0]
    assert [term.weight for term in terms_of(mixed("plain", 2.0, 0.0, 1.0))] == [2.0, 0.0, 1.0]


def test_terms_of_any_size_come_to_size_one():
    terms = draw(P, 3, 4000) * torch.tensor([1e-3, 1.0, 500.0]).double()[:, None]
    terms[:, 1] = 0
    scale = mixture.unscaled(P, 3, terms)
    for part in terms.split(400, -1):
        scale = scale.follow(part)
    size = scale.divide(terms).square().mean(-1).sqrt()
    torch.testing.assert_close(size, torch.tensor([[1.0, 0.0, 1.0]] * P).double(), rtol=0.05, atol=0)
    once = mixture.unscaled(P, 3, terms).follow(terms)  # unbiased from the first time on
    torch.testing.assert_close(
        once.divide(terms).square().mean(-1), torch.tensor([[1.0, 0.0, 1.0]] * P).double(), rtol=1e-10, atol=0
    )
