"""What is known of the body, with the delays and the noise of vision and proprioception.

The last D + 1 measurements are kept, each made with its noise when it was due; what is sensed now is the one of as many
steps ago as its sense is late. Before a trial the body has been at rest where it starts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng


class Sense(NamedTuple):
    """How a part of the measurement is known."""

    width: int
    """numbers"""
    late: int
    """steps"""
    sd: float
    """standard deviation of its noise at a step"""


def noise_sd(sigma: float, dt: float) -> float:
    """Of a step, from sigma in sqrt(ms): the information in a ms does not depend on dt."""
    return sigma / math.sqrt(dt)


def measured(exact: Float[Tensor, "*B S"], senses: tuple[Sense, ...], key: Int[Tensor, "*B"]) -> Float[Tensor, "*B S"]:
    """A measurement; its noise is drawn from `key`."""
    if not any(sense.sd for sense in senses):
        return exact
    parts = exact.split([sense.width for sense in senses], -1)
    keys = [rng.fold(key, number) for number in range(len(senses))]
    noisy = [
        part + rng.normals(own, sense.width) * sense.sd for part, own, sense in zip(parts, keys, senses, strict=True)
    ]
    return torch.cat(noisy, -1)


def at_rest(
    exact: Float[Tensor, "*B S"], senses: tuple[Sense, ...], key: Int[Tensor, "*B"]
) -> Float[Tensor, "*B D1 S"]:
    """The measurements before a trial, the oldest first."""
    oldest = max(sense.late for sense in senses)
    return torch.stack([measured(exact, senses, rng.fold(key, age)) for age in range(oldest, -1, -1)], -2)


def remembered(kept: Float[Tensor, "*B D1 S"], new: Float[Tensor, "*B S"]) -> Float[Tensor, "*B D1 S"]:
    """The new measurement joins, the oldest goes."""
    return torch.cat((kept[..., 1:, :], new[..., None, :]), -2)


def sensed(kept: Float[Tensor, "*B D1 S"], senses: tuple[Sense, ...]) -> Float[Tensor, "*B S"]:
    """What is known now."""
    parts, first = [], 0
    for sense in senses:
        parts.append(kept[..., -1 - sense.late, first : first + sense.width])
        first += sense.width
    return torch.cat(parts, -1)
