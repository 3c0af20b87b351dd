"""Many random numbers at once on a CPU: the words of `rng.py` as two operators of PyTorch, made by Numba in one pass.

    metaplastic::words(key, n, first)   words number first .. first + n - 1 of each key
    metaplastic::pairs(key, n, first)   (u1, angle) of the same words: what Box & Muller's cosine is made of

The same bits as PyTorch's own passes, so it does not matter which of the two made a number. PyTorch needs eight passes
over memory for a word, and its compiler no vector of 64-bit products where the processor has none; here LLVM makes one
loop of vectors. A compiled graph calls the operators as they are, and its own loops are free of such products.

Numba is imported at the first call. With more than one thread (`torch.set_num_threads`) keys are shared out.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

FROM = 1 << 13
"""numbers from which on a call pays"""
SHARED_FROM = 1 << 17
"""numbers from which on a second thread pays"""

_LIBRARY = torch.library.Library("metaplastic", "DEF")
_LIBRARY.define("words(Tensor key, int n, int first) -> Tensor")
_LIBRARY.define("pairs(Tensor key, int n, int first) -> (Tensor, Tensor)")


def words(key: Int64[Tensor, "*key"], n: int, first: int = 0) -> Int64[Tensor, "*key n"]:
    """`rng.words(key, n, first)`."""
    return torch.ops.metaplastic.words(key, n, first)


def pairs(
    key: Int64[Tensor, "*key"], n: int, first: int = 0
) -> tuple[Float32[Tensor, "*key n"], Float32[Tensor, "*key n"]]:
    """u1 in (0, 1] and the angle in [0, 2 pi) of each word: sqrt(-2 ln u1) cos(angle) is normal."""
    return torch.ops.metaplastic.pairs(key, n, first)


def _words(key: Tensor, n: int, first: int) -> Tensor:
    from metaplastic.rng_numba import fill_words

    made = key.new_empty((*key.shape, n))
    _fill(fill_words, key, first, made)
    return made


def _pairs(key: Tensor, n: int, first: int) -> tuple[Tensor, Tensor]:
    from metaplastic.rng_numba import fill_pairs

    radius, angle = (key.new_empty((*key.shape, n), dtype=torch.float32) for _ in range(2))
    _fill(fill_pairs, key, first, radius, angle)
    return radius, angle


def _fill(kernel: Callable[..., Any], key: Tensor, first: int, *out: Tensor) -> None:
    """Run a kernel over all keys, on as many threads as PyTorch uses."""
    rows, n = key.numel(), out[0].shape[-1]
    keys, tables = key.reshape(-1).numpy(), [one.view(rows, n).numpy() for one in out]
    threads = min(torch.get_num_threads(), rows, rows * n // SHARED_FROM + 1)
    if threads <= 1:
        kernel(keys, first, *tables)
        return
    size = math.ceil(rows / threads)
    shares = [slice(start, start + size) for start in range(0, rows, size)]
    helpers = [
        threading.Thread(target=kernel, args=(keys[share], first, *(table[share] for table in tables)))
        for share in shares[1:]
    ]
    for helper in helpers:
        helper.start()
    kernel(keys[shares[0]], first, *(table[shares[0]] for table in tables))
    for helper in helpers:
        helper.join()


def _words_like(key: Tensor, n: int, first: int) -> Tensor:
    del first
    return key.new_empty((*key.shape, n))


def _pairs_like(key: Tensor, n: int, first: int) -> tuple[Tensor, Tensor]:
    del first
    radius, angle = (key.new_empty((*key.shape, n), dtype=torch.float32) for _ in range(2))
    return radius, angle


def _words_mapped(info: Any, dims: tuple[int | None, ...], key: Tensor, n: int, first: int) -> tuple[Tensor, int]:
    """Under `torch.vmap` the axis that is mapped is one more axis of keys."""
    del info
    return words(key.movedim(dims[0] or 0, 0), n, first), 0


def _pairs_mapped(
    info: Any, dims: tuple[int | None, ...], key: Tensor, n: int, first: int
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    del info
    return pairs(key.movedim(dims[0] or 0, 0), n, first), (0, 0)


for _name, _made, _like, _mapped in (
    ("words", _words, _words_like, _words_mapped),
    ("pairs", _pairs, _pairs_like, _pairs_mapped),
):
    _LIBRARY.impl(_name, _made, "CPU")
    torch.library.register_fake(f"metaplastic::{_name}", _like, lib=_LIBRARY)
    torch.library.register_vmap(f"metaplastic::{_name}", _mapped, lib=_LIBRARY)
