"""Innate training, measured as in Laje & Buonomano 2013, Fig. 1: does a network that is pushed come back?

After training, trials begin elsewhere than the innate one did, an input pulse starts the trajectory, and a second, weak
pulse through other input weights pushes the network away from it. The correlation is that of all rates in the last
part of the trial with the innate trajectory there, before and after training.
Shapes: S seeds, T steps, N units.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.rls.innate import Innate
from metaplastic.inner_loop.rules.sequence import State, Trials
from metaplastic.inner_loop.sequence_life import stacked
from metaplastic.tasks.timing.timed_pulse import TimedPulse

PUSH, PUSH_MS = 0.5, 10
"""of the second input, and for how long"""


class Setting(NamedTuple):
    """A size of the experiment; times in ms."""

    units: int
    density: float
    gain: float
    trials: int
    """of innate training"""
    reads: int
    """of the read-out's training"""
    lasts: int
    """the trajectory, from the end of the input pulse"""
    push: int
    """from there to the second pulse"""
    bump: int
    """from the input pulse's onset to the bump of the read-out"""


PUBLISHED = Setting(800, 0.1, 1.8, 30, 10, 2150, 500, 2000)
REDUCED = Setting(300, 0.2, 1.8, 20, 10, 900, 250, 750)


class Tamed(NamedTuple):
    """What came of it, one number a seed, and traces of the first."""

    before: Float[Tensor, " S"]
    """correlation with the innate trajectory in the last part of a pushed trial, untrained"""
    after: Float[Tensor, " S"]
    error: Float[Tensor, " S"]
    """of the read-out in the test: sum (z - z*)^2 / sum (z* - mean)^2"""
    innate: Float[Tensor, "T 3"]
    """three rates of the first seed"""
    untrained: Float[Tensor, "T 3"]
    trained: Float[Tensor, "T 3"]
    output: Float[Tensor, " T"]
    target: Float[Tensor, " T"]


def tame(setting: Setting, seeds: int, seed: int) -> Tamed:
    """Train networks, push them."""
    timing = {"before": 200, "pulse": 50, "after": setting.lasts}
    task = TimedPulse.model_validate({"timing": timing, "bump": setting.bump})
    network = RateRNN(
        units=setting.units, tau=10.0, gain=setting.gain, density=setting.density, start=1.0,
        input_gain=5 * 3**0.5, noise=2.3e-4,
    )  # fmt: skip
    rule = Innate(innate_trials=setting.trials)
    lifetime, like = torch.arange(seeds), torch.zeros(())
    spec = task.spec._replace(observations=2, channels={"pulse": (0, 1), "push": (1, 2)})
    state = rule.born(network, spec, 1, rng.lifetime_keys(seed, lifetime, rng.INIT), like)
    keys = rng.lifetime_keys(seed, lifetime, rng.NOISE)
    shown = with_push(stacked([task.render(lifetime, 0, seed)], like), 0, like)
    pushed = with_push(shown, 250 + setting.push, torch.tensor(PUSH / (5 * 3**0.5)))
    late = slice(250 + (setting.push + setting.lasts) // 2, None)

    def lived(state: State, trials: Trials, number: int, learns: bool) -> tuple[Tensor, Tensor, State]:
        ran = rule.trial(network, state, trials, rng.fold(keys, number), number, learns)
        return ran.seen["rates"][:, 0, :, 0], ran.output[:, 0, :, 0, 0], ran.state

    innate, _, state = lived(state, shown, 0, True)
    untrained, _, _ = lived(state, pushed, 1, False)
    for number in range(1, 1 + setting.trials + setting.reads):
        _, _, state = lived(state, shown, number, True)
    trained, _, _ = lived(state, pushed, 1000, False)
    _, output, _ = lived(state, shown, 1001, False)
    target, where = shown.y[:, :, 0, 0], shown.w[:, :, 0] > 0
    error = ((output - target).square() * where).sum(0) / ((target - target[where[:, 0]].mean(0)).square() * where).sum(
        0
    )
    few = lambda rates: rates[:, 0, :3]  # noqa: E731
    return Tamed(
        alike(innate[late], untrained[late]), alike(innate[late], trained[late]), error,
        few(innate), few(untrained), few(trained), output[:, 0], target[:, 0],
    )  # fmt: skip


def with_push(trials: Trials, at: int, size: Tensor) -> Trials:
    """With a second input, `size` from step `at` on for `PUSH_MS` ms (dt is 1)."""
    push = torch.zeros_like(trials.x[..., :1])
    push[at : at + PUSH_MS] = size
    return trials._replace(x=torch.cat([trials.x[..., :1], push], -1))


def alike(one: Float[Tensor, "T S N"], other: Float[Tensor, "T S N"]) -> Float[Tensor, " S"]:
    """Correlation over times and units."""
    one, other = ((x - x.mean((0, 2), keepdim=True)).movedim(1, 0).flatten(1) for x in (one, other))
    return torch.cosine_similarity(one, other, -1)
