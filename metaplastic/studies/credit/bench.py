"""The bench that rules are measured on: brains that share a birth, one set of images, updates of single decisions.

    u = change of one decision: its image, action and noise drawn anew, the weights as they are              (1)
    d = -dJ/dW over all images, J one of                                                                     (2)

        squared error              mean 1/2 |q - onehot|^2
        cross-entropy              mean -log softmax(q)_best
        expected reward            mean -softmax(q)_best
        error of the chosen value  mean over answers of the policy of 1/2 (r - q_a)^2, the policy held fixed
        squared error at rest      mean 1/2 |s - onehot|^2, s the output that layers settle to which run up and down

Many draws are lives side by side: [1, seeds * draws] brains, each with its seed's weights and the rule's own state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.layered_life import RULE
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.networks.layers import Layers, born
from metaplastic.inner_loop.objectives import CrossEntropy, SquaredError
from metaplastic.inner_loop.relaxation.equilibrium import EquilibriumPropagation
from metaplastic.inner_loop.rules.layered import Lesson
from metaplastic.studies.analysis.credit import Moments, flat, groups_of, joined, moments
from metaplastic.studies.credit.contestants import ERROR, REST, REWARD, SURPRISE, VALUE, Contestant
from metaplastic.tasks.images.image_bandit import DigitsBandit

EPSILON = 0.02
"""exploring of the policy of the chosen value: `MaxBoltzmann`'s default"""
SMOOTHING = 0.95
"""what is kept of the expected reward at a minibatch"""
NEARLY = 0.03
"""share of right answers that a smaller learning rate is worth: large ones break later"""
TOGETHER = 100
"""single updates that a mean update is the mean of"""


class Material(NamedTuple):
    """All images, and what is right."""

    x: Float[Tensor, "N I"]
    target: Float[Tensor, "N A"]


class Bench(NamedTuple):
    """What does not change from rule to rule."""

    network: Feedforward
    material: Material
    seeds: int
    key: Int[Tensor, ""]


class Brains(NamedTuple):
    """One brain a seed, at some moment of its learning; P = 1, but where learning rates are tried."""

    net: Layers
    """[P, seeds, …]"""
    state: dict[str, Tensor]
    expected: Float[Tensor, "P seeds"]
    """reward, of late"""

    @property
    def weights(self) -> Float[Tensor, "seeds D"]:
        """All weights of a brain in one vector, P = 1."""
        return flat(self.net.weights)[0]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """[post, pre] of each connection group."""
        return [(w.shape[-2], w.shape[-1]) for w in self.net.weights]


def digits() -> Material:
    """The digits that come with scikit-learn, those of the search pool; pixels in [0, 1]."""
    pool = DigitsBandit().images(torch.device("cpu"))
    return Material(pool.images.float() / pool.white, torch.nn.functional.one_hot(pool.labels).float())


def birth(bench: Bench, one: Contestant, individuals: int = 1) -> Brains:
    """The same forward weights for every rule; feedback weights are the rule's own draw."""
    keys = rng.lifetime_keys(bench.key, torch.arange(bench.seeds), rng.INIT)
    spec = DigitsBandit().spec
    net = born(bench.network.birth(spec, individuals, keys), str(bench.network.activation), bench.seeds)
    state = one.rule.start(net, rng.fold(keys, RULE))
    chance = torch.full((individuals, bench.seeds), 1 / spec.actions)
    return Brains(net, state, chance)


# objectives


def costs(output: Float[Tensor, "*B N A"], target: Float[Tensor, "N A"]) -> dict[str, Callable[[], Tensor]]:
    """J of (2) by name, each [*B] when called."""

    def of_chosen() -> Tensor:
        chance = output.softmax(-1).detach()
        best = torch.nn.functional.one_hot(output.argmax(-1), output.shape[-1])
        chance = (1 - EPSILON) * best + EPSILON * chance
        return (chance * 0.5 * (target - output).square()).sum(-1).mean(-1)

    return {
        ERROR: lambda: SquaredError.cost(output, target.expand_as(output)).mean(-1),
        SURPRISE: lambda: CrossEntropy.cost(output, target.expand_as(output)).mean(-1),
        REWARD: lambda: -(output.softmax(-1) * target).sum(-1).mean(-1),
        VALUE: of_chosen,
    }


def answers(like: Layers, material: Material, vectors: Float[Tensor, "n D"]) -> Float[Tensor, "n N A"]:
    """The answers of n weight vectors to all images."""
    x = material.x.to(vectors).expand(1, len(vectors), *material.x.shape)
    return _layers(like, vectors).forward(x)[-1].post[0]


