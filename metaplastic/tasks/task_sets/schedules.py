"""Which of several tasks a lifetime meets in which trial.

    per_lifetime   one task for a whole life, drawn at birth
    interleaved    rounds, in which every task comes once in random order
    blocked        rounds of blocks: every task comes once, for `block` trials in a row
    sequential     stages one after the other, each with tasks of its own, interleaved within it; the last one goes on

A task may have several places in a round. With W places a round, blocks of b trials and r trials since a stage began,

    round = r // (W b),   place = (r // b) mod W,   the order of the places a permutation drawn for every round     (1)
    trial of the task's own = b (its places in earlier rounds and stages, and earlier in this round) + r mod b      (2)

so both are known without living through what came before.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.constants import constant, look_up
from metaplastic.values import Value

LAST = 2**63 - 1
"""sorts behind all others"""


class Stage(Value):
    """Trials in a row with some of the tasks."""

    tasks: tuple[int, ...] = Field(min_length=1)
    """numbers of the tasks, interleaved; one that stands here twice comes twice as often"""
    trials: int = Field(ge=1)
    """how many; a whole number of rounds, except in the last stage"""


class Place(NamedTuple):
    """What comes in a trial."""

    task: Int[Tensor, "*T"]
    """number of the task"""
    trial: Int[Tensor, "*T"]
    """how many trials of its own came before, in this life"""


class Plan(NamedTuple):
    """The stages of a life, as plain numbers."""

    stages: tuple[tuple[int, ...], ...]
    """places of a round, by stage: which task each is"""
    starts: tuple[int, ...]
    """first trial of each stage"""
    block: int
    """b"""

    @property
    def width(self) -> int:
        """Places of the largest round."""
        return max(map(len, self.stages))

    def places_of(self, tasks: int) -> tuple[tuple[int, ...], ...]:
        """Places of each task in a round, by stage."""
        return tuple(tuple(stage.count(task) for task in range(tasks)) for stage in self.stages)

    def before(self, tasks: int) -> tuple[tuple[int, ...], ...]:
        """Trials that each task had before each stage."""
        rows = [(0,) * tasks]
        lengths = [after - start for start, after in zip(self.starts, self.starts[1:], strict=False)]
        for length, stage, counts in zip(lengths, self.stages, self.places_of(tasks), strict=False):
            rows.append(tuple(had + length // len(stage) * own for had, own in zip(rows[-1], counts, strict=True)))
        return tuple(rows)

    def shares(self, tasks: int, trials: int) -> tuple[float, ...]:
        """The expected share of each task in a life of `trials` trials."""
        total = [0.0] * tasks
        ends = (*self.starts[1:], trials)
        for start, end, stage in zip(self.starts, ends, self.stages, strict=True):
            length = max(0, min(end, trials) - start)
            for task in stage:
                total[task] += length / len(stage) / trials
        return tuple(total)


def plan_of(stages: tuple[Stage, ...], block: int) -> Plan:
    """The plan of these stages."""
    ends = tuple(accumulate(stage.trials for stage in stages))
    return Plan(tuple(stage.tasks for stage in stages), (0, *ends[:-1]), block)


def place(plan: Plan, tasks: int, key: Int[Tensor, "*B"], trial: Int[Tensor, "*T"]) -> Place:
    """(1) and (2), for trials ([*B], or [T, *B]) of lifetimes with these keys."""
    stage = torch.zeros_like(trial)
    for start in plan.starts[1:]:
        stage = stage + (trial >= start)
    widths = look_up(tuple(map(len, plan.stages)), stage, torch.int64)
    since = trial - look_up(plan.starts, stage, torch.int64)
    turn = since // plan.block
    round_, place_ = turn // widths, turn % widths
    order = _order(plan, rng.fold(rng.fold(key, stage), round_), stage, widths)
    task = order.gather(-1, place_[..., None])
    earlier = ((order == task) & (_numbers(plan.width, order) < place_[..., None])).sum(-1)
    task = task.squeeze(-1)
    flat = stage * tasks + task
    in_round = look_up(_joined(plan.places_of(tasks)), flat, torch.int64)
    had = look_up(_joined(plan.before(tasks)), flat, torch.int64)
    return Place(task, had + (round_ * in_round + earlier) * plan.block + since % plan.block)


def _order(plan: Plan, key: Tensor, stage: Tensor, widths: Tensor) -> Int[Tensor, "*T W"]:
    """The tasks of a round, in its order; of shorter rounds the first places count."""
    table = constant(tuple(tuple(row) + (0,) * (plan.width - len(row)) for row in plan.stages), key.device, torch.int64)
    rows = table.index_select(0, stage.reshape(-1)).reshape(*stage.shape, plan.width)
    if plan.width == 1:
        return rows
    drawn = rng.words(key, plan.width)
    drawn = torch.where(_numbers(plan.width, drawn) < widths[..., None], drawn, LAST)
    return rows.gather(-1, drawn.argsort(dim=-1, stable=True))


def _numbers(count: int, like: Tensor) -> Tensor:
    return constant(tuple(range(count)), like.device, torch.int64)


def _joined(rows: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    return tuple(number for row in rows for number in row)
