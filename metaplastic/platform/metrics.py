"""The record of a generation: a few numbers about each objective and each gene, plain values for a line of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metaplastic.core import Evaluation

QUANTILES = (5, 25, 50, 75, 95)
"""per cent"""


def generation_record(
    generation: int,
    evaluation: Evaluation,
    *,
    objectives: Sequence[str],
    genes: Mapping[str, Float[Tensor, "P n"]],
    best_so_far: Sequence[float],
    lifetimes: int,
    seconds: float,
    steps: int,
) -> dict[str, Any]:
    """What is kept of a generation; statistics are over the individuals whose fitness is finite.

    `genes` are values in natural units (`Genome.values`), `lifetimes` how many were lived in it, in `seconds`, `steps`
    the environment steps of the run so far. A gene that stands for many numbers is described by all of them together.
    """
    fitness = evaluation.fitness.double()
    alive = fitness.isfinite().all(dim=1)
    return {
        "generation": generation,
        "environment_steps": steps,
        "population": len(fitness),
        "failed": int((~alive).sum()),
        "seconds": seconds,
        "lifetimes_per_second": lifetimes / seconds if seconds > 0 else None,
        "fitness": {
            name: {**describe(column[alive]), "best": float(column[alive].max()) if alive.any() else None}
            for name, column in zip(objectives, fitness.unbind(1), strict=True)
        },
        "best_so_far": dict(zip(objectives, best_so_far, strict=True)),
        "metrics": _means(evaluation.metrics, alive),
        "genes": {name: describe(value[alive].flatten().double()) for name, value in genes.items()},
    }


def describe(values: Float[Tensor, " n"]) -> dict[str, Any]:
    """Mean, standard deviation and quantiles; None where there are no values."""
    if not len(values):
        return {"mean": None, "sd": None, "median": None, "quantiles": [None] * len(QUANTILES)}
    # torch.quantile has a limit of 2^24 values; sorting has none, and is linear interpolation as well
    ordered, places = values.sort().values, torch.tensor(QUANTILES, dtype=torch.float64) / 100 * (len(values) - 1)
    low, high = ordered[places.floor().long()], ordered[places.ceil().long()]
    quantiles = (low + (places - places.floor()) * (high - low)).tolist()
    return {
        "mean": float(values.mean()),
        "sd": float(values.std(correction=0)),
        "median": quantiles[QUANTILES.index(50)],
        "quantiles": quantiles,
    }


def _means(metrics: Mapping[str, Tensor], alive: Bool[Tensor, " P"]) -> dict[str, Any]:
    """The population's mean of each metric (a number or a curve an individual), failed lives left out."""
    if not alive.any():
        return {}
    return {name: value[alive].double().nanmean(0).tolist() for name, value in metrics.items()}
