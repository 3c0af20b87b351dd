"""Experiment files: YAML to `Experiment` and back, exactly; overrides; errors of one line each.

YAML is read with the safe loader (floats as 1e-3 are numbers, a key given twice is an error). A mistake becomes
`ConfigError`: `file: place: what came, what was wanted, the mend`, one line a mistake.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from metaplastic.core import Array, ConfigError
from metaplastic.outer_loop.genome import replace
from metaplastic.platform.experiment import Experiment
from metaplastic.settings import explain, override_setting, read_yaml, short


def load(path: str | Path, overrides: list[str] | None = None) -> Experiment:
    """The experiment in a file, with `place=value` overrides; `ConfigError` if anything is wrong."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such experiment file") from None
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path}: cannot be read: {why}") from None
    return from_dict(read_yaml(text, str(path)), overrides, str(path), path.parent)


def from_dict(
    data: Any, overrides: list[str] | None = None, source: str = "experiment", folder: Path | None = None
) -> Experiment:
    """An experiment from plain values, as they stand in a file; array files are relative to `folder`."""
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: holds {short(data)}, wanted a mapping with task, network and rule")
    for override in overrides or []:
        override_setting(data, override)
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as errors:
        raise ConfigError("\n".join(f"{source}: {line}" for line in explain(errors))) from None
    return _with_arrays(experiment, lambda file: str((folder or Path()).resolve() / file))


def to_dict(experiment: Experiment, folder: Path | None = None) -> dict[str, Any]:
    """Plain values that `from_dict` turns back into the same experiment; array files relative to `folder`."""

    def relative(file: str) -> str:
        inside = folder is not None and Path(file).is_relative_to(folder.resolve())
        return str(Path(file).relative_to(folder.resolve())) if inside and folder is not None else file

    return _plain(_with_arrays(experiment, relative).model_dump())


def dump(experiment: Experiment, folder: Path | None = None) -> str:
    """The experiment as YAML text, every setting written out."""
    return yaml.safe_dump(to_dict(experiment, folder), sort_keys=False, allow_unicode=True, width=120)


def _with_arrays(experiment: Experiment, rename: Any) -> Experiment:
    def change(path: Any, node: Any) -> Any:  # noqa: ARG001  (the walker's signature)
        return node.model_copy(update={"file": rename(node.file)}) if isinstance(node, Array) else node

    return replace(experiment, change)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list | tuple) else value
