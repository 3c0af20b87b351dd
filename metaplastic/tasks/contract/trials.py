"""The contract of trials with epochs: every cue is there, nothing beats the oracle, dt changes no time and no noise."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from metaplastic.core import Task, TrialBatch
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.epochs import EpochTask

LIVES = 128
UNSIGNALLED = frozenset({"reaction time", "timing"})
"""tags of tasks in which nothing but the stimulus, or time itself, says when to answer"""


def signals_when_to_answer(task: Task) -> Iterator[str]:
    """Some noiseless channel changes when an answer becomes due."""
    if not isinstance(task, ChoiceTask) or UNSIGNALLED & set(task.tags_of_settings()):
        return
    task = task.model_copy(update={"sigma": 0.0})
    batch = task.render(torch.arange(LIVES), 0)
    due = task.within(batch.epoch, task.responses) & _within(batch)
    opens = due[1:] & ~due[:-1]
    same = (batch.x[1:] == batch.x[:-1]).all(-1)
    if (opens & same).any():
        yield "an answer becomes due and nothing on the screen says so; change a channel, or tag it 'reaction time'"
    if not due.any(0).all():
        yield "a trial has no step in which an answer is due"


def nothing_beats_the_oracle(task: Task) -> Iterator[str]:
    """The targets earn the most: more than any one action, given throughout or once in any epoch."""
    if not isinstance(task, ChoiceTask):
        return
    batch = task.render(torch.arange(LIVES), 0)
    best = task.judge(batch.y, batch)
    actions = range(min(task.spec.actions, 6))
    for action in actions:
        tried = torch.full_like(batch.epoch, action, dtype=torch.int64)
        for what, given in _spells(task, batch, tried):
            earned = task.judge(one_hot(given, task.spec.actions), batch)
            if (earned.reward > best.reward + 1e-5).any() or (earned.score > best.score + 1e-5).any():
                name = task.spec.action_names[action] if task.spec.action_names else str(action)
                yield f"action {name} given {what} earns more than the oracle"
                return


def keeps_time(task: Task) -> Iterator[str]:
    """Trial lengths are those of the tables; at half the dt they last as long in ms."""
    if not isinstance(task, EpochTask):
        return
    lengths = torch.stack([task.drawn(torch.arange(2048), trial).length for trial in (0, min(1, task.trials))])
    fewest, most, mean = task.trial_length()
    if lengths.min() < fewest or lengths.max() > most:
        yield f"trials last {lengths.min()} to {lengths.max()} steps, but trial_length says {fewest} to {most}"
    error = lengths.double().std().item() / math.sqrt(lengths.numel())
    if abs(lengths.double().mean().item() - mean) > 5 * error + 1e-6:
        yield f"trials last {lengths.double().mean():.5g} steps on average, but trial_length says {mean:.5g}"
    finer = task.model_copy(update={"dt": task.dt / 2})
    slack = len(task.epochs) * task.dt
    if abs(finer.trial_length()[2] * finer.dt - mean * task.dt) > slack:
        yield f"a trial lasts {mean * task.dt:.5g} ms at dt {task.dt:g}, but not at dt {finer.dt:g}"


def noise_has_its_size(task: Task) -> Iterator[str]:
    """What is shown beside the mean input has standard deviation sigma / sqrt(dt), on the noisy channels alone."""
    if not isinstance(task, EpochTask) or not task.sigma or not task.noisy:
        return
    lifetimes = torch.arange(LIVES)
    noisy, clean = task.render(lifetimes, 0), task.model_copy(update={"sigma": 0.0}).render(lifetimes, 0)
    where = _within(noisy)
    epochs = task.noisy_in()
    if epochs is not None:
        where = where & task.within(noisy.epoch, epochs)
    first, end = task.spec.channels[task.noisy[0]][0], task.spec.channels[task.noisy[-1]][1]
    difference = noisy.x - clean.x
    drawn = difference[where][:, first:end].double()
    wanted = task.sigma / math.sqrt(task.dt)
    margin = 5 / math.sqrt(2 * drawn.numel())
    if not abs(drawn.std().item() / wanted - 1) < margin + 1e-3:
        yield f"the noise has standard deviation {drawn.std():.4g}, wanted sigma / sqrt(dt) = {wanted:.4g}"
    quiet = difference.clone()
    quiet[..., first:end] *= ~where[..., None]
    if quiet.any():
        yield "there is noise on a channel or in an epoch that is declared noiseless"


def _within(batch: TrialBatch) -> Tensor:
    return torch.arange(len(batch.w))[:, None] < batch.drawn.length


def _spells(task: ChoiceTask, batch: TrialBatch, tried: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "throughout", tried
    yield "at the last moment", tried * (torch.arange(len(batch.w))[:, None] == batch.drawn.length - 1)
    for place, name in enumerate(task.epochs):
        yield f"in epoch {name}", tried * (batch.epoch == place)
