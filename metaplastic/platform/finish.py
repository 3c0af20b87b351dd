"""The end of a search: the champion chosen and written, compared on held-out lifetimes, and the report drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Searcher
from metaplastic.outer_loop.genome import Genome
from metaplastic.outer_loop.pareto import fronts
from metaplastic.outer_loop.quality_diversity import Elites, MapElites, MapElitesSearcher
from metaplastic.platform import champion as champions
from metaplastic.platform.comparison import compare, comparison_json
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import dump
from metaplastic.platform.interrupt import CODES, NAMES
from metaplastic.platform.report import write_report
from metaplastic.platform.run import RunDirectory
from metaplastic.platform.tracking import Tracker


@dataclass(frozen=True)
class Outcome:
    """What a search came to."""

    run: Path
    generations: int
    done: int
    report: Path | None = None
    lines: tuple[str, ...] = ()
    signal: Signals | None = None
    """what stopped it"""

    @property
    def code(self) -> int:
        """The command's exit code: 0, or that of the signal."""
        return CODES[self.signal] if self.signal else 0

    def summary(self) -> str:
        """What the command line prints last."""
        if self.report is None:
            by = f" by {NAMES[self.signal]}," if self.signal else ""
            return (
                f"stopped{by} after {self.done} of {self.generations} generations; all is saved, "
                f"go on with: metaplastic resume {self.run}"
            )
        return "\n".join([*self.lines, f"report: {self.report}"])


def finish(
    experiment: Experiment,
    genome: Genome,
    searcher: Searcher,
    elites: Float[Tensor, "n G"],
    genomes: Float[Tensor, "P G"],
    fitness: Float[Tensor, "P K"],
    directory: RunDirectory,
    tracker: Tracker,
) -> Outcome:
    """Everything that a finished search leaves behind."""
    best, score = champions.choose(experiment, champions.candidates(elites, genomes, fitness))
    champion, arrays = genome.individual(best, str(directory.champion_arrays.resolve()))
    champion = champion.model_copy(update={"name": f"{experiment.name}-champion", "search": None})
    directory.write_champion(dump(champion, directory.path), {name: array.numpy() for name, array in arrays.items()})
    (start,) = genome.express(genome.start()[None])
    entries = compare(experiment, champion, start.tree)
    directory.write_json("comparison.json", comparison_json(experiment, entries))
    genes = {name: _small(value[0]) for name, value in genome.values(best[None]).items()}
    told = champions.champion_json(experiment, champion, genes, score)
    directory.write_json("champion.json", told)
    _write_fronts(experiment, searcher, fitness, directory)
    tracker.summary({f"held_out/{entry.name}": entry.scores.mean().item() for entry in entries})
    lines = _lines(experiment, entries, told)
    return Outcome(directory.path, experiment.generations, experiment.generations, write_report(directory.path), lines)


def _lines(experiment: Experiment, entries: list[Any], told: dict[str, Any]) -> tuple[str, ...]:
    """Three lines of result: the champion beside its controls, its rule, and where it came from."""
    shown = {entry.name: f"{entry.scores.mean():.3f}" for entry in entries}
    others = ", ".join(f"{name} {value}" for name, value in shown.items() if name != "champion")
    lifetimes, trials = experiment.comparison.lifetimes, experiment.task.trials
    first = (
        f"champion {shown['champion']} on held-out material ({lifetimes} lives of {trials} trials); "
        f"{others}; chance {experiment.task.spec.chance:g}"
    )
    rule = told["formula"]["text"].replace("\n", ";  ") if told["formula"] else "(no formula)"
    genes = ", ".join(f"{name} {value:.4g}" for name, value in told["genes"].items() if isinstance(value, float | int))
    return first, f"rule: {rule}", f"genes: {genes}"


def _write_fronts(experiment: Experiment, searcher: Searcher, fitness: Tensor, directory: RunDirectory) -> None:
    if len(experiment.fitness) > 1:
        front = (fronts(fitness) == 0).nonzero()[:, 0]
        directory.write_json("pareto.json", {"objectives": experiment.objectives(), "points": fitness, "front": front})
    if isinstance(experiment.search, MapElites) and isinstance(searcher, MapElitesSearcher):
        directory.write_json("archive.json", _archive(experiment.search, searcher.archive()))


def _archive(settings: MapElites, elites: Elites) -> dict[str, Any]:
    """The cells of a grid archive that are filled: their place along each measure, and their fitness."""
    places = []
    for measure, values in zip(settings.measures, elites.measures.unbind(1), strict=True):
        part = (values - measure.low) / (measure.high - measure.low)
        places.append((part * measure.cells).floor().clamp(0, measure.cells - 1))
    return {
        "measures": [measure.model_dump() for measure in settings.measures],
        "shape": [measure.cells for measure in settings.measures],
        "cells": torch.stack([*places, elites.fitness.to(places[0])], 1),
        "coverage": elites.coverage,
    }


def _small(value: Tensor) -> Any:
    """A gene's value for people: the number, or mean and deviation where it stands for many."""
    if len(value) == 1:
        return value.item()
    return {"mean": value.mean().item(), "sd": torch.std(value).item(), "count": len(value)}
