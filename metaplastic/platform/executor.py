"""Mapping an evaluator over a population in fixed chunks, the same bits whoever does the work.

    population [P, G] -> chunks of `chunk` individuals, in index order -> scored, wherever -> gathered by index

The chunks do not depend on the number of workers, torch computes in one thread inside `score`, and the evaluator is a
pure function of (genomes, key), so every executor gives the same numbers. A chunk that raises is bisected until the
failing individual is alone: its fitness and metrics are NaN, its error is kept in `failures`, the rest keep theirs.
(Halves are smaller batches; an evaluator whose individuals do not touch each other gives the same numbers in them.)
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from metaplastic.core import Evaluation

OnFailure = Literal["count", "raise"]
"""count: a failed individual gets NaN and the search goes on; raise: the first failure stops the run"""


@runtime_checkable
class Evaluator(Protocol):
    """What scores genomes. A plain object that pickles: it is sent to the workers once."""

    def score(
        self, genomes: Float64[np.ndarray, "p G"], key: int
    ) -> tuple[Float[np.ndarray, "p K"], dict[str, np.ndarray]]:
        """Fitness and metrics (first axis p) of some individuals; a row depends on its own genome and the key alone."""
        ...


class EvaluationError(RuntimeError):
    """The population could not be evaluated: every individual failed, or one did and failures are not allowed."""


class Failure(NamedTuple):
    """One individual that could not be scored."""

    generation: int
    individual: int
    error: str
    """one line: the error's kind and text"""
    trace: str
    """where it came from, for a log"""


class Scored(NamedTuple):
    """The result of individuals [first, last): all scored, or (if `fitness` is None) one that failed."""

    first: int
    last: int
    fitness: Float[np.ndarray, "p K"] | None
    metrics: Mapping[str, Shaped[np.ndarray, "p *rest"]]
    error: str = ""
    trace: str = ""


class Executor(ABC):
    """Evaluates populations; use it as a context manager, so that workers are given back."""

    def __init__(self, chunk: int, on_failure: OnFailure = "count") -> None:
        if chunk < 1:
            raise ValueError(f"chunk is {chunk}, wanted at least 1 individual")
        self.chunk, self.on_failure = chunk, on_failure
        self.failures: list[Failure] = []
        self._objective_count: int | None = None

    def evaluate(self, genomes: Float[Tensor, "P G"], key: int, generation: int) -> Evaluation:
        """Fitness [P, K] and metrics of a population; NaN rows are individuals that failed.

        Raises:
            EvaluationError: if all individuals of the first generation failed, or one did and `on_failure` is "raise".
        """
        if len(genomes) == 0:
            raise ValueError("the population is empty; ask the searcher for at least one genome")
        array = np.ascontiguousarray(genomes.detach().cpu().numpy(), dtype=np.float64)
        pieces = [(first, min(first + self.chunk, len(array))) for first in range(0, len(array), self.chunk)]
        scored = sorted(self._score(array, key, pieces), key=lambda piece: piece.first)
        assert sum(piece.last - piece.first for piece in scored) == len(array)
        failed = [Failure(generation, s.first, s.error, s.trace) for s in scored if s.fitness is None]
        self._check(failed, len(array))
        self.failures += failed
        return self._gather(scored)

    @abstractmethod
    def _score(self, genomes: Float64[np.ndarray, "P G"], key: int, pieces: list[tuple[int, int]]) -> list[Scored]:
        """The result of every piece [first, last), in any order and in any subdivision."""

    def close(self) -> None:
        """Give back what was started."""
        return

    def __enter__(self):
        # once for the whole search: to and fro for every chunk costs more than a small chunk does
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        return self

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self._threads)
        self.close()

    def _check(self, failed: list[Failure], population: int) -> None:
        if failed and self.on_failure == "raise":
            first = failed[0]
            raise EvaluationError(
                f"individual {first.individual} of generation {first.generation} failed: {first.error}\n{first.trace}"
            )
        if len(failed) == population and self._objective_count is None:
            first = failed[0]
            raise EvaluationError(
                f"all {population} individuals of generation {first.generation} failed, so the experiment itself is at "
                f"fault; the first error: {first.error}\n{first.trace}"
            )

    def _gather(self, scored: list[Scored]) -> Evaluation:
        fitness = [piece.fitness for piece in scored if piece.fitness is not None]
        if fitness:
            self._objective_count = fitness[0].shape[1]
        rows = {piece.first: piece.fitness for piece in scored if piece.fitness is not None}
        return Evaluation(
            torch.from_numpy(_column(rows, scored, (self._objective_count or 1,), "fitness")),
            {name: _metric(name, scored) for name in dict.fromkeys(name for piece in scored for name in piece.metrics)},
        )


