"""Glyphs: characters of alphabets that nobody has seen, as many classes as one likes, drawn where they are needed.

A class is 1 to 4 strokes in the unit square, each a Bezier curve of second or third degree between ends at least 0.3
apart; class number c is drawn from a key of its own, the same in every run. An instance moves every control point by
N(0, 0.03) and the whole by a random affine map about the centre:

    p -> centre + scale R(angle) [1 shear; 0 1] (p - centre) + shift                                             (1)
    angle +-8 degrees, scale 0.9 .. 1.1, shear +-0.1, shift +-0.05 in x and y, each uniform
    ink of a pixel = exp(-d^2 / 2 width^2), d its distance to the nearest of 32 points a stroke                  (2)

with a width from 0.03 to 0.05. A picture shows the unit square and a margin of 0.1 around it. In the spirit of Omniglot
(Lake, Salakhutdinov & Tenenbaum 2015), whose pictures this stands in for where nothing is to be downloaded; every
number is our own choice.

Ranges of class numbers are the splits: no class of one is in another.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.constants import constant

Split = Literal["train", "validation", "test"]

STROKES, POINTS = 4, 32
"""most strokes of a class, points drawn of each"""
SHORTEST = 0.3
"""least distance between the ends of a stroke"""
TRIES = 8
"""ends that are tried before a stroke ends in the corner farthest from its start"""
JITTER, TURN, STRETCH, SHEAR, SHIFT = 0.03, math.radians(8), 0.1, 0.1, 0.05
"""(1)"""
THIN, THICK, MARGIN = 0.03, 0.05, 0.1
"""(2)"""
SPLITS = MappingProxyType({"train": (0, 100_000), "validation": (100_000, 50_000), "test": (150_000, 50_000)})
"""split -> its first class, how many it has"""

_ALPHABET = int(rng.fold(rng.root(0), 0x676C797068))
"""the key whose children are the classes"""
_FAR = 9.0
"""where points of strokes are that a class lacks"""
_AT_ONCE = MappingProxyType({"cpu": 1 << 20, "cuda": 1 << 28})
"""distances that are made at once where no compiler fuses them: what a cache, or a part of the memory, holds"""
_BASIS = tuple(
    tuple(math.comb(3, k) * (i / (POINTS - 1)) ** k * (1 - i / (POINTS - 1)) ** (3 - k) for i in range(POINTS))
    for k in range(4)
)
"""weights of the four control points at each point"""


def strokes(index: Int[Tensor, "*C"]) -> Float[Tensor, "*C 4 4 2"]:
    """Control points (x to the right, y down) of the strokes of classes; those that a class lacks lie far away.

    A curve of second degree is written as the one of third degree that it is.
    """
    key = rng.fold(constant((_ALPHABET,), index.device, torch.int64)[0], index)
    count = 1 + rng.below(rng.word(key, 0), STROKES)
    number = rng.numbers(STROKES, index.device)
    words = rng.words(rng.fold(key[..., None], number), 7 + 2 * TRIES)
    start, one, other = rng.uniform(words[..., 1:7]).unflatten(-1, (3, 2)).unbind(-2)
    end = _end(start, rng.uniform(words[..., 7:]).unflatten(-1, (TRIES, 2)))
    is_cubic = rng.coin(words[..., :1], 0.5)
    first = torch.where(is_cubic, one, start + (one - start) * (2 / 3))
    second = torch.where(is_cubic, other, end + (one - end) * (2 / 3))
    points = torch.stack((start, first, second, end), -2)
    return torch.where((number < count[..., None])[..., None, None], points, _FAR)


def instances(index: Int[Tensor, "*B"], key: Int[Tensor, "*B"], side: int) -> Float[Tensor, "*B pixels"]:
    """Pictures of side x side pixels, row by row, one of each class number; a key draws its instance."""
    words = rng.words(rng.fold(key, 0), 6)
    spread = rng.normals(rng.fold(key, 1), STROKES, 4, 2) * JITTER
    angle, scale, shear, right, down = (rng.uniform(words[..., :5]) * 2 - 1).unbind(-1)
    width = THIN + (THICK - THIN) * rng.uniform(words[..., 5])
    x, y = ((strokes(index) + spread) - 0.5).unbind(-1)
    x, y = _mapped(x, y, *(each[..., None, None] for each in (angle * TURN, 1 + scale * STRETCH, shear * SHEAR)))
    x = x + (0.5 + right * SHIFT)[..., None, None]
    y = y + (0.5 + down * SHIFT)[..., None, None]
    return _drawn(x, y, width, side)


def _end(start: Float[Tensor, "*C 2"], tried: Float[Tensor, "*C N 2"]) -> Float[Tensor, "*C 2"]:
    """The first of the tried ends that is far enough, or the farthest corner of the square."""
    corner = (start < 0.5).to(start.dtype)
    tried = torch.cat((tried, corner[..., None, :]), -2)
    far = (tried - start[..., None, :]).square().sum(-1) >= SHORTEST**2
    place = far.to(torch.int8).argmax(-1)
    return tried.gather(-2, place[..., None, None].expand(*place.shape, 1, 2)).squeeze(-2)


def _mapped(x: Tensor, y: Tensor, angle: Tensor, scale: Tensor, shear: Tensor) -> tuple[Tensor, Tensor]:
    """(1), without its centre and shift."""
    x = x + shear * y
    cos, sin = scale * angle.cos(), scale * angle.sin()
    return cos * x - sin * y, sin * x + cos * y


def _drawn(
    x: Float[Tensor, "*B 4 4"], y: Float[Tensor, "*B 4 4"], width: Float[Tensor, "*B"], side: int
) -> Float[Tensor, "*B pixels"]:
    """(2) for curves with these control points."""
    pixel = (torch.arange(side, device=x.device) + 0.5) * ((1 + 2 * MARGIN) / side) - MARGIN
    across, along = ((_curve(c)[..., None] - pixel).square().reshape(-1, STROKES * POINTS, side) for c in (x, y))
    rows = max(1, _AT_ONCE.get(x.device.type, 1 << 20) // (STROKES * POINTS * side * side))
    rows = max(1, len(across)) if torch.compiler.is_compiling() else rows
    blocks = zip(across.split(rows), along.split(rows), strict=True)
    square = torch.cat([(a[:, :, None, :] + b[:, :, :, None]).amin(1).flatten(1) for a, b in blocks])
    square = square.reshape(*width.shape, side * side)
    return torch.exp(square * (-0.5 / width.square())[..., None])


def _curve(controls: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B points"]:
    """One coordinate of the points of all strokes; added in a fixed order, so that the batch changes no bit."""
    basis = constant(_BASIS, controls.device)
    terms = [controls[..., k, None] * basis[k] for k in range(4)]
    return (terms[0] + terms[1] + terms[2] + terms[3]).flatten(-2)
