"""Compiling what a task does: one graph, and machine code that suits the random numbers.

A random number is a few products of 64-bit integers (`rng.py`). PyTorch's compiler makes vectors of its loops; where a
processor multiplies no vector of such integers (AVX2), it takes them out one by one and puts them back, which costs
more than a plain loop. There the loops of a step stay plain; those of whole trials need not, since the noise of many
frames comes from `rng_arrays.py`.

The compiler also writes what several loops read into each of them again. A chain of hashes grows by that to tens of
thousands of operations, a minute of compiling; so what took more than a few operations is made once, in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])

SHORT_CHAINS: dict[str, Any] = {"realize_opcount_threshold": 8}
PLAIN_LOOPS: dict[str, Any] = {"cpp.simdlen": 1}
"""Inductor's options; other devices do not look at the second"""


def compiled(function: Function, *, whole_trials: bool = False) -> Function:
    """`function` compiled in one graph for the shapes of its first call; the numbers stay the same.

    `whole_trials`: it renders; else it steps.
    """
    plain = not whole_trials and torch.backends.cpu.get_cpu_capability() == "AVX2"
    options = SHORT_CHAINS | (PLAIN_LOOPS if plain else {})
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)  # pyright: ignore[reportReturnType]
