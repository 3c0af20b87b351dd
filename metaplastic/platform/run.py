"""A run's directory: made new, only ever added to, enough to go on from and to report on.

experiment.yaml      the resolved experiment          metrics.jsonl        one record a generation: the truth
environment.json     versions, machine, seed          genome.json          names and ranges of the genes
checkpoints/         the last two states              comparison.json      the champion beside its controls
champion.yaml, champion.safetensors, champion.json    pareto.json, archive.json  fronts, archive
report.html, figures/                                 wandb/               the tracker's own files
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metaplastic.platform import durable

METRICS, EXPERIMENT, ENVIRONMENT = "metrics.jsonl", "experiment.yaml", "environment.json"


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
            ValueError: if `out` is there and holds something, or is a file; nothing is ever overwritten.
        """
        if out is None:
            return cls(_numbered(Path(below), name))
        path = Path(out)
        if path.exists() and not path.is_dir():
            raise ValueError(f"out is {path}, a file; wanted a new directory, choose another --out")
        if path.is_dir() and any(path.iterdir()):
            raise ValueError(
                f"out is {path}, which is not empty, and nothing is overwritten; choose another --out, or go on with "
                f"`metaplastic resume {path}`"
            )
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path | str) -> RunDirectory:
        """The directory of an earlier run.

        Raises:
            ValueError: if it is not one.
        """
        run = cls(Path(path))
        if not (run.path / EXPERIMENT).is_file():
            raise ValueError(f"{path} is no run: it holds no {EXPERIMENT}; wanted a directory that a search has made")
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
        """What `write_json` kept; {} if there is none.

        Raises:
            ValueError: if the file cannot be understood.
        """
        path = self.path / name
        if not path.exists():
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error

    def write_champion(self, experiment: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the champion: a plain experiment, and the tensors that it names; the tensors first."""
        from safetensors.numpy import save

        if arrays:
            whole = {name: np.array(array, order="C") for name, array in arrays.items()}
            durable.write(self.champion_arrays, save(whole))
        durable.write(self.champion, experiment)

    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append the record of one generation; `sync_metrics` forces it to disk."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(durable.dumps(record) + "\n")

    def sync_metrics(self) -> None:
        """Force all records to disk."""
        durable.sync(self.path / METRICS)

    def add_failure(self, failure: Mapping[str, Any]) -> None:
        """Append what is known of an individual that could not be scored."""
        durable.append_line(self.failures, durable.dumps(failure))

    def metrics(self) -> list[dict[str, Any]]:
        """The records of all generations so far; a last line that a crash cut short is left out."""
        path = self.path / METRICS
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                if number < len(lines):
                    raise ValueError(f"{path}, line {number} is not JSON: {error}") from error
        return records

    def go_back_to(self, generation: int) -> list[dict[str, Any]]:
        """Forget the records after `generation` (-1: all), which a checkpoint does not cover; those that stay."""
        kept = [record for record in self.metrics() if record["generation"] <= generation]
        durable.write(self.path / METRICS, "".join(durable.dumps(record) + "\n" for record in kept))
        return kept


def _numbered(below: Path, name: str) -> Path:
    """A new directory `below/name-001`, or the next number; two runs that start at once get two."""
    word = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    below.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(word) + r"-(\d+)")
    number = max((int(match[1]) for entry in below.iterdir() if (match := pattern.fullmatch(entry.name))), default=0)
    while True:
        number += 1
        path = below / f"{word}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
