"""Going on with a run: from its last whole checkpoint, exactly as if it had not stopped.

`resume` is told a run; `search_or_resume` is told an experiment, again and again with the same words, as clusters do
after an interruption: the first start makes the run, a later one goes on with it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from metaplastic.platform import checkpoint as checkpoints
from metaplastic.platform.changes import definition, refuse_changes
from metaplastic.platform.checkpoint import Checkpoint
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import dump, load
from metaplastic.platform.finish import Outcome
from metaplastic.platform.run import EXPERIMENT, RunDirectory
from metaplastic.platform.run_lock import RunLock
from metaplastic.platform.search import describe_run, run_search, search

log = logging.getLogger(__name__)


def resume(
    run: Path,
    generations: int | None = None,
    workers: int | None = None,
    stop_after: int | None = None,
    allow_change: bool = False,
) -> Outcome:
    """Continue a run, with its own experiment.

    Raises:
        ConfigError: if it is no run, another process works on it, or its experiment was changed.
    """
    words = [] if generations is None else [f"generations={generations}"]
    words += [] if workers is None else [f"execution.workers={workers}"]
    return _go_on(RunDirectory.open(run), None, words, stop_after, allow_change)


def search_or_resume(
    experiment: Experiment, out: Path | None, command: Sequence[str] | None = None, allow_change: bool = False
) -> Outcome:
    """Search into `out`, or go on with the run that is there.

    Raises:
        ConfigError: if the run there is of another experiment.
    """
    if out is None or not (out / EXPERIMENT).is_file():
        return search(experiment, out, command)
    return _go_on(RunDirectory.open(out), experiment, [], None, allow_change)


def _go_on(
    directory: RunDirectory,
    experiment: Experiment | None,
    words: list[str],
    stop_after: int | None,
    allow_change: bool,
) -> Outcome:
    """Go on with an experiment, or with that of the run and some `words` changed."""
    file = directory.path / EXPERIMENT
    with RunLock(directory.path):
        saved = _last(directory)
        known = load(file)
        begun = saved.notes.get("experiment") if saved else None
        experiment = experiment or load(file, words)
        changed = refuse_changes(begun or definition(known, directory.path), experiment, directory.path, allow_change)
        if changed:
            log.warning("%s goes on with another experiment: %s", directory.path, "; ".join(changed))
        if experiment != known:
            directory.write_experiment(dump(experiment, directory.path))
        describe_run(experiment, directory)
        return run_search(experiment, directory, saved, stop_after)


def _last(directory: RunDirectory) -> Checkpoint | None:
    """The newest whole checkpoint up to which there are records of all generations."""
    recorded = 0
    for record in directory.metrics():
        if record["generation"] != recorded:
            break
        recorded += 1
    saved = checkpoints.load(directory.checkpoints, last=recorded - 1)
    wanted = checkpoints.newest(directory.checkpoints)
    if wanted is not None and (saved is None or saved.generation < wanted):
        log.warning(
            "%s: the last checkpoint is of generation %d, %d are recorded; the search goes on from generation %d",
            directory.path,
            wanted,
            recorded,
            saved.generation + 1 if saved else 0,
        )
    return saved
