"""One observation and one action for tasks that differ: what they share has one place, what a task lacks is 0.

Channels are joined by their names: tasks that both have `fixation` show it at the same place, as wide as the widest of
them needs. Actions: a choice among as many as the task with most has, and one that a task does not have is its action
0; outputs, as many as the task with most has, of which a task reads the first.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import TaskSpec
from metaplastic.tasks.base import Info, one_hot, slices_of
from metaplastic.tasks.constants import constant, look_up

OUTPUTS = ("readout", "control")
"""kinds of response that are outputs; the others are actions"""


class Joined(NamedTuple):
    """The layout of several tasks."""

    channels: dict[str, tuple[int, int]]
    shared: int
    """observations without those that say which task it is"""
    observations: int
    actions: int
    epochs: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]
    """by task: which of its observations each joint one is; its number of observations, where it has none"""
    epoch_numbers: tuple[tuple[int, ...], ...]
    """by task: the joint number of each of its epochs"""
    kind_starts: tuple[int, ...]
    """by task: the joint number of its first trial type"""
    gives_outputs: bool
    """answers are outputs, not actions"""

    def shown(self, task: int, x: Float[Tensor, "*B i"]) -> Float[Tensor, "*B I"]:
        """A task's observation in the joint layout, without what the set adds."""
        source, own = self.sources[task], x.shape[-1]
        wide = torch.nn.functional.pad(x, (0, len(source) - own)) if len(source) > own else x
        if source[:own] == tuple(range(own)) and set(source[own:]) <= {own}:
            return wide
        padded = torch.nn.functional.pad(x, (0, 1))
        return padded.index_select(-1, constant(source, x.device, torch.int64))

    def done(self, action: Tensor, own: int) -> Tensor:
        """What is done in a task with `own` actions or outputs."""
        if self.gives_outputs:
            return action[..., :own]
        return action if own == self.actions else torch.where(action < own, action, 0)

    def answer(self, answer: Tensor) -> Tensor:
        """A task's own answer (or target) in the joint layout."""
        if not self.gives_outputs:
            return answer
        return torch.nn.functional.pad(answer, (0, self.actions - answer.shape[-1]))

    def epoch(self, task: int, epoch: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """A task's epoch in the joint numbering."""
        numbers = self.epoch_numbers[task]
        same = numbers == tuple(range(len(numbers)))
        return epoch if same else look_up(numbers, epoch.to(torch.int64), torch.int8)

    def told(self, task: int, info: Info) -> Info:
        """A task's info in the joint layout."""
        return info._replace(
            epoch=self.epoch(task, info.epoch).to(torch.int8),
            kind=info.kind + self.kind_starts[task],
            target=self.answer(info.target),
        )


def joined(specs: tuple[TaskSpec, ...], code: str | None) -> Joined:
    """The layout of tasks with these specs; `code` names a channel that says which task it is."""
    widths: dict[str, int] = {}
    for spec in specs:
        for name, (first, end) in spec.channels.items():
            widths[name] = max(widths.get(name, 0), end - first)
    inner = slices_of(widths)
    channels = slices_of({**widths, **({code: len(specs)} if code else {})})
    epochs = tuple(dict.fromkeys(name for spec in specs for name in spec.epochs))
    starts, types = [], 0
    for spec in specs:
        starts.append(types)
        types += spec.trial_types
    return Joined(
        channels,
        sum(widths.values()),
        sum(widths.values()) + (len(specs) if code else 0),
        max(spec.actions for spec in specs),
        epochs,
        tuple(_source(spec, inner) for spec in specs),
        tuple(tuple(epochs.index(name) for name in spec.epochs) or (0,) for spec in specs),
        tuple(starts),
        specs[0].response in OUTPUTS,
    )


def _source(spec: TaskSpec, channels: dict[str, tuple[int, int]]) -> tuple[int, ...]:
    """Which observation of a task stands at each joint place."""
    source = [spec.observations] * sum(end - first for first, end in channels.values())
    for name, (first, end) in spec.channels.items():
        start = channels[name][0]
        source[start : start + end - first] = range(first, end)
    return tuple(source)


def coded(x: Float[Tensor, "*B I"], task: Int[Tensor, "*B"], tasks: int) -> Float[Tensor, "*B J"]:
    """The observation and which task it is, one-hot."""
    return torch.cat((x, one_hot(task, tasks)), -1)
