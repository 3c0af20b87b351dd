"""What a pool of Ray actors costs on this machine, measured: the driver's time a chunk, the way, a worker's start.

A worker answers chunks without genes at once (`Probe`), so that all that is left is the pool. The driver's part is the
processor time of its own thread; what looking for the ready one of W chunks takes is measured with W that never are.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ray
import torch

from metaplastic.platform.executor import Evaluator
from metaplastic.platform.pool_simulation import Costs
from metaplastic.platform.ray_pool import RayExecutor

TOLD = ("probe.seconds", "probe.memory", "probe.gpu")
"""metrics that `Probe` adds"""
CHUNKS = 200
"""chunks that are handed out and taken back"""
IN_FLIGHT = 500
"""chunks that are never ready"""
LOOKS = 30
"""how often one that is ready is looked for among them"""


class Probe:
    """An evaluator that also tells its seconds and its process's peak memory; without genes it answers at once."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def score(self, genomes: np.ndarray, key: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Fitness and metrics; among these the chunk's seconds and the process's peak memory (MiB, also on its GPU)."""
        if genomes.shape[1] == 0:
            return np.zeros((len(genomes), 1)), {}
        began = time.perf_counter()
        fitness, metrics = self.evaluator.score(genomes, key)
        told = dict(zip(TOLD, (time.perf_counter() - began, peak_memory(), _peak_on_gpu()), strict=True))
        return fitness, {**metrics, **{name: np.full(len(genomes), value) for name, value in told.items()}}


def peak_memory() -> float:
    """MiB: the most that this process has had in memory since it became this program.

    From VmHWM and not getrusage, whose ru_maxrss counts what its parent had when it started it.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    return kib / 1024


def _peak_on_gpu() -> float:
    return torch.cuda.max_memory_reserved() / 2**20 if torch.cuda.is_initialized() else 0.0


def measure_costs(pool: RayExecutor) -> Costs:
    """The costs of a pool of one worker that is running, with a `Probe`; `generation` is left at 0."""
    _answers(pool, 20)
    began, used = time.perf_counter(), time.thread_time()
    _answers(pool, CHUNKS)
    service = (time.thread_time() - used) / CHUNKS
    turn = (time.perf_counter() - began) / CHUNKS
    return Costs(service=service, wait=_looking(), latency=max(0.0, turn - service))


def _answers(pool: RayExecutor, chunks: int) -> None:
    pool.evaluate(torch.zeros(chunks * pool.chunk, 0, dtype=torch.float64), 0, 0)


def _looking() -> float:
    """Seconds of the driver that one more chunk in flight adds to finding the one that is ready."""
    actor: Any = ray.remote(num_cpus=0)(_Stuck)
    stuck, quick = actor.remote(), actor.remote()
    try:
        never = [stuck.wait.remote() for _ in range(IN_FLIGHT)]
        seconds = {0: 0.0, IN_FLIGHT: 0.0}
        for _ in range(LOOKS):
            ready = quick.answer.remote()
            ray.wait([ready], timeout=60)
            for count in seconds:
                began = time.thread_time()
                ray.wait([*never[:count], ready], num_returns=1, timeout=60)
                seconds[count] += time.thread_time() - began
    finally:
        ray.kill(stuck)
        ray.kill(quick)
    return max(0.0, (seconds[IN_FLIGHT] - seconds[0]) / (LOOKS * IN_FLIGHT))


class _Stuck:
    """An actor whose first call takes for ever."""

    def wait(self) -> None:
        time.sleep(1e6)

    def answer(self) -> int:
        return 1
