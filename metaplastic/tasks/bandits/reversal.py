"""Reversal learning: one arm is good, and from time to time another one is, without a word.

The good arm pays with probability `good`, each other one with 1 - `good`. The places change after blocks whose length
is drawn from shortest .. longest, each alike, or with a `hazard` before every trial; with more than two arms the good
one moves on to the next (a shift). Equations and the ideal observer: `switching.py`.

Presets: `probabilistic` .8 / .2 with blocks of 10 to 30 trials; `deterministic` 1 / 0; `hazard` 1/20; `serial` 200
trials, in which reversals themselves can be learnt; `shift` four arms. The values are usual ones, of no publication.
Reversal after a run of right choices depends on what was done: `criterion_reversal.py`.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandits import switching
from metaplastic.tasks.bandits.independent import Arms, ArmsTask


class ReversalBandit(ArmsTask):
    """Arms that change places."""

    references = (
        "Izquierdo et al. 2017, The neural basis of reversal learning, Neuroscience 345:12",
        "Butter 1969, Perseveration in extinction and in discrimination reversal tasks, Physiol Behav 4:163",
    )
    tags = ("bandit", "reward", "decisions", "reversal")
    presets = MappingProxyType(
        {
            "probabilistic": MappingProxyType({}),
            "deterministic": MappingProxyType({"good": 1.0}),
            "hazard": MappingProxyType({"hazard": 0.05}),
            "serial": MappingProxyType({"trials": 200}),
            "shift": MappingProxyType({"arms": 4}),
        }
    )

    kind: Literal["ReversalBandit-v0"] = "ReversalBandit-v0"
    arms: int = Field(default=2, ge=2, le=1000)
    """K, number of arms"""
    good: float = Field(default=0.8, gt=0.5, le=1)
    """probability that the good arm pays; each other one has the rest to 1"""
    shortest: int = Field(default=10, ge=1)
    """trials of the shortest block"""
    longest: int = Field(default=30, ge=1)
    """trials of the longest block"""
    hazard: float | None = Field(default=None, gt=0, lt=1)
    """probability of a change before each trial; then there are no blocks"""

    @model_validator(mode="after")
    def _has_blocks(self) -> ReversalBandit:
        if self.longest < self.shortest:
            raise wrong(f"longest is {self.longest} trials, wanted at least shortest = {self.shortest}")
        return self

    @property
    def arm_count(self) -> int:
        """K."""
        return self.arms

    @property
    def spec(self) -> TaskSpec:
        """The ceiling of two arms is `switching.ideal_payoff`; of more, what the good arm pays, which none reaches."""
        chance = (self.good + (self.arms - 1) * (1 - self.good)) / self.arms
        ceiling = self.good
        if self.arms == 2:
            blocks = (self.shortest, self.longest) if self.hazard is None else (0, 0)
            ceiling = ideal(self.good, *blocks, self.hazard or 0.0, self.trials)
        criterion = chance + (ceiling - chance) / 2
        return self.describe(
            {"constant": 1}, self.arms, chance=chance, ceiling=ceiling, criterion=criterion, oracle=self.good
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Arms:
        """The expected payoffs of the arms at every trial."""
        start = rng.below(rng.word(rng.fold(key, 0), 0), self.arms)
        draws, trials = rng.fold(key, 1), self.lifetime_trials
        if self.hazard is None:
            changes = switching.block_changes(draws, trials, self.shortest, self.longest)
        else:
            hazard = torch.full((trials,), rng.grid(self.hazard), device=key.device).expand(*key.shape, trials)
            changes = switching.hazard_changes(draws, hazard)
        good = torch.full((trials,), self.good, device=key.device).expand(*key.shape, trials)
        return Arms(switching.means_of(start, changes, good, self.arms))


@lru_cache
def ideal(good: float, shortest: int, longest: int, hazard: float, trials: int) -> float:
    """What the ideal observer of two arms earns in a trial; a hazard if `longest` is 0, else blocks."""
    change = switching.block_hazard(shortest, longest) if longest else np.array([hazard])
    course = switching.Course(np.full((1, trials), good), np.tile(change, (1, trials, 1)))
    return float(switching.ideal_payoff(course).mean())


class AfterReversals(NamedTuple):
    """How choices follow the good arm."""

    accuracy: Float[Tensor, " W"]
    """proportion of right choices, by trials since the last reversal"""
    perseveration: Float[Tensor, ""]
    """choices of the arm that was good, in a row from the reversal on; mean over reversals"""


def after_reversals(action: Int[Tensor, "T *B"], good: Int[Tensor, "T *B"], window: int = 10) -> AfterReversals:
    """Accuracy in the `window` trials from each reversal on, and perseverative errors, over all lifetimes.

    `good` is the best arm of each trial (`Info.target`). NaN where no reversal comes so late.
    """
    old = torch.cat((good[:1], good[:-1]))
    reversed_now = good != old
    since = torch.full_like(good[0], -1)  # -1 before the first reversal
    persists, before = torch.zeros_like(reversed_now[0]), good[0]
    hits, counts = torch.zeros(2, window, dtype=torch.float64, device=good.device)
    errors = torch.zeros((), dtype=torch.float64, device=good.device)
    lags = torch.arange(window, device=good.device).reshape(-1, *(1,) * since.ndim)
    axes = tuple(range(1, lags.ndim))
    for n in range(len(action)):
        since = torch.where(reversed_now[n], 0, torch.where(since >= 0, since + 1, since))
        before = torch.where(reversed_now[n], old[n], before)
        persists = (persists | reversed_now[n]) & (action[n] == before)
        errors = errors + persists.sum()
        at = lags == since
        counts = counts + (at.sum(axes) if axes else at)
        right = at & (action[n] == good[n])
        hits = hits + (right.sum(axes) if axes else right)
    return AfterReversals((hits / counts).to(torch.float32), (errors / reversed_now.sum()).to(torch.float32))
