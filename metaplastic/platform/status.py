"""How a run is getting on, seen from another terminal: `metaplastic status RUN`.

Whether it runs is told by its lock, how far it is by metrics.jsonl, and what its workers do by status.json, which the
search rewrites (in one step, at most every `STATUS_SECONDS`, and only if something has changed).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metaplastic.platform import checkpoint as checkpoints
from metaplastic.platform import durable
from metaplastic.platform.executor import Executor
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import load
from metaplastic.platform.progress import RECENT, duration, number, rate, time_left
from metaplastic.platform.run import EXPERIMENT, RunDirectory
from metaplastic.platform.run_lock import holder

STATUS = "status.json"
STATUS_SECONDS = 2.0
"""between two looks at the workers"""


class StatusWriter:
    """A context in which status.json follows an executor's workers, by a thread, so that long generations show too."""

    def __init__(self, directory: RunDirectory, executor: Executor) -> None:
        self._path, self._executor = directory.path / STATUS, executor
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="status", daemon=True)
        self._written: dict[str, Any] = {}

    def __enter__(self) -> StatusWriter:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._ended.wait(STATUS_SECONDS if self._written else 0):
                self._write()
            self._write()
        except durable.DiskError:  # the search meets it too, and has something to lose
            return

    def _write(self) -> None:
        now = workers_of(self._executor)
        if now != self._written:
            self._written = now
            durable.replace(self._path, durable.dumps({**now, "at": datetime.now(UTC).isoformat(timespec="seconds")}))


def workers_of(executor: Executor) -> dict[str, Any]:
    """Workers wanted and alive, pieces of work, and what happened to them; a process alone has 0 workers."""
    events: Mapping[str, int] = getattr(executor, "events", {})
    chunks: Mapping[str, int] = getattr(executor, "chunks", {})
    return {
        "workers": getattr(executor, "workers", 0),
        "alive": len(getattr(executor, "pids", ())),
        "chunks": dict(chunks),
        "events": dict(events),
    }


def status(run: Path) -> str:
    """How a run is getting on, as text.

    Raises:
        ConfigError: if it is no run.
    """
    directory = RunDirectory.open(run)
    experiment, records, now = load(run / EXPERIMENT), directory.recent(RECENT), holder(run)
    done = records[-1]["generation"] + 1 if records else 0
    lines = [_state(run, now, done, experiment.generations)]
    if records:
        lines.append(_progress(records, experiment, is_running=now is not None))
    if now is not None:
        lines.append(_workers(directory.read_json(STATUS)))
    lines.append(_saved(directory))
    return "\n".join(lines)


def _state(run: Path, now: Mapping[str, Any] | None, done: int, generations: int) -> str:
    if now is not None:
        who = f"process {now.get('pid')} on {now.get('host')}, for {_since(now.get('since'))}"
        doing = "" if done < generations else "; choosing the champion and drawing the report"
        return f"running: {who}{doing}"
    if done >= generations:
        finished = (run / "report.html").exists()
        return "finished" if finished else f"stopped before its report; go on with: metaplastic resume {run}"
    return f"stopped; go on with: metaplastic resume {run}"


def _progress(records: list[dict[str, Any]], experiment: Experiment, is_running: bool) -> str:
    record, objective = records[-1], experiment.objectives()[0]
    done = record["generation"] + 1
    remaining = max(0, experiment.generations - done)
    parts = [
        f"generation {done} of {experiment.generations}",
        f"best {objective} {number(record['best_so_far'][objective])}",
        f"lifetimes/s {rate(record['lifetimes_per_second'])}",
        f"failed {record['failed']} of {record['population']}",
    ]
    if is_running and remaining:
        parts.append(f"left {duration(time_left([one['seconds'] for one in records], remaining))}")
    return "   ".join(parts)


def _workers(known: Mapping[str, Any]) -> str:
    if not known.get("workers"):
        return "workers 0: it computes in its own process"
    chunks, events = known["chunks"], known["events"]
    parts = [f"workers {known['alive']} of {known['workers']} alive"]
    if chunks:
        parts.append("chunks " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in chunks.items()))
    parts += [f"{name.replace('_', ' ')} {count}" for name, count in events.items()]
    return "   ".join([*parts, f"({_since(known.get('at'))} ago)"])


def _saved(directory: RunDirectory) -> str:
    newest = checkpoints.newest(directory.checkpoints)
    if newest is None:
        return "no checkpoint yet"
    place = checkpoints.place(directory.checkpoints, newest)
    return f"checkpoint after generation {newest + 1}, {duration(time.time() - place.stat().st_mtime)} ago"


def _since(text: Any) -> str:
    """How long ago a moment was."""
    try:
        return duration(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()))
    except (TypeError, ValueError):
        return "an unknown time"
