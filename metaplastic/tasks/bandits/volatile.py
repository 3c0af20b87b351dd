"""Volatility: the better arm changes places often in one part of life, and rarely or never in another.

In every trial one of two arms pays, the good one with probability p. In a stable part the places stay (or change with
hazard `calm`), in a volatile part they change after blocks of shortest .. longest trials, or with hazard `volatility`.
A learner should learn faster while the world is volatile (Behrens et al. 2007). The parts follow one another, stable
first or volatile first in equal shares (`schedule` parts), or a whole life is one or the other (life). Every part
begins with a change. With `magnitudes` arm 0 pays m and arm 1 pays 1 - m, m from .01, .02 .. .99 and shown.

Presets: `behrens07` 120 stable trials of p = .75, 170 volatile ones of .8 reversing every 30 to 40 (recalled);
`behrens07_magnitudes`; `hazard` volatility 0 and .04, 100 trials each, p = .8; `block25` a reversal every 25 trials, as
in simulation 2 of Wang et al. 2018 (recalled); `life` hazard .005 or .1 for 150 trials, our form of that simulation.
The ideal observer is that of `switching.py`; it knows the schedule, but neither the order of the parts nor the arms.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandits import switching
from metaplastic.tasks.bandits.independent import Arms, ArmsTask
from metaplastic.tasks.base import one_of
from metaplastic.tasks.decisions import Question

Schedule = Literal["parts", "life"]

_HUNDREDTHS = np.arange(1, 100) / 100
"""what arm 0 may pay, with magnitudes"""


class Plan(NamedTuple):
    """The settings that an ideal observer knows."""

    schedule: Schedule
    stable_good: float
    volatile_good: float
    stable_trials: int
    volatile_trials: int
    calm: float
    volatility: float | None
    shortest: int
    longest: int


class VolatileBandit(ArmsTask):
    """Two arms whose places change at a rate that itself changes."""

    references = (
        "Behrens et al. 2007, Learning the value of information in an uncertain world, Nat Neurosci 10:1214",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    tags = ("bandit", "reward", "decisions", "reversal", "meta-learning")
    presets = MappingProxyType(
        {
            "behrens07": MappingProxyType({}),
            "behrens07_magnitudes": MappingProxyType({"magnitudes": True}),
            "hazard": MappingProxyType(
                {
                    "trials": 200,
                    "stable_good": 0.8,
                    "stable_trials": 100,
                    "volatile_trials": 100,
                    "volatility": 0.04,
                }
            ),
            "block25": MappingProxyType(
                {"trials": 200, "stable_trials": 100, "volatile_trials": 100, "shortest": 25, "longest": 25}
            ),
            "life": MappingProxyType(
                {"trials": 150, "schedule": "life", "stable_good": 0.8, "calm": 0.005, "volatility": 0.1}
            ),
        }
    )

    kind: Literal["VolatileBandit-v0"] = "VolatileBandit-v0"
    trials: int = Field(default=290, ge=1)
    """trials of learning in a lifetime; the parts come again if it is longer than both"""
    schedule: Annotated[Schedule, BeforeValidator(one_of(Schedule))] = "parts"
    """parts: stable and volatile by turns; life: a whole lifetime is one of them"""
    stable_good: float = Field(default=0.75, gt=0.5, le=1)
    """p in a stable part"""
    volatile_good: float = Field(default=0.8, gt=0.5, le=1)
    """p in a volatile part"""
    stable_trials: int = Field(default=120, ge=1)
    """trials of a stable part"""
    volatile_trials: int = Field(default=170, ge=1)
    """trials of a volatile part"""
    calm: float = Field(default=0.0, ge=0, lt=1)
    """hazard of a change in a stable part"""
    volatility: float | None = Field(default=None, gt=0, lt=1)
    """hazard of a change in a volatile part; then there are no blocks"""
    shortest: int = Field(default=30, ge=1)
    """trials of the shortest block of a volatile part"""
    longest: int = Field(default=40, ge=1)
    """trials of the longest"""
    magnitudes: bool = False
    """the arms pay m and 1 - m, which is shown, instead of 1"""

    @model_validator(mode="after")
    def _has_blocks(self) -> VolatileBandit:
        if self.longest < self.shortest:
            raise wrong(f"longest is {self.longest} trials, wanted at least shortest = {self.shortest}")
        return self

    @property
    def arm_count(self) -> int:
        """Two."""
        return 2

    @property
    def plan(self) -> Plan:
        """What an ideal observer knows."""
        return Plan(*(getattr(self, name) for name in Plan._fields))

    @property
    def spec(self) -> TaskSpec:
        """Chance is exact, the ceiling that of `switching.belief_in_choice`, the oracle knows p."""
        known = _courses(self.plan, self.trials).good
        chance = 0.25 if self.magnitudes else 0.5
        oracle = float(_worth(known).mean()) if self.magnitudes else float(known.mean())
        ceiling = ideal(self.plan, self.magnitudes, self.trials)
        channels = {"magnitude": 2} if self.magnitudes else {"constant": 1}
        criterion = chance + (ceiling - chance) / 2
        return self.describe(channels, 2, chance=chance, ceiling=ceiling, criterion=criterion, oracle=oracle)

    def birth(self, key: Int[Tensor, "*B"]) -> Arms:
        """The expected payoffs of the arms at every trial."""
        words = rng.words(rng.fold(key, 0), 2)
        volatile_first = _comes_first(words)
        is_volatile = self._volatile(volatile_first)
        changes = self._changes(rng.fold(key, 1), volatile_first, is_volatile)
        good = torch.where(is_volatile, self.volatile_good, self.stable_good).to(torch.float32)
        return Arms(switching.means_of(rng.below(words[..., 1], 2), changes, good, 2))

    def volatile_parts(self, key: Int[Tensor, "*B"]) -> Bool[Tensor, "*B N"]:
        """Whether each trial of the lives with these parameter keys is in a volatile part."""
        return self._volatile(_comes_first(rng.words(rng.fold(key, 0), 2)))

    def _volatile(self, volatile_first: Bool[Tensor, "*B"]) -> Bool[Tensor, "*B N"]:
        """Whether each trial is in a volatile part."""
        trial = torch.arange(self.lifetime_trials, device=volatile_first.device)
        if self.schedule == "life":
            return volatile_first[..., None].expand(*volatile_first.shape, len(trial))
        place = trial % (self.stable_trials + self.volatile_trials)
        return torch.where(volatile_first[..., None], place < self.volatile_trials, place >= self.stable_trials)

    def _changes(self, key: Tensor, volatile_first: Tensor, is_volatile: Tensor) -> Bool[Tensor, "*B N"]:
        """Where the places change."""
        trials = self.lifetime_trials
        hazard = torch.where(is_volatile, self.volatility or 0.0, self.calm).to(torch.float32)
        changes = switching.hazard_changes(rng.fold(key, 0), hazard)
        blocks = self.volatility is None
        if self.schedule == "life":
            drawn = switching.block_changes(rng.fold(key, 1), trials, self.shortest, self.longest)
            return changes | (drawn & is_volatile) if blocks else changes
        begins = torch.cat((torch.zeros_like(is_volatile[..., :1]), is_volatile.diff(dim=-1)), -1)
        changes = changes | begins
        if not blocks:
            return changes
        period, volatile = self.stable_trials + self.volatile_trials, self.volatile_trials
        rounds = torch.arange(-(-trials // period), device=key.device)
        keys = rng.fold(rng.fold(key, 1)[..., None], rounds)
        drawn = switching.block_changes(keys, volatile, self.shortest, self.longest)
        quiet = torch.zeros(*keys.shape, self.stable_trials, dtype=torch.bool, device=key.device)
        first = volatile_first[..., None, None]
        drawn = torch.where(first, torch.cat((drawn, quiet), -1), torch.cat((quiet, drawn), -1))
        return changes | drawn.flatten(-2)[..., :trials]

    def question(self, key: Int[Tensor, "*B"], life: Arms, trial: Int[Tensor, "*T"]) -> Question:
        """One of the arms pays 1, or what is shown."""
        asked = super().question(key, life, trial)
        if not self.magnitudes:
            return asked
        word = rng.word(rng.condition_keys(rng.trial_keys(key, trial)), 1)
        size = (rng.below(word, 99) + 1).to(torch.float32) / 100
        shown = torch.stack((size, 1 - size), -1)
        best = (self.expected(life, trial) * shown).max(-1)
        return asked._replace(observation=shown, payoff=asked.payoff * shown, best=best.values, target=best.indices)

    def payoffs(self, key: Int[Tensor, "*T"], means: Float[Tensor, "*T 2"]) -> Float[Tensor, "*T 2"]:
        """One coin for both: where arm 0 does not pay, arm 1 does."""
        pays = rng.coin(rng.word(key, 0), means[..., 0])
        return torch.stack((pays, ~pays), -1).to(torch.float32)


def _comes_first(words: Int[Tensor, "*B 2"]) -> Bool[Tensor, "*B"]:
    """Whether a life begins with its volatile part, from the first of its words."""
    return rng.below(words[..., 0], 2).to(torch.bool)


@lru_cache
def ideal(plan: Plan, magnitudes: bool, trials: int) -> float:
    """What the ideal observer earns in a trial."""
    belief = switching.belief_in_choice(_courses(plan, trials))
    return float((_worth(belief) if magnitudes else belief).mean())


def _worth(p: np.ndarray) -> np.ndarray:
    """E max(p m, (1 - p) (1 - m)) over m, of who gives an arm the probability p."""
    return np.mean([np.maximum(p * m, (1 - p) * (1 - m)) for m in _HUNDREDTHS], 0)


def _courses(plan: Plan, trials: int) -> switching.Course:
    """Stable first and volatile first, as an observer knows them."""
    if plan.volatility is None:
        volatile = switching.block_hazard(plan.shortest, plan.longest)
    else:
        volatile = np.array([plan.volatility])
    trial = np.arange(trials)
    place = trial % (plan.stable_trials + plan.volatile_trials)
    is_volatile = np.stack((place >= plan.stable_trials, place < plan.volatile_trials))
    if plan.schedule == "life":
        is_volatile = np.stack((trial < 0, trial >= 0))
    good = np.where(is_volatile, plan.volatile_good, plan.stable_good)
    hazard = np.where(is_volatile[..., None], volatile, plan.calm)
    hazard[:, 1:][is_volatile[:, 1:] != is_volatile[:, :-1]] = 1.0
    return switching.Course(good, hazard)
