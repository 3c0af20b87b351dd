"""Many trials of a task at once: are their types drawn evenly, and what would an observer of their frames answer?"""

import torch
from scipy.stats import chisquare
from torch import Tensor

from metaplastic.core import TrialBatch
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.choices import ChoiceTask


def check_even(task, trials=20_000):
    """The trial types of many lifetimes are drawn alike."""
    kind = task.drawn(torch.arange(trials), 0).kind
    counts = torch.bincount(kind, minlength=task.spec.trial_types)
    assert len(counts) == task.spec.trial_types
    assert chisquare(counts.numpy()).pvalue > 1e-4


def seen(task: ChoiceTask, lives=3000, trial=0) -> TrialBatch:
    """One trial of many lifetimes."""
    return task.render(torch.arange(lives), trial)


def total(task: ChoiceTask, batch: TrialBatch, channel: str, epoch: str) -> Tensor:
    """Sum of a channel's numbers over an epoch, [L, width]."""
    first, end = task.spec.channels[channel]
    here = batch.epoch == task.epochs.index(epoch)
    within = torch.arange(len(batch.w))[:, None] < batch.length
    return (batch.x[..., first:end].double() * (here & within)[..., None]).sum(0)


def score_of(task: ChoiceTask, batch: TrialBatch, answer: Tensor) -> Tensor:
    """Scores of giving these actions [L] in the last epoch."""
    due = batch.epoch == len(task.epochs) - 1
    return task.judge(one_hot(answer * due, task.spec.actions), batch).score


def played(task: ChoiceTask, script: list[int], lives=1) -> tuple[list[float], list[bool]]:
    """Rewards and trial ends of actions that are given one after the other in lifetime 0."""
    state, _ = task.reset(torch.arange(lives))
    rewards, ends = [], []
    for action in script:
        state, now = task.step(state, torch.full((lives,), action))
        rewards.append(float(now.reward[0]))
        ends.append(bool(now.info.trial_end[0]))
    return rewards, ends
