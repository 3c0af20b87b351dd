"""What a run left, as figures and reports want it: plain tuples, NaN where a number is missing.

Files may be absent (the run goes on, or was not compared), cut short, or of an older version: what can be read is read,
what cannot is named in `problems`, and nothing raises.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from metaplastic.platform.run import ENVIRONMENT, EXPERIMENT, METRICS

QUANTILES = (5, 25, 50, 75, 95)
"""per cent; the order in which records list them"""


class Entry(NamedTuple):
    """One of those that were compared on the same held-out lifetimes."""

    name: str
    role: str
    """champion, start, control or ceiling"""
    mean: float
    sd: float
    scores: list[float]
    """one a lifetime"""
    curve: list[float]
    """mean over lifetimes, in equal blocks of learning trials"""
    curve_sd: list[float]


class Comparison(NamedTuple):
    """The trial of the champion."""

    score_name: str
    chance: float
    ceiling: float
    trials: int
    """trials of learning in a lifetime"""
    held_out: bool
    entries: list[Entry]


class FitnessHistory(NamedTuple):
    """One objective of evolution, one number a generation in each list."""

    name: str
    generation: list[int]
    best: list[float]
    best_so_far: list[float]
    mean: list[float]
    quantiles: dict[int, list[float]]


class GeneHistory(NamedTuple):
    """One gene, one number a generation in each list; low and high are what evolution may use."""

    name: str
    low: float
    high: float
    log: bool
    generation: list[int]
    mean: list[float]
    sd: list[float]
    quantiles: dict[int, list[float]]
    """over all numbers of the gene in the population; NaN in older records"""
    champion: float
    """the champion's value, where it is one number"""


class Ablation(NamedTuple):
    """The champion's rule without one of its terms."""

    without: str
    latex: str
    mean: float
    sd: float
    scores: list[float]
    """one a lifetime"""


class Pareto(NamedTuple):
    """The last population by its objectives, and which of it nothing dominates."""

    objectives: list[str]
    points: list[list[float]]
    front: list[int]


class Archive(NamedTuple):
    """A quality-diversity archive: rows [i, j, …, fitness] of filled cells."""

    measures: list[str]
    shape: list[int]
    ranges: list[list[float]]
    cells: list[list[float]]


class Results(NamedTuple):
    """Everything of a run; None, empty or "" is what is not there."""

    name: str
    experiment: dict[str, Any]
    experiment_text: str
    environment: dict[str, Any]
    generations: list[dict[str, Any]]
    """the records, one a generation, in order"""
    fitness: list[FitnessHistory]
    genes: list[GeneHistory]
    gene_count: int
    """genes of the experiment, whether or not there are records of them"""
    comparison: Comparison | None
    champion: dict[str, Any]
    champion_text: str
    ablation: list[Ablation]
    pareto: Pareto | None
    archive: Archive | None
    problems: list[str]


def read_results(run: Path) -> Results:
    """What is in a run directory."""
    problems: list[str] = []

    def mapping(name: str) -> dict[str, Any]:
        return _dict(_parse(run / name, json.loads, problems))

    experiment = _dict(_parse(run / EXPERIMENT, yaml.safe_load, problems))
    records = _records(run / METRICS, problems)
    champion, comparison = mapping("champion.json"), mapping("comparison.json")
    ranges = _list(_parse(run / "genome.json", json.loads, problems))
    return Results(
        name=str(experiment.get("name") or run.resolve().name),
        experiment=experiment,
        experiment_text=_text(run / EXPERIMENT, problems),
        environment=mapping(ENVIRONMENT),
        generations=records,
        fitness=_fitness(records),
        genes=_genes(records, [_dict(gene) for gene in ranges], _dict(champion.get("genes"))),
        gene_count=len(ranges),
        comparison=_comparison(comparison) if comparison else None,
        champion=champion,
        champion_text=_text(run / "champion.yaml", problems),
        ablation=[_ablation(_dict(row)) for row in _list(champion.get("ablation"))],
        pareto=_pareto(mapping("pareto.json")),
        archive=_archive(mapping("archive.json")),
        problems=problems,
    )


def number(value: Any) -> float:
    """A finite float, or NaN for whatever else came."""
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if fits and math.isfinite(value) else math.nan


def numbers(value: Any) -> list[float]:
    """The list with NaN for whatever is no number; empty for what is no list."""
    return [number(item) for item in _list(value)]


def finite(values: list[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if math.isfinite(value)]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as why:
        problems.append(f"{path.name} cannot be read: {why}")
        return ""


def _parse(path: Path, parse: Callable[[str], Any], problems: list[str]) -> Any:
    text = _text(path, problems)
    try:
        return parse(text) if text else None
    except (ValueError, yaml.YAMLError, RecursionError) as why:
        problems.append(f"{path.name} cannot be understood: {str(why).splitlines()[0]}")
        return None


def _records(path: Path, problems: list[str]) -> list[dict[str, Any]]:
    """Records by generation; a generation that was computed twice (after a crash) counts as it was last."""
    by_generation: dict[int, dict[str, Any]] = {}
    lost = 0
    for line in _text(path, problems).splitlines():
        try:
            record = _dict(json.loads(line))
            by_generation[int(record["generation"])] = record
        except (ValueError, KeyError, TypeError):
            lost += 1
    if lost:
        problems.append(f"{path.name}: {lost} {'line' if lost == 1 else 'lines'} cannot be understood")
    return [by_generation[generation] for generation in sorted(by_generation)]


def _names(records: list[dict[str, Any]], what: str) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in _dict(record.get(what))))


