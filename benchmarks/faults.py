"""How long the pool of workers takes to notice a fault, and to have done again what was lost.

Each fault is injected into a pool of two workers with pieces that are computed at once. Noticed: from the injection to
its counter; recovered: from the injection to the end of the generation, whose numbers must be those of this process.
A hang is noticed after its limit, which is set to 1.5 s here.

    python benchmarks/faults.py
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from toy_evaluators import ByKey, Dies, Hangs, SmallMemory, Sphere

from metaplastic.platform.executor import LocalExecutor
from metaplastic.platform.faults import Patience
from metaplastic.platform.ray_pool import RayExecutor

WARM, FAULT, CHUNK = 76, 77, 3
PATIENCE = Patience(multiple=4, floor=1.5, grace=60)


def cases(folder: Path) -> list[tuple[str, str, object, int]]:
    """Fault, counter, evaluator, chunk."""
    folders = [folder / name for name in "abcde"]
    for one in folders:
        one.mkdir()
    return [
        ("worker killed", "workers_lost", Dies(folders[0], 1), CHUNK),
        ("worker sleeps for ever", "hung", Hangs(folders[1], 1, False), CHUNK),
        ("worker stopped", "hung", Hangs(folders[2], 1, True), CHUNK),
        ("individual that kills", "quarantined", Dies(folders[3], 99), CHUNK),
        ("individual that hangs", "quarantined", Hangs(folders[4], 99, False), 2),
        ("out of memory", "out_of_memory", SmallMemory(2), 7),
    ]


def measure(counter: str, evaluator: object, chunk: int, genomes: torch.Tensor) -> tuple[float, float, bool]:
    """Seconds to notice, seconds to recover, whether all numbers but a poisonous individual's are right."""
    expected = LocalExecutor(Sphere(), chunk).evaluate(genomes, FAULT, 0).fitness
    noticed: list[float] = []
    with RayExecutor(ByKey({WARM: Sphere(), FAULT: evaluator}), 2, chunk, patience=PATIENCE) as pool:
        while len(pool.pids) < 2:
            pool.evaluate(genomes, WARM, 0)
        began = time.time()

        def watch() -> None:
            while not pool.faults[counter]:
                time.sleep(0.001)
            noticed.append(time.time())

        threading.Thread(target=watch, daemon=True).start()
        fitness = pool.evaluate(genomes, FAULT, 1).fitness
        ended = time.time()
        time.sleep(0.01)
        assert pool.faults[counter], "the fault was not seen"
    first = 1 if counter == "quarantined" else 0
    return noticed[0] - began, ended - began, fitness[first:].equal(expected[first:])


def main() -> int:
    genomes = torch.linspace(0.0, 0.9, 65, dtype=torch.float64).reshape(5, 13).T.contiguous()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, RayExecutor(Sphere(), 2, CHUNK):
        for name, counter, evaluator, chunk in cases(Path(folder)):
            noticed, recovered, right = measure(counter, evaluator, chunk, genomes)
            wrong += not right
            numbers = "same numbers" if right else "OTHER NUMBERS"
            print(f"{name:24} noticed {noticed:6.2f} s  recovered {recovered:6.2f} s  {numbers}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
