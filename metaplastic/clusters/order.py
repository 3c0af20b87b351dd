"""What is to be run: the experiment, and the words of the `metaplastic` command that runs it on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from metaplastic.clusters.description import Launch
from metaplastic.settings import ConfigError, read_yaml

OURS = {"execution.workers": "--workers", "execution.address": "--address"}
"""settings of the experiment that the launcher makes, and the flags to say them with"""


class Order(NamedTuple):
    """An experiment that has been read and found right, and from where it is launched."""

    experiment: Path
    """its file, absolute"""
    overrides: tuple[str, ...]
    """settings that were changed, as place=value"""
    resolved: str
    """the whole experiment as YAML, overrides included"""
    folder: Path
    """where one stands when launching, absolute"""
    python: str
    """the Python that launches"""
    ray_version: str
    """the Ray of this machine"""


def check_overrides(overrides: tuple[str, ...]) -> None:
    """Refuse to have a launcher's own settings made twice."""
    for override in overrides:
        place = override.partition("=")[0]
        if place in OURS:
            raise ConfigError(f"override {place}: the launcher sets it; use {OURS[place]}")


def check_device(launch: Launch, order: Order) -> None:
    """Refuse an experiment that wants GPUs on machines that were asked for without."""
    execution = read_yaml(order.resolved, str(order.experiment)).get("execution") or {}
    if str(execution.get("device")).startswith("cuda") and not launch.gpus:
        raise ConfigError(
            f"gpus: is 0, but the experiment's execution.device is '{execution['device']}'; wanted --gpus, or the "
            "override execution.device=cpu"
        )


def search_words(launch: Launch, order: Order, experiment: str, *, resolved: bool, address: bool = True) -> list[str]:
    """`search FILE … --out RUN --resume`, said as often as the job is begun; `resolved`: FILE has the overrides."""
    ours = [f"execution.workers={launch.worker_count()}", *(["execution.address=auto"] if address else [])]
    if launch.gpus:
        given = {override.partition("=")[0] for override in order.overrides}
        theirs = {"execution.device": "cuda", "execution.gpus": f"{launch.gpus_a_worker():g}"}
        ours += [f"{place}={value}" for place, value in theirs.items() if place not in given]
    out = ["--out", launch.run_dir, "--resume"] if launch.run_dir else []
    return ["search", experiment, *ours, *(() if resolved else order.overrides), *out]


def need(value: str | None, place: str, wanted: str) -> str:
    """A setting that this launcher cannot do without."""
    if not value:
        raise ConfigError(f"{place}: is not given, wanted {wanted}")
    return value


def check_arrays(order: Order, disk: str) -> None:
    """Refuse arrays that would not be there: only the experiment's own text is brought along, and `disk` is there."""
    for file in _arrays(read_yaml(order.resolved, str(order.experiment))):
        if not file.startswith(f"{disk}/"):
            raise ConfigError(
                f"{order.experiment}: reads {file}, which is not brought along; put it on the disk at {disk} and name "
                f"it so in the experiment: {disk}/{Path(file).name}"
            )


def _arrays(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("array"), str):
        yield node["array"]
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in below:
        yield from _arrays(child)
