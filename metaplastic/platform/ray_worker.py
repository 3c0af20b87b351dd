"""What runs in a Ray actor: an evaluator and nothing else. It knows neither the pool nor the other workers."""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple

import numpy as np
import ray

from metaplastic.platform.scorer import Evaluator, Scored, Scorer


class Member(NamedTuple):
    """Where a worker lives."""

    pid: int
    node: str
    """Ray's name of the machine"""


class Answer(NamedTuple):
    """What a piece came to, and the faults that were met in it."""

    scored: list[Scored]
    faults: Counter[str]


class Worker:
    """An evaluator in a process of its own."""

    def __init__(self) -> None:
        self._scorer: Scorer | None = None

    def load(self, evaluator: Evaluator) -> Member:
        """Take the evaluator."""
        self._scorer = Scorer(evaluator)
        return Member(os.getpid(), ray.get_runtime_context().get_node_id())

    def score(self, genomes: np.ndarray, first: int, last: int, key: int) -> Answer:
        """The results of individuals [first, last)."""
        assert self._scorer is not None
        self._scorer.faults.clear()
        scored = self._scorer.score(genomes, first, last, key)
        return Answer(scored, Counter(self._scorer.faults))
