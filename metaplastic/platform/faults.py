"""Faults of a pool of workers: their names and counters, how long a piece may take, and what becomes of a lost one.

    limit = max(floor, multiple × median of the times so far)                                              (1)

The first chunk of a worker compiles, so first chunks have a median of their own. Until one is known, a first chunk may
take `grace`. A piece that took longer is given twice the time in its second try, in case it is only slow.

Every counter lands in the record of the generation in which the fault was noticed.
"""

from __future__ import annotations

from collections import Counter, deque
from statistics import median
from typing import Annotated, NamedTuple

from pydantic import Field

from metaplastic.core import Value

FAULTS = {
    "workers_lost": "worker processes that died, were killed, or went away with their machine",
    "nodes_lost": "machines that Ray has given up",
    "nodes_joined": "machines that came, or came back",
    "hung": "pieces that took longer than their limit; their worker was killed",
    "retries": "pieces that were done again whole",
    "bisected": "pieces that were cut in two to find the individual at fault",
    "quarantined": "individuals that were set apart: they raised, or killed or hung every worker they were given to",
    "out_of_memory": "sub-batches that did not fit into memory and were halved",
}
"""every counter, and what it counts"""
RECENT = 101
"""times that the median is taken of"""


class Patience(Value):
    """How long a worker may be silent before it is taken to hang. Nothing here changes a result."""

    multiple: Annotated[float, Field(gt=1)] = 20.0
    """of the median time of a chunk so far"""
    floor: Annotated[float, Field(gt=0)] = 60.0
    """seconds; no chunk is given less"""
    grace: Annotated[float, Field(gt=0)] = 600.0
    """seconds for a worker's first chunk, which compiles, as long as no first chunk has been timed"""


class Limits:
    """The limit (1), from the times that pieces took."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._times: dict[bool, deque[float]] = {True: deque(maxlen=RECENT), False: deque(maxlen=RECENT)}
        self._limits = {True: max(patience.grace, patience.floor), False: max(patience.grace, patience.floor)}

    def add(self, seconds: float, is_first: bool) -> None:
        """A piece took so long; `is_first`: it was its worker's first."""
        self._times[is_first].append(seconds)
        limit = max(self._patience.floor, self._patience.multiple * median(self._times[is_first]))
        self._limits[is_first] = limit
        if is_first and not self._times[False]:
            self._limits[False] = limit

    def seconds(self, is_first: bool) -> float:
        """How long a piece may take."""
        return self._limits[is_first]


class Piece(NamedTuple):
    """Individuals [first, last) that one worker scores at once."""

    first: int
    last: int
    lost: int = 0
    """workers that it has cost"""
    hung: int = 0
    """times that it took longer than its limit"""


class Loss(NamedTuple):
    """Why a piece did not come back."""

    kind: str
    """died, hung"""
    error: str
    """one line"""
    trace: str


def again(piece: Piece, loss: Loss, attempts: int, faults: Counter[str]) -> list[Piece]:
    """What is to be done after a piece has cost a worker: itself once more, its halves, or nothing (it is at fault).

    A piece may cost `attempts` workers; one that hangs only two, since each takes long to notice. Halves of a piece
    that was cut in two are given up sooner: two workers each, or one where it hung; an individual alone gets two, the
    second with four times the limit.
    """
    first, last = piece.first, piece.last
    lost, hung = piece.lost + 1, piece.hung + (loss.kind == "hung")
    if lost < attempts and hung < (2 if last - first > 1 else 3):
        faults["retries"] += 1
        return [Piece(first, last, lost, hung)]
    if last - first == 1:
        return []
    faults["bisected"] += 1
    middle, spent = (first + last) // 2, max(0, attempts - 2)
    return [Piece(first, middle, spent, min(hung, 1)), Piece(middle, last, spent, min(hung, 1))]
