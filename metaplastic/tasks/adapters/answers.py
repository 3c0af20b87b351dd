"""Spaces of Gymnasium as our observations and answers; of any version of it, so that NeuroGym's can be read as well.

An action of ours, 0 … A - 1, is theirs counted from `start`. An output u in [-1, 1] is

    low + (u + 1) / 2 (high - low)                                                                                (1)

of a bounded box, in its own order.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metaplastic.core import ConfigError
from metaplastic.tasks.base import slices_of


class Answers(NamedTuple):
    """How answers are given."""

    response: Literal["act", "control"]
    size: int
    """A, actions or outputs"""
    start: int = 0
    """their first action"""
    low: np.ndarray | None = None
    """of a box, in its shape"""
    high: np.ndarray | None = None

    def given(self, action: Tensor, lanes: tuple[int, ...]) -> np.ndarray:
        """Our answers as theirs, one row a lane.

        Raises:
            ValueError: unless there is one answer a lane.
        """
        wanted = (*lanes, self.size) if self.response == "control" else lanes
        if tuple(action.shape) != wanted:
            raise ValueError(f"actions have shape {tuple(action.shape)}, wanted {wanted}: one a lane")
        if self.low is None or self.high is None:
            return action.reshape(-1).to(torch.int64).numpy(force=True) + self.start
        outputs = action.reshape(-1, *self.low.shape).clamp(-1, 1).numpy(force=True)
        return (self.low + (outputs + 1) / 2 * (self.high - self.low)).astype(self.low.dtype)

    def ours(self, action: np.ndarray) -> np.ndarray:
        """Their answers [N, ...] as ours: what `given` turns into them."""
        if self.low is None or self.high is None:
            return np.asarray(action, np.int64) - self.start
        return ((action - self.low) / (self.high - self.low) * 2 - 1).reshape(len(action), -1)


def answers_of(space: Any, name: str) -> Answers:
    """How the actions of a space are given.

    Raises:
        ConfigError: for a space that is neither Discrete nor a bounded Box.
    """
    kind = type(space).__name__
    if kind == "Discrete":
        return Answers("act", int(space.n), int(getattr(space, "start", 0)))
    if kind == "Box" and bool(np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        return Answers("control", int(np.prod(space.shape)), 0, space.low, space.high)
    raise ConfigError(
        f"{name} is acted upon by {space}, wanted Discrete or a bounded Box; wrap it (gymnasium.wrappers), register "
        "the wrapped one and name it"
    )


def channels_of(space: Any, name: str) -> dict[str, tuple[int, int]]:
    """The channels of flattened observations: by the keys of a Dict, else all as one.

    Raises:
        ConfigError: for a space that has no fixed number of values.
    """
    from gymnasium.spaces.utils import flatdim

    try:
        parts = space.spaces if type(space).__name__ == "Dict" else {"observation": space}
        return slices_of({part: int(flatdim(inside)) for part, inside in parts.items()})
    except (NotImplementedError, ValueError) as why:
        raise ConfigError(f"{name} shows {space}, which has no fixed number of values ({why})") from None


def flat(space: Any, seen: Any) -> np.ndarray:
    """An observation as a row of float32."""
    if type(space).__name__ == "Box":
        return np.asarray(seen, np.float32).reshape(-1)
    from gymnasium.spaces.utils import flatten

    return np.asarray(flatten(space, seen), np.float32)
