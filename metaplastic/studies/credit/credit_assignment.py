"""Where learning rules lie in bias and variance, measured: the counterpart of two sketches of Richards et al. 2019.

    relative bias, variance, samples for a cosine of 1/2    of one decision's change           analysis/credit.py (1-4)
    aligned and orthogonal parts; what a step brings        of one change, of the mean of 100  analysis/credit.py (5-7)

One network, one task; every layered rule of the library learns it from the same birth, and is measured at birth,
midway and after learning. No rule is tuned by hand: its learning rate is the one of

    rates such that a minibatch's change has r |d| as its root mean square length at birth, r in TRIED        (1)

of which the least is taken whose worst birth, of three of other seeds, is within .03 of the best after half of the
learning: the share of images that are named right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.studies.analysis.credit import credit, parts, step
from metaplastic.studies.credit.bench import (
    Bench,
    Brains,
    Drawn,
    Material,
    accuracy,
    best_rate,
    birth,
    cost_of,
    descents,
    digits,
    draw,
    learn,
)
from metaplastic.studies.credit.contestants import ERROR, Contestant, contestants
from metaplastic.studies.study import Result, Run, Study

NETWORK = Feedforward(units=20, layers=2, activation="tanh")
MOMENTS = ("birth", "midway", "after")
DECISIONS, LENGTH = 10, 0.003
"""of a minibatch of learning; length of the steps that are compared, of that of all weights"""
TRIED, TRIAL_SEEDS = (0.003, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6), 3
"""r of (1); births of a trial"""

Numbers = dict[str, np.ndarray]
"""one number (or row) a seed, by name"""


class Scale(NamedTuple):
    """How much is drawn and learned."""

    steps: int
    """minibatches of learning"""
    most: int
    """updates drawn at a moment"""
    kept: int
    """of which so many, and as many means, are looked at one by one"""


SCALES = {"quick": Scale(40, 300, 2), "default": Scale(1500, 4000, 8), "full": Scale(6000, 40_000, 16)}


class Course(NamedTuple):
    """A rule from birth to the end of learning."""

    contestant: Contestant
    factor: float
    """of its own learning rate, (1)"""
    moments: list[Numbers]
    """birth, midway, after"""
    efficiency: np.ndarray
    """of its path, [seeds]"""

    def of(self, name: str, moment: int) -> np.ndarray:
        """One number a seed."""
        return self.moments[moment][name]


def measure(bench: Bench, one: Contestant, brains: Brains, moment: int, scale: Scale) -> tuple[Numbers, Drawn]:
    """Everything at one moment, [seeds] each, and the draws."""
    directions = descents(one, brains, bench.material)
    drawn = draw(bench, one, brains, moment, scale.most, scale.kept)
    signal = drawn.whole.mean_square
    own, common = (credit(drawn.whole, directions[name]) for name in (one.objective, ERROR))
    sizes = [post * pre for post, pre in brains.shapes]
    layers = zip(drawn.groups, directions[one.objective].split(sizes, -1), strict=True)
    found = {
        "cosine": own.cosine,
        "bias": own.relative_bias,
        "variance": own.relative_variance,
        "samples": own.samples,
        "noise": torch.where(signal > 0, drawn.whole.variance / signal, torch.nan),
        "common_cosine": common.cosine,
        "common_bias": common.relative_bias,
        "common_samples": common.samples,
        "layer_cosines": torch.stack([credit(group, part).cosine for group, part in layers], -1),
        "accuracy": accuracy(one, brains.net, bench.material, brains.weights),
        "error": cost_of(brains.net, bench.material, ERROR)(brains.weights),
        "draws": torch.full((bench.seeds,), float(drawn.whole.draws)),
        **{f"cosine to {name}": credit(drawn.whole, d).cosine for name, d in directions.items()},
        **_steps(brains, bench.material, drawn, directions[ERROR]),
    }
    return {name: value.detach().double().numpy() for name, value in found.items()}, drawn


def _steps(brains: Brains, material: Material, drawn: Drawn, d: Tensor) -> dict[str, Tensor]:
    """Parts of single and mean updates, and what steps of one length do to the squared error, [seeds] each.

    Gains are in units of what the gradient's first order promises for that length: 1 is as good as can be.
    """
    weights = brains.weights.double()
    length = LENGTH * weights.norm(dim=-1)
    promised = length * d.norm(dim=-1)
    cost = cost_of(brains.net, material, ERROR)
    found = {}
    for name, u in (("single", drawn.single.double()), ("mean", drawn.mean.double()), ("gradient", d[:, None])):
        split = parts(u, d)
        found[f"{name}_aligned"] = split.alignment.nanmean(-1)
        found[f"{name}_orthogonal"] = (1 - split.alignment.square()).clamp(min=0).sqrt().nanmean(-1)
        found[f"{name}_downhill"] = split.downhill
        size = u.norm(dim=-1, keepdim=True)
        scaled = torch.where(size > 0, length[:, None, None] * u / size, 0.0)
        spread = weights[:, None].expand_as(u).flatten(0, 1)
        made = step(cost, spread, scaled.flatten(0, 1))
        for order, change in zip(("predicted", "second_order", "realised"), made, strict=True):
            found[f"{name}_{order}"] = -change.unflatten(0, u.shape[:2]).mean(-1) / promised
    return found


def rate(bench: Bench, one: Contestant, drawn: Drawn, d: Tensor, steps: int) -> float:
    """The learning rate that serves the rule best in a short trial, (1), as a factor of its own."""
    whole = drawn.whole
    size = (whole.mean.square().sum(-1) + whole.variance / DECISIONS).sqrt().mean()
    factors = [float(d.norm(dim=-1).mean() / size) * step for step in TRIED]
    others = bench._replace(seeds=TRIAL_SEEDS, key=rng.fold(bench.key, 1))
    return best_rate(others, one, factors, steps, DECISIONS)[0]


def follow(bench: Bench, one: Contestant, scale: Scale) -> Course:
    """A rule from birth through learning, measured three times."""
    brains = birth(bench, one)
    first, drawn = measure(bench, one, brains, 0, scale)
    factor = rate(bench, one, drawn, descents(one, brains, bench.material)[one.objective], scale.steps // 2)
    found, length, start = [first], torch.zeros(()), brains.weights
    half = scale.steps // 2
    for moment, steps in enumerate((range(half), range(half, 2 * half)), 1):
        walk = learn(bench, one, brains, (factor,), steps, DECISIONS)
        brains, length = walk.brains, length + walk.length[0]
        found.append(measure(bench, one, brains, moment, scale)[0])
    efficiency = (brains.weights - start).norm(dim=-1) / length
    return Course(one, factor, found, efficiency.double().numpy())


class CreditAssignment(Study):
    """All layered rules on one bench."""

    name: ClassVar[str] = "credit-assignment"
    title: ClassVar[str] = "Credit assignment: bias and variance of learning rules, measured"
    question: ClassVar[str] = (
        "Richards et al. 2019 sketch, in figures 2 and 3, where learning rules lie. How far is the change that a rule "
        "makes of a decision really from the gradient: in the mean (bias), and in how it scatters (variance)? What "
        "part of it is along the gradient, and how far does a step move the objective?"
    )
    method: ClassVar[str] = (
        "A network of 64-20-20-10 tanh neurons names the 898 digits of the search pool (8 x 8 pixels). Every layered "
        "rule of the library starts from the same weights in each seed and learns for "
        f"{SCALES['default'].steps} minibatches of {DECISIONS}. At birth, midway and after learning its weights are "
        "held, and changes of single decisions are drawn: image, action and noise anew each time. Objectives are "
        "named in every row: most rules are held against the squared error; those with an objective of their own are "
        "held against both. Each learns at the least of eight rates, spaced by the size of its changes at birth, that "
        "serves births of other seeds well."
    )
    departures: ClassVar[Sequence[str]] = (
        "The paper's figures are sketches without numbers; what is compared is the order of the rules that it calls "
        "known. Bounds on numbers are ours, after a prototype on a 196-50-10 network.",
        "The y axis of the first figure is v / |m|^2, the scatter of a rule's change against its own mean, which does "
        "not shrink with the bias as the relative variance c^2 v / |d|^2 does; the arrays hold both.",
        "All rules drive the same tanh network with a linear output. AGREL's authors have sigmoid neurons, Q-AGREL's "
        "ReLU, equilibrium propagation's clipped states (kept here) and a network whose states run up and down; "
        "against the squared error of the answer without feedback the last is another objective.",
        "Equilibrium propagation has one learning rate for all layers (published: larger below), states from 0 with 50 "
        "free steps, and the 6 nudged steps that its authors take with two hidden layers; its share of right answers "
        "is that at rest. Kolen-Pollack has a decay of .001, the weight mirror keeps the length of its feedback "
        "weights.",
        "Perturbations are of the squared error, sigma .001, one each decision, with a clean pass.",
    )
    references: ClassVar[Sequence[str]] = (
        "Richards et al. 2019, A deep learning framework for neuroscience, Nat Neurosci 22:1761, figures 2 and 3",
    )
    minutes: ClassVar[float | None] = 3.3

    def run(self, run: Run) -> Result:
        """Follow every rule, compare."""
        from metaplastic.studies.credit.credit_figure import draw_all
        from metaplastic.studies.credit.credit_table import claims, numbers

        bench = Bench(NETWORK, digits(), run.seeds, rng.root(run.seed))
        courses = []
        for one in contestants():
            courses.append(follow(bench, one, SCALES[run.scale]))
            run.say(line(courses[-1]))
        return Result(claims(courses), draw_all(courses), numbers(courses))


def line(course: Course) -> str:
    """What came of one rule, in a line."""
    cosines = " ".join(f"{np.nanmean(course.of('cosine', moment)):6.3f}" for moment in range(3))
    right = np.mean(course.of("accuracy", 2))
    return f"{course.contestant.name:30s} cosine {cosines}  ({course.contestant.objective}), right after: {right:.3f}"
