"""Bandits: K arms, one of which pays best; which one is new in every lifetime.

`bandit_arms` draws the arms, `bandit_values` says what can be earned. The payoff of every arm is drawn in every trial,
chosen or not: 1 or 0, or with `gaussian` normal with standard deviation 1. `gaussian` payoffs r are scored
Phi(r / sqrt 2), which is uniform for a random arm; all others are their own score.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandit_arms import STRUCTURES
from metaplastic.tasks.bandit_values import ceiling, chance, criterion
from metaplastic.tasks.base import one_of
from metaplastic.tasks.decisions import DecisionTask, Question

Structure = Literal["independent", "correlated", "easy", "medium", "hard", "sum1", "gaussian", "restless", "walk"]


class Arms(NamedTuple):
    """What a lifetime draws once."""

    means: Float[Tensor, "*B N K"]
    """expected payoff of every arm; N trials, or 1 where nothing drifts"""


class Bandit(DecisionTask):
    """K arms of unknown payoff; what to learn is which arm is best."""

    references = (
        "Wang et al. 2016, Learning to reinforcement learn, arXiv:1611.05763",
        "Daw et al. 2011, Model-based influences on humans' choices and striatal prediction errors, Neuron 69:1204",
    )
    tags = ("bandit", "reward", "decisions")
    presets = MappingProxyType(
        {"wang16": MappingProxyType({"structure": "correlated", "trials": 100, "feedback": True})}
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
    def spec(self) -> TaskSpec:
        """Chance, ceiling and criterion are those of `bandit_values`, over the learning trials."""
        values = (self.structure, self.arms, self.trials)
        return self.describe(
            {"constant": 1}, self.arms, chance=chance(*values), ceiling=ceiling(*values), criterion=criterion(*values)
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Arms:
        """The expected payoffs of the arms, at every trial where they drift."""
        return Arms(STRUCTURES[self.structure](key, self.arms, self.lifetime_trials))

    def question(self, key: Int[Tensor, "*B"], life: Arms, trial: Int[Tensor, "*T"]) -> Question:
        """A constant 1; each arm's payoff is drawn, whether it is chosen or not."""
        means = self.expected(life, trial)
        words = rng.words(rng.condition_keys(rng.trial_keys(key, trial)), self.arms)
        is_gaussian = self.structure == "gaussian"
        payoff = means + rng.normal(words) if is_gaussian else rng.coin(words, means).to(torch.float32)
        best = means.max(-1)
        return Question(torch.ones_like(means[..., :1]), payoff, best.values, torch.zeros_like(trial), best.indices)

    def expected(self, life: Arms, trial: Int[Tensor, "*T"]) -> Float[Tensor, "*T K"]:
        """Expected payoff of every arm in these trials."""
        means = life.means
        if means.shape[-2] == 1:
            return means[..., 0, :].expand(*trial.shape, self.arms)
        row = trial[..., None, None].expand(*trial.shape, 1, self.arms)
        return means.expand(*trial.shape, *means.shape[-2:]).gather(-2, row).squeeze(-2)

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The payoff, or Phi(payoff / sqrt 2) where it is Gaussian."""
        return (1 + (payoff / 2).erf()) / 2 if self.structure == "gaussian" else payoff
