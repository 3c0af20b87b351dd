"""A run's directory: made new, only ever added to, enough to go on from and to report on.

experiment.yaml      the resolved experiment          metrics.jsonl        one record a generation: the truth
environment.json     versions, machine, seed          genome.json          names and ranges of the genes
checkpoints/         the last states and the best     comparison.json      the champion beside its controls
champion.yaml, champion.safetensors, champion.json    pareto.json, archive.json  fronts, archive
report.html, figures/                                 wandb/               the tracker's own files
failures.jsonl       individuals that failed          run.lock, status.json  who works on it, how it is getting on
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.platform import durable
from metaplastic.platform.run_lock import LOCK
from metaplastic.settings import ConfigError

METRICS, EXPERIMENT, ENVIRONMENT, GENOME = "metrics.jsonl", "experiment.yaml", "environment.json", "genome.json"
FAILURES_BYTES = 8 * 2**20
"""how long failures.jsonl may grow; metrics.jsonl counts every failure"""


class RunDirectory:
    """A directory of one run; `create` makes a new one, `open` finds an old one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints, self.figures, self.wandb = path / "checkpoints", path / "figures", path / "wandb"
        self.failures = path / "failures.jsonl"
        self.report, self.champion, self.champion_arrays = (
            path / "report.html",
            path / "champion.yaml",
            path / "champion.safetensors",
        )

    @classmethod
    def create(cls, name: str, out: Path | str | None = None, below: Path | str = "runs") -> RunDirectory:
        """A new directory: `out`, or else `below/name-001`, the first number that is free.

        Raises:
            ConfigError: if `out` is there and holds something, or is a file; nothing is ever overwritten.
        """
        if out is None:
            return cls(_numbered(Path(below), name))
        path = Path(out)
        with durable.writing(path):  # a folder that may not be looked into may not be written to either
            is_file, is_taken = path.exists() and not path.is_dir(), path.is_dir() and not _is_unborn(path)
        if is_file:
            raise ConfigError(f"out is {path}, a file; wanted a new directory, choose another --out")
        if is_taken:
            raise ConfigError(
                f"out is {path}, which is not empty, and nothing is overwritten; choose another --out, or go on with "
                f"`metaplastic resume {path}`"
            )
        with durable.writing(path):
            path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """The directory of an earlier run.

        Raises:
            ConfigError: if it is not one.
        """
        run = cls(Path(path))
        if not (run.path / EXPERIMENT).is_file():
            raise ConfigError(f"{path} is no run: it holds no {EXPERIMENT}; wanted a directory that a search has made")
        return run

    def write_experiment(self, text: str) -> None:
        """Keep the resolved experiment, as YAML."""
        durable.write(self.path / EXPERIMENT, text)

    def experiment(self) -> str:
        """The resolved experiment, as YAML."""
        return (self.path / EXPERIMENT).read_text(encoding="utf-8")

    def write_json(self, name: str, value: Any) -> None:
        """Keep plain values, arrays or tensors as `name` (environment.json, genome.json, comparison.json, …)."""
        durable.write(self.path / name, durable.dumps(value, indent=1) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """The mapping that `write_json` kept; {} if there is none.

        Raises:
            ConfigError: if the file cannot be understood.
        """
        return self._read(name) or {}

    def read_list(self, name: str) -> list[Any]:
        """The list that `write_json` kept; [] if there is none."""
        return self._read(name) or []

    def _read(self, name: str) -> Any:
        path = self.path / name
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from error

    def write_champion(self, experiment: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the champion: a plain experiment, and the tensors that it names; the tensors first."""
        from safetensors.numpy import save

        if arrays:
            whole = {name: np.array(array, order="C") for name, array in arrays.items()}
            durable.write(self.champion_arrays, save(whole))
        durable.write(self.champion, experiment)

    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append the record of one generation; `sync_metrics` forces it to disk."""
        durable.append_line(self.path / METRICS, durable.dumps(record), synced=False)

    def sync_metrics(self) -> None:
        """Force all records to disk."""
        durable.sync(self.path / METRICS)

    def add_failure(self, failure: Mapping[str, Any]) -> None:
        """Append what is known of an individual that could not be scored, until the file is `FAILURES_BYTES` long."""
        size = self.failures.stat().st_size if self.failures.exists() else 0
        if size < FAILURES_BYTES:
            durable.append_line(self.failures, durable.dumps(failure))

    def metrics(self) -> list[dict[str, Any]]:
        """The records of all generations so far; a last line that a crash cut short is left out.

        Raises:
            ConfigError: if another line is damaged.
        """
        path = self.path / METRICS
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        last = max((number for number, line in enumerate(lines, start=1) if line.strip()), default=0)
        records = []
        for number, line in enumerate(lines[:last], start=1):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                if number < last:
                    raise ConfigError(
                        f"{path}, line {number} is not JSON: {error}; delete it and all lines after it and resume; the "
                        "search goes on from a checkpoint before it"
                    ) from None
        return records

    def recent(self, count: int) -> list[dict[str, Any]]:
        """The last `count` records, without reading those before; a line that is being written is left out."""
        path, size = self.path / METRICS, 2**16
        if not path.exists():
            return []
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while True:
                file.seek(max(0, end - size))
                lines = file.read(min(size, end)).split(b"\n")
                if len(lines) > count + 1 or size >= end:  # the first may be the end of a line
                    break
                size *= 4
        whole = lines[:-1] if size >= end else lines[1:-1]
        return [json.loads(line) for line in whole[-count:]]

    def go_back_to(self, generation: int) -> list[dict[str, Any]]:
        """Forget the records after `generation` (-1: all), which a checkpoint does not cover; those that stay."""
        kept = [record for record in self.metrics() if record["generation"] <= generation]
        durable.write(self.path / METRICS, "".join(durable.dumps(record) + "\n" for record in kept))
        return kept


def _is_unborn(path: Path) -> bool:
    """Whether a directory is empty, or holds no more than a search that was killed before it began."""
    names = (entry.name for entry in path.iterdir())
    return all(name == LOCK or name == f"{durable.TEMPORARY}{EXPERIMENT}" for name in names)


def _numbered(below: Path, name: str) -> Path:
    """A new directory `below/name-001`, or the next number; two runs that start at once get two."""
    word = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    with durable.writing(below):
        below.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(word) + r"-(\d+)")
    number = max((int(match[1]) for entry in below.iterdir() if (match := pattern.fullmatch(entry.name))), default=0)
    while True:
        number += 1
        path = below / f"{word}-{number:03d}"
        with durable.writing(path):
            try:
                path.mkdir()
            except FileExistsError:
                continue
        return path
