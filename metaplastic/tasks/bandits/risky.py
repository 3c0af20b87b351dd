"""A small certain reward or a large uncertain one; the chance of the large one is new in every lifetime.

One side pays 1 whenever it is chosen, the other pays 4 with chance p, else 0; p is 1/8 or 1/2, and which side is the
risky one is drawn, too. A lifetime begins with `forced` pairs of trials that offer one arm alone, each arm once a pair
in random order, and goes on with trials that offer both. What is shown is which sides are offered. The arm that is not
offered costs 1.

    value of the risky arm = 4 p = 1/2 or 2;   value of the safe one = 1                                          (1)

Who knows p earns 3/2 a free trial. Who must find out, with k pulls of the risky arm of which w were paid and n trials
to go, is bound by

    V(k, w, n) = max( 1 + V(k, w, n - 1),  4 q + q V(k + 1, w + 1, n - 1) + (1 - q) V(k + 1, w, n - 1) )           (2)

q(k, w) the chance of the next pay by Bayes; the first pull of either arm tells which side is which.

Simulation 6 of Wang et al. 2018 after Stopper et al. 2014, whose rats had 1 or 4 pellets and chances that changed from
block to block. The numbers (5 pairs, 20 free trials) are those of a re-implementation; a score is the payoff / 4.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.decisions import DecisionTask, Question

SMALL, LARGE, PENALTY = 1.0, 4.0, -1.0
"""the certain reward, the uncertain one, and what an arm costs that is not offered"""
CHANCES = (1 / 8, 1 / 2)
"""of the large reward, each as likely"""


class Arms(NamedTuple):
    """What a lifetime draws once."""

    chance: Float[Tensor, "*B"]
    """p"""
    risky: Int[Tensor, "*B"]
    """side of the risky arm, 0 left, 1 right"""
    order: Int[Tensor, "*B F"]
    """side that a pair of forced trials offers first"""


class RiskyChoice(DecisionTask):
    """Forced pulls of a safe and of a risky arm, then free choice."""

    references = (
        "Stopper et al. 2014, Overriding phasic dopamine signals redirects action selection during risk/reward "
        "decision making, Neuron 84:177",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    tags = ("bandit", "reward", "decisions", "meta-learning")
    presets = MappingProxyType({"wang18": MappingProxyType({})})

    kind: Literal["RiskyChoice-v0"] = "RiskyChoice-v0"
    trials: int = Field(default=30, ge=1, le=500)
    """trials of learning in a lifetime, forced ones among them"""
    test_trials: int = Field(default=1, ge=1)
    """trials of test after learning, plasticity off"""
    feedback: bool = True
    """add the last action (one-hot) and its reward to the observation"""
    forced: int = Field(default=5, ge=0)
    """pairs of forced trials at the start"""

    @property
    def spec(self) -> TaskSpec:
        """The ceiling by (2), over the learning trials."""
        values = chance(self.trials, self.forced), ceiling(self.trials, self.forced), known(self.trials, self.forced)
        return self.describe(
            {"offered_left": 1, "offered_right": 1},
            2,
            chance=values[0] / LARGE,
            ceiling=values[1] / LARGE,
            criterion=(values[0] + (values[1] - values[0]) * 2 / 3) / LARGE,
            oracle=values[2] / LARGE,
            reward_range=(PENALTY, LARGE),
        )._replace(action_names=("left", "right"))

    def birth(self, key: Int[Tensor, "*B"]) -> Arms:
        """Chance, side, and the order of the forced pairs."""
        words = rng.words(key, 2 + max(self.forced, 1))
        low, high = CHANCES
        p = torch.where(rng.below(words[..., 0], 2) == 0, low, high).to(torch.float32)
        return Arms(p, rng.below(words[..., 1], 2), rng.below(words[..., 2:], 2))

    def question(self, key: Int[Tensor, "*B"], life: Arms, trial: Int[Tensor, "*T"]) -> Question:
        """Which sides are offered; whether the risky arm pays is drawn, chosen or not."""
        p, risky = life.chance.expand(trial.shape), life.risky.expand(trial.shape)
        side = torch.arange(2, device=trial.device)
        pair = (trial // 2).clamp(max=life.order.shape[-1] - 1)
        order = life.order.expand(*trial.shape, life.order.shape[-1]).gather(-1, pair[..., None])[..., 0]
        is_forced = trial < 2 * self.forced
        offered = ~is_forced[..., None] | (side == (order ^ trial % 2)[..., None])
        paid = rng.coin(rng.word(rng.condition_keys(rng.trial_keys(key, trial)), 0), p)
        is_risky = side == risky[..., None]
        worth = torch.where(is_risky, LARGE * p[..., None], SMALL)
        pays = torch.where(is_risky, LARGE * paid[..., None], SMALL)
        worth, pays = (torch.where(offered, each, PENALTY) for each in (worth, pays))
        best = worth.max(-1)
        return Question(offered.to(torch.float32), pays, best.values, torch.zeros_like(trial), best.indices)

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Proportion of the large reward; 0 for an arm that was not offered."""
        return payoff.clamp(min=0) / LARGE


