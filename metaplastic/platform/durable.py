"""Files that a crash leaves whole: written beside their place, forced to disk, then moved there in one step.

JSON here is strict: NaN and infinities, which JSON does not know, are written as null.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


def write(path: Path, content: bytes | str) -> None:
    """Put `content` at `path`: after a crash the file is the old one or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(f".tmp-{path.name}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add one line, on the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Force what was written to a file to disk."""
    with path.open("ab") as file:
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
