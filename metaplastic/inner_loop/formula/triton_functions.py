"""The functions of formulas for Triton kernels, on blocks of float32; the same as those for Numba.

Import it only where triton is installed. A constexpr stands on the right of an operator: on the left, Triton's
interpreter wraps the whole result in one. `@no_type_check` keeps the tests' type checker from what Triton must compile.
"""

from typing import no_type_check

import triton
import triton.language as tl

from metaplastic.inner_loop.formula import numba_functions as same

_END = tl.constexpr(float(same.TANH_END))
_P0, _P1, _P2, _P3, _P4, _P5, _P6 = (tl.constexpr(float(c)) for c in same.TANH_P)
_Q0, _Q1, _Q2, _Q3 = (tl.constexpr(float(c)) for c in (same.Q0, same.Q1, same.Q2, same.Q3))


@triton.jit
@no_type_check
def tanh_of(x):
    """tanh, by the ratio of polynomials of `numba_functions.py`; NaN stays NaN."""
    x = tl.where(x < -_END, -_END, x)
    x = tl.where(x > _END, _END, x)
    s = x * x
    p = x * (s * (s * (s * (s * (s * (s * _P6 + _P5) + _P4) + _P3) + _P2) + _P1) + _P0)
    return p / (s * (s * (s * _Q3 + _Q2) + _Q1) + _Q0)


@triton.jit
@no_type_check
def sigmoid_of(x):
    """1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2."""
    return tanh_of(x * 0.5) * 0.5 + 0.5


@triton.jit
@no_type_check
def exp_of(x):
    """Exponential."""
    return tl.exp(x * 1.0)


@triton.jit
@no_type_check
def log_of(x):
    """Natural logarithm."""
    return tl.log(x * 1.0)


@triton.jit
@no_type_check
def sqrt_of(x):
    """Square root."""
    return tl.sqrt(x * 1.0)


@triton.jit
@no_type_check
def pow_of(x, y):
    """x to any power; NaN for a negative x to a broken power."""
    x, y = x + y * 0.0, y + x * 0.0
    size = tl.where(
        x == 0.0, tl.where(y == 0.0, 1.0, tl.where(y > 0.0, 0.0, float("inf"))), tl.exp(y * tl.log(tl.abs(x)))
    )
    is_whole, is_odd = tl.floor(y) == y, tl.floor(y * 0.5) * 2.0 != y
    below = tl.where(is_whole, tl.where(is_odd, -size, size), float("nan"))
    return tl.where(x < 0.0, below, size)


@triton.jit
@no_type_check
def abs_of(x):
    """|x|."""
    return tl.where(x < 0.0, -x, x)


@triton.jit
@no_type_check
def sign_of(x):
    """-1, 0 or 1; 0 for NaN, as in PyTorch."""
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0))


@triton.jit
@no_type_check
def relu_of(x):
    """max(x, 0); NaN stays NaN."""
    return tl.where(x <= 0.0, 0.0, x)


@triton.jit
@no_type_check
def step_of(x):
    """1 above 0, else 0."""
    return tl.where(x > 0.0, 1.0, 0.0)


@triton.jit
@no_type_check
def min_of(x, y):
    """The smaller; NaN if either is."""
    x, y = x + y * 0.0, y + x * 0.0
    return tl.where(y < x, y, x)


@triton.jit
@no_type_check
def max_of(x, y):
    """The larger; NaN if either is."""
    x, y = x + y * 0.0, y + x * 0.0
    return tl.where(y > x, y, x)


@triton.jit
@no_type_check
def clip_of(x, low, high):
    """x between low and high; NaN stays NaN."""
    return min_of(max_of(x, low), high)


@triton.jit
@no_type_check
def power_2(x):
    """x squared."""
    return x * x


@triton.jit
@no_type_check
def power_3(x):
    """x cubed."""
    return x * x * x


@triton.jit
@no_type_check
def power_4(x):
    """x to the fourth."""
    return power_2(x * x)


@triton.jit
@no_type_check
def power_5(x):
    """x to the fifth."""
    return x * power_4(x)


@triton.jit
@no_type_check
def power_7(x):
    """x to the seventh."""
    return power_3(x) * power_4(x)