def _layers(like: Layers, vectors: Float[Tensor, "n D"]) -> Layers:
    """n brains of one individual."""
    weights = tuple(w[None] for w in groups_of(vectors, [(w.shape[-2], w.shape[-1]) for w in like.weights]))
    return like._replace(weights=weights, masks=tuple(torch.ones_like(w[:, :1]) for w in weights))


def cost_of(like: Layers, material: Material, objective: str) -> Callable[[Float[Tensor, "n D"]], Float[Tensor, " n"]]:
    """J of n weight vectors, of the answers without feedback."""

    def cost(vectors: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        return costs(answers(like, material, vectors), material.target.to(vectors))[objective]()

    return cost


def descents(one: Contestant, brains: Brains, material: Material) -> dict[str, Float[Tensor, "seeds D"]]:
    """d of (2) for every objective, float64."""
    weights = brains.weights.double().detach().requires_grad_()
    target = material.target.double()
    found = {}
    for name, cost in costs(answers(brains.net, material, weights), target).items():
        (slope,) = torch.autograd.grad(cost().sum(), weights, retain_graph=True)
        found[name] = -slope
    if isinstance(one.rule, EquilibriumPropagation):
        rest = at_rest(one, one.rule, brains.net, material, weights)
        (slope,) = torch.autograd.grad(costs(rest, target)[ERROR]().sum(), weights)
        found[REST] = -slope
    return found


def at_rest(
    one: Contestant, rule: EquilibriumPropagation, like: Layers, material: Material, vectors: Float[Tensor, "n D"]
) -> Float[Tensor, "n N A"]:
    """What n weight vectors answer to all images when layers run up and down."""
    x = material.x.to(vectors).expand(1, len(vectors), *material.x.shape)
    numbers = {name: value.to(vectors) for name, value in rates_of(one).items()}
    return rule.answered(_layers(like, vectors), x, numbers)[-1].post[0]


def accuracy(one: Contestant, like: Layers, material: Material, vectors: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
    """Share of images that the rule's own network names right; none, where an answer is not finite."""
    if isinstance(one.rule, EquilibriumPropagation) and one.objective == REST:
        output = at_rest(one, one.rule, like, material, vectors)
    else:
        output = answers(like, material, vectors)
    right = (output.argmax(-1) == material.target.argmax(-1)) & output.isfinite().all(-1)
    return right.double().mean(-1)


# updates


def lesson(
    one: Contestant,
    brains: Brains,
    material: Material,
    key: Int[Tensor, " L"],
    decisions: int,
    rates: dict[str, Float[Tensor, "P 1 1 1"]],
) -> Lesson:
    """A minibatch of `decisions` images, drawn with replacement, for each brain; `key` is all its chance."""
    index = rng.below(rng.words(rng.fold(key, 0), decisions), len(material.x))
    x, target = material.x[index][None], material.target[index][None]
    layers = one.rule.answered(brains.net, x, rates)
    output = layers[-1].post
    u0, u1 = rng.uniform(rng.words(rng.fold(key, 1), 2 * decisions)).unflatten(-1, (decisions, 2)).unbind(-1)
    explore = {name: value[:, None, None] for name, value in numbers(one.policy, len(output), output).items()}
    action = one.policy.choose(output, u0, u1, explore)
    reward = target.expand_as(output).gather(-1, action[..., None])[..., 0]
    prediction = one.critic.predict(output, action, brains.expected[..., None].expand_as(reward))
    error = SquaredError.top_error(output, target)
    return Lesson(x, layers, target, target, action, reward, prediction, error, rates, rng.fold(key, 2), 0)


def rates_of(one: Contestant, factors: Sequence[float] = (1.0,)) -> dict[str, Float[Tensor, "P 1 1 1"]]:
    """The rule's own numbers, its learning rate times the factor of each individual."""
    found = numbers(one.rule, len(factors), torch.zeros(()))
    rates = {name: value[:, None, None, None] for name, value in found.items()}
    scale = torch.tensor(factors)[:, None, None, None]
    return {**rates, "eta": scale * rates["eta"]} if "eta" in rates else rates


def repeated(brains: Brains, draws: int) -> Brains:
    """Every brain `draws` times, those of a seed side by side."""
    net = brains.net._replace(weights=tuple(w.repeat_interleave(draws, 1) for w in brains.net.weights))
    state = {name: value.repeat_interleave(draws, 1) for name, value in brains.state.items()}
    return Brains(net, state, brains.expected.repeat_interleave(draws, 1))


def updates(
    bench: Bench, one: Contestant, brains: Brains, moment: int, draws: int
) -> Iterator[Float[Tensor, "seeds draws D"]]:
    """(1), `draws` at a time, without end."""
    many, rates = repeated(brains, draws), rates_of(one)
    keys = rng.fold(rng.lifetime_keys(bench.key, torch.arange(bench.seeds), rng.NOISE), moment)
    first = 0
    while True:
        key = rng.fold(keys[:, None], torch.arange(first, first + draws)).flatten()
        changes, _ = one.rule.change(many.net, many.state, lesson(one, many, bench.material, key, 1, rates))
        yield flat(changes)[0].unflatten(0, (bench.seeds, draws))
        first += draws


class Drawn(NamedTuple):
    """What is kept of the updates at one moment."""

    whole: Moments
    """[seeds]"""
    groups: tuple[Moments, ...]
    """of each connection group"""
    single: Float[Tensor, "seeds k D"]
    """the first updates"""
    mean: Float[Tensor, "seeds k D"]
    """means of `TOGETHER` updates each"""


@torch.no_grad()
def draw(bench: Bench, one: Contestant, brains: Brains, moment: int, most: int, kept: int, noise: float = 0.1) -> Drawn:
    """As many updates as it takes for the mean's own noise v / n to be below `noise` |m|^2, at most `most`.

    Four times as many where even half of |m|^2 is out of reach.
    """
    sizes = [post * pre for post, pre in brains.shapes]
    whole, squares, single, mean = None, [], [], []
    for u in updates(bench, one, brains, moment, TOGETHER):
        whole = moments(u) if whole is None else joined([whole, moments(u)])
        squares.append(torch.stack([part.double().square().sum(-1).mean(-1) for part in u.split(sizes, -1)], -1))
        if len(mean) < kept:
            single.append(u[:, 0])
            mean.append(u.mean(1))
        elif _is_enough(whole, noise) or (whole.draws >= most and (_is_enough(whole, 0.5) or whole.draws >= 4 * most)):
            break
    assert whole is not None
    square, ends = torch.stack(squares).mean(0), torch.tensor(sizes).cumsum(0).tolist()
    groups = [
        whole.part(slice(end - size, end), square[:, k]) for k, (end, size) in enumerate(zip(ends, sizes, strict=True))
    ]
    return Drawn(whole, tuple(groups), torch.stack(single, 1), torch.stack(mean, 1))


def _is_enough(found: Moments, noise: float) -> bool:
    """In most seeds."""
    ratio = found.variance / found.draws / found.mean_square
    return bool(((ratio > 0) & (ratio < noise)).double().mean() > 0.5)


class Walk(NamedTuple):
    """How far the weights went, and by what way."""

    length: Float[Tensor, "P seeds"]
    """sum of the lengths of all changes"""
    brains: Brains


@torch.no_grad()
def learn(
    bench: Bench, one: Contestant, brains: Brains, factors: Sequence[float], steps: range, decisions: int
) -> Walk:
    """These steps of learning from minibatches, each individual at its factor of the rule's own rate."""
    rates = rates_of(one, factors)
    keys = rng.lifetime_keys(bench.key, torch.arange(bench.seeds), rng.POLICY)
    length = torch.zeros_like(brains.expected)
    for step in steps:
        told = lesson(one, brains, bench.material, rng.fold(keys, step), decisions, rates)
        changes, state = one.rule.change(brains.net, brains.state, told)
        weights = tuple(w + change for w, change in zip(brains.net.weights, changes, strict=True))
        expected = SMOOTHING * brains.expected + (1 - SMOOTHING) * told.reward.mean(-1)
        brains = Brains(brains.net._replace(weights=weights), state, expected)
        length += flat(changes).norm(dim=-1)
    return Walk(length, brains)


@torch.no_grad()
def best_rate(
    bench: Bench, one: Contestant, factors: Sequence[float], steps: int, decisions: int
) -> tuple[float, Float[Tensor, " P"]]:
    """The least factor whose worst birth names nearly as many images right as any, and those shares of all factors."""
    brains = learn(bench, one, birth(bench, one, len(factors)), factors, range(steps), decisions).brains
    right = torch.stack(
        [accuracy(one, brains.net, bench.material, vectors).min() for vectors in flat(brains.net.weights)]
    )
    enough = right >= right.max() - NEARLY
    return min(factor for factor, is_enough in zip(factors, enough, strict=True) if is_enough), right
