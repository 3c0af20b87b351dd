"""Experiment files: YAML to `Experiment` and back, exactly; overrides; errors of one line each.

YAML is read with the safe loader (floats as 1e-3 are numbers, a key given twice is an error). A mistake becomes
`ConfigError`: `file: place: what came, what was wanted, the mend`, one line a mistake.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from metaplastic.core import Array, ConfigError
from metaplastic.outer_loop.genome import dotted, replace
from metaplastic.platform.experiment import Experiment


class _Loader(yaml.SafeLoader):
    """The safe loader, with 1e-3 as a number and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def load(path: str | Path, overrides: list[str] | None = None) -> Experiment:
    """The experiment in a file, with `place=value` overrides; `ConfigError` if anything is wrong."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such experiment file") from None
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(f"{path}: cannot be read: {why}") from None
    return from_dict(_parse(text, str(path)), overrides, str(path), path.parent)


def from_dict(
    data: Any, overrides: list[str] | None = None, source: str = "experiment", folder: Path | None = None
) -> Experiment:
    """An experiment from plain values, as they stand in a file; array files are relative to `folder`."""
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: holds {_short(data)}, wanted a mapping with task, network and rule")
    for override in overrides or []:
        _override(data, override)
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


def explain(errors: ValidationError) -> list[str]:
    """One line for each mistake: `place: what came, what was wanted`."""
    lines = []
    for error in errors.errors():
        below = (error.get("ctx") or {}).get("below")
        place = dotted((*error["loc"], below) if below else error["loc"])
        message = error["msg"]
        if error["type"] == "missing":
            message = "is not given, and there is no default"
        elif error["type"] != "metaplastic":
            message = f"is {_short(error['input'])}; {message[0].lower()}{message[1:]}"
        lines.append(f"{place}: {message}" if place else message)
    return lines


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except yaml.MarkedYAMLError as why:
        where = f" line {why.problem_mark.line + 1}, column {why.problem_mark.column + 1}" if why.problem_mark else ""
        raise ConfigError(f"{source}:{where}: {why.problem or why.context}") from None
    except yaml.YAMLError as why:
        raise ConfigError(f"{source}: {' '.join(str(why).split())}") from None


def _override(data: dict[str, Any], override: str) -> None:
    """Put `a.b[1].c=value` into plain values; the value is read as YAML."""
    place, equals, text = override.partition("=")
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", place)]
    if not equals or not steps:
        raise ConfigError(f"{override!r}: wanted an override like search.population=64")
    node: Any = data
    for step, after in pairwise(steps):
        empty: Any = [] if isinstance(after, int) else {}
        if isinstance(node, dict) and not isinstance(node.get(step), dict | list):
            node[step] = empty
        elif isinstance(node, list) and step == len(node):
            node.append(empty)
        node = node[_inside(node, step, place)]
    value, last = _parse(text, f"override {place}"), steps[-1]
    if isinstance(node, list) and last == len(node):
        node.append(value)
    elif isinstance(node, dict):
        node[last] = value
    else:
        node[_inside(node, last, place)] = value


def _inside(node: Any, step: str | int, place: str) -> Any:
    """The step, if there is such a place in the node."""
    if isinstance(node, list) and not (isinstance(step, int) and step < len(node)):
        raise ConfigError(f"override {place}: there is no '{step}' in a list of {len(node)}")
    return step


def _with_arrays(experiment: Experiment, rename: Any) -> Experiment:
    def change(path: Any, node: Any) -> Any:  # noqa: ARG001  (the walker's signature)
        return node.model_copy(update={"file": rename(node.file)}) if isinstance(node, Array) else node

    return replace(experiment, change)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list | tuple) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
