"""The random numbers of `rng.py` for Numba kernels: scalars, one word at a time, the same integers bit for bit.

Keys and words are uint64, or the int64 with the same bits as they lie in tensors (`keys.numpy()`). `data` and `n` are
whole numbers of any sign. Floats are float32 throughout: one float64 would halve a kernel's speed.

    key = fold(fold(life, 1), trial)
    x = normal(word(key, i))                      # i = 0, 1, …: the numbers of `normal(words(key, n))`

`@no_type_check` keeps the tests' run-time type checker from wrapping what Numba must compile. Compiled without
`fastmath`, the functions keep their rounding inside kernels that have it. Called from Python they give Python ints:
hand such a word on as `np.uint64(word)`.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit

from metaplastic import rng

_GAMMA, _DELTA, _ONE = np.uint64(rng.GAMMA), np.uint64(rng.DELTA), np.uint64(1)
_A1, _A2, _B1, _B2 = np.uint64(rng.A1), np.uint64(rng.A2), np.uint64(rng.B1), np.uint64(rng.B2)
_16, _27, _30, _31, _32 = np.uint64(16), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_33, _40, _48 = np.uint64(33), np.uint64(40), np.uint64(48)
_LOW16, _LOW24 = np.uint64(0xFFFF), np.uint64(0xFFFFFF)
_TO_UNIT, _TAU = np.float32(2.0**-24), np.float32(2.0 * math.pi)
_MINUS_TWO, _TO_SD = np.float32(-2.0), np.float32(math.sqrt(3.0) / 65536.0)

_compiled = njit(error_model="numpy", nogil=True)


@_compiled
@no_type_check
def _key_of(z):
    """Equation (2)."""
    z = (z ^ (z >> _33)) * _B1
    z = (z ^ (z >> _33)) * _B2
    return z ^ (z >> _33)


@_compiled
@no_type_check
def root(seed):
    """The key of a seed (3)."""
    return _key_of(np.uint64(seed) + _DELTA)


@_compiled
@no_type_check
def fold(key, data):
    """The child key number `data` (4)."""
    return _key_of(np.uint64(key) + _DELTA * (np.uint64(data) + _ONE))


@_compiled
@no_type_check
def word(key, n):
    """Word number n = 0, 1, … of a key (5)."""
    z = np.uint64(key) + _GAMMA * (np.uint64(n) + _ONE)
    z = (z ^ (z >> _30)) * _A1
    z = (z ^ (z >> _27)) * _A2
    return z ^ (z >> _31)


@_compiled
@no_type_check
def uniform(w):
    """Uniform in [0, 1) on the grid of 2^-24."""
    return np.float32(np.uint64(w) >> _40) * _TO_UNIT


@_compiled
@no_type_check
def below(w, n):
    """A whole number in [0, n), 0 < n <= 2^31."""
    return np.int64(((np.uint64(w) >> _32) * np.uint64(n)) >> _32)


@_compiled
@no_type_check
def coin(w, p):
    """True with the probability p, a float32; `rng.grid` makes the one that `rng.coin` uses of a Python float."""
    return uniform(w) < np.float32(p)


@_compiled
@no_type_check
def normal(w):
    """Standard normal, one a word: Box & Muller's cosine."""
    w = np.uint64(w)
    u1 = np.float32((w >> _40) + _ONE) * _TO_UNIT
    u2 = np.float32(w & _LOW24) * _TO_UNIT
    return np.float32(math.sqrt(_MINUS_TWO * math.log(u1)) * math.cos(_TAU * u2))


@_compiled
@no_type_check
def normal_int(w):
    """Nearly normal, the same bits everywhere: the sum of four 16-bit fields."""
    w = np.uint64(w)
    total = (w & _LOW16) + ((w >> _16) & _LOW16) + ((w >> _32) & _LOW16) + (w >> _48)
    return np.float32(np.int64(total) - np.int64(131070)) * _TO_SD


_kept = njit(error_model="numpy", nogil=True, cache=True)


@_kept
@no_type_check
def fill_words(keys, first, out):
    """Words number first, first + 1, … of each key into out[key, :] (int64): what `rng.words` gives."""
    for row in range(len(keys)):
        for i in range(out.shape[1]):
            out[row, i] = np.int64(word(keys[row], first + i))


@_kept
@no_type_check
def fill_pairs(keys, first, radius, angle):
    """u1 and the angle of `normal` for the same words, float32, into radius[key, :] and angle[key, :]."""
    for row in range(len(keys)):
        for i in range(radius.shape[1]):
            w = word(keys[row], first + i)
            radius[row, i] = np.float32(np.int32(w >> _40) + np.int32(1)) * _TO_UNIT
            angle[row, i] = np.float32(np.int32(w & _LOW24)) * _TO_UNIT * _TAU
