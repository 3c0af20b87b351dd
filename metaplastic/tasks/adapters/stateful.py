"""Environments of other libraries as tasks: lives of theirs, our clock, alignment and randomness.

A `StatefulTask` has the methods of a task (`reset`, `step`, `rollout`, `random_policy`, `spec`), but what is behind it
is a Python object for each life, which cannot go back, be compiled or be mapped over: `pure` is False. So networks do
not live it (an experiment says so), and wrappers of tasks refuse it; one's own loop drives it:

    task = make("GymnasiumTask", environment="CartPole-v1")
    state, now = task.reset(torch.arange(16))                 # 16 environments
    state, now = task.step(state, action)
    state, now = task.reset(lifetimes, reuse=state)           # the same environments again

A trial is an episode of theirs. Its seed comes from the key of its lifetime and trial (rng.py), so a life does not
depend on how many lives stand beside it. Nobody knows the oracle, and chance is what the user has measured.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.adapters.answers import Answers
from metaplastic.tasks.base import Info, Policy, Rollout, TensorTask, TimeStep

SEED_BITS = 0x7FFFFFFF
"""bits of a key that seed an environment"""


class Told(NamedTuple):
    """What the environments said to an answer, one row a lane; rows of lives that are over mean nothing."""

    frame: np.ndarray
    """[N, I] what is seen next"""
    reward: np.ndarray
    ends: np.ndarray
    """the episode is over"""
    score: np.ndarray
    """graded performance in [0, 1]; read where the episode is over"""
    target: np.ndarray
    """the best answer to what was seen, [N] or [N, A]; -1 or NaN where nobody knows"""
    epoch: np.ndarray
    """part of the trial that was seen"""


class Worlds(ABC):
    """The environments of all lanes; they change as they are stepped."""

    def __init__(self, count: int, answers: Answers) -> None:
        self.count, self.answers = count, answers
        self.age = 0

    @abstractmethod
    def begin(self, seeds: list[int]) -> np.ndarray:
        """The first frames [N, I] of new lives."""

    @abstractmethod
    def step(self, answers: np.ndarray, alive: np.ndarray) -> Told:
        """Answer in every lane that is alive."""

    def renew(self, frame: np.ndarray, lanes: np.ndarray, seeds: list[int]) -> np.ndarray:
        """The frames, in these lanes (a mask) the first ones of new episodes; here episodes follow by themselves."""
        del lanes, seeds
        return frame

    @abstractmethod
    def close(self) -> None:
        """Let go of what they hold."""


class Lived(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    frame: Float[Tensor, "*B I"]
    """what is seen"""
    age: int
    """steps that the environments had taken"""
    worlds: Worlds


class StatefulTask(TensorTask, ABC):
    """An environment of another library."""

    pure: ClassVar[bool] = False

    trials: int = Field(default=1, ge=1)
    """episodes of a lifetime in which a learner may learn"""
    test_trials: int = Field(default=0, ge=0)
    """episodes of test after learning, plasticity off"""
    environment: str
    """its name in its library"""
    settings: dict[str, Any] = Field(default_factory=dict)
    """what its maker is given beside the name"""
    chance: float = Field(default=0.0, ge=0, lt=1)
    """what the random policy scores, as far as it was measured"""
    criterion: float = Field(default=1.0, gt=0, le=1)
    """score from which an episode counts as right, and the task as learned"""

    @abstractmethod
    def open(self, count: int) -> Worlds:
        """Environments for so many lives."""

    def described(self, answers: Answers, channels: dict[str, tuple[int, int]], **more: Any) -> TaskSpec:
        """The spec, from what was read of an environment."""
        return TaskSpec(
            id=self.kind,
            channels=channels,
            observations=max(end for _, end in channels.values()),
            actions=answers.size,
            response=answers.response,
            trial_types=1,
            chance=self.chance,
            ceiling=1.0,
            criterion=self.criterion,
            tags=self.tags,
            cite=self.references,
            open_loop=False,
            **more,
        )

    def seeds(self, key: Int[Tensor, "*B"], trial: Int[Tensor, "*B"]) -> list[int]:
        """What the environments are seeded with at the start of these trials."""
        return (rng.trial_keys(key, trial) & SEED_BITS).reshape(-1).tolist()

    def reset(
        self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0, *, reuse: Lived | None = None
    ) -> tuple[Lived, TimeStep]:
        """The start of every lifetime, in new environments or in those of an old state.

        Raises:
            ValueError: if the old state is of another number of lives.
        """
        key = rng.lifetime_keys(seed, lifetime)
        worlds = self.open(key.numel()) if reuse is None else reuse.worlds
        if worlds.count != key.numel():
            raise ValueError(f"there are {key.numel()} lifetimes and {worlds.count} environments; leave out reuse")
        zero, yes = torch.zeros_like(key), torch.ones_like(key, dtype=torch.bool)
        frame = _back(worlds.begin(self.seeds(key, zero)), key)
        worlds.age += 1
        nothing = torch.zeros_like(key, dtype=torch.float32)
        unjudged, target = (zero - 1).to(torch.int8), zero - 1
        if self.facts.response == "control":
            target = torch.full((*key.shape, self.facts.actions), torch.nan, device=key.device)
        epoch = zero.to(torch.int8)
        info = Info(epoch, zero, zero, zero, ~yes, ~yes, unjudged, nothing, nothing, target, nothing)
        return Lived(key, zero, zero, yes, frame, worlds.age, worlds), TimeStep(frame, nothing, ~yes, ~yes, info)

    def step(self, state: Lived, action: Tensor) -> tuple[Lived, TimeStep]:
        """Act; the next episode begins where this one ends. The environments change, so each state is stepped once.

        Raises:
            ValueError: if the environments have gone on from this state, or the actions do not fit the lanes.
        """
        worlds, alive = state.worlds, state.alive
        if worlds.age != state.age:
            raise ValueError("the environments have gone on from this state, and cannot go back; step the newest one")
        told = worlds.step(worlds.answers.given(action, tuple(alive.shape)), alive.reshape(-1).numpy(force=True))
        worlds.age += 1
        ends = alive & _back(told.ends, alive)
        trial = state.trial + ends
        going = alive & (trial < self.lifetime_trials)
        frame = self._renewed(told.frame, worlds, state.key, trial, ends & going)
        info = self._info(state, told, ends)
        reward = torch.where(alive, _back(told.reward, alive), 0.0)
        trial, step = trial.clamp(max=self.lifetime_trials - 1), torch.where(ends, 0, state.step + 1)
        frame = torch.where(going[..., None], _back(frame, alive), 0.0)
        after = Lived(state.key, trial, step, going, frame, worlds.age, worlds)
        return after, TimeStep(frame, reward, ~going, torch.zeros_like(going), info)

    def _renewed(self, frame: np.ndarray, worlds: Worlds, key: Tensor, trial: Tensor, lanes: Tensor) -> np.ndarray:
        mask = lanes.reshape(-1).numpy(force=True)
        return worlds.renew(frame, mask, self.seeds(key, trial)) if mask.any() else frame

    def _info(self, state: Lived, told: Told, ends: Tensor) -> Info:
        score = _back(told.score, ends)
        right = (score >= self.criterion).to(torch.int8)
        return Info(
            epoch=_back(told.epoch, ends).to(torch.int8),
            step=state.step,
            trial=state.trial,
            kind=torch.zeros_like(state.trial),
            trial_end=ends,
            responded=ends,
            correct=torch.where(ends, right, -1),
            score=torch.where(ends, score, 0.0),
            best=torch.zeros_like(score),
            target=_back(told.target, ends),
            weight=state.alive.to(torch.float32),
        )

    def observe(self, state: Lived) -> Float[Tensor, "*B I"]:
        """What is seen."""
        return state.frame

    def oracle(self, state: Lived) -> Tensor:
        """Unknown."""
        raise NotImplementedError(f"nobody knows the best answer in {self.environment}")

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """Any action alike; outputs from U(-1, 1)."""
        del epoch
        now, facts = rng.noise_keys(rng.trial_keys(key, trial), step), self.facts
        if facts.response == "control":
            return rng.uniforms(now, facts.actions) * 2 - 1
        return rng.below(rng.words(now, 1)[..., 0], facts.actions)

    def step_(self, state: Lived, seen: TimeStep, action: Tensor) -> None:
        """None: there is nothing that a graph could capture."""
        del state, seen, action
        raise ValueError(f"{self.kind} runs outside of tensors and cannot be captured in a graph; use step")

    def rollout(
        self, policy: Policy, lifetime: Int[Tensor, "*B"], steps: int, seed: int | Tensor = 0, *, compiled: bool = False
    ) -> Rollout:
        """`steps` steps of `policy` in every lifetime; it cannot be compiled."""
        if compiled:
            raise ValueError(f"{self.kind} runs outside of tensors and cannot be compiled; leave out compiled=True")
        return super().rollout(policy, lifetime, steps, seed)


def _back(rows: np.ndarray, like: Tensor) -> Tensor:
    """Rows [N, ...] as a tensor [*B, ...] on the device of `like`; floats become float32."""
    made = torch.from_numpy(np.ascontiguousarray(rows)).to(like.device)
    made = made.to(torch.float32) if made.is_floating_point() else made
    return made.reshape(*like.shape, *made.shape[1:])
