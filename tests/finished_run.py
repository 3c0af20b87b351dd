"""The files of a run that could have been: digits learned by reward in a plastic network, two objectives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

EXPERIMENT = """\
name: digits-by-reward
notes: Can evolution find a local rule that learns handwritten digits from right and wrong alone?
seed: 7
task: {kind: digits, trials: 2000, test_trials: 200}
network: {kind: feedforward, units: 64}
rule: {kind: formula, update: "eta * rpe * feedback * pre - decay * w"}
lifetimes: 4
fitness: [{metric: score, goal: maximise}, {metric: activity, goal: minimise}]
search: {kind: snes, population: 64}
generations: 40
"""
CHAMPION = """\
name: digits-by-reward-champion
rule:
  kind: formula
  parameters: {eta: 0.0317, decay: 0.00012}
"""
ENVIRONMENT = {
    "metaplastic": "0.1.0",
    "git_changed": False,
    "seed": 7,
    "command": ["metaplastic", "search", "digits.yaml"],
    "gpus": [],
    "packages": {"torch": "2.13.0", "numba": "0.61.2"},
}
GENOME = [
    {"name": "rule.parameters.eta", "low": 1e-4, "high": 1.0, "log": True, "integer": False},
    {"name": "rule.parameters.decay", "low": 1e-6, "high": 1e-2, "log": True, "integer": False},
    {"name": "policy.epsilon", "low": 0.0, "high": 0.5, "log": False, "integer": False},
    {"name": "network.units", "low": 8, "high": 128, "log": True, "integer": True},
    {"name": "network.initial", "low": -1.0, "high": 1.0, "log": False, "integer": False},
]
CHAMPION_JSON = {
    "formula": {
        "text": "Δw_ij = 0.0317 δ f_i x_j - 0.00012 w_ij",
        "latex": r"\Delta w_{ij} &= 0.0317 \, \delta \, f_i \, x_j - 1.2 \cdot 10^{-4} \, w_{ij}",
        "symbolic_text": "Δw_ij = η δ f_i x_j - decay w_ij",
        "symbolic_latex": r"\Delta w_{ij} &= \eta \, \delta \, f_i \, x_j - \mathrm{decay} \, w_{ij}",
    },
    "coefficients": {"eta": 0.0317, "decay": 0.00012},
    "genes": {"rule.parameters.eta": 0.0317, "rule.parameters.decay": 0.00012, "policy.epsilon": 0.043,
              "network.units": 96, "network.initial": {"mean": 0.02, "sd": 0.31, "count": 6144}},
    "ablation": [
        {"without": "eta * rpe * feedback * pre", "latex": r"\eta \, \delta \, f_i \, x_j", "mean": 0.103, "sd": 0.02,
         "scores": [0.08, 0.12, 0.09, 0.11, 0.115]},
        {"without": "decay * w", "mean": 0.842, "sd": 0.035, "scores": [0.8, 0.88, 0.85, 0.838, 0.842]},
    ],
    "score": 0.871,
}  # fmt: skip
COMPARED = [  # name, role, score before and after learning, spread over lifetimes
    ("plasticity off", "control", 0.101, 0.103, 0.022),
    ("starting rule", "start", 0.1, 0.437, 0.061),
    ("fixed random feedback", "control", 0.1, 0.731, 0.043),
    ("backprop, full gradient", "ceiling", 0.1, 0.951, 0.011),
    ("champion", "champion", 0.1, 0.894, 0.021),
]
ARCHIVE_SHAPE = (9, 7)


def write_run(folder: Path, *, lifetimes: int = 7, generations: int = 5, blocks: int = 6) -> Path:
    """A run directory with every file that a report can read."""
    chance = Random(3)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "champion.yaml").write_text(CHAMPION)
    records = [json.dumps(_record(g, generations, chance)) for g in range(generations)]
    (folder / "metrics.jsonl").write_text("\n".join(records) + "\n")
    across, up = ARCHIVE_SHAPE
    measures = [
        {"metric": "activity", "low": 0.0, "high": 0.5, "cells": across},
        {"metric": "learning_score", "low": 0.0, "high": 1.0, "cells": up},
    ]
    archive = {"measures": measures, "shape": [across, up], "cells": _cells(chance), "coverage": 0.7}
    points = [[0.9 - 0.5 * x**2 - chance.random() * 0.2, -0.4 + 0.3 * x] for x in (n / 40 for n in range(41))]
    rest = {
        "environment.json": ENVIRONMENT,
        "genome.json": GENOME,
        "champion.json": CHAMPION_JSON,
        "comparison.json": _comparison(chance, lifetimes, blocks),
        "archive.json": archive,
        "pareto.json": {"objectives": ["score", "-activity"], "points": points, "front": _front(points)},
    }
    for name, value in rest.items():
        (folder / name).write_text(json.dumps(value))
    return folder


def _record(generation: int, generations: int, chance: Random) -> dict:
    progress = 1 - math.exp(-4 * generation / generations)
    median = 0.28 + 0.5 * progress + chance.gauss(0, 0.012)
    spread = [median + z * (0.09 - 0.05 * progress) for z in (-1.64, -0.67, 0, 0.67, 1.64)]
    activity = [-0.3 + 0.2 * progress + z * 0.03 for z in (-1.64, -0.67, 0, 0.67, 1.64)]
    return {
        "generation": generation,
        "environment_steps": 563_200 * (generation + 1),
        "population": 64,
        "failed": 1 if generation == 2 else 0,
        "seconds": 3.5,
        "lifetimes_per_second": 73.1,
        "fitness": {
            "score": {"mean": median, "sd": 0.05, "median": median, "quantiles": spread, "best": spread[-1] + 0.01},
            "-activity": {"mean": activity[2], "sd": 0.1, "median": activity[2], "quantiles": activity,
                         "best": activity[-1]},
        },
        "best_so_far": {"score": 0.48 + 0.41 * progress, "-activity": activity[-1] - 0.02},
        "genes": {gene["name"]: _gene(gene, progress, index, chance) for index, gene in enumerate(GENOME)},
    }  # fmt: skip


def _gene(gene: dict, progress: float, index: int, chance: Random) -> dict:
    low, high = gene["low"], gene["high"]
    place = 0.5 + (0.35 if index % 2 else -0.25) * progress + chance.gauss(0, 0.01)
    width = 0.18 * (1 - 0.8 * progress)
    places = [place + z * width for z in (-1.64, -0.67, 0, 0.67, 1.64)]
    values = [low * (high / low) ** p if gene["log"] else low + p * (high - low) for p in places]
    return {"mean": values[2], "sd": (values[3] - values[1]) / 1.34, "median": values[2], "quantiles": values}


def _comparison(chance: Random, lifetimes: int, blocks: int) -> dict:
    entries = []
    for name, role, before, after, spread in COMPARED:
        scores = [min(1.0, max(0.0, chance.gauss(after, spread))) for _ in range(lifetimes)]
        mean = sum(scores) / lifetimes
        sd = math.sqrt(sum((score - mean) ** 2 for score in scores) / (lifetimes - 1))
        curve = [before + (after - before) * (1 - math.exp(-3.5 * (b + 0.5) / blocks)) for b in range(blocks)]
        curve = [c + chance.gauss(0, 0.006) for c in curve]
        entries.append({"name": name, "role": role, "mean": mean, "sd": sd, "scores": scores, "curve": curve,
                        "curve_sd": [spread] * blocks})  # fmt: skip
    return {"score_name": "proportion correct", "task": "digits", "chance": 0.1, "ceiling": 1.0, "trials": 2000,
            "lifetimes": lifetimes, "held_out": True, "entries": entries}  # fmt: skip


def _cells(chance: Random) -> list[list[float]]:
    across, up = ARCHIVE_SHAPE
    return [
        [i, j, 0.9 - ((i / across - 0.4) ** 2 + (j / up - 0.6) ** 2) + chance.gauss(0, 0.02)]
        for i in range(across)
        for j in range(up)
        if chance.random() < 0.7
    ]


def _front(points: list[list[float]]) -> list[int]:
    return [
        index
        for index, point in enumerate(points)
        if not any(other != point and all(a >= b for a, b in zip(other, point, strict=True)) for other in points)
    ]
