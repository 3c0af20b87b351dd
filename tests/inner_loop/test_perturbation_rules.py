"""Perturbation rules: their means and spreads are those of theory, their noise is each life's own."""

import pytest
import torch
from tiny_lessons import KEY, apply, draw, gradients, lesson_of, networks

from metaplastic import rng
from metaplastic.inner_loop.feedback.alignment import BatchBackprop
from metaplastic.inner_loop.feedback.perturbation import MEAN, BatchNodePerturbation, WeightPerturbation, perturbed
from metaplastic.inner_loop.objectives import CrossEntropy, SquaredError

LIVES = 400


def flat(parts) -> torch.Tensor:
    return torch.cat([part.flatten(-2) for part in parts], -1)


def updates(rule, net, count):
    """Changes and descents [lives, N], every life the same network and minibatch but noise of its own."""
    one = net._replace(weights=tuple(w.expand(-1, LIVES, -1, -1) for w in net.weights))
    alone = lesson_of(net, rule, count=count)
    lesson = alone._replace(
        x=alone.x.expand(-1, LIVES, -1, -1),
        target=alone.target.expand(-1, LIVES, -1, -1),
        layers=one.forward(alone.x.expand(-1, LIVES, -1, -1)),
        key=rng.fold(KEY, torch.arange(LIVES)),
    )
    changes, _ = rule.change(one, rule.start(one, lesson.key), lesson)
    wanted = gradients(net, alone.x, lambda q: CrossEntropy.cost(q, alone.target))
    return flat(changes)[0], -flat(wanted)[0], alone


def cosines(found, wanted):
    return (found @ wanted[0]) / (found.square().sum(-1).sqrt() * wanted.square().sum().sqrt())


@pytest.mark.parametrize("n", [1, 10, 100])
def test_the_cosine_of_weight_perturbation_grows_with_the_root_of_its_number(n):
    net = networks((6,), lives=(1, 1))
    found, wanted, _ = updates(WeightPerturbation(eta=1, sigma=1e-4, samples=n), net, 3)
    count = wanted.shape[-1]
    cos = cosines(found, wanted).square().mean().sqrt()
    assert cos.item() == pytest.approx((n / (n + count + 1)) ** 0.5, rel=0.1)
    along = (found @ wanted[0]).mean() / wanted.square().sum()
    assert along.item() == pytest.approx(1, abs=4 * (3 / n / LIVES) ** 0.5)  # within four errors of the mean


@pytest.mark.parametrize("n", [1, 10, 100])
def test_the_cosine_of_node_perturbation_is_what_its_neurons_and_decisions_make_it(n):
    net = networks((6,), lives=(1, 1))
    rule = BatchNodePerturbation(eta=1, sigma=1e-4, samples=n)
    found, wanted, lesson = updates(rule, net, 3)
    # variance of (g.xi) xi_i is |g|^2 + g_i^2, for each decision and neuron, times |x|^2, over S^2
    noises = [torch.zeros_like(layer.post).requires_grad_() for layer in lesson.layers]
    cost = CrossEntropy.cost(perturbed(net, lesson.x, noises), lesson.target).sum()
    by_noise = torch.autograd.grad(cost, noises)
    size = sum(g.square().sum(-1) for g in by_noise)
    spread = sum(
        ((g.shape[-1] * size + g.square().sum(-1)) * layer.pre.square().sum(-1)).sum() / 9
        for g, layer in zip(by_noise, lesson.layers, strict=True)
    )
    descent = wanted.square().sum()
    assert found.square().sum(-1).mean().item() == pytest.approx((descent + spread / n).item(), rel=0.15)
    if n > 1:  # of one alone the size varies too much for a mean of ratios to be the ratio of means
        cos = cosines(found, wanted).square().mean().sqrt()
        assert cos.item() == pytest.approx((descent / (descent + spread / n)).sqrt().item(), rel=0.1)
    along = (found @ wanted[0]).mean() / descent
    assert along.item() == pytest.approx(1, abs=4 * (spread / n / LIVES / descent).sqrt().item())


def test_perturbing_few_neurons_keeps_the_mean():
    net = networks((6,), lives=(1, 1))
    rule = BatchNodePerturbation(eta=1, sigma=1e-4, samples=100, probability=0.25)
    found, wanted, _ = updates(rule, net, 3)
    mean = found.mean(0)
    assert (mean @ wanted[0] / (mean.norm() * wanted.norm())).item() > 0.98
    assert (mean @ wanted[0] / wanted.square().sum()).item() == pytest.approx(1, abs=0.05)


def test_the_perturbed_answer_is_the_answer_with_noise_at_every_net_input():
    net = networks(shrink=True)
    x = draw(1, 2, 4, 6)
    nothing = [torch.zeros_like(layer.post) for layer in net.forward(x)]
    torch.testing.assert_close(perturbed(net, x, nothing), net.forward(x)[-1].post)
    some = [draw(*zero.shape, seed=k) for k, zero in enumerate(nothing)]
    y = x
    for k, (w, noise) in enumerate(zip(net.weights, some, strict=True)):
        a = torch.einsum("plij,plsj->plsi", w[..., 1:], y.expand(3, -1, -1, -1)) + w[:, :, None, :, 0] + noise
        y = torch.tanh(a) * net.exists(k) if k < 2 else a
    torch.testing.assert_close(perturbed(net, x, some), y)


