"""A pool of Ray actors that survives the death of any of them; the only file that knows Ray.

The driver keeps the queue of pieces and the results; actors are disposable (no restarts, no retries by Ray) and hold
the evaluator alone. A piece whose worker died goes back to the queue and another worker is started; since a piece's
result depends on its genomes and the key only, the generation ends with the same numbers. A piece that outlives no
worker is bisected until the individual that kills is alone: it counts as failed.

Genomes are put once a generation as a numpy array (Ray's shared memory, not copied to workers of the same node).
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import ray
from jaxtyping import Float64
from ray.exceptions import RayError, RayTaskError

import metaplastic
from metaplastic.platform.executor import Evaluator, Executor, OnFailure, Scored, score_piece

LOSSES = 12
"""workers that may be lost in a row, without a single result between, before the pool gives up"""
PLACEMENT_SECONDS = 300.0
"""how long the pool waits for its first worker"""


class PoolError(RuntimeError):
    """No worker can be started or kept."""


class Piece(NamedTuple):
    """Individuals [first, last) that one worker scores at once."""

    first: int
    last: int
    lost: int = 0
    """workers that died on it"""


class Worker:
    """What runs in an actor: an evaluator and nothing else."""

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None

    def load(self, evaluator: Evaluator) -> int:
        """Take the evaluator; the worker's process number."""
        self._evaluator = evaluator
        return os.getpid()

    def score(self, genomes: np.ndarray, first: int, last: int, key: int) -> list[Scored]:
        """The results of individuals [first, last)."""
        assert self._evaluator is not None
        return score_piece(self._evaluator, genomes, first, last, key)


