"""Tasks of producing an interval: wait, then go (1) when the right time has passed.

The produced time runs from the onset of the cue (the start of the epoch `produce`) to the answer; it is rewarded by (1)
of `interval_values.py`, the reward of NeuroGym (Molano-Mazon et al. 2022). The rewarded time and the supervised target
are one number here, in whole steps, so that the target earns all there is; there the target came later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Judgement
from metaplastic.tasks.choices import ChoiceTask, Paid, Rewards
from metaplastic.tasks.epochs import When
from metaplastic.tasks.timing.interval_values import production_score


class ProductionTask(ChoiceTask, ABC):
    """A task that is answered by going at the right time of the epoch `produce`."""

    responses = ("produce",)
    tags = ("timing", "trials")

    rewards: Paid = Rewards(omission=0.0)
    """song17, neurogym, signed, shaped, or {correct, error, early, omission}"""
    margin: float = Field(default=0.2, ge=0)
    """the window of reward grows by this with the wanted time"""
    slack: float = Field(default=25.0, gt=0)
    """ms; the window at a wanted time of 0"""
    stretch: float = Field(default=2.5, gt=1)
    """the trial ends at this many times the wanted time after the cue …"""
    late: float = Field(default=300.0, ge=0)
    """… and these ms, floored to steps"""

    @abstractmethod
    def goal(self, conditions: Any) -> Int[Tensor, "*B"]:
        """The wanted time in steps from the cue."""

    def time_to_answer(self, goal: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Steps from the cue to the trial's end."""
        return (goal * round(1000 * self.stretch)) // 1000 + int(self.late / self.dt + 1e-9)

    def label(self, conditions: Any) -> Int[Tensor, "*B"]:
        """Going is always right once."""
        return torch.ones_like(self.goal(conditions))

    def wanted(self, conditions: Any, when: When) -> Tensor:
        """Go from the wanted time on."""
        return (self.within(when.epoch, self.responses) & (when.since >= self.goal(conditions))).to(torch.int64)

    def answer(self, conditions: Any, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """The score of the error; right where there is any."""
        del action
        goal = self.goal(conditions)
        eps = (when.since - goal).abs() * self.dt
        score = production_score(eps, goal * (self.margin * self.dt) + self.slack)
        reward = score * (self.rewards.correct - self.rewards.error) + self.rewards.error
        return Judgement(reward, score, (score > 0).to(score.dtype))
