"""Curves that every lifetime draws for itself: sums of sines whose period is the trial.

    f(s) = c (sum_k a_k sin(2 pi (n_k s + phi_k)) - f_0),   s the part of the trial that has passed               (1)

    sines       one output, n = 1, 2, 3, 5, a from U(.5, 2), f_0 such that the curve begins at 0
    lissajous   two outputs that draw a closed figure, n = 1 .. 5, a from U(.2, 1) / n, f_0 = 0

phi are from U(0, 1), and c makes the largest absolute value of the outputs over the trial 1. `sines` is the target of
the e-prop tutorial (Bellec et al. 2020; its code has periods of 1000, 500, 333 and 200 ms in a trial of 1000 ms, of
which it takes whole numbers; its last step repeats the first, ours is the one before). `lissajous` is our own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.patterns.targets import sine


class Family(NamedTuple):
    """What curves of a kind have in common."""

    cycles: tuple[int, ...]
    """n"""
    outputs: int
    least: float
    """of a"""
    most: float
    falls: bool
    """a is divided by n"""
    from_zero: bool
    """f_0 is what makes f(0) = 0"""


class Sines(NamedTuple):
    """Curves of lifetimes [*B]."""

    size: Float[Tensor, "*B A K"]
    """a c"""
    phase: Float[Tensor, "*B A K"]
    """phi"""
    offset: Float[Tensor, "*B A"]
    """f_0 c"""


FAMILIES = {
    "sines": Family((1, 2, 3, 5), 1, 0.5, 2.0, falls=False, from_zero=True),
    "lissajous": Family((1, 2, 3, 4, 5), 2, 0.2, 1.0, falls=True, from_zero=False),
}


def born(family: Family, key: Int[Tensor, "*B"], steps: int) -> Sines:
    """The curves of lifetimes with these keys, scaled over trials of this many steps."""
    drawn = rng.uniforms(key, 2, family.outputs, len(family.cycles))
    size, phase = drawn.unbind(-3)
    size = family.least + (family.most - family.least) * size
    if family.falls:
        size = torch.stack([size[..., k] / n for k, n in enumerate(family.cycles)], -1)
    zero = torch.zeros_like(size[..., 0])
    s = torch.arange(steps, device=key.device, dtype=torch.float32) / steps
    curve = at(family, Sines(size, phase, zero), s.reshape(-1, *(1,) * key.ndim))
    offset = curve[0] if family.from_zero else zero
    scale = 1 / (curve - offset).abs().amax((0, -1))
    return Sines(size * scale[..., None, None], phase, offset * scale[..., None])


def at(family: Family, curves: Sines, s: Float[Tensor, "*S"]) -> Float[Tensor, "*T A"]:
    """(1), of curves [*B]; [*T] is what [*S] and [*B] broadcast to."""
    total = -curves.offset
    for k, n in enumerate(family.cycles):  # one by one, so that the sum is the same in every shape
        total = total + curves.size[..., k] * sine(n * s[..., None] + curves.phase[..., k])
    return total