def _fitness(records: list[dict[str, Any]]) -> list[FitnessHistory]:
    return [_history(records, name) for name in _names(records, "fitness")]


def _history(records: list[dict[str, Any]], name: str) -> FitnessHistory:
    rows = [_dict(_dict(record.get("fitness")).get(name)) for record in records]
    best = [number(row.get("best")) for row in rows]
    so_far = [_of_objective(record.get("best_so_far"), name) for record in records]
    return FitnessHistory(
        name,
        [int(record["generation"]) for record in records],
        best,
        so_far if finite(so_far) else _running_best(best),
        [number(row.get("mean")) for row in rows],
        {percent: [_quantile(row, percent) for row in rows] for percent in QUANTILES},
    )


def _quantile(row: dict[str, Any], percent: int) -> float:
    given = row.get("quantiles")
    if isinstance(given, list):
        given = dict(zip(map(str, QUANTILES), given, strict=False))
    found = number(_dict(given).get(str(percent)))
    return number(row.get("median")) if math.isnan(found) and percent == 50 else found


def _of_objective(value: Any, name: str) -> float:
    return number(value.get(name)) if isinstance(value, dict) else math.nan


def _running_best(best: list[float]) -> list[float]:
    so_far, highest = [], math.nan
    for value in best:
        highest = value if math.isnan(highest) else max(highest, -math.inf if math.isnan(value) else value)
        so_far.append(highest)
    return so_far


def _genes(records: list[dict[str, Any]], ranges: list[dict[str, Any]], champion: dict[str, Any]) -> list[GeneHistory]:
    allowed = {str(gene.get("name")): gene for gene in ranges}
    generation = [int(record["generation"]) for record in records]
    histories = []
    for name in _names(records, "genes"):
        rows = [_dict(_dict(record.get("genes")).get(name)) for record in records]
        mean, sd = ([number(row.get(what)) for row in rows] for what in ("mean", "sd"))
        quantiles = {percent: [_quantile(row, percent) for row in rows] for percent in QUANTILES}
        gene = allowed.get(name, {})
        low, high, log = number(gene.get("low")), number(gene.get("high")), gene.get("log") is True
        if finite(mean):
            found = number(champion.get(name))
            histories.append(GeneHistory(name, low, high, log, generation, mean, sd, quantiles, found))
    return histories


def _comparison(data: dict[str, Any]) -> Comparison:
    trials = number(data.get("trials"))
    return Comparison(
        str(data.get("score_name") or "score"),
        number(data.get("chance")),
        number(data.get("ceiling")),
        0 if math.isnan(trials) else int(trials),
        data.get("held_out") is True,
        [_entry(_dict(entry)) for entry in _list(data.get("entries"))],
    )


def _entry(data: dict[str, Any]) -> Entry:
    return Entry(
        str(data.get("name") or "unnamed"),
        str(data.get("role") or "control"),
        number(data.get("mean")),
        number(data.get("sd")),
        numbers(data.get("scores")),
        numbers(data.get("curve")),
        numbers(data.get("curve_sd")),
    )


def _ablation(data: dict[str, Any]) -> Ablation:
    return Ablation(
        str(data.get("without") or "?"),
        str(data.get("latex") or ""),
        number(data.get("mean")),
        number(data.get("sd")),
        numbers(data.get("scores")),
    )


def _pareto(data: dict[str, Any]) -> Pareto | None:
    objectives = [str(name) for name in _list(data.get("objectives"))]
    points = [numbers(point) for point in _list(data.get("points"))]
    if len(objectives) < 2 or not points or any(len(point) != len(objectives) for point in points):
        return None
    front = [index for index in _list(data.get("front")) if isinstance(index, int) and 0 <= index < len(points)]
    return Pareto(objectives, points, front)


def _archive(data: dict[str, Any]) -> Archive | None:
    settings = [item if isinstance(item, dict) else {"metric": item} for item in _list(data.get("measures"))]
    measures = [str(measure.get("metric") or "?") for measure in settings]
    shape = [int(size) for size in finite(numbers(data.get("shape")))]
    cells = [numbers(cell) for cell in _list(data.get("cells"))]
    inside = [
        cell
        for cell in cells
        if len(cell) == len(shape) + 1 and all(0 <= place < size for place, size in zip(cell, shape, strict=False))
    ]
    if not measures or len(measures) != len(shape) or not inside:
        return None
    ranges = [numbers([measure.get("low"), measure.get("high")]) for measure in settings]
    whole = all(len(finite(limits)) == 2 for limits in ranges)
    return Archive(measures, shape, ranges if whole else [], inside)
