"""Where a search stands after a generation: what the next one needs beside the searcher, to a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import ConfigError, Searcher
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.gradient.song17 import Song17, trials_of
from metaplastic.platform.champion import FINALISTS
from metaplastic.platform.changes import definition
from metaplastic.platform.checkpoint import Checkpoint
from metaplastic.platform.experiment import Experiment, options
from metaplastic.rng import RNG_VERSION


@dataclass(frozen=True)
class State:
    """Where a search stands after `generation`."""

    generation: int
    elites: Float[Tensor, "n G"]
    """the best genome of each of the last generations, as many as the champion is chosen from"""
    best_genome: Float[Tensor, " G"]
    """of all generations, by the first objective"""
    best_fitness: Float[Tensor, " K"]
    genomes: Float[Tensor, "P G"]
    """the last generation"""
    fitness: Float[Tensor, "P K"]
    steps: int
    """environment steps so far"""


def next_state(
    experiment: Experiment,
    before: State | None,
    generation: int,
    genomes: Float[Tensor, "P G"],
    fitness: Float[Tensor, "P K"],
) -> State:
    """The state after one more generation."""
    best = int(fitness[:, 0].argmax())
    elite, value = genomes[best], fitness[best]
    steps = len(genomes) * _steps_of_an_individual(experiment)
    if before is None:
        return State(generation, elite[None], elite, value, genomes, fitness, steps)
    is_better = bool(value[0] > before.best_fitness[0])
    return State(
        generation=generation,
        elites=torch.cat([before.elites, elite[None]])[-FINALISTS:],
        best_genome=elite if is_better else before.best_genome,
        best_fitness=value if is_better else before.best_fitness,
        genomes=genomes,
        fitness=fitness,
        steps=before.steps + steps,
    )


def to_checkpoint(
    experiment: Experiment, run: Path, searcher: Searcher, state: State, tracker: str | None
) -> Checkpoint:
    """The checkpoint of a state, with the part of the experiment that may not change in `run`."""
    return Checkpoint(
        generation=state.generation,
        seed=experiment.seed,
        searcher=searcher.state(),
        best_genome=state.best_genome.numpy(),
        best_fitness=state.best_fitness.numpy(),
        histories={name: getattr(state, name).numpy() for name in ("elites", "genomes", "fitness")},
        notes={"steps": state.steps, "experiment": definition(experiment, run)},
        tracker=tracker,
    )


def from_checkpoint(saved: Checkpoint, searcher: Searcher) -> State:
    """The state that a checkpoint holds, with the searcher brought to it.

    Raises:
        ConfigError: if the searcher, or this version of the random numbers, is not the one that wrote it.
    """
    if saved.rng_version != RNG_VERSION:
        raise ConfigError(
            f"the checkpoint was written with version {saved.rng_version} of the random numbers, this is version "
            f"{RNG_VERSION}, so the search would not go on as it was; use the version of metaplastic that began it"
        )
    try:
        searcher.restore(saved.searcher)
    except (ValueError, KeyError, AttributeError, ImportError) as error:
        raise ConfigError(f"the checkpoint does not fit: {error}") from None
    arrays = {name: torch.from_numpy(np.array(saved.histories[name])) for name in ("elites", "genomes", "fitness")}
    arrays["elites"] = arrays["elites"][-FINALISTS:]  # earlier versions kept them all
    best = {name: torch.from_numpy(np.array(getattr(saved, name))) for name in ("best_genome", "best_fitness")}
    return State(generation=saved.generation, steps=saved.notes["steps"], **best, **arrays)


def _steps_of_an_individual(experiment: Experiment) -> int:
    """Of all its lifetimes; agents live their training episodes before them."""
    task: Any = options(experiment.task)[0]
    rule = options(experiment.rule)[0]
    if isinstance(rule, Song17):  # a trial is an episode of its own, and there are no trials of learning in a life
        tested = experiment.lifetimes * task.test_trials
        return (tested + rule.updates * trials_of(rule, task)) * task.spec.trial_steps
    training = rule.updates * rule.batch if isinstance(rule, A2C) else 0
    return (experiment.lifetimes + training) * (task.trials + task.test_trials) * task.spec.trial_steps
