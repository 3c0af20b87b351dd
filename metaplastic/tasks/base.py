"""What all tasks of this room share: presets, life in a closed loop, and the laws that make every mode agree.

An author states a task once, as functions of a key and a trial number (`DecisionTask`, `TrialTask`); whole blocks
(`decisions`, `render`) and the closed loop (`reset`, `step`) follow from them, with equal numbers.

Alignment: `reset` gives frame 0, and `step(state, answer)` judges the answer against frame t, the one that was seen,
and gives its reward beside frame t + 1. A life that is over is absorbing: observations and rewards are 0 for ever.

The random policy, which `spec.chance` is about, takes each action alike (each, act), draws every output from U(-1, 1)
at every step (readout, control), or waits until it may answer and then guesses one of the possible answers (choice).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import compiling, rng
from metaplastic.core import Task, TaskSpec, near_miss, wrong


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
    epochs: ClassVar[tuple[str, ...]] = ()
    """names of the parts of a trial, in order, if it has any"""
    pure: ClassVar[bool] = True
    """a step is a function of state and answer alone; False: something outside of tensors changes with it"""

    preset: str | None = None
    """named settings of a publication; fields that are given beside it go first"""
    trials: int = Field(default=100, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=20, ge=1)
    """trials of test after learning, plasticity off"""

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        name = data.get("preset")
        if name is not None and name not in cls.presets:
            names = list(cls.presets)
            raise wrong(f"preset is {name!r}, wanted one of {', '.join(names) or '(none)'}{near_miss(name, names)}")
        return cls.complete(cls.presets[name] if name else {}, data)

    @classmethod
    def complete(cls, preset: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """The settings that a preset and what was given beside it make; what was given goes first."""
        return {**preset, **given}

    @property
    def lifetime_trials(self) -> int:
        """Trials of a whole lifetime: learning, then test."""
        return self.trials + self.test_trials

    def tags_of_settings(self) -> tuple[str, ...]:
        """The tags, and those that only these settings deserve."""
        return self.tags

    @cached_property
    def facts(self) -> TaskSpec:
        """`spec`, made once: what a step may read, since making it can cost more than the step."""
        return self.spec

    def __copy__(self) -> Any:
        copied = super().__copy__()  # `model_copy` starts from it, and may change what `facts` was made of
        for name in set(vars(copied)) - set(type(self).model_fields):
            del vars(copied)[name]
        return copied

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        kept = {name: value for name, value in state["__dict__"].items() if name in type(self).model_fields}
        return {**state, "__dict__": kept}

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
    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """The random policy's answer in lifetimes with these POLICY keys at this trial, step and epoch (broadcast)."""

    def epoch_of(self, state: Any) -> Int[Tensor, "*B"]:
        """The epoch of the frame that is shown; 0 where trials have no parts."""
        return torch.zeros_like(state.trial)

    def step_(self, state: Any, seen: TimeStep, action: Tensor) -> None:
        """`step` that writes what comes of it into the tensors of the old: for capture in a CUDA graph."""
        made = [new.clone() for new in leaves(self.step(state, action))]  # what is new may lie in what is old
        for old, new in zip(leaves((state, seen)), made, strict=True):
            old.copy_(new)

    def rollout(
        self, policy: Policy, lifetime: Int[Tensor, "*B"], steps: int, seed: int | Tensor = 0, *, compiled: bool = False
    ) -> Rollout:
        """`steps` steps of `policy` in every lifetime; `compiled` compiles the task's step first (seconds)."""
        state, now = self.reset(lifetime, seed)
        step = self.step
        if compiled:
            self.step(state, policy(state, now.observation))  # makes the tables that are kept; else it compiles twice
            step = compiling.compiled(self.step)
        rows = []
        for _ in range(steps):
            observation = now.observation
            action = policy(state, observation)
            state, now = step(state, action)
            rows.append((observation, action, now.reward, now.info))
        observations, actions, rewards, infos = zip(*rows, strict=True)
        info = Info(*(torch.stack(column) for column in zip(*infos, strict=True)))
        return Rollout(torch.stack(observations), torch.stack(actions), torch.stack(rewards), info)

    def random_policy(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> Policy:
        """The policy that `spec.chance` is about."""
        keys = rng.lifetime_keys(seed, lifetime, rng.POLICY)
        return lambda state, _: self.random_answer(keys, state.trial, state.step, self.epoch_of(state))

    def oracle_policy(self) -> Policy:
        """The policy that knows what is hidden."""
        return lambda state, _: self.oracle(state)


def leaves(state: Any) -> list[Tensor]:
    """All tensors of a state of nested tuples, in order."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state or () for leaf in leaves(part)]


def settled(state: Any, *, fresh: bool = False) -> Any:
    """The same nested tuples with contiguous tensors (each its own if `fresh`): a compiled step meets one layout."""
    if isinstance(state, Tensor):
        return state.clone(memory_format=torch.contiguous_format) if fresh else state.contiguous()
    return None if state is None else rebuilt(state, [settled(part, fresh=fresh) for part in state])


def rebuilt(like: Any, parts: list[Any]) -> Any:
    """A tuple, or NamedTuple, of the form of `like`."""
    return tuple(parts) if type(like) is tuple else type(like)(*parts)


def choose(mask: Bool[Tensor, "*B"], yes: Any, no: Any) -> Any:
    """`yes` where the mask holds, else `no`, in every tensor [*B, ...] of two nested tuples of one form."""
    if isinstance(yes, Tensor):
        return torch.where(mask.reshape(*mask.shape, *(1,) * (yes.ndim - mask.ndim)), yes, no)
    return None if yes is None else rebuilt(yes, [choose(mask, *pair) for pair in zip(yes, no, strict=True)])


def renew(make: Callable[..., Any], given: tuple[Any, ...], old: Any, where: Bool[Tensor, "*B"]) -> Any:
    """`make(*given)` where the mask holds, `old` elsewhere; all are nested tuples of tensors [*B, ...].

    On a CPU only the lanes that need it are made, whose numbers depend on no other lane; where the number of lanes
    must not be asked for (compiled, vmap, a graph on a GPU) all are.
    """
    lanes = None
    if where.device.type == "cpu" and not torch.compiler.is_compiling():
        try:
            lanes = where.reshape(-1).nonzero().squeeze(-1)
        except RuntimeError:  # under torch.vmap
            lanes = None
    if lanes is None or (len(lanes) and len(lanes) == where.numel()):
        return choose(where, make(*given), old)
    if not len(lanes):
        return old
    few = make(*(_take(part, lanes, where.ndim) for part in given))
    return _put(old, few, lanes, where.ndim)


def _take(state: Any, lanes: Tensor, axes: int) -> Any:
    """These lanes of every tensor; the first `axes` axes count the lanes."""
    if isinstance(state, Tensor):
        return _flat(state, axes).index_select(0, lanes)
    return None if state is None else rebuilt(state, [_take(part, lanes, axes) for part in state])


def _flat(state: Tensor, axes: int) -> Tensor:
    """The first `axes` axes as one; a tensor may be empty."""
    return state.reshape(math.prod(state.shape[:axes]), *state.shape[axes:])


def _put(state: Any, few: Any, lanes: Tensor, axes: int) -> Any:
    """The state with these lanes replaced."""
    if isinstance(state, Tensor):
        flat = _flat(state, axes)
        return flat.index_copy(0, lanes, few.to(flat.dtype)).reshape(state.shape)
    return (
        None if state is None else rebuilt(state, [_put(*pair, lanes, axes) for pair in zip(state, few, strict=True)])
    )


def slices_of(widths: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The channels of an observation, [first, end) by name, from how many numbers each takes."""
    ends = list(accumulate(widths.values()))
    return {name: (end - widths[name], end) for name, end in zip(widths, ends, strict=True)}


def one_hot(index: Int[Tensor, "*B"], count: int) -> Float[Tensor, "*B N"]:
    """1 at `index`, 0 elsewhere; all 0 where the index is below 0. float32."""
    return (index[..., None] == torch.arange(count, device=index.device)).to(torch.float32)


def one_of(words: Any) -> Callable[[Any], Any]:
    """A validator for a field of `Literal` words, with a near miss in its error."""
    allowed = list(get_args(words))

    def check(value: Any) -> Any:
        if value not in allowed:
            raise wrong(f"is {value!r}, wanted one of {', '.join(allowed)}{near_miss(value, allowed)}")
        return value

    return check
