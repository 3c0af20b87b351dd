"""Bandits: K arms, one of which pays best; which one is new in every lifetime.

`bandit_arms` draws the arms, `bandit_values` says what can be earned. The payoff of every arm is drawn in every trial,
chosen or not: 1 or 0, or with `gaussian` normal with standard deviation 1. `gaussian` payoffs r are scored
Phi(r / sqrt 2), which is uniform for a random arm; all others are their own score.

The presets are the bandits of Wang et al. 2016 with 100 trials: independent arms, and the dependent ones whose arms
pay with p and 1 - p (`wang16`: any p; easy .9, medium .75, hard .6). That paper's eleven arms are `dependent_arms.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandits.arms import STRUCTURES
from metaplastic.tasks.bandits.values import ceiling, chance, criterion
from metaplastic.tasks.base import one_of
from metaplastic.tasks.decisions import DecisionTask, Question

Structure = Literal["independent", "correlated", "easy", "medium", "hard", "sum1", "gaussian", "restless", "walk"]


class Arms(NamedTuple):
    """What a lifetime draws once."""

    means: Float[Tensor, "*B N K"]
    """expected payoff of every arm; N trials, or 1 where nothing drifts"""


class ArmsTask(DecisionTask, ABC):
    """Arms that pay 1 or 0 with probabilities that a lifetime draws at its birth, for all its trials."""

    @abstractmethod
    def birth(self, key: Int[Tensor, "*B"]) -> Arms:
        """The expected payoffs of the arms, at every trial where they drift."""

    @property
    @abstractmethod
    def arm_count(self) -> int:
        """K."""

    def question(self, key: Int[Tensor, "*B"], life: Arms, trial: Int[Tensor, "*T"]) -> Question:
        """A constant 1; each arm's payoff is drawn, whether it is chosen or not."""
        means = self.expected(life, trial)
        best = means.max(-1)
        payoff = self.payoffs(rng.condition_keys(rng.trial_keys(key, trial)), means)
        return Question(torch.ones_like(means[..., :1]), payoff, best.values, torch.zeros_like(trial), best.indices)

    def payoffs(self, key: Int[Tensor, "*T"], means: Float[Tensor, "*T K"]) -> Float[Tensor, "*T K"]:
        """What each arm pays in trials with these condition keys: 1 or 0."""
        return rng.coin(rng.words(key, self.arm_count), means).to(torch.float32)

    def expected(self, life: Arms, trial: Int[Tensor, "*T"]) -> Float[Tensor, "*T K"]:
        """Expected payoff of every arm in these trials."""
        means = life.means
        if means.shape[-2] == 1:
            return means[..., 0, :].expand(*trial.shape, self.arm_count)
        row = trial[..., None, None].expand(*trial.shape, 1, self.arm_count)
        return means.expand(*trial.shape, *means.shape[-2:]).gather(-2, row).squeeze(-2)


def _wang16(structure: str) -> MappingProxyType[str, object]:
    return MappingProxyType({"structure": structure, "trials": 100, "feedback": True})


class Bandit(ArmsTask):
    """K arms of unknown payoff; what to learn is which arm is best."""

    references = (
        "Wang et al. 2016, Learning to reinforcement learn, arXiv:1611.05763",
        "Daw et al. 2011, Model-based influences on humans' choices and striatal prediction errors, Neuron 69:1204",
    )
    tags = ("bandit", "reward", "decisions")
    presets = MappingProxyType(
        {
            "wang16": _wang16("correlated"),
            "wang16_independent": _wang16("independent"),
            "wang16_easy": _wang16("easy"),
            "wang16_medium": _wang16("medium"),
            "wang16_hard": _wang16("hard"),
        }
    )

    kind: Literal["Bandit-v0"] = "Bandit-v0"
    structure: Annotated[Structure, BeforeValidator(one_of(Structure))] = "independent"
    """how the arms' payoffs hang together"""
    arms: int = Field(default=2, ge=2, le=1000)
    """K, number of arms"""

    @model_validator(mode="after")
    def _has_two_arms(self) -> Bandit:
        if self.structure in ("correlated", "restless") and self.arms != 2:
            raise wrong(f"arms is {self.arms}, wanted 2: structure {self.structure} is p and 1 - p")
        return self

    @property
    def arm_count(self) -> int:
        """K."""
        return self.arms

    @property
    def spec(self) -> TaskSpec:
        """Chance, ceiling and criterion are those of `bandit_values`, over the learning trials."""
        values = (self.structure, self.arms, self.trials)
        return self.describe(
            {"constant": 1}, self.arms, chance=chance(*values), ceiling=ceiling(*values), criterion=criterion(*values)
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Arms:
        """The expected payoffs of the arms, at every trial where they drift."""
        return Arms(STRUCTURES[self.structure](key, self.arms, self.lifetime_trials))

    def payoffs(self, key: Int[Tensor, "*T"], means: Float[Tensor, "*T K"]) -> Float[Tensor, "*T K"]:
        """1 or 0; normal about the mean where they are Gaussian."""
        if self.structure == "gaussian":
            return means + rng.normals(key, self.arms)
        return super().payoffs(key, means)

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The payoff, or Phi(payoff / sqrt 2) where it is Gaussian."""
        return (1 + (payoff / 2).erf()) / 2 if self.structure == "gaussian" else payoff
