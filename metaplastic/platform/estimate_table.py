"""An estimate as text: what was timed, and a table of workers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metaplastic.core import ConfigError
from metaplastic.platform.estimate import (
    Measured,
    Offer,
    better_chunk,
    check_offer,
    measure,
    reasons_against,
    worker_counts,
)
from metaplastic.platform.estimate_progress import Steps
from metaplastic.platform.experiment_file import load
from metaplastic.platform.pool_simulation import driver_limit
from metaplastic.platform.progress import duration, rate

COLUMNS = ("workers", "generation", "an hour", "lifetimes/s", "workers busy", "driver busy", "whole search")


def estimate(
    file: Path, overrides: Iterable[str], offer: Offer, *, seconds: float, losses: float, show: Any = None
) -> None:
    """Time a search here and show what it takes by the number of workers.

    Raises:
        ConfigError: one line for each reason why the offer cannot hold the search; the table has been shown by then.
    """
    words = list(overrides)
    given = {word.partition("=")[0].removeprefix("execution.") for word in words if word.startswith("execution.")}
    if seconds <= 0 or losses < 0:
        raise ConfigError(f"--seconds is {seconds:g}, --losses {losses:g}; wanted a time above 0, losses of 0 or more")
    experiment = load(file, words)
    given |= experiment.execution.model_fields_set
    if offer.gpus and "device" not in given:  # as `metaplastic launch` does
        experiment = load(file, [*words, "execution.device=cuda"])
    check_offer(experiment, offer, given)
    with Steps() as steps:
        measured = measure(experiment, seconds, steps)
    (show or _print)(lines(measured, experiment.name), table(measured, offer, losses))
    chosen = measured.on(offer.workers, losses)
    if better := better_chunk(measured, offer.workers, losses):
        (show or _print)(
            [f"execution.chunk={better[0]} would make a generation {better[1]:.2g} times as quick on {offer.workers} "
             "workers, if a chunk's time is in proportion to its individuals"], None
        )  # fmt: skip
    if reasons := reasons_against(measured, offer, measured.search_seconds(chosen.seconds)):
        raise ConfigError("\n".join(reasons))


def lines(measured: Measured, name: str) -> list[str]:
    """What was timed, in words."""
    mean = sum(measured.times) / len(measured.times)
    chunks, costs = len(measured.weights()), measured.costs
    individuals = min(measured.chunk, measured.population)
    gpu = f" and {measured.gpu:,.0f} MiB on its GPU" if measured.gpu else ""
    return [
        f"{name}: {measured.generations} generations of {measured.population} individuals with {measured.lifetimes} "
        f"lifetimes each, in {chunks} chunks of {individuals}",
        f"timed here: {len(measured.times)} of {chunks} chunks, {_seconds(mean)} each ({_seconds(min(measured.times))} "
        f"to {_seconds(max(measured.times))}), {rate(individuals * measured.lifetimes / mean)} lifetimes/s a worker; a "
        f"worker's first takes {_seconds(measured.compiling)} more",
        f"a worker: {measured.memory:,.0f} MiB at its peak{gpu}, {_seconds(costs.start)} to start; the driver: "
        f"{measured.driver_memory:,.0f} MiB, {_seconds(costs.service)} a chunk, {_seconds(costs.generation)} a "
        f"generation, full with {rate(driver_limit(mean, costs))} workers",
    ]


def table(measured: Measured, offer: Offer, losses: float = 0.0) -> Table:
    """A row for each number of workers, up to those of the offer."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in (
        "workers",
        "a generation",
        "generations/h",
        "lifetimes/s",
        "workers busy",
        "driver busy",
        "the search",
    ):
        shown.add_column(column, justify="right", no_wrap=True)
    for workers in worker_counts(offer.workers):
        it = measured.on(workers, losses)
        lives = measured.population * measured.lifetimes
        shown.add_row(
            f"{workers:,}",
            _seconds(it.seconds),
            rate(3600 / it.seconds),
            rate(lives / it.seconds),
            f"{it.efficiency:.0%}",
            f"{it.driver:.0%}",
            duration(measured.search_seconds(it.seconds)),
        )
    return shown


def _seconds(value: float) -> str:
    return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value:.3g} s" if value < 100 else duration(value)


def _print(words: list[str], rows: Table | None) -> None:
    console = Console()
    for line in words:
        console.print(Text(line), soft_wrap=True)
    if rows is not None:
        console.print(rows)
