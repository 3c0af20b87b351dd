"""Activation functions: what a neuron answers to its net input, and how steeply.

    y = phi(a),   gate = phi'(a)                                                                            (1)

Each is written twice, for tensors and as an expression for the Numba kernels; a new one is one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Activation(NamedTuple):
    """phi and its derivative; in the kernels' expressions `a` is the net input and `y` the activity."""

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor]
    """from the net input and the activity"""
    kernel: str
    kernel_derivative: str


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        torch.relu,
        lambda a, y: (a > 0).to(y),
        "relu_of(a)",
        "step_of(a)",
    ),
    "tanh": Activation(
        torch.tanh,
        lambda a, y: 1 - y * y,  # noqa: ARG005  (one signature for all)
        "tanh_of(a)",
        "ONE - y * y",
    ),
    "sigmoid": Activation(
        torch.sigmoid,
        lambda a, y: y * (1 - y),  # noqa: ARG005
        "sigmoid_of(a)",
        "y * (ONE - y)",
    ),
    "linear": Activation(
        lambda a: a,
        lambda a, y: torch.ones_like(y),  # noqa: ARG005
        "a",
        "ONE",
    ),
}
"""kind -> activation"""
