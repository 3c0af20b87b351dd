"""Lives without end: where a life is over the next one begins with the same step, for agents that expect it.

Life k after the first, with key K, has the key fold(fold(K, 3), k) (rng.py). A task is asked for lives by number, so
`lifetime_of` gives the number whose key that is: `fold` can be undone, since each step of its finaliser can.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import TimeStep, renew
from metaplastic.tasks.constants import constant
from metaplastic.tasks.wrappers.wrapper import Wrapped, Wrapper


class Lives(NamedTuple):
    """Which life it is."""

    first: Int[Tensor, "*B"]
    """key of the first one"""
    over: Int[Tensor, "*B"]
    """lives that are over"""
    final: Float[Tensor, "*B I"]
    """what was seen when the last one ended; 0 before"""


class AutoReset(Wrapper):
    """The next life begins where one ends; `terminated` is told, and the old frame is in the state (`kept.final`)."""

    kind: Literal["AutoReset"] = "AutoReset"

    @property
    def spec(self) -> TaskSpec:
        """No blocks: which life it is depends on what was done."""
        return self.described(open_loop=False)

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[Wrapped, TimeStep]:
        """The first lives."""
        inner, first = self.task.reset(lifetime, seed)
        key = rng.lifetime_keys(seed, lifetime)
        _root(key.device)  # made now, so that a compiled step finds it
        lives = Lives(key, torch.zeros_like(key), torch.zeros_like(first.observation))
        state = self.enclosed(self.own_key(lifetime, seed), inner, lives, fresh=True)
        return state, first._replace(observation=self.observe(state))

    def step(self, state: Wrapped, action: Tensor) -> tuple[Wrapped, TimeStep]:
        """Act; begin anew where that was the end."""
        inner, seen = self.task.step(state.inner, action)
        over = seen.terminated | seen.truncated
        lives = state.kept
        count = lives.over + over
        final = torch.where(over[..., None], seen.observation, lives.final)
        inner = renew(self._born, (lives.first, count), inner, over)
        after = self.enclosed(state.key, inner, Lives(lives.first, count, final))
        return after, seen._replace(observation=self.observe(after))

    def again(self, state: Wrapped) -> tuple[Wrapped, TimeStep]:
        """The next life of every lane, whether the last one was over or not."""
        lives = state.kept
        count = lives.over + 1
        inner, first = self._reset(lives.first, count)
        after = self.enclosed(state.key, inner, lives._replace(over=count), fresh=True)
        return after, first._replace(observation=self.observe(after))

    def _reset(self, first: Int[Tensor, "*B"], count: Int[Tensor, "*B"]) -> tuple[Any, TimeStep]:
        key = rng.episode_keys(first, count)
        return self.task.reset(lifetime_of(key), _root(key.device))

    def _born(self, first: Int[Tensor, "*B"], count: Int[Tensor, "*B"]) -> Any:
        return self._reset(first, count)[0]


_ROOT = int(rng.root(0))
_TASK = int(rng.fold(rng.root(0), rng.TASK))


def _root(device: torch.device) -> Int[Tensor, ""]:
    return constant((_ROOT,), device, torch.int64)[0]


def _signed(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _undone(z: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
    """The word that MurmurHash3's finaliser turned into z; a shift of 33 of 64 bits is its own inverse."""
    for factor in (rng.B2, rng.B1):
        z = (z ^ ((z >> 33) & ((1 << 31) - 1))) * _signed(pow(factor, -1, 1 << 64))
    return z ^ ((z >> 33) & ((1 << 31) - 1))


def lifetime_of(key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
    """The lifetime numbers whose keys, with seed 0, are these: `lifetime_keys(0, lifetime_of(key)) == key`."""
    return (_undone(key) - _TASK) * _signed(pow(rng.DELTA, -1, 1 << 64)) - 1
