"""How well it went: scores of recorded lives, per lifetime, and whether a task's criterion is met.

A trial is judged once, at its end (each: at every step). Of the judged trials of a life,

    accuracy = share that was right,   score = mean graded performance in [0, 1]                                   (1)
    p_answered = share with an answer in time, or with none where waiting was right                               (2)
    p_correct = share of those that was right                                                                      (3)
    regret = sum of (expected reward of the best answer - reward)                                                  (4)

(2) and (3) are the two numbers by which Song, Yang & Wang (2017) call a task learned; an answer before its time, or
none at all, lowers (2) and not (3). (4) is known where the best answer's reward is (bandits; choices). A statistic
without a trial that it is about is NaN. Rows after a life's end do not count.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metaplastic.core import TaskSpec
from metaplastic.tasks.base import Rollout, TensorTask

LAST = 0.25
"""share of a life's trials that `final` is about"""


class Score(NamedTuple):
    """Statistics of each lifetime [*B]."""

    trials: Float[Tensor, "*B"]
    """trials that ended"""
    total: Float[Tensor, "*B"]
    """the sum of all rewards (return)"""
    reward_per_step: Float[Tensor, "*B"]
    p_answered: Float[Tensor, "*B"]
    """(2)"""
    p_correct: Float[Tensor, "*B"]
    """(3)"""
    accuracy: Float[Tensor, "*B"]
    """(1)"""
    score: Float[Tensor, "*B"]
    """(1)"""
    final: Float[Tensor, "*B"]
    """mean score of the last quarter of the life's trials"""
    regret: Float[Tensor, "*B"]
    """(4)"""


def score_of(task: TensorTask, rollout: Rollout) -> Score:
    """The statistics of every lifetime of a rollout."""
    info, lived = rollout.info, _lived(task, rollout)
    judged = info.responded & lived
    right = judged & (info.correct == 1)
    in_time = judged & (_answered(task, rollout) | right)
    last = judged & (info.trial >= round((1 - LAST) * task.lifetime_trials))
    return Score(
        trials=(info.trial_end & lived).sum(0).to(torch.float32),
        total=(rollout.reward * lived).sum(0),
        reward_per_step=_mean(rollout.reward, lived),
        p_answered=_mean(in_time, judged),
        p_correct=_mean(right, in_time),
        accuracy=_mean(right, judged),
        score=_mean(info.score, judged),
        final=_mean(info.score, last),
        regret=((info.best - rollout.reward) * judged).sum(0),
    )


def learning_curve(task: TensorTask, rollout: Rollout, blocks: int) -> Float[Tensor, "K *B"]:
    """Mean score in each of `blocks` equal parts of a life's trials; NaN in parts that were not lived.

    Raises:
        ValueError: if there are not as many trials as blocks.
    """
    if not 1 <= blocks <= task.lifetime_trials:
        raise ValueError(f"blocks is {blocks}, wanted 1 to {task.lifetime_trials}, the trials of a life")
    info = rollout.info
    judged = info.responded & _lived(task, rollout)
    part = info.trial * blocks // task.lifetime_trials
    return torch.stack([_mean(info.score, judged & (part == number)) for number in range(blocks)])


def met(spec: TaskSpec, score: Score) -> bool:
    """Whether the lifetimes together reach the publication's criterion, or the task's own where it has none."""
    wanted = spec.criteria or (("score", spec.criterion),)
    return all(float(getattr(score, statistic).nanmean()) >= threshold for statistic, threshold in wanted)


def _lived(task: TensorTask, rollout: Rollout) -> Bool[Tensor, "T *B"]:
    """The rows before a life's end."""
    ended = rollout.info.trial_end.to(torch.int64)
    return ended.cumsum(0) - ended < task.lifetime_trials


def _answered(task: TensorTask, rollout: Rollout) -> Bool[Tensor, "T *B"]:
    """Whether what was judged is an answer in time; only where one may wait is there anything else."""
    if task.facts.response != "choice":
        return torch.ones_like(rollout.info.responded)
    given = rollout.action != 0
    responses = getattr(task, "responses", ())
    if not responses:
        return given
    due = torch.zeros_like(given)
    for number, epoch in enumerate(task.facts.epochs):
        if epoch in responses:
            due = due | (rollout.info.epoch == number)
    return given & due


def _mean(values: Tensor, where: Bool[Tensor, "T *B"]) -> Float[Tensor, "*B"]:
    """The mean over time where the mask holds; NaN where it holds nowhere."""
    return (values * where).sum(0) / where.sum(0)
