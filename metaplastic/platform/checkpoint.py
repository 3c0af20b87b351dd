"""Checkpoints: the state of a search after a generation, whole or not there.

A checkpoint is a folder `generation-00000012` of JSON, safetensors and the searcher's bytes. It is written beside its
place, its manifest with the SHA-256 of every file last, forced to disk, and moved there in one step. The newest are
kept, and the first that held the best fitness so far. Reading takes the newest one whose hashes are right, and says in
one line if it had to pass over another.

The searcher's bytes may be a pickle. They go back to the searcher that wrote them, which reads names on a list alone
(`outer_loop/searcher_pickle.py`); nothing else is unpickled. A searcher of your own may be less careful.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped

from metaplastic.platform import durable
from metaplastic.rng import RNG_VERSION

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
_NAME = re.compile(r"generation-(\d{8})")


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a search needs to go on after `generation` as if it had not stopped."""

    generation: int
    """the last generation that is done"""
    seed: int
    """of the run; with the generation's number it is the key of all randomness"""
    searcher: bytes
    """`Searcher.state()`"""
    best_genome: Float64[np.ndarray, " G"]
    """of the best individual so far"""
    best_fitness: Float64[np.ndarray, " K"]
    histories: Mapping[str, Shaped[np.ndarray, "..."]] = field(default_factory=dict)
    """arrays that grow with the run: centres, archives, …"""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """plain values: best generation, environment steps, the experiment's digest, …"""
    tracker: str | None = None
    """the tracker's run id"""
    rng_version: int = RNG_VERSION


def save(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Write a checkpoint below `folder`, forget all but the `keep` newest and the best; its path.

    Raises:
        DiskError: if the disk refuses; the checkpoints that were there are whole.
    """
    with durable.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with durable.writing(folder):
        beside = Path(tempfile.mkdtemp(prefix=durable.TEMPORARY, dir=folder))
    try:
        for name, data in _files(checkpoint).items():
            durable.write(beside / name, data)
        final = place(folder, checkpoint.generation)
        with durable.writing(final):
            if final.exists():  # a run that went back and came here again
                final.rename(beside / "before")
            beside.rename(final)
            durable.sync_folder(folder)
    except durable.DiskError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    shutil.rmtree(final / "before", ignore_errors=True)
    for old in _forgotten(folder, keep):
        shutil.rmtree(old, ignore_errors=True)
    return final


def sweep(folder: Path) -> None:
    """Take away what a process left that died while it saved.

    Raises:
        DiskError: if the disk refuses.
    """
    with durable.writing(folder):
        for left in folder.glob(f"{durable.TEMPORARY}*"):
            shutil.rmtree(left)


def load(folder: Path, last: int | None = None) -> Checkpoint | None:
    """The newest whole checkpoint below `folder` (not after generation `last`), or None.

    Damaged ones are passed over with a line in the log.
    """
    for path in _all(folder):
        if last is not None and _generation(path) > last:
            continue
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("checkpoint %s is damaged (%s); using the one before", path, _reason(error))
    return None


def place(folder: Path, generation: int) -> Path:
    """Where the checkpoint of a generation is."""
    return folder / f"generation-{generation:08d}"


def newest(folder: Path) -> int | None:
    """The generation of the newest checkpoint, whole or not; None if there is none."""
    found = _all(folder)
    return _generation(found[0]) if found else None


def _files(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Name -> content of a checkpoint's files, the manifest last."""
    from safetensors.numpy import save as save_arrays

    arrays = {f"history.{name}": array for name, array in checkpoint.histories.items()}
    arrays |= {"best_genome": checkpoint.best_genome, "best_fitness": checkpoint.best_fitness}
    state = {name: getattr(checkpoint, name) for name in ("generation", "seed", "notes", "tracker", "rng_version")}
    files = {
        "state.json": durable.dumps(state, indent=1).encode(),
        "arrays.safetensors": save_arrays({name: np.array(array, order="C") for name, array in arrays.items()}),
        "searcher.bin": checkpoint.searcher,
    }
    manifest = {
        "format": 1,
        "best": float(checkpoint.best_fitness[0]),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return {**files, MANIFEST: durable.dumps(manifest, indent=1).encode()}


def _forgotten(folder: Path, keep: int) -> list[Path]:
    """The checkpoints that are neither among the newest nor the first with the best fitness."""
    old = _all(folder)[keep:]
    best = max(reversed(_all(folder)), key=_best, default=None)  # of equals, the oldest
    return [path for path in old if path != best]


def _best(path: Path) -> float:
    """The best fitness (of the first objective) up to a checkpoint; -inf if it does not say."""
    try:
        return float(json.loads((path / MANIFEST).read_bytes())["best"])
    except (OSError, ValueError, KeyError, TypeError):
        return -math.inf


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    return f"its manifest lacks {error}" if isinstance(error, KeyError) else str(error)


def _generation(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _all(folder: Path) -> list[Path]:
    """The checkpoints below a folder, newest first."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted((entry for entry in entries if _NAME.fullmatch(entry.name)), reverse=True)


def _read(path: Path) -> Checkpoint:
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_arrays

    manifest = json.loads((path / MANIFEST).read_bytes())
    if manifest["format"] != 1:
        raise ValueError(f"format {manifest['format']}, wanted 1")
    files = {}
    for name in ("state.json", "arrays.safetensors", "searcher.bin"):
        files[name] = (path / name).read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != manifest["sha256"][name]:
            raise ValueError(f"{name} is not what was written")
    try:
        arrays, state = load_arrays(files["arrays.safetensors"]), json.loads(files["state.json"])
    except (SafetensorError, RecursionError) as error:  # hostile files can have right hashes
        raise ValueError(f"its arrays or state cannot be read: {error}") from None
    return Checkpoint(
        searcher=files["searcher.bin"],
        best_genome=arrays.pop("best_genome"),
        best_fitness=arrays.pop("best_fitness"),
        histories={name.removeprefix("history."): array for name, array in arrays.items()},
        **state,
    )
