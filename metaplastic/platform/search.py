"""A search: ask, evaluate, tell, write down; and at the end the champion, its trial and the report.

    for each generation: genomes = searcher.ask()  ->  executor.evaluate  ->  settle  ->  searcher.tell
                         metrics.jsonl  ->  tracker, progress  ->  checkpoint

A checkpoint holds all that the next generation depends on (its randomness is a function of its number), so a search
that was stopped at any generation and resumed is, bit for bit, the search that was not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import ConfigError, Evaluation, Gene, Searcher
from metaplastic.outer_loop.failed_fitness import settle
from metaplastic.outer_loop.genome import Genome
from metaplastic.platform import checkpoint as checkpoints
from metaplastic.platform import environment
from metaplastic.platform.checkpoint import Checkpoint
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.executor import EvaluationError, Executor, make_executor
from metaplastic.platform.experiment import Execution, Experiment, options
from metaplastic.platform.experiment_file import dump, load
from metaplastic.platform.finish import Outcome, finish
from metaplastic.platform.interrupt import StopRequest
from metaplastic.platform.metrics import generation_record
from metaplastic.platform.progress import Progress, show_progress
from metaplastic.platform.run import EXPERIMENT, RunDirectory
from metaplastic.platform.tracking import Tracker, make_tracker

CHECKPOINT_SECONDS = 1.0
"""what a crash may cost: generations that are quicker share a checkpoint, and are lived again"""


class ExperimentEvaluator:
    """An experiment as executors want it: pickles, and scores plain arrays."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    def score(self, genomes: np.ndarray, key: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Fitness [p, K] and metrics of some genomes."""
        result = evaluate(self.experiment, torch.from_numpy(genomes), torch.tensor(key, dtype=torch.int64))
        return result.fitness.numpy(), {name: value.numpy() for name, value in result.metrics.items()}


@dataclass(frozen=True)
class State:
    """Where a search stands after `generation`."""

    generation: int
    elites: Float[Tensor, "n G"]
    """the best genome of each generation"""
    elite_fitness: Float[Tensor, "n K"]
    genomes: Float[Tensor, "P G"]
    """the last generation"""
    fitness: Float[Tensor, "P K"]
    steps: int
    """environment steps so far"""


@dataclass
class Listeners:
    """Who is told of a generation."""

    directory: RunDirectory
    tracker: Tracker
    progress: Progress
    names: list[str] = field(default_factory=list)
    saved: float = field(default_factory=time.monotonic)
    """when the last checkpoint was written"""

    def checkpoint(self, experiment: Experiment, searcher: Searcher, state: State, now: bool) -> None:
        """Write a checkpoint, now or if the last one is `CHECKPOINT_SECONDS` old: forcing it to disk takes a while."""
        if now or time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self.directory.sync_metrics()
            checkpoints.save(self.directory.checkpoints, _checkpoint(experiment, searcher, state, self.tracker))
            self.saved = time.monotonic()


def search(
    experiment: Experiment,
    out: Path | None = None,
    command: Sequence[str] | None = None,
    stop_after: int | None = None,
) -> Outcome:
    """Run an experiment's search into a new run directory; `stop_after` ends it early, after that generation.

    Raises:
        ConfigError: if there is nothing to search, or the directory is taken.
    """
    _check(experiment)
    try:
        directory = RunDirectory.create(experiment.name, out)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    directory.write_experiment(dump(experiment, directory.path))
    directory.write_json("environment.json", environment.describe(experiment.seed, command))
    directory.write_json("genome.json", _ranges(genome_of(experiment)))
    return _run(experiment, directory, None, None, stop_after)


def resume(
    run: Path,
    generations: int | None = None,
    workers: int | None = None,
    stop_after: int | None = None,
) -> Outcome:
    """Continue a run from its last whole checkpoint, exactly as if it had not stopped."""
    try:
        directory = RunDirectory.open(run)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    words = [] if generations is None else [f"generations={generations}"]
    words += [] if workers is None else [f"execution.workers={workers}"]
    experiment = load(directory.path / EXPERIMENT, words)
    if words:
        directory.write_experiment(dump(experiment, directory.path))
    saved = checkpoints.load(directory.checkpoints)
    return _run(experiment, directory, saved, saved.tracker if saved else None, stop_after)


def _run(
    experiment: Experiment,
    directory: RunDirectory,
    saved: Checkpoint | None,
    tracker_id: str | None,
    stop_after: int | None,
) -> Outcome:
    genome = genome_of(experiment)
    searcher = new_searcher(experiment, genome)
    state = None
    if saved:
        searcher.restore(saved.searcher)
        state = _state_of(saved)
    directory.go_back_to(state.generation if state else -1)
    execution = experiment.execution
    with (
        make_executor(
            ExperimentEvaluator(experiment), execution.workers, execution.chunk, **_ray(execution)
        ) as executor,
        make_tracker(experiment, directory, tracker_id) as tracker,
        show_progress(experiment.generations, experiment.objectives()[0]) as progress,
        StopRequest(progress.say) as stop,
    ):
        listeners = Listeners(directory, tracker, progress, experiment.objectives())
        for generation in range(state.generation + 1 if state else 0, experiment.generations):
            state = _generation(experiment, genome, searcher, executor, state, generation, listeners)
            stopping = stop.requested or generation in (stop_after, experiment.generations - 1)
            listeners.checkpoint(experiment, searcher, state, now=stopping)
            if stopping:
                break
        if state is None or state.generation + 1 < experiment.generations:
            return Outcome(directory.path, experiment.generations, state.generation + 1 if state else 0)
        return finish(experiment, genome, searcher, state.elites, state.genomes, state.fitness, directory, tracker)


