"""Recordings: what was seen of a life, saved as safetensors with a JSON index, loaded back as labelled arrays.

A request is a name, or `name every k` for each k-th time: `record: [action, rpe, weights every 100]`. On disk a
recording is two files: `<stem>.safetensors` holds the numbers, `<stem>.json` what their dimensions and units are.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors.torch import load_file, save_file
from torch import Tensor

from metaplastic.core import near_miss

FORMAT = "metaplastic-recording-1"


class Labelled(NamedTuple):
    """An array that knows what it is."""

    data: Tensor
    dimensions: tuple[str, ...]
    """one name an axis: trial, step, individual, lifetime, …"""
    unit: str = ""
    """'' for plain numbers"""
    every: int = 1
    """entry k along the first axis is number k * every"""


class Tape:
    """Collects what was asked for during a life.

    Room for entries is taken in ever larger pieces: small tensors that are left between the large ones of each trial
    would scatter the memory, until every trial needs new memory for its large ones.
    """

    def __init__(self, record: Iterable[str], known: Iterable[str]) -> None:
        self.every = requests(record, known)
        self._kept: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def wants(self, name: str, time: int) -> bool:
        """Whether `name` is to be kept now."""
        return name in self.every and time % self.every[name] == 0

    def keep(self, name: str, value: Tensor) -> None:
        """One entry more."""
        count = self._counts.get(name, 0)
        if count & (count - 1) == 0:  # 0, 1, 2, 4, 8, …: the room is full
            room = value.new_empty((max(1, 2 * count), *value.shape))
            room[:count] = self._kept.get(name, room[:0])
            self._kept[name] = room
        self._kept[name][count] = value.detach()
        self._counts[name] = count + 1

    def recordings(self) -> dict[str, Tensor]:
        """Everything kept, time first."""
        return {name: entries[: self._counts[name]] for name, entries in self._kept.items()}


def requests(record: Iterable[str], known: Iterable[str]) -> dict[str, int]:
    """name -> every how many times it is kept.

    Raises:
        ValueError: for a name that is not known, or a period that is no whole number above 0.
    """
    names, found = list(known), {}
    for request in record:
        name, _, period = request.partition(" every ")
        if name not in names:
            raise ValueError(
                f"record has {name!r}, no such signal{near_miss(name, names)}; there are {', '.join(names)}"
            )
        if period and not (period.isdecimal() and int(period) > 0):
            raise ValueError(f"record has {request!r}, wanted '{name} every k' with a whole number k above 0")
        found[name] = int(period or 1)
    return found


def save(stem: str | Path, recordings: Mapping[str, Labelled]) -> None:
    """Write `<stem>.safetensors` and `<stem>.json`.

    Raises:
        ValueError: if an array has not one name an axis.
    """
    for name, one in recordings.items():
        if one.data.ndim != len(one.dimensions):
            raise ValueError(
                f"recording {name!r} has {one.data.ndim} axes and {len(one.dimensions)} dimension names "
                f"({', '.join(one.dimensions)}); wanted one name an axis"
            )
    index = {
        name: {"dimensions": one.dimensions, "shape": tuple(one.data.shape), "unit": one.unit, "every": one.every}
        for name, one in recordings.items()
    }
    save_file({name: one.data.contiguous() for name, one in recordings.items()}, f"{stem}.safetensors")
    text = json.dumps({"format": FORMAT, "arrays": index}, indent=2, ensure_ascii=False)
    Path(f"{stem}.json").write_text(text + "\n", encoding="utf-8")


def load(stem: str | Path) -> dict[str, Labelled]:
    """The recordings that `save` wrote.

    Raises:
        ValueError: if the index is not of this format.
    """
    index = json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))
    if index.get("format") != FORMAT:
        raise ValueError(f"{stem}.json has format {index.get('format')!r}, wanted {FORMAT!r}")
    data = load_file(f"{stem}.safetensors")
    return {
        name: Labelled(data[name], tuple(entry["dimensions"]), entry["unit"], entry["every"])
        for name, entry in index["arrays"].items()
    }


def to_table(recording: Labelled, name: str) -> str:
    """CSV text: one row a number, one column a dimension (its index), the last column the number."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*recording.dimensions, f"{name} ({recording.unit})" if recording.unit else name])
    numbers = recording.data.reshape(-1).tolist()
    for place, number in zip(itertools.product(*map(range, recording.data.shape)), numbers, strict=True):
        rows.writerow([place[0] * recording.every, *place[1:], number] if place else [number])
    return text.getvalue()
