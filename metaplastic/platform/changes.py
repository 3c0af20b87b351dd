"""Whether a run goes on with the experiment it was begun with: what may differ, and the differences place by place.

How the lifetimes are computed, who is told, how many generations there are and the notes change no result; anything
else does, and is refused unless it is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from metaplastic.core import ConfigError
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import from_dict, to_dict
from metaplastic.settings import dotted, read_yaml, short

MAY_DIFFER = ("execution", "tracking", "generations", "notes")
"""settings that a run may be continued with although it was begun with others"""
SHOWN = 8
"""differences that are listed"""
_ABSENT = object()


def definition(experiment: Experiment, folder: Path) -> str:
    """The part of an experiment that decides its results, as YAML (JSON has no inf); arrays relative to `folder`."""
    return yaml.safe_dump(_decisive(to_dict(experiment, folder)), sort_keys=False, allow_unicode=True)


def refuse_changes(begun: str, experiment: Experiment, run: Path, allowed: bool = False) -> list[str]:
    """The differences between a run's first experiment (its `definition`) and that which it is to go on with.

    Raises:
        ConfigError: if there are any, and they are not `allowed`.
    """
    found = differences(_with_new_settings(begun, run), _decisive(to_dict(experiment, run)))
    if found and not allowed:
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise ConfigError(
            f"{run} was begun with another experiment: {'; '.join([*found[:SHOWN], *more])}; put it back, choose "
            "another --out, or go on all the same with --allow-change"
        )
    return found


def differences(old: Any, new: Any) -> list[str]:
    """`place: old -> new` for every value that differs between two trees of plain values."""
    return [f"{dotted(place) or 'all'}: {_show(before)} -> {_show(after)}" for place, before, after in _pairs(old, new)]


def _pairs(old: Any, new: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _pairs(old.get(name, _ABSENT), new.get(name, _ABSENT), (*place, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _pairs(before, after, (*place, index))
    elif type(old) is not type(new) or old != new:
        yield place, old, new


def _with_new_settings(begun: str, run: Path) -> dict[str, Any]:
    """The definition as this version reads it: settings that came since have their defaults."""
    plain = read_yaml(begun, str(run))
    try:
        return _decisive(to_dict(from_dict(plain, folder=run), run))
    except ConfigError:  # a setting is gone or a rule is stricter: then that is the difference
        return plain


def _decisive(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if name not in MAY_DIFFER}


def _show(value: Any) -> str:
    return "(not there)" if value is _ABSENT else short(value)
