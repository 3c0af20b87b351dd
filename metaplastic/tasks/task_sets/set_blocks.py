"""Whole trials and blocks of decisions of a task set: every task draws those of its own lifetimes, in one layout.

Here lifetimes are gathered by task, so the number of each is asked for; the closed loop (`set_loop.py`) need not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Decisions, Judgement, TrialBatch
from metaplastic.tasks.base import one_hot, rebuilt
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.task_sets.layouts import coded

if TYPE_CHECKING:
    from metaplastic.tasks.task_sets.task_set import TaskSet


class SetDrawn(NamedTuple):
    """What a trial of every lifetime has drawn."""

    task: Int[Tensor, "*B"]
    """which task it is of"""
    length: Int[Tensor, "*B"]
    inner: tuple[Any, ...]
    """by task, what its lifetimes have drawn; 0 in the others"""


def render_trials(tasks: TaskSet, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor) -> TrialBatch:
    """One trial of every lifetime, whichever task it is of."""
    lives, shape = lifetime.reshape(-1), lifetime.shape
    key = tasks.own_key(lives, seed)
    where = tasks.place(key, torch.full_like(key, trial))
    steps = tasks.facts.trial_steps
    batch, inner = _nothing(tasks, steps, lives), []
    for number, task in enumerate(tasks.tasks):
        lanes, own_seed = (where.task == number).nonzero().squeeze(-1), tasks.seed_of(number, seed)
        kept = None
        for own in where.trial[lanes].unique().tolist():
            some = lanes[where.trial[lanes] == own]
            part = task.render(lives[some], own, own_seed)
            _put(tasks, number, batch, part, some)
            kept = _spread(part.drawn, some, len(lives), kept)
        if kept is None:  # what it draws has a place in the batch, whoever is in it
            kept = _spread(task.render(lives[:1], 0, own_seed).drawn, lanes[:0], len(lives), None)
        inner.append(kept)
    x, length = batch.x, batch.length
    assert length is not None
    if tasks.rule:
        within = torch.arange(steps, device=lives.device)[:, None] < length
        x = torch.cat((x, one_hot(where.task, len(tasks.tasks)) * within[..., None]), -1)
    x, y, w, epoch = (field.reshape(steps, *shape, *field.shape[2:]) for field in (x, batch.y, batch.w, batch.epoch))
    drawn = _shaped(SetDrawn(where.task, length, tuple(inner)), shape)
    return TrialBatch(x, y, w, epoch, batch.kind.reshape(shape), length.reshape(shape), drawn)


def judge_trials(tasks: TaskSet, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
    """Every task judges its own lifetimes."""
    axes, layout = batch.kind.ndim, tasks.layout
    drawn: SetDrawn = batch.drawn
    lead = output.shape[1 : output.ndim - 1 - axes]
    count = batch.kind.numel()
    output = output.reshape(len(output), *lead, count, output.shape[-1])
    told = [output.new_zeros(*lead, count) for _ in Judgement._fields]
    for number, (task, spec) in enumerate(zip(tasks.tasks, tasks.specs, strict=True)):
        lanes = (drawn.task.reshape(-1) == number).nonzero().squeeze(-1)
        if not len(lanes):
            continue
        given = output[: spec.trial_steps].index_select(-2, lanes)
        if layout.gives_outputs:
            given = given[..., : spec.actions]
        else:
            given = one_hot(layout.done(given.argmax(-1), spec.actions), spec.actions)
        verdict = task.judge(given, _own(tasks, number, batch, lanes))
        told = [old.index_copy(-1, lanes, new.to(old.dtype)) for old, new in zip(told, verdict, strict=True)]
    return Judgement(*(field.reshape(*lead, *batch.kind.shape) for field in told))


def decide(tasks: TaskSet, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor) -> Decisions:
    """A block of decisions, whichever task each of them is of.

    A task's own trials in the block follow one another without a gap, so it is asked for all from the first to the last
    that any lifetime has.
    """
    lives, layout = lifetime.reshape(-1), tasks.layout
    trial = torch.arange(first, first + count, device=lives.device)[:, None].expand(-1, len(lives))
    where = tasks.place(tasks.own_key(lives, seed), trial)
    x = torch.zeros(count, len(lives), layout.shared, device=lives.device)
    payoff, best = x.new_zeros(count, len(lives), layout.actions), x.new_zeros(count, len(lives))
    kind = torch.zeros_like(where.task)
    for number, member in enumerate(tasks.tasks):
        here = where.task == number
        lanes = here.any(0).nonzero().squeeze(-1)
        if not len(lanes):
            continue
        own = where.trial[here]
        start, end = int(own.min()), int(own.max()) + 1
        part = member.decisions(lives[lanes], start, end - start, tasks.seed_of(number, seed))
        t, lane = here.nonzero(as_tuple=True)
        column = torch.zeros_like(lives).index_copy(0, lanes, torch.arange(len(lanes), device=lives.device))
        at = (own - start, column[lane])
        paid = part.payoff[at]
        missing = paid[:, :1].expand(-1, layout.actions - paid.shape[-1])  # an action that it lacks is its action 0
        x[t, lane] = layout.shown(number, part.observation[at])
        payoff[t, lane], best[t, lane] = torch.cat((paid, missing), -1), part.best[at]
        kind[t, lane] = part.kind[at] + layout.kind_starts[number]
    if tasks.rule:
        x = coded(x, where.task, len(tasks.tasks))
    return Decisions(*(f.reshape(count, *lifetime.shape, *f.shape[2:]) for f in (x, payoff, best, kind)))


def _nothing(tasks: TaskSet, steps: int, lives: Tensor) -> TrialBatch:
    """A batch in which no lifetime shows anything yet."""
    layout, count = tasks.layout, len(lives)
    x = torch.zeros(steps, count, layout.shared, device=lives.device)
    epoch = torch.zeros(steps, count, dtype=torch.int8, device=lives.device)
    y, w = x.new_zeros(steps, count, layout.actions), x.new_zeros(steps, count)
    return TrialBatch(x, y, w, epoch, torch.zeros_like(lives), torch.zeros_like(lives))


def _put(tasks: TaskSet, number: int, batch: TrialBatch, part: TrialBatch, lanes: Tensor) -> None:
    """Write the trials of one task's lifetimes into the batch, which is ours: a copy of it for each task costs most."""
    layout, steps, outputs = tasks.layout, len(part.w), part.y.shape[-1]
    epoch = layout.epoch(number, part.epoch)
    batch.x[:steps].index_copy_(1, lanes, layout.shown(number, part.x))
    batch.y[:steps, :, :outputs].index_copy_(1, lanes, part.y)
    batch.w[:steps].index_copy_(1, lanes, part.w)
    batch.epoch[:steps].index_copy_(1, lanes, epoch)
    batch.epoch[steps:].index_fill_(1, lanes, layout.epoch_numbers[number][-1])
    batch.kind.index_copy_(0, lanes, part.kind + layout.kind_starts[number])
    length = torch.full_like(part.kind, steps) if part.length is None else part.length
    assert batch.length is not None
    batch.length.index_copy_(0, lanes, length)


