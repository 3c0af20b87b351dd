"""Eleven dependent arms: one pull of a poor arm tells which of the others is the good one (Wang et al. 2016).

In every lifetime one of arms 0 .. 9 is the target and pays 5, the other nine pay 1, and arm 10 pays (1 + index of the
target) / 10. Nothing is random after that. Its expected payoff is .55 at the first pull, that of another arm 1.4, so
only a learner that looks ahead pulls it first: five trials then give .55 + 4 x 5 = 20.55, a blind search gives 11.

The value of the best policy with n trials to go, while m targets are possible (untried arms; it tries low ones first):

    V(m, n) = max( a(m) + 5 (n - 1),   (5 n) / m + (1 - 1 / m) (1 + V(m - 1, n - 1)) ),   V(m, 0) = 0              (1)
    a(m) = mean payoff of arm 10 = (21 - m) / 20

The first is to ask arm 10, the second to try an arm; both then pull the target. A search never asks.
A score is the payoff / 5. The feedback must be the payoff itself, from which the target is read; `coded` shows it
one-hot, as the paper does, so that a network need not measure tenths. Payoffs of 5, 1 and .1 to 1, ten arms and five
trials are read in the paper's text; two dependent arms are `Bandit-v0`, presets `wang16…`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Decisions, TaskSpec
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.decisions import DecisionState, DecisionTask, Question

TARGETS = 10
"""arms that may be the target; one more tells which of them it is"""
MOST, LEAST = 5.0, 1.0
"""payoff of the target and of the other nine"""
CODES = TARGETS + 1
"""payoffs that there are: .1, .2 .. 1, and 5"""


class Target(NamedTuple):
    """What a lifetime draws once."""

    arm: Int[Tensor, "*B"]


class DependentArms(DecisionTask):
    """Eleven arms, of which the poorest tells where the best is."""

    references = ("Wang et al. 2016, Learning to reinforcement learn, arXiv:1611.05763",)
    tags = ("bandit", "reward", "decisions", "meta-learning")
    presets = MappingProxyType({"wang16": MappingProxyType({})})

    kind: Literal["DependentArms-v0"] = "DependentArms-v0"
    trials: int = Field(default=5, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=1, ge=1)
    """trials of test after learning, plasticity off"""
    feedback: bool = True
    """add the last action (one-hot) and its payoff to the observation"""
    coded: bool = False
    """add the last payoff, one-hot over .1, .2 .. 1, 5; then there are no open-loop blocks"""

    @property
    def spec(self) -> TaskSpec:
        """Chance: any arm alike; the ceiling by (1)."""
        chance = (MOST + (TARGETS - 1) * LEAST + _asks(TARGETS)) / (TARGETS + 1) / MOST
        ceiling = ideal(self.trials) / self.trials / MOST
        found = self.describe(
            {"constant": 1, "payoff": CODES} if self.coded else {"constant": 1},
            TARGETS + 1,
            chance=chance,
            ceiling=ceiling,
            criterion=chance + (ceiling - chance) * 5 / 6 if self.trials > 1 else ceiling,
            oracle=1.0,
            reward_range=(1 / TARGETS, MOST),
        )
        return found._replace(open_loop=found.open_loop and not self.coded)

    def decisions(self, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """Trials [first, first + count) of every lifetime.

        Raises:
            ValueError: with `coded`, and as every task of decisions.
        """
        if self.coded:
            raise ValueError("coded is true, so no block can be drawn ahead; use reset and step, or coded: false")
        return super().decisions(lifetime, first, count, seed)

    def observe(self, state: DecisionState) -> Float[Tensor, "*B I"]:
        """A constant 1, the last payoff's code, then the feedback."""
        seen = super().observe(state)
        if not self.coded:
            return seen
        tenths = (state.reward * TARGETS).round().to(torch.int64)
        code = one_hot(torch.where(tenths > TARGETS, CODES, tenths) - 1, CODES) * state.alive[..., None]
        return torch.cat((seen[..., :1], code, seen[..., 1:]), -1)

    def birth(self, key: Int[Tensor, "*B"]) -> Target:
        """Any of the ten arms alike."""
        return Target(rng.below(rng.word(key, 0), TARGETS))

    def question(self, key: Int[Tensor, "*B"], life: Target, trial: Int[Tensor, "*T"]) -> Question:
        """A constant 1; the same payoffs in every trial."""
        del key
        target = life.arm.expand(trial.shape)
        arms = torch.arange(TARGETS + 1, device=trial.device)
        tells = (target + 1).to(torch.float32)[..., None] / TARGETS
        others = torch.where(arms == target[..., None], MOST, LEAST)
        payoff = torch.where(arms == TARGETS, tells, others)
        one = torch.ones_like(tells)
        return Question(one, payoff, one[..., 0] * MOST, torch.zeros_like(trial), target.clone())

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Proportion of the target's payoff."""
        return payoff / MOST


@lru_cache
def ideal(trials: int, possible: int = TARGETS) -> float:
    """(1): expected payoff of the best policy over the trials, with so many possible targets left."""
    if trials == 0:
        return 0.0
    asks = _asks(possible) + MOST * (trials - 1)
    return max(asks, _tries(trials, possible, ideal))


@lru_cache
def search(trials: int, possible: int = TARGETS) -> float:
    """Expected payoff of who tries one arm after the other and never asks."""
    return 0.0 if trials == 0 else _tries(trials, possible, search)


def _asks(possible: int) -> float:
    """Mean payoff of the arm that tells, while the highest `possible` targets are left."""
    return (2 * TARGETS + 1 - possible) / 2 / TARGETS


def _tries(trials: int, possible: int, value: Callable[[int, int], float]) -> float:
    after = value(trials - 1, possible - 1) if possible > 1 else 0.0
    return MOST * trials / possible + (1 - 1 / possible) * (LEAST + after)
