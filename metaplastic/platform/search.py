"""A search: ask, evaluate, tell, write down; and at the end the champion, its trial and the report.

    for each generation: genomes = searcher.ask()  ->  executor.evaluate  ->  settle  ->  searcher.tell
                         metrics.jsonl  ->  tracker, progress  ->  checkpoint

A checkpoint holds all that the next generation depends on (its randomness is a function of its number), so a search
that was stopped at any moment and resumed (`relaunch.py`) is, bit for bit, the search that was not. What a kill costs:
the generation that is running, and those done since the last checkpoint, which took less than `CHECKPOINT_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metaplastic.core import ConfigError, Evaluation, Gene, Searcher
from metaplastic.outer_loop.failed_fitness import settle
from metaplastic.outer_loop.genome import Genome
from metaplastic.platform import checkpoint as checkpoints
from metaplastic.platform import environment, quarantine
from metaplastic.platform.checkpoint import Checkpoint
from metaplastic.platform.durable import DiskError
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.executor import EvaluationError, Executor, make_executor
from metaplastic.platform.experiment import Execution, Experiment
from metaplastic.platform.experiment_file import dump
from metaplastic.platform.finish import Outcome, finish
from metaplastic.platform.interrupt import StopRequest
from metaplastic.platform.metrics import generation_record
from metaplastic.platform.progress import Progress, show_progress
from metaplastic.platform.run import ENVIRONMENT, GENOME, RunDirectory
from metaplastic.platform.run_lock import RunLock
from metaplastic.platform.search_state import State, from_checkpoint, next_state, to_checkpoint
from metaplastic.platform.status import StatusWriter
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


@dataclass
class Listeners:
    """Who is told of a generation."""

    directory: RunDirectory
    tracker: Tracker
    progress: Progress
    names: list[str] = field(default_factory=list)
    saved: float = field(default_factory=time.monotonic)
    """when the last checkpoint was written"""
    generation: int | None = None
    """of the last checkpoint"""

    def checkpoint(self, experiment: Experiment, searcher: Searcher, state: State, now: bool) -> None:
        """Write a checkpoint, now or if the last one is `CHECKPOINT_SECONDS` old: forcing it to disk takes a while."""
        if now or time.monotonic() - self.saved >= CHECKPOINT_SECONDS:
            self.directory.sync_metrics()
            saved = to_checkpoint(experiment, self.directory.path, searcher, state, self.tracker.run_id)
            checkpoints.save(self.directory.checkpoints, saved, experiment.execution.keep)
            self.saved, self.generation = time.monotonic(), state.generation


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
    directory = RunDirectory.create(experiment.name, out)
    with RunLock(directory.path):
        RunDirectory.create(experiment.name, directory.path)  # another search may have been quicker
        directory.write_experiment(dump(experiment, directory.path))
        describe_run(experiment, directory, command)
        return run_search(experiment, directory, None, stop_after)


def describe_run(experiment: Experiment, directory: RunDirectory, command: Sequence[str] | None = None) -> None:
    """Write down on what a run runs and what its genes are, where that has not been done."""
    if not (directory.path / ENVIRONMENT).exists():
        directory.write_json(ENVIRONMENT, environment.describe(experiment.seed, command))
    if not (directory.path / GENOME).exists():
        directory.write_json(GENOME, _ranges(genome_of(experiment)))


def run_search(
    experiment: Experiment, directory: RunDirectory, saved: Checkpoint | None, stop_after: int | None = None
) -> Outcome:
    """Go on from a checkpoint, or begin; the caller holds the directory's lock.

    Raises:
        ConfigError: if the experiment or the disk is at fault; what was saved stays.
    """
    genome = genome_of(experiment)
    searcher = new_searcher(experiment, genome)
    try:
        state = from_checkpoint(saved, searcher) if saved else None
    except ConfigError as error:
        raise ConfigError(f"{directory.path}: {error}") from None
    tracker = make_tracker(experiment, directory, saved.tracker if saved else None)
    progress = show_progress(experiment.generations, experiment.objectives()[0])
    listeners = Listeners(directory, tracker, progress, experiment.objectives())
    listeners.generation = state.generation if state else None
    try:
        directory.go_back_to(state.generation if state else -1)
        checkpoints.sweep(directory.checkpoints)
        return _search(experiment, genome, searcher, state, listeners, stop_after)
    except DiskError as error:
        raise ConfigError(f"{error}; the search has stopped, {_go_on(listeners)}") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped at once; {_go_on(listeners)}") from None


def _go_on(listeners: Listeners) -> str:
    """What is saved, and how to go on."""
    done = "nothing is saved yet" if listeners.generation is None else f"generation {listeners.generation} is saved"
    return f"{done}, go on with: metaplastic resume {listeners.directory.path}"


def _search(
    experiment: Experiment,
    genome: Genome,
    searcher: Searcher,
    state: State | None,
    listeners: Listeners,
    stop_after: int | None,
) -> Outcome:
    execution, directory = experiment.execution, listeners.directory
    with (
        listeners.progress as progress,
        StopRequest(progress.say) as stop,
        make_executor(
            ExperimentEvaluator(experiment),
            execution.workers,
            execution.chunk,
            execution.on_failure,
            **_ray(execution),
        ) as executor,
        StatusWriter(directory, executor),
        listeners.tracker as tracker,
    ):
        stop.listen()  # Ray has taken SIGTERM for itself
        for generation in range(state.generation + 1 if state else 0, experiment.generations):
            if stop.requested:
                break
            state = _generation(experiment, genome, searcher, executor, state, generation, listeners)
            stopping = stop.requested or generation in (stop_after, experiment.generations - 1)
            listeners.checkpoint(experiment, searcher, state, now=stopping)
            if stopping:
                break
        if state is None or state.generation + 1 < experiment.generations:
            done = state.generation + 1 if state else 0
            return Outcome(directory.path, experiment.generations, done, signal=stop.signal)
        stop.after = "when the champion is chosen and the report is drawn"
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
    known, faults = len(executor.failures), executor.faults.copy()
    try:
        evaluation = executor.evaluate(genomes, key, generation)
    except EvaluationError as error:
        line, _, trace = str(error).partition("\n")
        listeners.directory.add_failure({"generation": generation, "error": line, "trace": trace})
        raise ConfigError(f"{line} (where it came from: {listeners.directory.failures})") from None
    for failure in executor.failures[known:]:
        listeners.directory.add_failure(failure._asdict())
        quarantine.keep(listeners.directory.path, failure, genomes[failure.individual])
    settled = settle(evaluation.fitness)
    settings: Any = experiment.search
    searcher.tell(settled.fitness, settings.behaviour(evaluation.metrics, settled.failed))
    state = next_state(experiment, before, generation, genomes, settled.fitness)
    happened = {
        "faults": {name: count - faults[name] for name, count in executor.faults.items()},
        "workers": {"wanted": experiment.execution.workers, "alive": len(getattr(executor, "pids", ()))},
    }
    _tell(experiment, genome, evaluation, state, time.perf_counter() - began, listeners, happened)
    return state


def _tell(
    experiment: Experiment,
    genome: Genome,
    evaluation: Evaluation,
    state: State,
    seconds: float,
    listeners: Listeners,
    happened: dict[str, dict[str, int]],
) -> None:
    record = generation_record(
        state.generation,
        evaluation,
        objectives=listeners.names,
        genes=genome.values(state.genomes),
        best_so_far=state.best_fitness.tolist(),
        lifetimes=len(state.genomes) * experiment.lifetimes,
        seconds=seconds,
        steps=state.steps,
    )
    record |= happened
    listeners.directory.add_metrics(record)
    listeners.tracker.log(record)
    listeners.progress.update(record)


def new_searcher(experiment: Experiment, genome: Genome) -> Searcher:
    """The experiment's searcher at its start; `ConfigError` if it cannot do this search."""
    settings: Any = experiment.search
    return settings.searcher(genome.length, genome.start(), len(experiment.fitness), experiment.seed)


def _ray(execution: Execution) -> dict[str, Any]:
    """What a pool of workers needs beside their number."""
    if not execution.workers:
        return {}
    if execution.device.startswith("cuda") and execution.gpus == 0:
        raise ConfigError(
            f"execution.gpus: is 0 with device {execution.device} and {execution.workers} workers, wanted the GPUs "
            "that each worker reserves, e.g. execution.gpus=0.5 for two on one GPU"
        )
    return execution.model_dump(include={"address", "cpus", "gpus", "placement", "attempts"}) | {
        "patience": execution.patience
    }


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
