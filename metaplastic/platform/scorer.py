"""Scoring a piece of a population in one process, and what its memory and its failures ask for.

A piece that does not fit into memory is scored in sub-batches of half the size, and the process keeps to that size from
then on. A piece that raises is bisected until the failing individual is alone. Rows do not touch each other, so both
give the numbers that the whole piece would have given.
"""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""in the texts of RuntimeErrors where no type says it: CUDA, torch's allocator on CPU, cuBLAS"""


@runtime_checkable
class Evaluator(Protocol):
    """What scores genomes. A plain object that pickles: it is sent to the workers once."""

    def score(
        self, genomes: Float64[np.ndarray, "p G"], key: int
    ) -> tuple[Float[np.ndarray, "p K"], dict[str, np.ndarray]]:
        """Fitness and metrics (first axis p) of some individuals; a row depends on its own genome and the key alone."""
        ...


class Scored(NamedTuple):
    """The result of individuals [first, last): all scored, or (if `fitness` is None) one that failed."""

    first: int
    last: int
    fitness: Float[np.ndarray, "p K"] | None
    metrics: Mapping[str, Shaped[np.ndarray, "p *rest"]]
    error: str = ""
    trace: str = ""
    kind: str = ""
    """of a failure: raised, out_of_memory, died, hung"""


class Scorer:
    """An evaluator, the largest sub-batch that its process's memory holds, and the faults it has met."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.largest: int | None = None
        """individuals that fit into memory at once; None: whatever came so far"""
        self.faults: Counter[str] = Counter()

    def score(self, genomes: Float64[np.ndarray, "P G"], first: int, last: int, key: int) -> list[Scored]:
        """The results of individuals [first, last), in order, in one `Scored` or more."""
        done: list[Scored] = []
        while first < last:
            upto = min(last, first + (self.largest or last - first))
            some = self._attempt(genomes, first, upto, key)
            if some is not None:  # otherwise it did not fit, and `largest` is smaller now
                done += some
                first = upto
        return done

    def _attempt(self, genomes: np.ndarray, first: int, last: int, key: int) -> list[Scored] | None:
        # A copy, because arrays in Ray's shared memory are read-only and torch does not know such tensors.
        some = np.array(genomes[first:last])
        try:
            with one_torch_thread():
                fitness, metrics = self.evaluator.score(some, key)
            _check_rows(last - first, {"fitness": fitness, **metrics})
            return [Scored(first, last, fitness, metrics)]
        except Exception as error:  # noqa: BLE001  a life may fail in any way; it is counted, and told in `failures`
            no_memory = is_out_of_memory(error)
            if last - first == 1:
                kind = "out_of_memory" if no_memory else "raised"
                text = f"{type(error).__name__}: {error}"
                return [Scored(first, last, None, {}, text, traceback.format_exc(), kind)]
        # Only here, after the handler: a traceback holds the frames, and these the tensors.
        if no_memory:
            self.faults["out_of_memory"] += 1
            self.largest = (last - first + 1) // 2
            free_memory()
            return None
        self.faults["bisected"] += 1
        middle = (first + last) // 2
        return self.score(genomes, first, middle, key) + self.score(genomes, middle, last, key)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, on a GPU or not, is what was missing; also where a compiler or a user has wrapped the error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(seen, RuntimeError) and any(words in str(seen) for words in OUT_OF_MEMORY):
            return True
        seen = seen.__cause__
    return False


def free_memory() -> None:
    """Give back what nobody holds any more, also torch's store of GPU memory."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch computes in one thread inside: the order of a sum, and so its last bit, may depend on their number."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_rows(count: int, arrays: Mapping[str, np.ndarray]) -> None:
    for name, shape in {name: np.shape(array) for name, array in arrays.items()}.items():
        if len(shape) == 0 or shape[0] != count or (name == "fitness" and len(shape) != 2):
            wanted = f"({count}, K)" if name == "fitness" else f"({count}, …)"
            raise ValueError(f"{name} has shape {shape}, wanted {wanted}: one row an individual")
