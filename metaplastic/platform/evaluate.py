"""`evaluate(experiment, genomes, key)`: a pure function from genomes to fitness. It knows no Ray, searcher or logger.

Every individual of a generation lives the same L lifetimes (common random numbers): the same tasks, births and coins,
keyed by (key, lifetime) alone. So a result does not depend on how the genomes are split.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Array, ConfigError, Evaluation, Numbers, Record, Values
from metaplastic.inner_loop.lifetime import live
from metaplastic.outer_loop.genome import Genome, Path, replace
from metaplastic.platform.experiment import Experiment


def genome_of(experiment: Experiment) -> Genome:
    """The search space of an experiment."""
    return Genome(experiment, lambda tree: tree.layout())


def generation_key(seed: int, generation: int) -> Tensor:
    """The key of all lifetimes of a generation; generation -1 is the comparison at the end."""
    return rng.fold(rng.root(seed), generation)


def evaluate(experiment: Experiment, genomes: Float[Tensor, "P G"], key: Int[Tensor, ""]) -> Evaluation:
    """Fitness [P, K] and metrics of genomes in the unit cube, one row an individual, in their order."""
    parts: list[tuple[Tensor, Evaluation]] = []
    for group in genome_of(experiment).express(genomes):
        record = live_experiment(group.tree, len(group.members), key)
        parts.append((group.members, _judge(experiment, record)))
    return _gather(parts, len(genomes))


def live_experiment(
    experiment: Experiment,
    individuals: int,
    key: Int[Tensor, ""],
    lifetimes: int | None = None,
    record: tuple[str, ...] = (),
) -> Record:
    """`individuals` × `lifetimes` lives of an expressed experiment (numbers are plain or `Values`)."""
    bound = replace(experiment, _load_array)
    return live(
        bound.network,
        bound.rule,
        bound.objective,
        bound.policy,
        bound.critic,
        bound.task,
        individuals=individuals,
        lifetime=torch.arange(lifetimes or experiment.lifetimes),
        key=key,
        record=record,
        backend=experiment.execution.backend,
        device=experiment.execution.device,
    )


def measures(record: Record) -> dict[str, Float[Tensor, " P"]]:
    """Every number that can be a fitness: the mean over lifetimes of each metric of a record."""
    means = {name: value.double().mean(1) for name, value in record.metrics.items()}
    return {"score": record.score.double().mean(1), "learning_score": record.curve.double().mean((1, 2)), **means}


def _judge(experiment: Experiment, record: Record) -> Evaluation:
    means = measures(record)
    columns = []
    for aim in experiment.fitness:
        if aim.metric not in means:
            raise ConfigError(f"fitness: metric {aim.metric!r} is not measured; there are {', '.join(means)}")
        columns.append(means[aim.metric] if aim.goal == "maximise" else -means[aim.metric])
    return Evaluation(torch.stack(columns, dim=1), {**means, "curve": record.curve.double().mean(1)})


def _gather(parts: list[tuple[Tensor, Evaluation]], individuals: int) -> Evaluation:
    def collect(pick: Any) -> Tensor:
        whole = pick(parts[0][1]).new_empty((individuals, *pick(parts[0][1]).shape[1:]))
        for index, part in parts:
            whole[index] = pick(part)
        return whole

    names = parts[0][1].metrics
    metrics = {name: collect(lambda part, name=name: part.metrics[name]) for name in names}
    return Evaluation(collect(lambda part: part.fitness), metrics)


def _load_array(path: Path, node: Any) -> Any:  # noqa: ARG001  (the walker's signature)
    if isinstance(node, Numbers):
        return Values(torch.tensor([node.values], dtype=torch.float64), node.per)
    return Values(_read_array(node.file, node.name)[None], node.per) if isinstance(node, Array) else node


@lru_cache(maxsize=64)
def _read_array(file: str, name: str) -> Tensor:
    try:
        with safe_open(file, framework="pt") as arrays:
            return arrays.get_tensor(name)
    except Exception as why:
        raise ConfigError(f"array {name!r} of {file} cannot be read: {why}") from why
