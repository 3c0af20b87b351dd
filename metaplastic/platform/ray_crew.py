"""The workers of a pool: started, counted, given up and replaced, here or on any machine of the cluster.

Actors are disposable: Ray neither restarts them nor repeats their work. A lost one is replaced after a wait that
doubles with every loss in a row; losses at one time, as when a machine goes, count as one. Workers that the cluster has
no room for stay asked for, so that a machine which joins late, or comes back, is used.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from metaplastic.platform.executor import EvaluationError
from metaplastic.platform.faults import Limits
from metaplastic.platform.ray_session import worker_environment
from metaplastic.platform.ray_worker import Member, Worker
from metaplastic.platform.scorer import Evaluator

LOSSES = 12
"""times that workers may be lost in a row, without a single result between, before the pool gives up"""
STARTS = 3
"""of these, if no worker has ever started"""
CENSUS_SECONDS = 1.0
"""between two looks at the cluster's machines"""


class PoolError(EvaluationError):
    """No worker can be started or kept; the first line says why, a trace may follow."""


class Need(NamedTuple):
    """What a pool asks of the cluster."""

    workers: int
    cpus: float
    """that one worker reserves"""
    gpus: float
    placement: float
    """seconds that the pool waits while no worker is there"""


class Crew:
    """Workers that have the evaluator (`members`, of them `idle` ones) and workers that are `starting`."""

    def __init__(self, evaluator: Evaluator, need: Need, faults: Counter[str]) -> None:
        self.need, self.faults = need, faults
        self.members: dict[Any, Member] = {}
        self.idle: list[Any] = []
        self.starting: dict[Any, Any] = {}
        self.fresh: set[Any] = set()
        """members that have not answered yet"""
        self.started = 0
        self._losses_in_a_row, self._next_start, self._has_started = 0, 0.0, False
        self._placed, self._counted = time.monotonic(), time.monotonic()
        self._here = ray.get_runtime_context().get_node_id()
        self._nodes = _nodes()
        self._evaluator = ray.put(evaluator)
        self._actor: Any = ray.remote(Worker).options(
            max_restarts=0,
            max_task_retries=0,
            num_cpus=need.cpus,
            num_gpus=need.gpus,
            runtime_env={"env_vars": worker_environment(need.cpus, need.gpus)},
        )

    def close(self) -> None:
        """End all workers."""
        for actor in [*self.starting.values(), *self.members]:
            ray.kill(actor)
        self.members, self.idle, self.starting, self.fresh = {}, [], {}, set()

    def begin(self) -> None:
        """A generation begins: the wait for a first worker counts from now."""
        self._placed = time.monotonic()

    def fill(self) -> None:
        """Bring the crew to its size, unless it was only just bereft of a worker."""
        missing = self.need.workers - len(self.members) - len(self.starting)
        if missing > 0 and time.monotonic() >= self._next_start:
            for _ in range(missing):
                actor = self._actor.remote()
                self.starting[actor.load.remote(self._evaluator)] = actor
                self.started += 1

    def wait(self, references: list[Any], deadline: float) -> list[Any]:
        """One of the references that is ready, if one is by `deadline` and within a second."""
        seconds = min(1.0, max(0.0, deadline - time.monotonic()))
        if references:
            return ray.wait(references, num_returns=1, timeout=seconds)[0]
        time.sleep(min(seconds, max(0.0, self._next_start - time.monotonic())))
        return []

    def welcome(self, reference: Any) -> None:
        """A worker has the evaluator, or could not be started."""
        actor = self.starting.pop(reference)
        try:
            self.members[actor] = ray.get(reference)
        except RayTaskError as error:  # raised by our own code or the evaluator's: no machine is at fault
            ray.kill(actor)
            raise PoolError(f"a worker cannot load the evaluator: {last_line(error)}\n{error}") from None
        except RayError as error:
            self.lose(actor, last_line(error))
            return
        self.idle.append(actor)
        self.fresh.add(actor)
        self._has_started = True

    def answered(self, actor: Any) -> bool:
        """A worker has done a piece, and waits for another; whether it was its first."""
        is_first = actor in self.fresh
        self.fresh.discard(actor)
        self.idle.append(actor)
        self._losses_in_a_row = 0
        return is_first

    def dismiss(self, actor: Any) -> None:
        """End a worker whose answer nobody waits for."""
        ray.kill(actor)
        self.members.pop(actor, None)
        self.fresh.discard(actor)

    def lose(self, actor: Any, why: str) -> None:
        """Forget a lost worker, and wait longer for the next the more were lost in a row.

        Raises:
            PoolError: if too many were.
        """
        self.dismiss(actor)
        self.faults["workers_lost"] += 1
        now = time.monotonic()
        if now < self._next_start:  # one of several that went at the same time
            return
        self._losses_in_a_row += 1
        if self._losses_in_a_row > (LOSSES if self._has_started else STARTS - 1):
            raise PoolError(f"workers were lost {self._losses_in_a_row} times in a row; the last: {why}") from None
        self._next_start = now + min(5.0, 0.05 * 2.0 ** (self._losses_in_a_row - 1))

    def kill_hung(self, actor: Any, seconds: float) -> None:
        """End a worker that does not answer, also if its process is stopped, which Ray would leave behind."""
        member = self.members[actor]
        self.faults["hung"] += 1
        if member.node == self._here:
            _kill(member.pid)
        else:
            there = NodeAffinitySchedulingStrategy(member.node, soft=False)
            task: Any = ray.remote(num_cpus=0, max_retries=0)(_kill)
            task.options(scheduling_strategy=there).remote(member.pid)
        self.lose(actor, f"it did not answer within {seconds:.3g} s")

    def take_census(self, now: float) -> None:
        """Count machines that went and came since the last look."""
        if now - self._counted < CENSUS_SECONDS:
            return
        self._counted, before = now, self._nodes
        self._nodes = _nodes()
        self.faults["nodes_lost"] += len(before - self._nodes)
        self.faults["nodes_joined"] += len(self._nodes - before)

    def check_placement(self, is_working: bool) -> None:
        """Do not wait for ever for a first worker that the cluster has no room for."""
        if is_working:
            self._placed = time.monotonic()
        elif time.monotonic() - self._placed > self.need.placement:
            need, there = self.need, ray.cluster_resources()
            raise PoolError(
                f"no worker could start within {need.placement:g} s: wanted {need.workers} workers with "
                f"{need.cpus:g} CPU and {need.gpus:g} GPU each, the cluster has {there.get('CPU', 0):g} CPU and "
                f"{there.get('GPU', 0):g} GPU on {len(self._nodes)} machines, of which "
                f"{ray.available_resources().get('CPU', 0):g} CPU are free; ask for less (execution.workers, cpus, "
                "gpus), or wait longer for machines (execution.placement)"
            )


def last_line(error: BaseException) -> str:
    """The line of an error's text that says what it was: of a trace, the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if isinstance(error, RayTaskError) or "Traceback" in str(error) else lines[0]


def limit_of(crew: Crew, limits: Limits, actor: Any, hung: int) -> float:
    """Seconds that this worker may take for a piece, twice as long if the piece took too long before."""
    return limits.seconds(actor in crew.fresh) * 2.0**hung


def _nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