def chance(trials: int, forced: int) -> float:
    """Mean payoff of random choices, penalties counted as 0: half of the forced ones are wrong."""
    mean = (SMALL + LARGE * sum(CHANCES) / 2) / 2
    first = min(2 * forced, trials)
    return mean * (first / 2 + trials - first) / trials


def known(trials: int, forced: int) -> float:
    """Mean payoff of who knows p and side."""
    first = min(2 * forced, trials)
    return (_forced(first) + (trials - first) * sum(max(SMALL, LARGE * p) for p in CHANCES) / 2) / trials


def ceiling(trials: int, forced: int) -> float:
    """Mean payoff of the best policy, by (2)."""
    first = min(2 * forced, trials)
    left = trials - first
    if first == 0:
        # the sides are alike at first: half the time the pull is a risky one
        paid = float(paid_next(0, 0))
        unpaid_one, paid_one = best_free(1, left - 1)
        risky = LARGE * paid + paid * paid_one + (1 - paid) * unpaid_one
        return float(SMALL + best_free(0, left - 1)[0] + risky) / 2 / trials
    pulls = first // 2
    wins = np.arange(pulls + 1)
    ways = np.array([comb(pulls, w) for w in wins])
    drawn = ways * sum(p**wins * (1 - p) ** (pulls - wins) for p in CHANCES) / len(CHANCES)
    return float(_forced(first) + drawn @ best_free(pulls, left)) / trials


@lru_cache
def best_free(pulls: int, left: int) -> Float[np.ndarray, " W"]:
    """V(k, w, n) of (2) for k pulls of the risky arm so far, n trials to go, and w = 0 .. k."""
    k = pulls + np.arange(left + 1)[:, None]
    w = np.arange(pulls + left + 1)
    q = paid_next(k, np.minimum(w, k))
    value = np.zeros((left + 1, len(w)))
    for n in range(1, left + 1):
        now, rows = value[: left - n + 1], slice(1, left - n + 2)
        coming = q[: left - n + 1] * np.roll(value[rows], -1, 1) + (1 - q[: left - n + 1]) * value[rows]
        value[: left - n + 1] = np.maximum(SMALL + now, LARGE * q[: left - n + 1] + coming)
    return value[0, : pulls + 1]


def paid_next(pulls: Int[np.ndarray, "..."] | int, wins: Int[np.ndarray, "..."] | int) -> Float[np.ndarray, "..."]:
    """q of (2): chance of the next pay after so many pulls and wins."""
    low, high = CHANCES
    against = wins * np.log(low / high) + (pulls - np.asarray(wins)) * np.log((1 - low) / (1 - high))
    return np.asarray(low + (high - low) / (1 + np.exp(np.clip(against, -700, 700))))


def _forced(first: int) -> float:
    """Payoff of so many forced trials, answered right."""
    return first * (SMALL + LARGE * sum(CHANCES) / 2) / 2
