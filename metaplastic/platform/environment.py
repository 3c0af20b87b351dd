"""What a run ran on: versions, machine, command, seed; kept beside its results so that they can be made again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import metaplastic
from metaplastic.rng import RNG_VERSION

PACKAGES = ("torch", "numpy", "numba", "triton", "sympy", "evotorch", "ribs", "ray", "wandb", "pydantic", "gymnasium")
"""packages whose versions can change a number"""


def describe(seed: int, command: Sequence[str] | None = None) -> dict[str, Any]:
    """Plain values for `environment.json`; `command` is this process's own if absent."""
    commit, changed = source_commit(Path(metaplastic.__file__).resolve().parent)
    return {
        "metaplastic": metaplastic.__version__,
        "git_commit": commit,
        "git_changed": changed,
        "rng_version": RNG_VERSION,
        "seed": seed,
        "command": list(sys.argv if command is None else command),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def source_commit(folder: Path) -> tuple[str | None, bool | None]:
    """The git commit that tracks `folder` and whether its files were changed since; (None, None) outside of git."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        tracked = _git(folder, "ls-files", "--", ".")  # an installed package below someone's repository is not its own
        return (commit, bool(_git(folder, "status", "--porcelain", "--", "."))) if tracked else (None, None)
    except (OSError, subprocess.SubprocessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
