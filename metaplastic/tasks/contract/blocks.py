"""The contract of whole blocks: `decisions` and `render` depend on (seed, lifetime, trial) alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task, TrialBatch
from metaplastic.tasks.base import leaves

LIVES = 7
"""lifetimes in the exact checks"""
WHOLE_TRIALS = ("readout", "choice")
"""kinds of response whose tasks render whole trials"""
BLOCK = 12
"""trials of one-step decisions in the exact checks"""


def draws_by_key_alone(task: Task) -> Iterator[str]:
    """Blocks depend on seed, lifetime and trial, not on the batch; no global generator is touched."""
    if is_closed(task):
        return
    before = torch.get_rng_state()
    lifetimes = torch.arange(LIVES) * 1000 + 3
    block = _block(task, lifetimes, 0)
    if not torch.equal(torch.get_rng_state(), before):
        yield "it moves torch's global generator; draw from metaplastic.rng"
    if not _equal(block, _block(task, lifetimes, 0)):
        yield "the same call gives other numbers"
    if not _equal(block, _block(task, lifetimes, rng.root(0))):
        yield "seed 0 and the key root(0) give different numbers"
    if _equal(block, _block(task, lifetimes, 1)) and _equal(block, _block(task, lifetimes + 1, 0)):
        later = _block(task, lifetimes, 0, first=1)
        if _equal(block, later):
            yield "nothing depends on seed, lifetime or trial"
    order = torch.tensor([5, 2, 6, 0, 3, 1, 4])
    pieces = [_block(task, piece, 0) for piece in lifetimes[order].split(3)]
    if not _equal(_pick(block, order), _join(pieces)):
        yield "a lifetime's numbers depend on which others are in the batch, or on their order"
    grid = _block(task, lifetimes[:6].reshape(2, 3), 0)
    if not _equal(_pick(block, torch.arange(6)), [field.flatten(axis, axis + 1) for axis, field in _columns(grid)]):
        yield "lifetimes [2, 3] give other numbers than lifetimes [6]"


def blocks_have_their_shape(task: Task) -> Iterator[str]:
    """Fields have the shapes, types and ranges of `Decisions` or `TrialBatch`."""
    if is_closed(task):
        return
    spec = task.spec
    block = _block(task, torch.arange(LIVES), 0)
    steps = spec.trial_steps if spec.response in WHOLE_TRIALS else min(BLOCK, task.trials + task.test_trials)
    lead, inputs, actions = (steps, LIVES), spec.observations, spec.actions
    shapes = [(*lead, inputs), (*lead, actions), lead, lead]
    shapes += [(LIVES,), (LIVES,)] if isinstance(block, TrialBatch) else []
    for name, field, shape in zip(block._fields, block, shapes, strict=False):
        if not isinstance(field, Tensor):
            yield f"{name} is {field!r}, wanted a tensor"
            continue
        if field.shape != shape:
            yield f"{name} has shape {tuple(field.shape)}, wanted {shape}"
        if not field.isfinite().all():
            yield f"{name} is not finite everywhere"
        whole = name in ("kind", "epoch", "length")
        if field.is_floating_point() == whole or (not whole and field.dtype != torch.float32):
            yield f"{name} is {field.dtype}, wanted {'whole numbers' if whole else 'float32'}"
    if block.kind.min() < 0 or block.kind.max() >= spec.trial_types:
        yield f"kind has {block.kind.max()}, but the spec has {spec.trial_types} trial types"
    if isinstance(block, TrialBatch) and not (block.w.sum(0) > 0).all():
        yield "a trial has no step with weight above 0, so nothing in it is judged"


def splits_by_trials(task: Task) -> Iterator[str]:
    """Decisions [0, 5) and [5, 12) are decisions [0, 12)."""
    if task.spec.response != "each" or is_closed(task) or task.trials + task.test_trials < BLOCK:
        return
    lifetimes = torch.arange(LIVES)
    parts = [task.decisions(lifetimes, 0, 5), task.decisions(lifetimes, 5, BLOCK - 5)]
    joined = [torch.cat(fields) for fields in zip(*parts, strict=True)]
    if not all(map(torch.equal, task.decisions(lifetimes, 0, BLOCK), joined)):
        yield "decisions [0, 12) are not decisions [0, 5) and then [5, 12)"


def is_closed(task: Task) -> bool:
    """Whether observations depend on actions, so that there are no blocks."""
    return not task.spec.open_loop


def _block(task: Task, lifetimes: Tensor, seed: int | Tensor, first: int = 0) -> Any:
    if task.spec.response in WHOLE_TRIALS:
        return task.render(lifetimes, first, seed)
    count = min(BLOCK, task.trials + task.test_trials - first)
    return task.decisions(lifetimes, first, count, seed)


def _columns(block: Any) -> list[tuple[int, Tensor]]:
    """Every tensor of a block with the axis of its lifetimes."""
    if isinstance(block, TrialBatch):
        return [(1, field) for field in block[:4]] + [(0, leaf) for leaf in leaves(tuple(block[4:]))]
    return [(1, leaf) for leaf in leaves(block)]


def _equal(one: Any, other: Any) -> bool:
    """Whether two blocks, or lists of their tensors, are the same."""
    mine, others = ([leaf for _, leaf in _columns(b)] if isinstance(b, tuple) else b for b in (one, other))
    return len(mine) == len(others) and all(map(torch.equal, mine, others))


def _pick(block: Any, lanes: Tensor) -> list[Tensor]:
    return [field.index_select(axis, lanes) for axis, field in _columns(block)]


def _join(blocks: list[Any]) -> list[Tensor]:
    columns = zip(*(_columns(block) for block in blocks), strict=True)
    return [torch.cat([field for _, field in column], column[0][0]) for column in columns]
