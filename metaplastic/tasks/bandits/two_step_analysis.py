"""How an agent's first choice of the two-step task follows from what happened before.

Stay probabilities (Daw et al. 2011): the proportion of trials in which the first choice is that of the trial before, by
the reward and the transition of that one. An agent that plans with the transitions stays after rewarded common (CR) and
unrewarded rare (UU) ones. The interaction

    (CR - UR) - (CU - UU),   C, U common or uncommon; R, U rewarded or unrewarded                                  (1)

is 0 for one that merely repeats what was rewarded, and the main effect of reward, (CR + UR - CU - UU) / 2, is 0 for
one that plans and knows the best state alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic.tasks.bandits.two_step import TwoStep
from metaplastic.tasks.base import Rollout


class Trials(NamedTuple):
    """What happened in the trials of lifetimes, time first."""

    choice: Int[Tensor, "N *B"]
    """first action"""
    state: Int[Tensor, "N *B"]
    """second-stage state, 0 or 1"""
    reward: Float[Tensor, "N *B"]


class Stays(NamedTuple):
    """Probability of the same first choice, by the trial before."""

    common_rewarded: float
    uncommon_rewarded: float
    common_unrewarded: float
    uncommon_unrewarded: float

    @property
    def interaction(self) -> float:
        """(1): reward by transition."""
        rewarded = self.common_rewarded - self.uncommon_rewarded
        return rewarded - (self.common_unrewarded - self.uncommon_unrewarded)

    @property
    def reward_effect(self) -> float:
        """How much more it stays after a reward, over both transitions."""
        rewarded = self.common_rewarded + self.uncommon_rewarded
        return (rewarded - self.common_unrewarded - self.uncommon_unrewarded) / 2


def trials_of(task: TwoStep, seen: Rollout) -> Trials:
    """The trials of whole lifetimes of a rollout that began with their birth and took an even number of steps.

    Raises:
        ValueError: if the task has one step a trial, or the rollout ends within a trial.
    """
    if task.one_action:
        raise ValueError("the task has one_action: true, so a rollout shows no second stage; wanted one_action: false")
    if len(seen.reward) % 2:
        raise ValueError(f"the rollout has {len(seen.reward)} steps, wanted an even number: two a trial")
    first, end = task.facts.channels["stage"]
    state = seen.observation[1::2, ..., first:end].argmax(-1) - 1
    return Trials(seen.action[::2], state, seen.reward[1::2])


def stays(trials: Trials) -> Stays:
    """Stay probabilities over all lifetimes; NaN where a cell has no trial."""
    return stay_probabilities(trials.choice, trials.choice == trials.state, trials.reward)


def stay_probabilities(
    choice: Int[Tensor, "N *B"], is_common: Bool[Tensor, "N *B"], reward: Float[Tensor, "N *B"]
) -> Stays:
    """Stay probabilities of any recording, pooled; NaN where a cell has no trial.

    A choice below 0 or a reward that is NaN is missing: no pair of trials with one counts.
    """
    seen = (choice[:-1] >= 0) & (choice[1:] >= 0)
    common, won, lost = is_common[:-1], seen & (reward[:-1] > 0), seen & (reward[:-1] <= 0)
    stayed = choice[1:] == choice[:-1]
    cells = (common & won, ~common & won, common & lost, ~common & lost)
    return Stays(*(stayed[cell].to(torch.float64).mean().item() for cell in cells))
