"""Compiling what a task does: one graph, and machine code that suits the random numbers.

A random number is a few products of 64-bit integers (`rng.py`). PyTorch's compiler makes vectors of its loops; where a
processor multiplies no vector of such integers (AVX2), it takes them out one by one and puts them back, which costs
more than a plain loop. There the loops stay plain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])

PLAIN_LOOPS: dict[str, Any] = {"cpp.simdlen": 1}
"""Inductor's option; other devices do not look at it"""


def compiled(function: Function) -> Function:
    """`function` compiled in one graph for the shapes of its first call; the numbers stay the same."""
    options = PLAIN_LOOPS if torch.backends.cpu.get_cpu_capability() == "AVX2" else {}
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)  # pyright: ignore[reportReturnType]
