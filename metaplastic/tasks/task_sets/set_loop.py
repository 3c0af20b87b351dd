"""The closed loop of a task set: every task keeps a state of its own, the one that is on moves.

A step asks each task only about the lifetimes that are in it (`base.renew`); where lanes must not be counted (compiled,
vmap, a graph on a GPU) it asks each about all of them and keeps what belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic.tasks.base import Info, Policy, TimeStep, choose, renew, settled
from metaplastic.tasks.task_sets.layouts import coded

if TYPE_CHECKING:
    from metaplastic.tasks.task_sets.task_set import TaskSet


class SetState(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    """of the schedule's draws"""
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    task: Int[Tensor, "*B"]
    """which task is on"""
    inner: tuple[Any, ...]
    """state of every task"""


def begin(tasks: TaskSet, lifetime: Int[Tensor, "*B"], seed: int | Tensor) -> tuple[SetState, TimeStep]:
    """The start of every lifetime, in every task."""
    key = tasks.own_key(lifetime, seed)
    zero = torch.zeros_like(key)
    begun = [task.reset(lifetime, tasks.seed_of(number, seed)) for number, task in enumerate(tasks.tasks)]
    inner = tuple(state for state, _ in begun)
    state = SetState(key, zero, zero, zero == 0, tasks.place(key, zero).task, inner)
    state = settled(state, fresh=True)
    first = _told(tasks, 0, begun[0][1])
    for number, (_, seen) in enumerate(begun[1:], 1):
        first = choose(state.task == number, _told(tasks, number, seen), first)
    return state, settled(first._replace(observation=shown(tasks, state)), fresh=True)


def advance(tasks: TaskSet, state: SetState, action: Tensor) -> tuple[SetState, TimeStep]:
    """Act in the task that is on; another one may be on after its trial's end."""
    inner, seen = list(state.inner), _nothing(tasks, state)
    for number in range(len(tasks.tasks)):
        act = _actor(tasks, number)
        inner[number], seen = renew(act, (inner[number], action), (inner[number], seen), state.task == number)
    ends = seen.info.trial_end
    alive = state.alive & (state.trial + ends < tasks.lifetime_trials)
    trial = (state.trial + ends).clamp(max=tasks.lifetime_trials - 1)
    task = state.task
    if tasks.schedule != "per_lifetime":
        task = renew(lambda *given: (tasks.place(*given).task,), (state.key, trial), (task,), ends)[0]
    step = torch.where(ends, 0, state.step + 1)
    info = _while_alive(state, seen.info)
    after = settled(SetState(state.key, trial, step, alive, task, tuple(inner)))
    over = torch.zeros_like(alive)
    return after, TimeStep(shown(tasks, after), seen.reward * state.alive, ~alive, over, info)


def shown(tasks: TaskSet, state: SetState) -> Float[Tensor, "*B I"]:
    """What the task that is on shows, and which one it is with `rule`."""

    def ask(number: int, inner: Any) -> Tensor:
        return tasks.layout.shown(number, tasks.tasks[number].observe(inner))

    dark = torch.zeros(*state.trial.shape, tasks.layout.shared, device=state.trial.device)
    x = _of_the_one(state, ask, dark)
    x = coded(x, state.task, len(tasks.tasks)) if tasks.rule else x
    return x * state.alive[..., None]


def best_answer(tasks: TaskSet, state: SetState) -> Tensor:
    """The best answer in the task that is on."""

    def ask(number: int, inner: Any) -> Tensor:
        return tasks.layout.answer(tasks.tasks[number].oracle(inner))

    return _of_the_one(state, ask, _no_answer(tasks, state))


def epoch_now(tasks: TaskSet, state: SetState) -> Int[Tensor, "*B"]:
    """The epoch of the frame that is shown."""

    def ask(number: int, inner: Any) -> Tensor:
        return tasks.layout.epoch(number, tasks.tasks[number].epoch_of(inner).to(torch.int8))

    return _of_the_one(state, ask, torch.zeros_like(state.trial, dtype=torch.int8))


def guessing(tasks: TaskSet, lifetime: Int[Tensor, "*B"], seed: int | Tensor) -> Policy:
    """The random policy of the task that is on."""
    policies = [task.random_policy(lifetime, tasks.seed_of(number, seed)) for number, task in enumerate(tasks.tasks)]

    def policy(state: SetState, observation: Tensor) -> Tensor:
        answer = _no_answer(tasks, state)
        for number, (own, inner) in enumerate(zip(policies, state.inner, strict=True)):
            answer = choose(state.task == number, tasks.layout.answer(own(inner, observation)), answer)
        return answer

    return policy


def _while_alive(state: SetState, info: Info) -> Info:
    """Nothing counts after a life's end, though its tasks could go on."""
    alive = state.alive
    return info._replace(
        trial=state.trial,
        step=state.step,
        trial_end=info.trial_end & alive,
        responded=info.responded & alive,
        correct=torch.where(alive, info.correct, -1),
        score=info.score * alive,
        best=info.best * alive,
        weight=info.weight * alive,
    )


def _actor(tasks: TaskSet, number: int) -> Callable[[Any, Tensor], tuple[Any, TimeStep]]:
    """One step of a task, in the joint layout."""
    task, own = tasks.tasks[number], tasks.specs[number].actions

    def act(state: Any, action: Tensor) -> tuple[Any, TimeStep]:
        after, seen = task.step(state, tasks.layout.done(action, own))
        return after, _told(tasks, number, seen)

    return act


def _told(tasks: TaskSet, number: int, seen: TimeStep) -> TimeStep:
    """What a task gave, in the joint layout; the observation follows later."""
    nothing = seen.observation[..., :0]
    return seen._replace(observation=nothing, info=tasks.layout.told(number, seen.info))


def _nothing(tasks: TaskSet, state: SetState) -> TimeStep:
    """A time step in which nothing was told yet."""
    zero, no = torch.zeros_like(state.trial), torch.zeros_like(state.alive)
    small, number = zero.to(torch.int8), zero.to(torch.float32)
    info = Info(small, zero, zero, zero, no, no, small, number, number, _no_answer(tasks, state), number)
    return TimeStep(number[..., None][..., :0], number, no, no, info)


def _no_answer(tasks: TaskSet, state: SetState) -> Tensor:
    if not tasks.layout.gives_outputs:
        return torch.zeros_like(state.trial)
    return torch.zeros(*state.trial.shape, tasks.layout.actions, device=state.trial.device)


def _of_the_one(state: SetState, ask: Callable[[int, Any], Tensor], start: Tensor) -> Tensor:
    """What `ask` gives for the task that is on, in every lifetime."""
    found = start
    for number, inner in enumerate(state.inner):
        answer = renew(lambda one, number=number: (ask(number, one),), (inner,), (found,), state.task == number)
        found = answer[0]
    return found
