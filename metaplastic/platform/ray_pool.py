"""A pool of Ray actors that survives the death of any of them.

The driver keeps the queue of pieces and the results. A piece whose worker died, or took longer than its limit, goes
back to the queue, and another worker is started; since a piece's result depends on its genomes and the key only, the
generation ends with the same numbers. A piece that outlives no worker is bisected until the individual that kills is
alone: it counts as failed. What is done about each fault is told in `docs/faults.md`.

Genomes are put once a generation as a numpy array (Ray's shared memory, not copied to workers of the same node).
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np
import ray
from jaxtyping import Float, Float64
from ray.exceptions import RayError, RayTaskError
from torch import Tensor

from metaplastic.core import Evaluation
from metaplastic.platform.executor import Evaluator, Executor, OnFailure, Scored
from metaplastic.platform.faults import Limits, Loss, Patience, Piece, again
from metaplastic.platform.ray_crew import Crew, Need, PoolError, last_line, limit_of
from metaplastic.platform.ray_metrics import PoolMetrics
from metaplastic.platform.ray_session import Session

__all__ = ["PoolError", "RayExecutor"]


class Task(NamedTuple):
    """A piece that a worker is at."""

    actor: Any
    piece: Piece
    began: float
    deadline: float


class Generation(NamedTuple):
    """What is left to do in a generation, and what is done."""

    todo: deque[Piece]
    busy: dict[Any, Task]
    results: list[Scored]


class RayExecutor(Executor):
    """Evaluates on `workers` Ray actors: here, or on the cluster at `address`.

    `cpus` and `gpus` are what one worker reserves (fractions share a GPU); `attempts` is how many workers a piece may
    cost before it is bisected; `patience` says when a worker hangs; `placement` is how many seconds the pool waits
    while it has no worker at all. `chunks` says how many pieces are waiting, in flight and done in this generation.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        workers: int,
        chunk: int,
        on_failure: OnFailure = "count",
        *,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        attempts: int = 3,
        placement: float = 300.0,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(chunk, on_failure)
        if workers < 1:
            raise ValueError(f"workers is {workers}, wanted at least 1; 0 workers is the LocalExecutor")
        self.workers, self.attempts = workers, attempts
        self.chunks = {"waiting": 0, "in_flight": 0, "done": 0}
        self._limits = Limits(patience or Patience())
        self._metrics = PoolMetrics()
        self.session = Session(address, workers, cpus, gpus)
        try:
            self._crew = Crew(evaluator, Need(workers, cpus, gpus, placement), self.faults)
        except BaseException:
            self.session.close()
            raise

    @property
    def pids(self) -> dict[Any, int]:
        """Process numbers of the workers that are alive."""
        return {actor: member.pid for actor, member in list(self._crew.members.items())}

    @property
    def nodes(self) -> dict[Any, str]:
        """Ray's names of the machines that the workers are on."""
        return {actor: member.node for actor, member in list(self._crew.members.items())}

    @property
    def events(self) -> dict[str, int]:
        """How many workers were started, and the faults that have occurred."""
        return {"started": self._crew.started, **{name: count for name, count in self.faults.items() if count}}

    def evaluate(self, genomes: Float[Tensor, "P G"], key: int, generation: int) -> Evaluation:
        """As every executor; what came of it is also told to Prometheus, where Ray can."""
        result = super().evaluate(genomes, key, generation)
        best = result.fitness[:, 0].nan_to_num(-math.inf).max()
        faults = {"retries": self.faults["retries"], "lost": self.faults["workers_lost"] + self.faults["hung"]}
        at_rest = {"workers_alive": len(self._crew.members), "chunks_in_flight": 0}
        self._metrics.set({"generation": generation, "best_fitness": float(best), **at_rest, **faults})
        return result

    def close(self) -> None:
        """End our workers, and Ray itself if we started it."""
        if ray.is_initialized():
            self._crew.close()
        self.session.close()

    def _score(self, genomes: Float64[np.ndarray, "P G"], key: int, pieces: list[tuple[int, int]]) -> list[Scored]:
        whole, crew = ray.put(genomes), self._crew
        now = Generation(deque(Piece(first, last) for first, last in pieces), {}, [])
        crew.begin()
        try:
            while now.todo or now.busy:
                crew.fill()
                self._hand_out(now, whole, key)
                crew.check_placement(is_working=bool(now.busy))
                deadline = min((task.deadline for task in now.busy.values()), default=math.inf)
                for reference in crew.wait([*now.busy, *crew.starting], deadline):
                    if reference in crew.starting:
                        crew.welcome(reference)
                    else:
                        self._receive(reference, now)
                self._give_up_hung(now)
                crew.take_census(time.monotonic())
        finally:
            for task in now.busy.values():  # only after an error: nobody waits for what they do
                crew.dismiss(task.actor)
        self._count(now)
        return now.results

    def _hand_out(self, now: Generation, whole: Any, key: int) -> None:
        idle = self._crew.idle
        while now.todo and idle:
            actor, piece = idle.pop(), now.todo.popleft()
            limit, began = limit_of(self._crew, self._limits, actor, piece.hung), time.monotonic()
            reference = actor.score.remote(whole, piece.first, piece.last, key)
            now.busy[reference] = Task(actor, piece, began, began + limit)
        self._count(now)

    def _count(self, now: Generation) -> None:
        self.chunks.update(waiting=len(now.todo), in_flight=len(now.busy), done=len(now.results))
        self._metrics.often({"workers_alive": len(self._crew.members), "chunks_in_flight": len(now.busy)})

    def _receive(self, reference: Any, now: Generation) -> None:
        """A piece came back, or its worker was lost."""
        task = now.busy.pop(reference)
        try:
            answer: Any = ray.get(reference)
        except RayTaskError as error:
            self._crew.dismiss(task.actor)
            raise PoolError(f"a worker cannot score: {last_line(error)}\n{error}") from None
        except RayError as error:
            self._crew.lose(task.actor, last_line(error))
            self._do_again(task.piece, Loss("died", last_line(error), str(error)), now)
            return
        self._limits.add(time.monotonic() - task.began, self._crew.answered(task.actor))
        self.faults.update(answer.faults)
        now.results.extend(answer.scored)

    def _give_up_hung(self, now: Generation) -> None:
        """Kill the workers whose time is over; what they had is done again."""
        for reference, task in list(now.busy.items()):
            late = time.monotonic() - task.deadline
            if late < 0 or ray.wait([reference], timeout=0)[0]:
                continue
            del now.busy[reference]
            limit = task.deadline - task.began
            self._crew.kill_hung(task.actor, limit)
            self._do_again(task.piece, Loss("hung", f"no answer within {limit:.3g} s", ""), now)

    def _do_again(self, piece: Piece, loss: Loss, now: Generation) -> None:
        """Queue a piece that cost a worker, or its halves; an individual that outlives no worker is a failure."""
        more = again(piece, loss, self.attempts, self.faults)
        now.todo.extend(more)
        if not more:
            cost = piece.lost + 1
            error = f"it cost {cost} worker{'s' * (cost > 1)}, which {loss.kind}: {loss.error}"
            now.results.append(Scored(piece.first, piece.last, None, {}, error, loss.trace, loss.kind))
