"""A pool of workers as discrete events: a generation on 1 to 1,000 workers, and from where on the driver is full.

The driver is one server that hands out and takes back one chunk at a time, as `ray_pool.py` does; a worker is another.

    driver, a chunk     d(W) = service + wait W              W in flight                                       (1)
    worker, a chunk     latency / 2 + t + latency / 2        t drawn from the times that were measured         (2)
    lost worker         after Exp(losses) seconds of work, noticed `notice` s later; its chunk is done again,  (3)
                        and another worker is there after `start` s
    efficiency          sum of t / (W seconds)                                                                 (4)

Without losses and with equal t the driver is full when W > W* = 1 + (t + latency) / d(W): from there on a generation
takes chunks × d(W), however many workers there are (the machine-repair model, Palm 1947). `driver_limit` gives W*.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from metaplastic import rng

BLOCK = 4096
"""random numbers that are drawn at once"""


class Costs(NamedTuple):
    """What a pool costs beside the lifetimes; seconds."""

    generation: float = 0.0
    """driver, once a generation: ask, tell, gather, write down"""
    service: float = 0.0
    """driver, for each chunk: half to hand it out, half to take its result"""
    wait: float = 0.0
    """driver, for each chunk and each other chunk in flight: looking for the one that is ready"""
    latency: float = 0.0
    """what a worker waits for each chunk, to and fro, when the driver has nothing else to do"""
    start: float = 0.0
    """from asking for a worker to the moment it can take a chunk"""
    notice: float = 0.1
    """from the death of a worker to the driver's knowing"""


class Simulated(NamedTuple):
    """What came of it."""

    seconds: float
    """of a generation, on average"""
    efficiency: float
    """part of the workers' time that is spent on lifetimes whose result counts (4)"""
    driver: float
    """part of the time that the driver is busy with chunks"""
    lost: float
    """workers lost a generation"""


class _Work(NamedTuple):
    """A chunk in flight, or (chunk < 0) a worker on its way; ordered by when the driver hears of it."""

    arrives: float
    number: int
    chunk: int
    seconds: float
    """of lifetimes; negative: the worker was lost"""


def simulate(
    times: Sequence[float],
    workers: int,
    costs: Costs,
    *,
    weights: Sequence[float],
    losses: float = 0.0,
    generations: int = 3,
    seed: int = 0,
) -> Simulated:
    """`generations` of len(weights) chunks on `workers`; chunk i takes a draw from `times` times weights[i].

    Args:
        times: measured seconds of a chunk, any number of them.
        workers: W, all there at the start.
        costs: of the driver and the way.
        weights: one a chunk; 1 for a whole one, less for a last one with fewer individuals.
        losses: workers lost for each second that one works.
        generations: that are simulated and averaged.
        seed: of the draws.

    Raises:
        ValueError: if there are no times, chunks or workers, or a number is negative.
    """
    if not len(times) or not len(weights) or workers < 1 or generations < 1:
        raise ValueError("wanted at least one time, one chunk, one worker and one generation")
    if min(*times, *weights, *costs, losses) < 0:
        raise ValueError("wanted times, weights, costs and losses of at least 0")
    pool = _Pool(list(times), workers, costs, losses, seed)
    for _ in range(generations):
        pool.generation(weights)
    whole = pool.now
    return Simulated(whole / generations, pool.useful / (workers * whole or 1), pool.busy / (whole or 1),
                     pool.lost / generations)  # fmt: skip


def driver_limit(chunk_seconds: float, costs: Costs) -> float:
    """W*, the number of workers from which the driver is the bottleneck; infinite if it costs nothing.

    It solves (W - 1)(service + wait W) = t + latency, see (1).
    """
    a, b, c = costs.wait, costs.service - costs.wait, -(costs.service + chunk_seconds + costs.latency)
    if a > 0:
        return (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    return -c / b if b > 0 else math.inf


class _Pool:
    """The driver's clock, what is in flight, and who is idle; goes on from generation to generation."""

    def __init__(self, times: list[float], workers: int, costs: Costs, losses: float, seed: int) -> None:
        self.times, self.costs, self.losses = times, costs, losses
        self.now = self.useful = self.busy = 0.0
        self.idle, self.lost, self.number = workers, 0, 0
        self.flight: list[_Work] = []
        self.working = 0
        self.draws = _uniforms(seed)

    def generation(self, weights: Sequence[float]) -> None:
        """Hand out, take back, until every chunk has its result."""
        todo = deque(range(len(weights)))
        while todo or self.working:
            while todo and self.idle:
                self._hand_out(todo.popleft(), weights)
            self._hear(todo)
        self.now += self.costs.generation

    def _spend(self, seconds: float) -> None:
        self.now += seconds
        self.busy += seconds

    def _push(self, arrives: float, chunk: int, seconds: float) -> None:
        self.number += 1
        heapq.heappush(self.flight, _Work(arrives, self.number, chunk, seconds))

    def _hand_out(self, chunk: int, weights: Sequence[float]) -> None:
        self._spend(self.costs.service / 2)
        self.idle -= 1
        self.working += 1
        seconds = self.times[int(next(self.draws) * len(self.times))] * weights[chunk]
        life = -math.log1p(-next(self.draws)) / self.losses if self.losses else math.inf
        if life < seconds:
            self._push(self.now + self.costs.latency / 2 + life + self.costs.notice, chunk, -1.0)
        else:
            self._push(self.now + self.costs.latency + seconds, chunk, seconds)

    def _hear(self, todo: deque[int]) -> None:
        """The next event that reaches the driver; it takes one at a time."""
        event = heapq.heappop(self.flight)
        self.now = max(self.now, event.arrives)
        if event.chunk < 0:
            self.idle += 1
            return
        self._spend(self.costs.service / 2 + self.costs.wait * self.working)
        self.working -= 1
        if event.seconds < 0:
            self.lost += 1
            todo.append(event.chunk)
            self._push(self.now + self.costs.start, -1, 0.0)
        else:
            self.idle += 1
            self.useful += event.seconds


def _uniforms(seed: int) -> Iterator[float]:
    """Numbers in [0, 1) without end."""
    key, block = rng.root(seed), 0
    while True:
        yield from rng.uniforms(rng.fold(key, block), BLOCK).to(torch.float64).tolist()
        block += 1
