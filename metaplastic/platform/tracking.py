"""Telling Weights & Biases how a run goes; the only file that knows it.

W&B is a mirror: `metrics.jsonl` is the truth, and no failure here (W&B not installed, no network, a full disk) stops a
run; it is told in one line. A run keeps its W&B id over interruptions. Online, W&B itself goes on; offline it starts a
new folder each time, whose upload would replace the earlier ones, so the whole history is told to it again.
"""

from __future__ import annotations

import logging
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from metaplastic.platform.durable import plain
from metaplastic.platform.experiment import Experiment, Tracking
from metaplastic.platform.metrics import QUANTILES
from metaplastic.platform.run import RunDirectory

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
        self.run_id = run_id or os.urandom(4).hex()
        self._directory, self._settings = directory, settings
        self._run: Any = None

    def __enter__(self):
        self._attempt("starting", self._start)
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if self._run is not None:
            self._attempt("finishing", lambda: self._finish(failed=kind is not None))
            self._run = None

    def log(self, record: Mapping[str, Any]) -> None:
        """Tell a generation; one that W&B has already seen (after a resume, online) it leaves out."""
        if self._run is not None:
            self._attempt("logging", lambda: self._log(record))

    def summary(self, numbers: Mapping[str, Any]) -> None:
        """Tell the numbers that W&B shows in its table of runs."""
        if self._run is not None:
            self._attempt("the summary", lambda: self._run.summary.update(plain(dict(numbers))))

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  a mirror that breaks must not take the run with it; it is told
            self._run = None
            reason = " ".join(str(error).split()) or type(error).__name__
            warn("W&B: %s failed (%s); going on without it, metrics.jsonl has everything", what, reason)

    def _start(self) -> None:
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
                silent=True, quiet=True, console="off", disable_git=True, disable_code=True, login_timeout=30
            ),
        )
        for axis in ("generation", "environment_steps"):
            self._run.define_metric(axis)
        self._run.define_metric("*", step_metric="generation")
        for record in self._directory.metrics() if offline else ():
            self._log(record)

    def _log(self, record: Mapping[str, Any]) -> None:
        self._run.log(flatten(record), step=record["generation"])

    def _finish(self, failed: bool) -> None:
        for file in (self._directory.champion, self._directory.champion_arrays):
            if file.is_file():  # a copy, since W&B would only link to it
                self._run.save(shutil.copy(file, self._run.dir), base_path=self._run.dir, policy="now")
        self._run.finish(exit_code=int(failed))


def make_tracker(experiment: Experiment, directory: RunDirectory, run_id: str | None = None) -> Tracker:
    """The tracker that the experiment asks for; `run_id` is that of a run that goes on."""
    if experiment.tracking.wandb == "disabled":
        return NoTracker()
    return WandbTracker(directory, experiment.tracking, run_id)


def flatten(record: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """The numbers of a record by path: `fitness/score/best`, quantiles as `…/q05`; curves and gaps are left out."""
    found: dict[str, float] = {}
    for name, value in plain(dict(record)).items():
        path = f"{above}{name}"
        if isinstance(value, dict):
            found |= flatten(value, f"{path}/")
        elif name == "quantiles":
            pairs = zip(QUANTILES, value, strict=True)
            found |= {f"{above}q{percent:02d}": number for percent, number in pairs if number is not None}
        elif isinstance(value, int | float):
            found[path] = value
    return found
