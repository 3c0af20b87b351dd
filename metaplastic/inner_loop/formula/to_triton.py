"""Expressions as text of Triton arithmetic on blocks of float32: for GPU kernels that hold a life's weights on chip.

A scalar is a number, `pre` a block [1, M], `post` a block [N, 1], a synapse's value a block [N, M]; they broadcast. The
text is Numba's with plain numbers for its float32 ones, and calls the functions of `triton_functions.py` by the same
names, so that the two cannot come apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import sympy

from metaplastic.inner_loop.formula.to_numba import numba_expression

FUNCTIONS = (
    "tanh_of", "sigmoid_of", "exp_of", "log_of", "sqrt_of", "pow_of", "abs_of", "sign_of", "relu_of", "step_of",
    "min_of", "max_of", "clip_of", "power_2", "power_3", "power_4", "power_5", "power_7",
)  # fmt: skip
"""what the text may call"""
FUNCTIONS_MODULE = "metaplastic.inner_loop.formula.triton_functions"
"""where it is; importing it needs triton"""


def triton_expression(expr: sympy.Expr, names: Mapping[str, str]) -> str:
    """`expr` as text for a Triton kernel, every name replaced by the text that `names` gives for it."""
    return plain(numba_expression(expr, names))


def plain(text: str) -> str:
    """Text of Numba's as Triton wants it: numbers without their type."""
    return re.sub(r"\bONE\b", "1.0", re.sub(r"np\.float32\(([^()]*)\)", r"(\1)", text))