def _generation(
    experiment: Experiment,
    genome: Genome,
    searcher: Searcher,
    executor: Executor,
    before: State | None,
    generation: int,
    listeners: Listeners,
) -> State:
    """One generation: asked, lived, told and written down."""
    began = time.perf_counter()
    genomes = searcher.ask()
    key = int(generation_key(experiment.seed, generation))
    known = len(executor.failures)
    try:
        evaluation = executor.evaluate(genomes, key, generation)
    except EvaluationError as error:
        line, _, trace = str(error).partition("\n")
        listeners.directory.add_failure({"generation": generation, "error": line, "trace": trace})
        raise ConfigError(f"{line} (where it came from: {listeners.directory.failures})") from None
    for failure in executor.failures[known:]:
        listeners.directory.add_failure(failure._asdict())
    settled = settle(evaluation.fitness)
    settings: Any = experiment.search
    searcher.tell(settled.fitness, settings.behaviour(evaluation.metrics, settled.failed))
    state = _next_state(experiment, before, generation, genomes, settled.fitness)
    _tell(experiment, genome, evaluation, state, time.perf_counter() - began, listeners)
    return state


def _next_state(
    experiment: Experiment, before: State | None, generation: int, genomes: Tensor, fitness: Tensor
) -> State:
    best = int(fitness[:, 0].argmax())
    elite, value = genomes[best : best + 1], fitness[best : best + 1]
    steps = len(genomes) * experiment.lifetimes * _steps_of_a_life(experiment)
    if before is None:
        return State(generation, elite, value, genomes, fitness, steps)
    elites, values = torch.cat([before.elites, elite]), torch.cat([before.elite_fitness, value])
    return replace(
        before,
        generation=generation,
        elites=elites,
        elite_fitness=values,
        genomes=genomes,
        fitness=fitness,
        steps=before.steps + steps,
    )


def _tell(
    experiment: Experiment,
    genome: Genome,
    evaluation: Evaluation,
    state: State,
    seconds: float,
    listeners: Listeners,
) -> None:
    best = state.elite_fitness[state.elite_fitness[:, 0].argmax()]
    record = generation_record(
        state.generation,
        evaluation,
        objectives=listeners.names,
        genes=genome.values(state.genomes),
        best_so_far=best.tolist(),
        lifetimes=len(state.genomes) * experiment.lifetimes,
        seconds=seconds,
        steps=state.steps,
    )
    listeners.directory.add_metrics(record)
    listeners.tracker.log(record)
    listeners.progress.update(record)


def _checkpoint(experiment: Experiment, searcher: Searcher, state: State, tracker: Tracker) -> Checkpoint:
    best = int(state.elite_fitness[:, 0].argmax())
    histories = {name: getattr(state, name).numpy() for name in ("elites", "elite_fitness", "genomes", "fitness")}
    return Checkpoint(
        generation=state.generation,
        seed=experiment.seed,
        searcher=searcher.state(),
        best_genome=state.elites[best].numpy(),
        best_fitness=state.elite_fitness[best].numpy(),
        histories=histories,
        notes={"steps": state.steps},
        tracker=tracker.run_id,
    )


def _state_of(saved: Checkpoint) -> State:
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in saved.histories.items()}
    return State(generation=saved.generation, steps=saved.notes["steps"], **tensors)


def new_searcher(experiment: Experiment, genome: Genome) -> Searcher:
    """The experiment's searcher at its start; `ConfigError` if it cannot do this search."""
    settings: Any = experiment.search
    return settings.searcher(genome.length, genome.start(), len(experiment.fitness), experiment.seed)


def _ray(execution: Execution) -> dict[str, Any]:
    """What a pool of workers needs beside their number."""
    return execution.model_dump(include={"address", "cpus", "gpus"}) if execution.workers else {}


def _steps_of_a_life(experiment: Experiment) -> int:
    task: Any = options(experiment.task)[0]
    return (task.trials + task.test_trials) * task.spec.trial_steps


def _ranges(genome: Genome) -> list[dict[str, Any]]:
    rows = []
    for locus in genome.loci:
        if isinstance(locus.what, Gene):
            gene = locus.what
            rows.append(
                {"name": locus.name, "low": gene.low, "high": gene.high, "log": gene.log, "integer": gene.integer}
            )
        else:
            last = len(locus.what.options) - 1
            rows.append({"name": locus.name, "low": 0, "high": last, "log": False, "integer": True})
    return rows


def _check(experiment: Experiment) -> None:
    if experiment.search is None:
        raise ConfigError("search: is not given, wanted how to search, e.g. {kind: snes, population: 64}")
    genome = genome_of(experiment)
    if genome.length == 0:
        raise ConfigError(
            "the experiment has no genes, so there is nothing to search; put one in, e.g. "
            "rule.eta: {gene: [0.001, 1], log: true}, or use `metaplastic live`"
        )
    new_searcher(experiment, genome)  # refuses what it cannot do before anything is written