class LocalExecutor(Executor):
    """Evaluates in this process, one chunk after the other."""

    def __init__(self, evaluator: Evaluator, chunk: int, on_failure: OnFailure = "count") -> None:
        super().__init__(chunk, on_failure)
        self.evaluator = evaluator

    def _score(self, genomes: Float64[np.ndarray, "P G"], key: int, pieces: list[tuple[int, int]]) -> list[Scored]:
        return [result for first, last in pieces for result in score_piece(self.evaluator, genomes, first, last, key)]


def make_executor(
    evaluator: Evaluator, workers: int, chunk: int, on_failure: OnFailure = "count", **ray_options: Any
) -> Executor:
    """An executor in this process (0 workers), or on that many Ray actors; both give the same numbers."""
    if workers < 0:
        raise ValueError(f"workers is {workers}, wanted 0 (this process) or a number of worker processes")
    if workers == 0:
        return LocalExecutor(evaluator, chunk, on_failure)
    from metaplastic.platform.ray_pool import RayExecutor

    return RayExecutor(evaluator, workers, chunk, on_failure, **ray_options)


def score_piece(
    evaluator: Evaluator, genomes: Float64[np.ndarray, "P G"], first: int, last: int, key: int
) -> list[Scored]:
    """The results of individuals [first, last): one `Scored`, or more where an individual had to be set apart."""
    # A copy, because arrays in Ray's shared memory are read-only and torch does not know such tensors.
    some = np.array(genomes[first:last])
    try:
        with one_torch_thread():
            fitness, metrics = evaluator.score(some, key)
        _check_rows(last - first, {"fitness": fitness, **metrics})
        return [Scored(first, last, fitness, metrics)]
    except Exception as error:  # noqa: BLE001  a life may fail in any way; it is counted, and told in `failures`
        if last - first == 1:
            return [Scored(first, last, None, {}, f"{type(error).__name__}: {error}", traceback.format_exc())]
    middle = (first + last) // 2
    return score_piece(evaluator, genomes, first, middle, key) + score_piece(evaluator, genomes, middle, last, key)


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


def _metric(name: str, scored: list[Scored]) -> Tensor:
    rows = {piece.first: np.asarray(piece.metrics[name]) for piece in scored if name in piece.metrics}
    return torch.from_numpy(_column(rows, scored, next(iter(rows.values())).shape[1:], name))


def _column(
    rows: Mapping[int, np.ndarray], scored: list[Scored], rest: tuple[int, ...], name: str
) -> Shaped[np.ndarray, "P *rest"]:
    """The pieces' rows under one another; NaN where a piece has none."""
    types = [row.dtype if np.issubdtype(row.dtype, np.floating) else np.float64 for row in rows.values()]
    column = np.full((scored[-1].last, *rest), np.nan, dtype=np.result_type(*types) if types else float)
    for first, row in rows.items():
        if row.shape[1:] != rest:
            raise ValueError(f"{name} has shapes {row.shape[1:]} and {rest} in two chunks, wanted one for all")
        column[first : first + len(row)] = row
    return column
