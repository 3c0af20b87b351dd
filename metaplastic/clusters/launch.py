"""`metaplastic launch`: from a description and flags to a plan, which is shown, written, or carried out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from metaplastic.clusters import cloud, kubernetes, local, ray_job, slurm
from metaplastic.clusters.description import Launch
from metaplastic.clusters.order import Order, check_device, check_overrides
from metaplastic.clusters.plan import Plan
from metaplastic.clusters.rules import as_job_name
from metaplastic.settings import ConfigError, explain, near_miss, override_setting, read_yaml


class Kind(NamedTuple):
    """One place to launch to."""

    plan: Callable[[Launch, Order, Path], Plan]
    """the plan; the path is where its files will lie"""
    check_here: Callable[[Launch, Order], None]
    """what only the machine that submits can tell"""
    run_dir: Callable[[Launch, Order], str | None]
    """run directory where none is given; None: the user must say it, or the search numbers its own"""


def _nothing(launch: Launch, order: Order) -> None:
    del launch, order


KINDS: dict[str, Kind] = {
    "local": Kind(lambda launch, order, _: local.plan(launch, order), _nothing, lambda _launch, _order: None),
    "ray-job": Kind(
        lambda launch, order, _: ray_job.plan(launch, order),
        lambda launch, _: ray_job.check_here(launch),
        lambda _launch, _order: None,
    ),
    "slurm": Kind(
        lambda launch, order, _: slurm.plan(launch, order),
        slurm.check_here,
        lambda launch, order: f"{order.folder}/runs/{launch.name}",
    ),
    "kubernetes": Kind(
        lambda launch, order, _: kubernetes.plan(launch, order),
        _nothing,
        lambda launch, _: f"{launch.kubernetes.mount}/{launch.name}",
    ),
    "cloud": Kind(cloud.plan, _nothing, lambda launch, _: f"/home/{launch.cloud.user}/runs/{launch.name}"),
}
"""where one can launch to"""


class Launched(NamedTuple):
    """What came of it."""

    text: str
    """what to print"""
    code: int
    """exit code"""


def launch(
    where: str,
    experiment: Path,
    resolved: str,
    overrides: Sequence[str] = (),
    *,
    description: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    settings: Sequence[str] = (),
    out: Path | None = None,
    dry_run: bool = False,
) -> Launched:
    """Launch an experiment that has been read and found right; `resolved` is its whole text.

    `flags` (dotted place -> value, None: not said) and `settings` (place=value) are set over the description's file.
    """
    kind = kind_of(where)
    check_overrides(tuple(overrides))
    name = as_job_name(str(read_yaml(resolved, str(experiment)).get("name") or experiment.stem))
    wanted = read_description(description, flags or {}, settings, name, here=where == "local")
    order = Order(
        experiment.resolve(), tuple(overrides), resolved, Path.cwd().resolve(), sys.executable, version("ray")
    )
    if where != "local":
        check_device(wanted, order)
    if wanted.run_dir is None:
        wanted = wanted.model_copy(update={"run_dir": kind.run_dir(wanted, order)})
    folder = (out or Path("launches") / wanted.name).resolve()
    plan = kind.plan(wanted, order, folder)
    if dry_run:
        written = plan.write(folder) if out else []
        return Launched("\n".join([plan.show(), *(f"# written: {path}" for path in written)]).rstrip(), 0)
    kind.check_here(wanted, order)
    code = plan.submit(folder)
    return Launched("\n".join(plan.after) if code == 0 else f"{plan.commands[0][0]} failed with exit code {code}", code)


def kind_of(where: str) -> Kind:
    """The kind of launch that a word means."""
    if where not in KINDS:
        raise ConfigError(f"where is {where!r}, wanted one of {', '.join(KINDS)}{near_miss(where, list(KINDS))}")
    return KINDS[where]


def read_description(
    file: Path | None, flags: Mapping[str, Any], settings: Sequence[str], name: str, *, here: bool = False
) -> Launch:
    """The description in a file, with flags and settings over it; one line for each mistake."""
    data: Any = {}
    if file is not None:
        try:
            data = read_yaml(file.read_text(encoding="utf-8"), str(file)) or {}
        except FileNotFoundError:
            raise ConfigError(f"{file}: no such launch description") from None
        except (OSError, UnicodeDecodeError) as why:
            raise ConfigError(f"{file}: cannot be read: {why}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{file}: wanted a mapping like {{nodes: 2, hours: 12}}")
    for place, value in flags.items():
        if value is not None:
            section, dot, last = place.rpartition(".")
            (data.setdefault(section, {}) if dot else data)[last] = value
    for setting in settings:
        override_setting(data, setting)
    data.setdefault("name", name)
    if here:
        data.setdefault("cpus", len(os.sched_getaffinity(0)))
    try:
        return Launch.model_validate(data)
    except ValidationError as errors:
        source = str(file) if file is not None else "launch"
        raise ConfigError("\n".join(f"{source}: {line}" for line in explain(errors))) from None
