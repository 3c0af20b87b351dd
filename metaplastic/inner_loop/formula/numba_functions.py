"""The functions of formulas for Numba kernels, in float32. This file's text is the head of every generated kernel.

tanh is a ratio of polynomials on [-7.9, 7.9] and constant beyond, accurate to 5e-7: libm's costs more than all else in
a step. The form and the coefficients are those of Eigen's float tanh (Eigen 3.4, MathFunctionsImpl.h).

Fast arithmetic may reorder and fuse, but must not assume that numbers are finite: a life that diverges has to be seen.
"""

import math
from typing import no_type_check

import numba
import numpy as np

FAST = {"reassoc", "contract", "arcp", "afn", "nsz"}  # neither nnan nor ninf
ONE = np.float32(1)
HALF = np.float32(0.5)
ZERO = np.float32(0)
TANH_END = np.float32(7.90531110763549805)
TANH_P = tuple(
    np.float32(c)
    for c in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
P0, P1, P2, P3, P4, P5, P6 = TANH_P
Q0, Q1, Q2, Q3 = (
    np.float32(c) for c in (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)
)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def tanh_of(x):
    """tanh, by a ratio of polynomials."""
    x = -TANH_END if x < -TANH_END else x
    x = TANH_END if x > TANH_END else x
    s = x * x
    p = x * (P0 + s * (P1 + s * (P2 + s * (P3 + s * (P4 + s * (P5 + s * P6))))))
    return p / (Q0 + s * (Q1 + s * (Q2 + s * Q3)))


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def sigmoid_of(x):
    """1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2."""
    return HALF + HALF * tanh_of(HALF * x)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def exp_of(x):
    """Exponential."""
    return np.float32(math.exp(x))


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def log_of(x):
    """Natural logarithm."""
    return np.float32(math.log(x))


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def sqrt_of(x):
    """Square root."""
    return np.float32(math.sqrt(x))


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def pow_of(x, y):
    """x to any power; NaN for a negative x to a broken power."""
    return np.float32(math.pow(x, y))


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def abs_of(x):
    """|x|."""
    return -x if x < ZERO else x


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def sign_of(x):
    """-1, 0 or 1; 0 for NaN, as in PyTorch."""
    return ONE if x > ZERO else (-ONE if x < ZERO else ZERO)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def relu_of(x):
    """max(x, 0); NaN stays NaN."""
    return ZERO if x <= ZERO else x


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def step_of(x):
    """1 above 0, else 0."""
    return ONE if x > ZERO else ZERO


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def min_of(x, y):
    """The smaller; NaN if either is."""
    return y if y < x else (x if y == y else y)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def max_of(x, y):
    """The larger; NaN if either is."""
    return y if y > x else (x if y == y else y)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def clip_of(x, low, high):
    """x between low and high; NaN stays NaN."""
    return min_of(max_of(x, low), high)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def power_2(x):
    """x squared."""
    return x * x


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def power_3(x):
    """x cubed."""
    return x * x * x


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def power_4(x):
    """x to the fourth."""
    return power_2(x * x)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def power_5(x):
    """x to the fifth."""
    return x * power_4(x)


@numba.njit(fastmath=FAST, error_model="numpy")
@no_type_check
def power_7(x):
    """x to the seventh."""
    return power_3(x) * power_4(x)
