"""Mapping an evaluator over a population in fixed chunks, the same bits whoever does the work.

    population [P, G] -> chunks of `chunk` individuals, in index order -> scored, wherever -> gathered by index

The chunks do not depend on the number of workers, torch computes in one thread inside `score`, and the evaluator is a
pure function of (genomes, key), so every executor gives the same numbers. An individual that cannot be scored
(`scorer.py`) has fitness and metrics NaN, its error is kept in `failures`, the rest keep their numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from metaplastic.core import Evaluation
from metaplastic.platform.faults import FAULTS
from metaplastic.platform.scorer import Evaluator, Scored, Scorer, one_torch_thread

__all__ = ["EvaluationError", "Evaluator", "Executor", "Failure", "LocalExecutor", "make_executor", "one_torch_thread"]

OnFailure = Literal["count", "raise"]
"""count: a failed individual gets NaN and the search goes on; raise: the first failure stops the run"""


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
    kind: str
    """raised, out_of_memory (alone), died (with every worker), hung"""


class Executor(ABC):
    """Evaluates populations; use it as a context manager, so that workers are given back."""

    def __init__(self, chunk: int, on_failure: OnFailure = "count") -> None:
        if chunk < 1:
            raise ValueError(f"chunk is {chunk}, wanted at least 1 individual")
        self.chunk, self.on_failure = chunk, on_failure
        self.failures: list[Failure] = []
        self.faults: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
        """what went wrong so far, by the names of `faults.FAULTS`"""
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
        failed = [Failure(generation, s.first, s.error, s.trace, s.kind) for s in scored if s.fitness is None]
        self.failures += failed
        self.faults["quarantined"] += len(failed)
        self._check(failed, len(array))
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
        self._scorer = Scorer(evaluator)

    def _score(self, genomes: Float64[np.ndarray, "P G"], key: int, pieces: list[tuple[int, int]]) -> list[Scored]:
        scored = [one for first, last in pieces for one in self._scorer.score(genomes, first, last, key)]
        self.faults.update(self._scorer.faults)
        self._scorer.faults.clear()
        return scored


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
