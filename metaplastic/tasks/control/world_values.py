"""Scores of closed loops that only living them can tell: of the random policy, and of a controller.

Tasks keep what `measure` gave as constants (`Measured`); a slow test measures again.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch

from metaplastic.tasks.worlds import WorldTask

FIRST_LIFE = 1_000_000
"""lifetimes of the measurement, which no other check lives"""


class Measured(NamedTuple):
    """Expected scores of a trial."""

    chance: float
    """of the random policy"""
    oracle: float
    """of the controller that knows what is hidden"""


def measure(
    task: WorldTask, who: Literal["random", "oracle"], lives: int, *, per_life: int = 1, first: int = FIRST_LIFE
) -> tuple[float, float]:
    """Mean score of a trial and its standard error, over `lives` lives of `per_life` trials."""
    task = task.model_copy(update={"trials": per_life, "test_trials": 0})
    lifetimes = torch.arange(lives) + first
    policy = task.oracle_policy() if who == "oracle" else task.random_policy(lifetimes)
    state, now = task.reset(lifetimes)
    total = torch.zeros(lives, dtype=torch.float64)
    for _ in range(per_life * task.spec.trial_steps):
        state, now = task.step(state, policy(state, now.observation))
        total += now.info.score
        if not state.alive.any():
            break
    mean = total / per_life
    return mean.mean().item(), mean.std().item() / math.sqrt(lives)
