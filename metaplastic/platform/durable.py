"""Files that a crash leaves whole: written beside their place, forced to disk, then moved there in one step.

What the disk refuses (full, read-only, broken) is told in one line that says what to do. JSON here is strict: NaN and
infinities, which JSON does not know, are written as null.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from metaplastic.settings import ConfigError

TEMPORARY = ".tmp-"
"""how the names of files that are not yet in their place begin"""
MENDS = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in your quota, or ask for more",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose a disk that can be written",
    errno.EACCES: "mend the folder's permissions, or choose another",
    errno.EPERM: "mend the folder's permissions, or choose another",
    errno.EIO: "the disk is failing or its server is away; look at the system's log",
    errno.ESTALE: "the disk's server was restarted; mount it again",
}


class DiskError(ConfigError):
    """The disk refused to write: one line with the file, why, and the mend."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the disk refuses inside becomes a `DiskError` about `path`."""
    try:
        yield
    except OSError as error:
        mend = MENDS.get(error.errno or 0, "see whether the folder is there and can be written")
        raise DiskError(f"{path}: cannot be written: {error.strerror or error}; {mend}") from None


def write(path: Path, content: bytes | str) -> None:
    """Put `content` at `path`: after a crash the file is the old one or the new one, never a part."""
    replace(path, content, synced=True)


def replace(path: Path, content: bytes | str, synced: bool = False) -> None:
    """Put `content` at `path` in one step; `synced` waits for the disk, without which a power cut may lose it."""
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f"{TEMPORARY}{path.name}")
    with writing(path):
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                if synced:
                    os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            with suppress(OSError):  # a part of a file on a full disk is of no use
                beside.unlink()
            raise
        if synced:
            sync_folder(path.parent)


def append_line(path: Path, line: str, synced: bool = True) -> None:
    """Add one line; `synced`: it is on the disk when this returns."""
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        if synced:
            os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Force what was written to a file to disk."""
    with writing(path), path.open("ab") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force a folder's entries (new names, renames) to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def dumps(value: Any, indent: int | None = None) -> str:
    """Strict JSON of plain values, arrays and tensors."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError):  # arrays, paths or non-finite numbers somewhere
        return json.dumps(plain(value), allow_nan=False, ensure_ascii=False, indent=indent)


def plain(value: Any) -> Any:
    """The value in terms of JSON: arrays and tensors as lists, non-finite numbers as None, paths as text."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
