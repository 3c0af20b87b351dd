"""The record of a generation: a few numbers about each objective and each gene, plain values for a line of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metaplastic.core import Evaluation
from metaplastic.platform.durable import plain

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
        "genes": _of_genes(genes, alive),
    }


def flatten(record: Mapping[str, Any], above: str = "", curves: bool = False) -> dict[str, Any]:
    """The numbers of a record by path: `fitness/score/best`, quantiles as `…/q05`; gaps are left out.

    `curves`: so are lists, unless they are wanted: `metrics/curve/000`, …
    """
    found: dict[str, Any] = {}
    for name, value in plain(dict(record)).items():
        path = f"{above}{name}"
        if name == "quantiles":
            value = {f"q{percent:02d}": number for percent, number in zip(QUANTILES, value, strict=True)}
            path = above.removesuffix("/")
        elif isinstance(value, list) and curves:
            value = {f"{index:03d}": item for index, item in enumerate(value)}
        if isinstance(value, dict):
            found |= flatten(value, f"{path}/", curves)
        elif isinstance(value, int | float):
            found[path] = value
    return found


def describe(values: Float[Tensor, " n"]) -> dict[str, Any]:
    """Mean, standard deviation and quantiles; None where there are no values."""
    return describe_columns(values[:, None])[0]


def describe_columns(values: Float[Tensor, "n m"]) -> list[dict[str, Any]]:
    """The same for each column, all at once."""
    if not len(values):
        return [{"mean": None, "sd": None, "median": None, "quantiles": [None] * len(QUANTILES)}] * values.shape[1]
    # torch.quantile has a limit of 2^24 values; sorting has none, and is linear interpolation as well
    ordered, places = values.sort(0).values, torch.tensor(QUANTILES, dtype=torch.float64) / 100 * (len(values) - 1)
    low, high = ordered[places.floor().long()], ordered[places.ceil().long()]
    quantiles = (low + (places - places.floor())[:, None] * (high - low)).T.tolist()
    means, sds = values.mean(0).tolist(), values.std(0, correction=0).tolist()
    middle = QUANTILES.index(50)
    return [
        {"mean": mean, "sd": sd, "median": some[middle], "quantiles": some}
        for mean, sd, some in zip(means, sds, quantiles, strict=True)
    ]


def _of_genes(genes: Mapping[str, Float[Tensor, "P n"]], alive: Bool[Tensor, " P"]) -> dict[str, Any]:
    """Each gene described; the single numbers, mostly all there are, at once."""
    single = [name for name, value in genes.items() if value.shape[1] == 1]
    columns = torch.cat([genes[name] for name in single], 1)[alive].double() if single else torch.zeros(0, 0)
    found = dict(zip(single, describe_columns(columns), strict=True))
    return {name: found.get(name) or describe(value[alive].flatten().double()) for name, value in genes.items()}


def _means(metrics: Mapping[str, Tensor], alive: Bool[Tensor, " P"]) -> dict[str, Any]:
    """The population's mean of each metric (a number or a curve an individual), failed lives left out."""
    if not alive.any():
        return {}
    return {name: value[alive].double().nanmean(0).tolist() for name, value in metrics.items()}