@pytest.mark.parametrize("rule", [BatchNodePerturbation, WeightPerturbation])
def test_a_running_mean_starts_at_the_first_cost_and_follows(rule):
    one, net = rule(baseline="running_mean", mean_decay=0.75, sigma=1e-9, cost="squared_error"), networks()
    state = one.start(net, rng.fold(KEY, torch.arange(2)))
    means = []
    for seed in (0, 1):
        lesson = lesson_of(net, one, seed=seed)
        changes, state = one.change(net, state, lesson)
        means.append(SquaredError.cost(lesson.output, lesson.target).mean(-1))
        assert all(change.isfinite().all() for change in changes)
    torch.testing.assert_close(state[MEAN][..., 0], 0.75 * means[0] + 0.25 * means[1], rtol=1e-6, atol=1e-6)


def test_reward_alone_teaches_by_perturbation():
    """A linear read-out is told nothing but what its largest answer earned."""
    rule = BatchNodePerturbation(cost="reward", sigma=0.5, eta=0.3, samples=1)
    net = networks((), lives=(1, 4), inputs=3, actions=3)
    net = net._replace(weights=tuple(0.1 * w for w in net.weights))
    earned = []
    for step in range(150):
        lesson = lesson_of(net, rule, count=20, seed=7 * step)
        best = torch.nn.functional.one_hot(lesson.x.argmax(-1), 3).double()
        earned.append((lesson.output.argmax(-1) == lesson.x.argmax(-1)).double().mean())
        net = apply(net, rule.change(net, {}, lesson._replace(payoff=best))[0])
    assert torch.stack(earned[-20:]).mean() > 0.85 > 0.6 > torch.stack(earned[:3]).mean()


def test_noise_is_a_lifes_own_and_does_not_depend_on_the_batch():
    net = networks()
    for rule in (BatchNodePerturbation(samples=2), WeightPerturbation(samples=2)):
        lesson = lesson_of(net, rule)
        whole, _ = rule.change(net, {}, lesson)
        part = net._replace(weights=tuple(w[:, 1:] for w in net.weights))
        names = ("x", "target", "payoff", "action", "reward", "prediction", "top_error")
        given = {name: getattr(lesson, name)[:, 1:] for name in names}
        layers = tuple(type(layer)(*(piece[:, 1:] for piece in layer)) for layer in lesson.layers)
        alone, _ = rule.change(part, {}, lesson._replace(layers=layers, key=lesson.key[1:], **given))
        for one, other in zip(whole, alone, strict=True):
            torch.testing.assert_close(one[:, 1:], other, rtol=1e-6, atol=1e-12)
        assert not torch.allclose(whole[0][:, 0], whole[0][:, 1])


def learning_time(rule, inputs: int, outputs: int, worst: float) -> float:
    """Decisions in which the squared distance of a linear read-out to its teacher falls by e, at the rule's best rate.

    With Gaussian inputs E|dW|^2 = eta^2 worst |W - W*|^2, so a decision leaves 1 - 2 eta + eta^2 worst of it: the best
    rate is 1 / worst, and the time is worst.
    """
    lives, steps = 300, round(2 * worst)
    net = networks((), lives=(1, lives), inputs=inputs, actions=outputs, bias=False)
    teacher = draw(1, lives, outputs, inputs, seed=60)
    net = net._replace(weights=(torch.zeros_like(teacher),))
    rule = rule.model_copy(update={"eta": 1 / worst})
    for step in range(steps):
        lesson = lesson_of(net, rule, count=1, seed=7 * step)
        target = lesson.x @ teacher.mT
        lesson = lesson._replace(target=target, top_error=SquaredError.top_error(lesson.output, target))
        net = apply(net, rule.change(net, {}, lesson)[0])
    left = (net.weights[0] - teacher).square().sum() / teacher.square().sum()
    return -steps / left.log().item()


def test_learning_takes_as_many_times_longer_as_there_are_perturbed_numbers():
    """Werfel, Xie & Seung 2004: gradient : nodes : weights as 1 : nodes : weights, for many of them (here plus 2)."""
    inputs, outputs = 6, 4
    direct = learning_time(BatchBackprop(), inputs, outputs, inputs + 2)
    settings = {"sigma": 1e-4, "cost": "squared_error"}
    nodes = learning_time(BatchNodePerturbation(**settings), inputs, outputs, (inputs + 2) * (outputs + 2))
    weights = learning_time(WeightPerturbation(**settings), inputs, outputs, (inputs + 2) * (inputs * outputs + 2))
    assert nodes / direct == pytest.approx(outputs + 2, rel=0.2)
    assert weights / direct == pytest.approx(inputs * outputs + 2, rel=0.2)