class RayExecutor(Executor):
    """Evaluates on `workers` Ray actors: here, or on the cluster at `address`.

    `cpus` and `gpus` are what one worker reserves (fractions share a GPU); `attempts` is how many workers a piece may
    lose before it is bisected. `pids` holds the process numbers of the workers that are alive, `events` how many were
    started, how many were lost and how many pieces were done again.
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
    ) -> None:
        super().__init__(chunk, on_failure)
        if workers < 1:
            raise ValueError(f"workers is {workers}, wanted at least 1; 0 workers is the LocalExecutor")
        self.workers, self.cpus, self.gpus, self.attempts = workers, cpus, gpus, attempts
        self.events: Counter[str] = Counter(started=0, lost=0, retried=0)
        self.pids: dict[Any, int] = {}
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._losses_in_a_row, self._next_start, self._placed = 0, 0.0, 0.0
        self.session = _Session(address, workers, cpus, gpus)
        try:
            self._evaluator = ray.put(evaluator)
            self._actor: Any = ray.remote(Worker).options(
                max_restarts=0,
                max_task_retries=0,
                num_cpus=cpus,
                num_gpus=gpus,
                runtime_env={"env_vars": _worker_environment(cpus)},
            )
        except BaseException:
            self.session.close()
            raise

    def close(self) -> None:
        """End our workers, and Ray itself if we started it."""
        for actor in [*self._idle, *self._starting.values(), *self.pids]:
            ray.kill(actor)
        self._idle, self._starting, self.pids = [], {}, {}
        self.session.close()

    def _score(self, genomes: Float64[np.ndarray, "P G"], key: int, pieces: list[tuple[int, int]]) -> list[Scored]:
        whole = ray.put(genomes)
        todo = deque(Piece(first, last) for first, last in pieces)
        busy: dict[Any, tuple[Any, Piece]] = {}
        results: list[Scored] = []
        self._placed = time.monotonic()
        try:
            while todo or busy:
                self._start_workers(len(busy))
                while todo and self._idle:
                    actor, piece = self._idle.pop(), todo.popleft()
                    busy[actor.score.remote(whole, piece.first, piece.last, key)] = actor, piece
                self._check_placement(waiting=not busy)
                for reference in self._finished([*busy, *self._starting]):
                    if reference in self._starting:
                        self._welcome(reference)
                    else:
                        self._receive(reference, *busy.pop(reference), results, todo)
        finally:
            for actor, _ in busy.values():  # only after an error: nobody waits for what they do
                ray.kill(actor)
                self.pids.pop(actor, None)
        return results

    def _finished(self, references: list[Any]) -> list[Any]:
        if not references:
            time.sleep(max(0.0, self._next_start - time.monotonic()))
            return []
        return ray.wait(references, num_returns=1, timeout=1.0)[0]

    def _start_workers(self, busy: int) -> None:
        """Bring the pool to its size, unless it was only just bereft of a worker."""
        missing = self.workers - len(self._idle) - len(self._starting) - busy
        if missing and time.monotonic() >= self._next_start:
            for _ in range(missing):
                actor = self._actor.remote()
                self._starting[actor.load.remote(self._evaluator)] = actor
                self.events["started"] += 1

    def _welcome(self, reference: Any) -> None:
        """A worker has the evaluator, or could not be started."""
        actor = self._starting.pop(reference)
        try:
            self.pids[actor] = ray.get(reference)
            self._idle.append(actor)
        except RayTaskError as error:  # raised by our own code or the evaluator's: no machine is at fault
            raise PoolError(f"a worker cannot load the evaluator: {error}") from error
        except RayError as error:
            self._lose(actor, error)

    def _receive(self, reference: Any, actor: Any, piece: Piece, results: list[Scored], todo: deque[Piece]) -> None:
        """A piece came back, or its worker was lost: then it is done again, or bisected if it has lost too many."""
        try:
            results += ray.get(reference)
        except RayTaskError as error:
            raise PoolError(f"a worker cannot score: {error}") from error
        except RayError as error:
            self._lose(actor, error)
            self.events["retried"] += 1
            results += _again(piece, todo, self.attempts, error)
            return
        self._idle.append(actor)
        self._losses_in_a_row = 0

    def _lose(self, actor: Any, error: RayError) -> None:
        """Forget a lost worker, and wait longer for the next the more were lost in a row."""
        ray.kill(actor)
        self.pids.pop(actor, None)
        self.events["lost"] += 1
        self._losses_in_a_row += 1
        if self._losses_in_a_row > LOSSES:
            raise PoolError(f"{self._losses_in_a_row} workers were lost in a row; the last: {error}") from error
        self._next_start = time.monotonic() + min(5.0, 0.05 * 2.0 ** (self._losses_in_a_row - 1))

    def _check_placement(self, waiting: bool) -> None:
        """Do not wait for ever for a first worker that the cluster has no room for."""
        if not waiting:
            self._placed = time.monotonic()
        elif time.monotonic() - self._placed > PLACEMENT_SECONDS:
            raise PoolError(
                f"no worker could start within {PLACEMENT_SECONDS:g} s: wanted {self.workers} workers with "
                f"{self.cpus:g} CPU and {self.gpus:g} GPU each, the cluster has {ray.cluster_resources()}; "
                "ask for less, or wait for nodes"
            )


def _again(piece: Piece, todo: deque[Piece], attempts: int, error: RayError) -> list[Scored]:
    """Queue a piece whose worker was lost; an individual that outlives no worker is a failure."""
    first, last, lost = piece.first, piece.last, piece.lost + 1
    if lost < attempts:
        todo.append(Piece(first, last, lost))
    elif last - first == 1:
        return [Scored(first, last, None, {}, f"{lost} workers died on it: {str(error).splitlines()[0]}", str(error))]
    else:  # halves are given up sooner: two workers each
        middle, before = (first + last) // 2, max(0, attempts - 2)
        todo += [Piece(first, middle, before), Piece(middle, last, before)]
    return []


class _Session:
    """Ray as we found it, or as we started it: `close` ends only what we started."""

    def __init__(self, address: str | None, workers: int, cpus: float, gpus: float) -> None:
        self._ours = not ray.is_initialized()
        self.folder: str | None = None
        """private; holds Ray's files while the session is ours"""
        if not self._ours:
            return
        if address is not None:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            return
        # Ray opens its own folder to all, so it lies in a private one. Its sockets' paths must stay below 107 bytes.
        short = len(tempfile.gettempdir()) < 32
        self.folder = tempfile.mkdtemp(prefix="mp-", dir=None if short else "/tmp")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # `ray.init` of a local session turns authentication on; with a token of ours it writes none to the home folder.
        # It stays for the life of this process, because Ray reads it once.
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
        try:
            with _loopback_only():
                ray.init(
                    address="local",
                    num_cpus=max(1, math.ceil(workers * cpus)),
                    num_gpus=None if gpus else 0,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=os.path.join(self.folder, "r"),
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._ours:
            ray.shutdown()
            self._ours = False
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


@contextmanager
def _loopback_only() -> Iterator[None]:
    """A Ray started inside listens on 127.0.0.1, as it does on macOS; on Linux there is no public way to ask for it."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _worker_environment(cpus: float) -> dict[str, str]:
    """Variables of a worker: one thread a CPU, and the way to modules that are not installed but on our path."""
    threads = str(max(1, int(cpus)))
    variables = {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    package = os.path.dirname(os.path.realpath(metaplastic.__file__))
    installed = [os.path.realpath(prefix) + os.sep for prefix in (sys.prefix, sys.base_prefix)]
    folders = [os.path.abspath(entry) for entry in sys.path if os.path.isdir(entry or ".")]
    source = [
        folder
        for folder in dict.fromkeys(folders)
        if os.path.realpath(folder) != package and not any(os.path.realpath(folder).startswith(p) for p in installed)
    ]
    return variables | ({"PYTHONPATH": os.pathsep.join(source)} if source else {})