def _own(tasks: TaskSet, number: int, batch: TrialBatch, lanes: Tensor) -> TrialBatch:
    """The trials of one task's lifetimes, as it rendered them (what is seen aside)."""
    layout, spec, axes = tasks.layout, tasks.specs[number], batch.kind.ndim
    steps = spec.trial_steps
    x, y, w, epoch = (f.flatten(1, axes)[:steps].index_select(1, lanes) for f in batch[:4])
    back = tuple(max(0, _place_of(layout.epoch_numbers[number], joint)) for joint in range(max(1, len(layout.epochs))))
    kind, length = batch.kind.reshape(-1), batch.drawn.length.reshape(-1)
    return TrialBatch(
        *(x, y[..., : spec.actions], w, look_up(back, epoch.to(torch.int64), torch.int8)),
        kind[lanes] - layout.kind_starts[number],
        length[lanes],
        _gathered(batch.drawn.inner[number], lanes, axes),
    )


def _place_of(numbers: tuple[int, ...], joint: int) -> int:
    return numbers.index(joint) if joint in numbers else -1


def _spread(drawn: Any, lanes: Tensor, count: int, before: Any) -> Any:
    """Draws of some lifetimes as draws of all: where they were before, or 0."""
    if isinstance(drawn, Tensor):
        old = drawn.new_zeros(count, *drawn.shape[1:]) if before is None else before
        return old.index_copy_(0, lanes, drawn[: len(lanes)])
    if drawn is None:
        return None
    olds = before if before is not None else [None] * len(drawn)
    return rebuilt(drawn, [_spread(part, lanes, count, old) for part, old in zip(drawn, olds, strict=True)])


def _gathered(drawn: Any, lanes: Tensor, axes: int) -> Any:
    """Draws [*B, ...] of some lifetimes."""
    if isinstance(drawn, Tensor):
        return drawn.flatten(0, axes - 1)[lanes]
    return None if drawn is None else rebuilt(drawn, [_gathered(part, lanes, axes) for part in drawn])


def _shaped(drawn: Any, shape: torch.Size) -> Any:
    """Draws [n, ...] as draws [*B, ...]."""
    if isinstance(drawn, Tensor):
        return drawn.reshape(*shape, *drawn.shape[1:])
    return None if drawn is None else rebuilt(drawn, [_shaped(part, shape) for part in drawn])
