"""Telling Weights & Biases how a run goes; the only file that knows it.

W&B is a mirror: `metrics.jsonl` is the truth, and no failure here (W&B not installed, no network, a full disk) stops a
run; it is told in one line. A thread does the talking, so that a server which does not answer costs a search nothing,
and `FINISH_SECONDS` at its end. A run keeps its W&B id over interruptions (tracker.json). Online, W&B goes on, and
is told what it has missed; offline it starts a new folder each time, whose upload would replace the earlier ones, so it
is told the whole history again and the earlier folders are removed: there is one folder to sync, with each step once.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Full, Queue
from typing import Any

import yaml

from metaplastic.platform.durable import plain
from metaplastic.platform.experiment import Experiment, Tracking
from metaplastic.platform.metrics import flatten
from metaplastic.platform.run import RunDirectory

TRACKER = "tracker.json"
FINISH_SECONDS = 60.0
"""how long the end of a search waits for W&B"""
WAITING = 10_000
"""generations that W&B may be behind before it is given up"""
BOUNDS = {"login_timeout": 30, "init_timeout": 60, "finish_timeout": 50}
"""seconds, names of W&B's own settings"""
warn = logging.getLogger(__name__).warning


class Tracker(ABC):
    """Who is told of a run; a context manager. `run_id` names the run there, and is kept in checkpoints."""

    run_id: str | None = None

    def __enter__(self):
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        return

    @abstractmethod
    def log(self, record: Mapping[str, Any]) -> None:
        """Tell the record of a generation."""

    @abstractmethod
    def summary(self, numbers: Mapping[str, Any]) -> None:
        """Tell what came of the whole run."""


class NoTracker(Tracker):
    """Nobody is told."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def summary(self, numbers: Mapping[str, Any]) -> None:
        """Nothing."""


class WandbTracker(Tracker):
    """A W&B run; its files are in the run's directory, and so is what it is told at the start.

    `run_id` is that of a run that goes on. The champion's files are copied to the W&B run at the end.
    """

    def __init__(self, directory: RunDirectory, settings: Tracking, run_id: str | None = None) -> None:
        self._directory, self._settings = directory, settings
        self.run_id = run_id or directory.read_json(TRACKER).get("wandb") or os.urandom(4).hex()
        self._run: Any = None
        self._first = 0
        """generation from which W&B has to be told"""
        self._is_broken = False
        self._work: Queue[tuple[str, Callable[[], None]] | None] = Queue(WAITING)
        self._thread = threading.Thread(target=self._talk, name="wandb", daemon=True)

    def __enter__(self):
        self._directory.write_json(TRACKER, {"wandb": self.run_id})
        history = self._directory.metrics()
        self._thread.start()
        self._do("starting", lambda: self._start(history))
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._do("finishing", lambda: self._finish(failed=kind is not None))
        self._do("", None)
        self._thread.join(FINISH_SECONDS)
        if self._thread.is_alive():
            self._break(f"no answer within {FINISH_SECONDS:g} s")

    def log(self, record: Mapping[str, Any]) -> None:
        """Tell a generation; one that W&B has already seen (after a resume, online) is left out."""
        self._do("logging", lambda: self._log(record))

    def summary(self, numbers: Mapping[str, Any]) -> None:
        """Tell the numbers that W&B shows in its table of runs."""
        self._do("the summary", lambda: self._run.summary.update(plain(dict(numbers))))

    def _do(self, what: str, action: Callable[[], None] | None) -> None:
        """Leave something to the thread; it is never waited for."""
        if not self._is_broken:
            try:
                self._work.put_nowait((what, action) if action else None)
            except Full:
                self._break(f"{WAITING} generations behind")

    def _talk(self) -> None:
        while (work := self._work.get()) is not None:
            what, action = work
            if self._is_broken:
                return
            try:
                action()
            except Exception as error:  # noqa: BLE001  a mirror that breaks must not take the run with it; it is told
                self._break(f"{what} failed ({' '.join(str(error).split()) or type(error).__name__})")

    def _break(self, why: str) -> None:
        self._is_broken = True
        warn("W&B: %s; going on without it, metrics.jsonl has everything", why)

    def _start(self, history: list[dict[str, Any]]) -> None:
        import wandb

        offline = self._settings.wandb == "offline"
        self._run = wandb.init(
            mode=self._settings.wandb,
            project=self._settings.project,
            group=self._settings.group,
            name=self._directory.path.resolve().name,
            id=self.run_id,
            resume=None if offline else "allow",
            dir=str(self._directory.path),
            job_type="search",
            config=yaml.safe_load(self._directory.experiment()),
            reinit="create_new",  # a run that the user may have open is not ours to end
            settings=wandb.Settings(
                silent=True, quiet=True, console="off", disable_git=True, disable_code=True, **_bounds(wandb)
            ),
        )
        for axis in ("generation", "environment_steps"):
            self._run.define_metric(axis)
        self._run.define_metric("*", step_metric="generation")
        self._first = 0 if offline else self._run.step
        for record in history:
            self._log(record)
        if offline:
            self._forget_earlier()

    def _forget_earlier(self) -> None:
        """Remove the folders of this run's earlier starts, whose history the new one has."""
        ours = Path(self._run.dir).parent
        for folder in self._directory.wandb.glob(f"offline-run-*-{self.run_id}"):
            if folder.resolve() != ours.resolve():
                shutil.rmtree(folder)

    def _log(self, record: Mapping[str, Any]) -> None:
        if record["generation"] >= self._first:
            self._run.log(flatten(record), step=record["generation"])

    def _finish(self, failed: bool) -> None:
        for file in (self._directory.champion, self._directory.champion_arrays):
            if file.is_file():  # a copy, since W&B would only link to it
                self._run.save(shutil.copy(file, self._run.dir), base_path=self._run.dir, policy="now")
        self._run.finish(exit_code=int(failed))


def _bounds(wandb: Any) -> dict[str, Any]:
    """How long W&B may try, as far as this version of it can be told."""
    known = getattr(wandb.Settings, "model_fields", BOUNDS)
    return {name: seconds for name, seconds in BOUNDS.items() if name in known}


def make_tracker(experiment: Experiment, directory: RunDirectory, run_id: str | None = None) -> Tracker:
    """The tracker that the experiment asks for; `run_id` is that of a run that goes on."""
    if experiment.tracking.wandb == "disabled":
        return NoTracker()
    return WandbTracker(directory, experiment.tracking, run_id)
