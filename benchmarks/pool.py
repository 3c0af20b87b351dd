"""How well 1 to 1,000 workers are used, by the time of a chunk and by losses; and from where on the driver is full.

The costs of the pool are measured on this machine (`ray_costs.py`) unless they are given; the rest is simulated
(`pool_simulation.py`), ten chunks a worker and generation. Writes docs/figures/pool.svg and .png, prints a table.

    python benchmarks/pool.py
    python benchmarks/pool.py --service 0.00085 --wait 4e-7 --latency 0.003 --start 3.2
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.platform.figure_style import LINE, OTHERS, QUIET, images, ink, new_figure, styled
from metaplastic.platform.pool_simulation import Costs, driver_limit, simulate

WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
CHUNKS_A_WORKER = 10
SECONDS = (0.01, 0.1, 1.0, 10.0)
LOSSES = (0, 1, 24, 240)
"""of each worker, a day"""
COLOURS = ("#0072b2", "#d55e00", OTHERS[0], OTHERS[1])
MARKS = ("o", "s", "^", "D")


def measured() -> Costs:
    from metaplastic.platform.ray_costs import measure_costs
    from metaplastic.platform.ray_pool import RayExecutor

    with RayExecutor(Nothing(), 1, 1) as pool:
        return measure_costs(pool)._replace(start=3.0)


class Nothing:
    """An evaluator that answers at once."""

    def score(self, genomes: np.ndarray, key: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # noqa: ARG002
        return np.zeros((len(genomes), 1)), {}


def efficiency(seconds: float, workers: int, costs: Costs, losses: float = 0.0) -> float:
    """In per cent; chunks take between half and one and a half times `seconds`."""
    times = [seconds * (0.5 + part / 20) for part in range(21)]
    weights = [1.0] * (workers * CHUNKS_A_WORKER)
    return 100 * simulate(times, workers, costs, weights=weights, losses=losses / 86400, generations=3).efficiency


@styled
def draw(costs: Costs) -> Any:
    """Left: by the time of a chunk, with the driver's limit; right: by losses, chunks of 60 s."""
    figure = new_figure(2.9, 7.0)
    left, right = figure.subplots(1, 2, sharey=True)
    for seconds, colour, mark in zip(SECONDS, COLOURS, MARKS, strict=True):
        values = [efficiency(seconds, workers, costs) for workers in WORKERS]
        left.plot(WORKERS, values, color=colour, marker=mark, markersize=4, label=f"{seconds:g} s")
        limit = driver_limit(seconds, costs)
        if limit < WORKERS[-1]:
            left.axvline(limit, color=colour, linewidth=0.9, linestyle=":")
            left.annotate(
                f"{limit:.0f}", (limit, 103), color=ink(colour), ha="center", fontsize=8.5, annotation_clip=False
            )
    left.set_title("chunks of this time; dotted: the driver is full\n")
    for losses, colour, mark in zip(LOSSES, COLOURS, MARKS, strict=True):
        values = [efficiency(60.0, workers, costs, losses) for workers in WORKERS]
        right.plot(WORKERS, values, color=colour, marker=mark, markersize=4, label=f"{losses} a day")
    right.set_title("each worker lost so often; chunks of 60 s\n")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("workers")
        axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
        axes.set_ylim(0, 101)
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
        axes.legend(frameon=False, fontsize=8.5, loc="lower left", handlelength=1.6, labelspacing=LINE * 2)
        axes.tick_params(which="minor", color=QUIET, length=2)
    left.set_ylabel("workers' time spent on lifetimes (%)")
    return figure


def main() -> int:
    words = argparse.ArgumentParser(description="Efficiency of a pool by its number of workers.")
    for name in ("service", "wait", "latency", "start"):
        words.add_argument(f"--{name}", type=float, help="seconds; all are measured if --service is absent")
    words.add_argument("--out", type=Path, default=Path("docs/figures"))
    said = words.parse_args()
    if said.service is None:
        costs = measured()
    else:
        costs = Costs(service=said.service, wait=said.wait or 0, latency=said.latency or 0, start=said.start or 0)
    print(
        f"driver: {costs.service * 1e3:.2f} ms a chunk and {costs.wait * 1e6:.2f} µs more for each in flight; the way: "
        f"{costs.latency * 1e3:.1f} ms; start of a worker: {costs.start:.1f} s"
    )
    for seconds in SECONDS:
        row = "  ".join(f"{efficiency(seconds, workers, costs):4.0f}" for workers in WORKERS)
        print(f"{seconds:6g} s a chunk: {row} %  driver full with {driver_limit(seconds, costs):,.0f} workers")
    said.out.mkdir(parents=True, exist_ok=True)
    for name, data in zip(("pool.svg", "pool.png"), images(draw(costs)), strict=True):
        (said.out / name).write_bytes(data)
        print(f"written: {said.out / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
