"""The episodes that agents live: one world behind two ways of computing it.

Where what is seen does not depend on what is done (`spec.open_loop`, one-step decisions), a whole block of steps is
drawn at once; else the task is stepped. Lanes are [P, B]: agent, episode. An agent remembers its last action and reward
itself, so a task's own copy of them (`feedback`) is switched off.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic.compiling import compiled
from metaplastic.core import Task

Step = Callable[[Any, Tensor], tuple[Any, Any]]
"""(state, action) -> state, time step"""


class Paid(NamedTuple):
    """What an action earned."""

    reward: Float[Tensor, "P B"]
    score: Float[Tensor, "P B"]
    """graded performance; 0 where nothing was judged, so that a sum over steps is one over trials"""
    trial_end: Bool[Tensor, "P B"]
    """the trial ended with it"""
    best: Float[Tensor, "P B"]
    """expected reward of the best action, where it is known"""
    trial: Int[Tensor, "P B"]
    """trial that the action belonged to"""
    alive: Bool[Tensor, "P B"]
    """the episode was not over before this action"""
    info: Any
    """what the task itself tells of the step; None in blocks"""


class Episodes(ABC):
    """The same episodes for whoever lives them; steps 0 .. `steps` - 1."""

    steps: int
    """longest episode"""

    @abstractmethod
    def observation(self) -> Float[Tensor, "P B I"]:
        """What is seen now."""

    @abstractmethod
    def act(self, action: Int[Tensor, "P B"]) -> Paid:
        """Answer, and go on."""

    @property
    @abstractmethod
    def state(self) -> Any:
        """The task's state behind what is seen (nested tuples of tensors [P, B, ...]); None in blocks."""


def bare(task: Task) -> Task:
    """The task without its own copy of the last action and reward."""
    return task.model_copy(update={"feedback": False}) if getattr(task, "feedback", False) else task


def in_blocks(task: Task) -> bool:
    """Whether whole blocks of steps can be drawn at once."""
    return task.spec.response == "each" and task.spec.open_loop


def compiled_step(task: Any) -> Step:
    """The task's step, compiled: worth its half minute where there are very many. The numbers are the same."""
    task = bare(task)
    lane = torch.zeros(1, 1, dtype=torch.int64)
    state, _ = task.reset(lane)
    task.step(state, lane)  # makes the tables that the task keeps; else it is compiled twice
    return compiled(task.step)


def open_episodes(
    task: Task,
    agents: int,
    lanes: Int[Tensor, "P_or_1 B"],
    key: Int[Tensor, ""],
    *,
    stepped: bool = False,
    step: Step | None = None,
) -> Episodes:
    """Episodes number `lanes` of a task; `stepped` never draws blocks (then `state` can be looked at). `step` takes the
    place of the task's own (`compiled_step`)."""
    task = bare(task)
    if in_blocks(task) and not stepped:
        return _Block(task, agents, lanes, key)
    return _Stepped(task, agents, lanes, key, step)


class _Block(Episodes):
    def __init__(self, task: Task, agents: int, lanes: Tensor, key: Tensor) -> None:
        self.steps = task.trials + task.test_trials
        self._shape = agents, lanes.shape[1]
        self._block = task.decisions(lanes, 0, self.steps, key)
        self._task, self._now = task, 0
        self._trial = torch.zeros(self._shape, dtype=torch.int64, device=lanes.device)
        self._yes = torch.ones(self._shape, dtype=torch.bool, device=lanes.device)

    def observation(self) -> Tensor:
        row = self._block.observation[min(self._now, self.steps - 1)]
        return row.expand(*self._shape, row.shape[-1])

    def act(self, action: Tensor) -> Paid:
        payoff, best = self._block.payoff[self._now], self._block.best[self._now]
        reward = payoff.expand(*self._shape, payoff.shape[-1]).gather(-1, action[..., None])[..., 0]
        trial = self._trial + self._now
        self._now += 1
        score = self._task.score(reward)
        return Paid(reward, score, self._yes, best.expand(self._shape), trial, self._yes, None)

    @property
    def state(self) -> None:
        return None


class _Stepped(Episodes):
    def __init__(self, task: Any, agents: int, lanes: Tensor, key: Tensor, step: Step | None) -> None:
        self.steps = (task.trials + task.test_trials) * task.spec.trial_steps
        self._step = step or task.step
        self._state, self._now = task.reset(lanes.expand(agents, -1).contiguous(), key)
        self._alive = ~(self._now.terminated | self._now.truncated)

    def observation(self) -> Tensor:
        return self._now.observation

    def act(self, action: Tensor) -> Paid:
        alive = self._alive
        self._state, now = self._step(self._state, action)
        self._now, self._alive = now, alive & ~(now.terminated | now.truncated)
        info = now.info
        return Paid(now.reward, info.score, info.trial_end, info.best, info.trial, alive, info)

    @property
    def state(self) -> Any:
        return self._state
