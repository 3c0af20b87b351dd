"""What all tasks of this room share: presets, life in a closed loop, and the laws that make every mode agree.

An author states a task once, as functions of a key and a trial number (`DecisionTask`, `TrialTask`); whole blocks
(`decisions`, `render`) and the closed loop (`reset`, `step`) follow from them, with equal numbers.

Alignment: `reset` gives frame 0, and `step(state, answer)` judges the answer against frame t, the one that was seen,
and gives its reward beside frame t + 1. A life that is over is absorbing: observations and rewards are 0 for ever.

A random policy, in `spec.chance`, takes each action alike (each) or draws every output from U(-1, 1) at every step
(readout).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task, near_miss, wrong


class Info(NamedTuple):
    """About frame t, the one that was just answered."""

    epoch: Int[Tensor, "*B"]
    """index into the task's epochs"""
    step: Int[Tensor, "*B"]
    """step within the trial"""
    trial: Int[Tensor, "*B"]
    """trial of the lifetime"""
    kind: Int[Tensor, "*B"]
    """trial type, in [0, trial_types)"""
    trial_end: Bool[Tensor, "*B"]
    """the trial ended with this answer"""
    responded: Bool[Tensor, "*B"]
    """an answer was judged on this step"""
    correct: Int[Tensor, "*B"]
    """-1 not judged, 0 wrong, 1 right"""
    score: Float[Tensor, "*B"]
    """graded performance in [0, 1]; 0 unless `responded`"""
    best: Float[Tensor, "*B"]
    """expected reward of the best answer; 0 unless `responded`"""
    target: Tensor
    """the best action [*B] (each), or the target outputs [*B, A] (readout)"""
    weight: Float[Tensor, "*B"]
    """weight of this step in the judgement"""


class TimeStep(NamedTuple):
    """What a step gives."""

    observation: Float[Tensor, "*B I"]
    """frame t + 1"""
    reward: Float[Tensor, "*B"]
    """for the answer to frame t"""
    terminated: Bool[Tensor, "*B"]
    """the lifetime is over by the task's rule"""
    truncated: Bool[Tensor, "*B"]
    """the lifetime was cut by a budget of steps"""
    info: Info


class Rollout(NamedTuple):
    """Steps of a closed loop, time first; row t is frame t, the answer to it and what that earned."""

    observation: Float[Tensor, "T *B I"]
    action: Tensor
    reward: Float[Tensor, "T *B"]
    info: Info


Policy = Callable[[Any, Tensor], Tensor]
"""(state, observation) -> actions int64 [*B] (each) or outputs float [*B, A] (readout)"""


class TensorTask(Task, ABC):
    """A task made of tensor operations alone: any batch shape, any device, no state outside `state`."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """named settings, mostly those of a publication"""
    tags: ClassVar[tuple[str, ...]] = ()
    """words that `list_tasks` selects by"""

    preset: str | None = None
    """named settings of a publication; fields that are given beside it go first"""
    trials: int = Field(default=100, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=20, ge=1)
    """trials of test after learning, plasticity off"""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, data: Any) -> Any:
        name = data.get("preset") if isinstance(data, dict) else None
        if name is None:
            return data
        if name not in cls.presets:
            names = list(cls.presets)
            raise wrong(f"preset is {name!r}, wanted one of {', '.join(names) or '(none)'}{near_miss(name, names)}")
        return {**cls.presets[name], **data}

    @property
    def lifetime_trials(self) -> int:
        """Trials of a whole lifetime: learning, then test."""
        return self.trials + self.test_trials

    @abstractmethod
    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[Any, TimeStep]:
        """The start of every lifetime, with frame 0; `seed` is an int or a key (int64 scalar tensor)."""

    @abstractmethod
    def step(self, state: Any, action: Tensor) -> tuple[Any, TimeStep]:
        """The state after an answer, what it earned, and the next frame. Pure; tensor operations alone."""

    @abstractmethod
    def observe(self, state: Any) -> Float[Tensor, "*B I"]:
        """The frame of this state."""

    @abstractmethod
    def oracle(self, state: Any) -> Tensor:
        """The best answer to the frame of this state, knowing what is hidden."""

    @abstractmethod
    def random_answer(self, key: Int[Tensor, "*B"]) -> Tensor:
        """An answer of the random policy, one a key."""

    def rollout(self, policy: Policy, lifetime: Int[Tensor, "*B"], steps: int, seed: int | Tensor = 0) -> Rollout:
        """`steps` steps of `policy` in every lifetime."""
        state, now = self.reset(lifetime, seed)
        rows = []
        for _ in range(steps):
            observation = now.observation
            action = policy(state, observation)
            state, now = self.step(state, action)
            rows.append((observation, action, now.reward, now.info))
        observations, actions, rewards, infos = zip(*rows, strict=True)
        info = Info(*(torch.stack(column) for column in zip(*infos, strict=True)))
        return Rollout(torch.stack(observations), torch.stack(actions), torch.stack(rewards), info)

    def random_policy(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> Policy:
        """The policy that `spec.chance` is about."""
        keys = rng.lifetime_keys(seed, lifetime, rng.POLICY)
        return lambda state, _: self.random_answer(rng.noise_keys(rng.trial_keys(keys, state.trial), state.step))

    def oracle_policy(self) -> Policy:
        """The policy that knows what is hidden."""
        return lambda state, _: self.oracle(state)


def one_of(words: Any) -> Callable[[Any], Any]:
    """A validator for a field of `Literal` words, with a near miss in its error."""
    allowed = list(get_args(words))

    def check(value: Any) -> Any:
        if value not in allowed:
            raise wrong(f"is {value!r}, wanted one of {', '.join(allowed)}{near_miss(value, allowed)}")
        return value

    return check
