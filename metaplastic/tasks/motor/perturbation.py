"""What makes reaching worth learning again: a force field on the hand, and a turned view of it.

    F = b [[0, 1], [-1, 0]] v                         curl field (Shadmehr & Mussa-Ivaldi 1994), b N s/m            (1)
    seen = start + R(theta) (hand - start)            visuomotor rotation (Krakauer et al. 2000), theta rad         (2)

The signs of b and theta are drawn for every lifetime, both alike, and so is the size of theta, uniformly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng


class Perturbation(NamedTuple):
    """The laws of a lifetime or trial."""

    curl: Float[Tensor, "*B"]
    """b, with its sign"""
    turn: Float[Tensor, "*B"]
    """theta, with its sign"""


def of_lifetime(key: Int[Tensor, "*B"], curl: float, degrees: tuple[float, float]) -> Perturbation:
    """Signs and the size of theta from the parameter keys."""
    signs = [torch.where(rng.coin(rng.word(key, k), 0.5), 1.0, -1.0).to(torch.float32) for k in (0, 1)]
    low, high = (math.radians(value) for value in degrees)
    return Perturbation(signs[0] * curl, signs[1] * (low + (high - low) * rng.uniform(rng.word(key, 2))))


def of_trial(life: Perturbation, is_on: Bool[Tensor, "*B"], is_reversed: Bool[Tensor, "*B"]) -> Perturbation:
    """The lifetime's laws, none of them, or their opposite."""
    factor = is_on * torch.where(is_reversed, -1.0, 1.0)
    return Perturbation(life.curl * factor, life.turn * factor)


def field(velocity: Float[Tensor, "*B 2"], laws: Perturbation) -> Float[Tensor, "*B 2"]:
    """The force on the hand (1), N."""
    x, y = velocity.unbind(-1)
    return torch.stack((laws.curl * y, -laws.curl * x), -1)


def turned(
    place: Float[Tensor, "*B 2"], about: Float[Tensor, "*B 2"], laws: Perturbation | None, *, back: bool = False
) -> Float[Tensor, "*B 2"]:
    """Where the hand is seen (2); `back`: where it must be to be seen at a place."""
    if laws is None:
        return place
    x, y = (place - about).unbind(-1)
    cosine, sine = laws.turn.cos(), laws.turn.sin() * (-1.0 if back else 1.0)
    return about + torch.stack((cosine * x - sine * y, sine * x + cosine * y), -1)
