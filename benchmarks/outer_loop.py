"""What a generation costs beside the lifetimes: ask, express nothing, tell, metrics, checkpoint; population 64.

The evaluator returns at once, so all that is left is the outer loop: SNES over 20 genes, through the package's own
`_generation`, with metrics.jsonl and checkpoints written to disk. Targets: under 5 ms a generation in this process,
under 50 ms through Ray with 2 workers. And what a second worker brings where the lifetimes are what costs: at least 1.8
times one worker, in turns, on a machine with two free cores. Exit code 1 if one is missed.

    python benchmarks/outer_loop.py
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from metaplastic.outer_loop.searchers import SEARCHERS
from metaplastic.platform.evaluate import genome_of
from metaplastic.platform.executor import make_executor
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import from_dict
from metaplastic.platform.progress import show_progress
from metaplastic.platform.run import RunDirectory
from metaplastic.platform.search import Listeners, _generation, new_searcher
from metaplastic.platform.tracking import NoTracker

POPULATION, GENES, GENERATIONS = 64, 20, 300
TARGET_MS = {0: 5.0, 2: 50.0}
TARGET_SPEEDUP, TURNS, ITERATIONS = 1.8, 5, 300_000


class Instant:
    """Fitness at once: the first gene."""

    def score(self, genomes: np.ndarray, key: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # noqa: ARG002
        return genomes[:, :1].copy(), {"score": genomes[:, 0].copy()}


class Busy:
    """Some 20 ms of processor time an individual."""

    def score(self, genomes: np.ndarray, key: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # noqa: ARG002
        total = sum(index * index % 7 for _ in genomes for index in range(ITERATIONS))
        return genomes[:, :1] + 0 * total, {}


def speedup() -> float:
    """Median time of a generation on one worker over that on two, in turns."""
    genomes = torch.rand(POPULATION, GENES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with make_executor(Busy(), 3, 4), make_executor(Busy(), 1, 4) as one, make_executor(Busy(), 2, 4) as two:
        for turn in range(TURNS + 1):
            for workers, pool in ((1, one), (2, two)):
                while len(pool.pids) < workers:
                    pool.evaluate(genomes[:8], 0, 0)
                began = time.perf_counter()
                pool.evaluate(genomes, 0, turn)
                seconds[workers].append(time.perf_counter() - began)
    return statistics.median(seconds[1][1:]) / statistics.median(seconds[2][1:])


def experiment(workers: int) -> Experiment:
    names = [f"a{index}" for index in range(GENES)]
    rule = {
        "kind": "formula",
        "update": f"({' + '.join(names)}) * pre",
        "parameters": {n: {"gene": [0, 1]} for n in names},
    }
    return from_dict(
        {
            "name": "overhead",
            "task": {"kind": "Bandit-v0", "feedback": False},
            "network": {"kind": "feedforward"},
            "rule": rule,
            "search": {"kind": "snes", "population": POPULATION},
            "generations": GENERATIONS,
            "execution": {"workers": workers},
        }
    )


def milliseconds(workers: int) -> float:
    """The mean generation (some write a checkpoint, most do not), its evaluation included."""
    described = experiment(workers)
    genome = genome_of(described)
    searcher = new_searcher(described, genome)
    seconds = []
    with (
        tempfile.TemporaryDirectory() as folder,
        make_executor(Instant(), workers, described.execution.chunk) as executor,
        show_progress(GENERATIONS, "score") as progress,
    ):
        directory = RunDirectory.create("overhead", Path(folder) / "run")
        listeners = Listeners(directory, NoTracker(), progress, described.objectives())
        state = None
        for generation in range(GENERATIONS):
            began = time.perf_counter()
            state = _generation(described, genome, searcher, executor, state, generation, listeners)
            listeners.checkpoint(described, searcher, state, now=False)
            seconds.append(time.perf_counter() - began)
    return statistics.mean(seconds[5:]) * 1000


def main() -> int:
    assert "snes" in SEARCHERS
    missed = 0
    for workers, target in TARGET_MS.items():
        took = milliseconds(workers)
        missed += took > target
        print(
            f"{workers} workers: {took:.2f} ms a generation (target {target:g}) {'MISSED' if took > target else 'ok'}"
        )
    ratio = speedup()
    missed += ratio < TARGET_SPEEDUP
    print(
        f"2 workers / 1 worker: {ratio:.2f} times (target {TARGET_SPEEDUP:g}) "
        f"{'MISSED' if ratio < TARGET_SPEEDUP else 'ok'}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
