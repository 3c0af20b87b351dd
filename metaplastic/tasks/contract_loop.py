"""The contract of the closed loop: `step` is pure, agrees bit for bit with the blocks, and a life ends for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task, TrialBatch
from metaplastic.tasks.base import Rollout, TensorTask
from metaplastic.tasks.contract_blocks import LIVES
from metaplastic.tasks.decisions import DecisionTask
from metaplastic.tasks.trials import TrialTask

LIFE = {"each": (7, 5), "readout": (1, 1)}
"""trials of learning and test in the short lives of these checks, by the kind of response"""
AFTERWARDS = 50
"""steps after a life's end, in which nothing may come"""


def starts_well(task: Task) -> Iterator[str]:
    """`reset` shows what `observe` shows; `step` changes nothing in place."""
    if not isinstance(task, TensorTask):
        return
    state, first = task.reset(torch.arange(LIVES))
    if first.observation.shape != (LIVES, task.spec.observations):
        yield f"reset shows {tuple(first.observation.shape)}, wanted {(LIVES, task.spec.observations)}"
    if not torch.equal(first.observation, task.observe(state)):
        yield "observe(state) is not what reset showed"
    kept = _leaves(state)
    copies = [leaf.clone() for leaf in kept]
    task.step(state, task.random_answer(state.key))
    if not all(map(torch.equal, kept, copies)):
        yield "step changes its state in place"


def lives_one_life(task: Task) -> Iterator[str]:
    """A whole life by `step` is that of `decisions`, or of `render` and `judge`; nothing comes after it."""
    if not isinstance(task, TensorTask):
        return
    trials, test_trials = LIFE[task.spec.response]
    try:
        short = type(task).model_validate({**task.model_dump(), "trials": trials, "test_trials": test_trials})
    except ValueError as why:
        yield f"it cannot have {trials} trials and {test_trials} test trials, wanted any numbers from 1 on: {why}"
        return
    seen = _random_life(short)
    if isinstance(short, DecisionTask):
        yield from _is_over(seen, short.lifetime_trials)
        yield from () if short.feedback else _loop_is_decisions(short, seen)
    elif isinstance(short, TrialTask):
        yield from _loop_is_trials(short, seen)


def _random_life(task: TensorTask) -> Rollout:
    steps = task.lifetime_trials * task.spec.trial_steps + AFTERWARDS
    lifetimes = torch.arange(LIVES)
    keys = rng.lifetime_keys(0, lifetimes, rng.POLICY)
    answers = iter(task.random_answer(rng.step_keys(keys, torch.arange(steps)[:, None])))
    return task.rollout(lambda *_: next(answers), lifetimes, steps)


def _is_over(seen: Rollout, first: int | Tensor) -> Iterator[str]:
    """Complaints if something is shown, paid or counted from step `first` (one a lifetime, or of all) on."""
    after = torch.arange(len(seen.reward))[:, None] >= first
    if (seen.observation.any(-1) & after).any():
        yield "something is shown after a life's end"
    for what in (seen.reward, seen.info.trial_end, seen.info.score, seen.info.weight):
        if (what.bool() & after).any():
            yield "something is paid or counted after a life's end"


def _loop_is_decisions(task: DecisionTask, seen: Rollout) -> Iterator[str]:
    count = task.lifetime_trials
    block = task.decisions(torch.arange(LIVES), 0, count)
    payoff = block.payoff.gather(-1, seen.action[:count, :, None]).squeeze(-1)
    yield from _differ(
        "decisions",
        observations=(seen.observation[:count], block.observation),
        rewards=(seen.reward[:count], payoff),
        scores=(seen.info.score[:count], task.score(payoff)),
        best=(seen.info.best[:count], block.best),
        kinds=(seen.info.kind[:count], block.kind),
    )


def _loop_is_trials(task: TrialTask, seen: Rollout) -> Iterator[str]:
    ends = seen.info.trial_end.sum(0)
    if (ends != task.lifetime_trials).any():
        yield f"a life of {task.lifetime_trials} trials ends {ends.tolist()} trials by step"
        return
    steps = torch.arange(len(seen.reward))[:, None]
    last = torch.where(seen.info.trial_end, steps, -1).sort(0).values[-task.lifetime_trials :]  # [trial, L]
    yield from _is_over(seen, last[-1] + 1)
    first = torch.cat((torch.zeros_like(last[:1]), last[:-1] + 1))
    for trial in range(task.lifetime_trials):
        batch = task.render(torch.arange(LIVES), trial)
        for lane in range(LIVES):
            rows = slice(int(first[trial, lane]), int(last[trial, lane]) + 1)
            yield from _trial_agrees(task, seen, batch, rows, lane)


def _trial_agrees(task: TrialTask, seen: Rollout, batch: TrialBatch, rows: slice, lane: int) -> Iterator[str]:
    info, steps = seen.info, rows.stop - rows.start
    x, y, w, epoch = (field[:, lane] for field in batch[:4])
    output = torch.zeros_like(y)
    output[:steps] = seen.action[rows, lane]
    verdict = task.judge(output[:, None], TrialBatch(x[:, None], y[:, None], w[:, None], epoch[:, None], batch.kind))
    yield from _differ(
        "render",
        observations=(seen.observation[rows, lane], x[:steps]),
        targets=(info.target[rows, lane], y[:steps]),
        weights=(info.weight[rows, lane], w[:steps]),
        epochs=(info.epoch[rows, lane], epoch[:steps]),
        kinds=(info.kind[rows, lane], batch.kind[lane].expand(steps)),
        rewards=(seen.reward[rows, lane][-1], verdict.reward[0]),
        scores=(info.score[rows, lane][-1], verdict.score[0]),
    )
    if x[steps:].any() or w[steps:].any():
        yield "render shows or judges something after the trial's end"


def _differ(block: str, **pairs: tuple[Tensor, Tensor]) -> Iterator[str]:
    yield from (f"{what} of step and {block} differ" for what, pair in pairs.items() if not torch.equal(*pair))


def _leaves(state: Any) -> list[Tensor]:
    """All tensors of a state of nested tuples."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state or () for leaf in _leaves(part)]
