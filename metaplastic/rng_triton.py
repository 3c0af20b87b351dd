"""The random numbers of `rng.py` for Triton kernels: blocks of words, the same integers bit for bit.

Import it only where triton is installed (it comes with CUDA builds of torch; `pip install 'metaplastic[triton]'`).
Keys and words are blocks of uint64; keys loaded from an int64 tensor become such by `as_key`. `data` and `n` are whole
numbers or blocks that broadcast with the key.

    key = fold(fold(as_key(tl.load(life)), 1), trial)
    x = normal(word(key, tl.arange(0, UNITS)))    # the numbers of `normal(words(key, UNITS))`

A constexpr stands on the right of an operator here: on the left, Triton's interpreter wraps the whole result in one.
`@no_type_check` keeps the tests' run-time type checker from wrapping what Triton must compile.
"""

import math
from typing import no_type_check

import triton
import triton.language as tl

from metaplastic import rng

_GAMMA, _DELTA = tl.constexpr(rng.GAMMA), tl.constexpr(rng.DELTA)
_A1, _A2 = tl.constexpr(rng.A1), tl.constexpr(rng.A2)
_B1, _B2 = tl.constexpr(rng.B1), tl.constexpr(rng.B2)
_TO_UNIT, _TAU = tl.constexpr(2.0**-24), tl.constexpr(2.0 * math.pi)
_TO_SD = tl.constexpr(math.sqrt(3.0) / 65536.0)


@triton.jit
@no_type_check
def as_key(key):
    """An int64 key, as it lies in a tensor, as uint64."""
    return tl.cast(key, tl.uint64, bitcast=True)


@triton.jit
@no_type_check
def _key_of(z):
    """Equation (2)."""
    z = (z ^ (z >> 33)) * _B1
    z = (z ^ (z >> 33)) * _B2
    return z ^ (z >> 33)


@triton.jit
@no_type_check
def root(seed):
    """The key of a seed (3), a block or scalar of int64."""
    return _key_of(as_key(tl.cast(seed, tl.int64)) + _DELTA)


@triton.jit
@no_type_check
def fold(key, data):
    """The child key number `data` (4)."""
    return _key_of(key + as_key(tl.cast(data, tl.int64) + 1) * _DELTA)


@triton.jit
@no_type_check
def word(key, n):
    """Word number n = 0, 1, … of a key (5)."""
    z = key + as_key(tl.cast(n, tl.int64) + 1) * _GAMMA
    z = (z ^ (z >> 30)) * _A1
    z = (z ^ (z >> 27)) * _A2
    return z ^ (z >> 31)


@triton.jit
@no_type_check
def uniform(w):
    """Uniform in [0, 1) on the grid of 2^-24."""
    return (w >> 40).to(tl.int32).to(tl.float32) * _TO_UNIT


@triton.jit
@no_type_check
def below(w, n):
    """A whole number in [0, n), 0 < n <= 2^31, as int64."""
    return (((w >> 32) * as_key(tl.cast(n, tl.int64))) >> 32).to(tl.int64)


@triton.jit
@no_type_check
def coin(w, p):
    """True with the probability p, a float32; `rng.grid` makes the one that `rng.coin` uses of a Python float."""
    return uniform(w) < p


@triton.jit
@no_type_check
def normal(w):
    """Standard normal, one a word: Box & Muller's cosine."""
    u1 = ((w >> 40).to(tl.int32) + 1).to(tl.float32) * _TO_UNIT
    u2 = (w & 0xFFFFFF).to(tl.int32).to(tl.float32) * _TO_UNIT
    return tl.sqrt(tl.log(u1) * -2.0) * tl.cos(u2 * _TAU)


@triton.jit
@no_type_check
def normal_int(w):
    """Nearly normal, the same bits everywhere: the sum of four 16-bit fields."""
    total = (w & 0xFFFF) + ((w >> 16) & 0xFFFF) + ((w >> 32) & 0xFFFF) + (w >> 48)
    return (total.to(tl.int32) - 131070).to(tl.float32) * _TO_SD
