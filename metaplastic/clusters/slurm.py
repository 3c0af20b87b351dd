"""Slurm: an `sbatch` script that starts Ray on its nodes, searches, and goes back to the queue when its time is up.

The script is `#SBATCH` lines, a block of quoted settings, and `slurm_job.sh`, which is the same for every job. Its exit
codes: 64 no Python, 65 no address, 66 Ray's head does not start, 75 stopped for the last time, 76 not requeued;
otherwise the search's own. A node that cannot join (67), or whose Ray ends (68), is told in the output, and the search
goes on.
"""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path

from metaplastic.clusters.description import Launch
from metaplastic.clusters.order import Order, need, search_words
from metaplastic.clusters.plan import Plan
from metaplastic.clusters.rules import absolute, mebibytes
from metaplastic.settings import ConfigError

FILE = "job.sbatch"
LAST_PORT = 32768
"""the system takes ports for itself from here on"""


def plan(launch: Launch, order: Order) -> Plan:
    """The script, and its submission."""
    after = (f"state: squeue --name={launch.name}    output: {logs(launch, order)}/{launch.name}-JOB.out",)
    return Plan({FILE: script(launch, order)}, (("sbatch", FILE),), after=after)


def check_here(launch: Launch, order: Order) -> None:
    """What only the machine that submits can tell: folders that Slurm would miss without a word."""
    if not Path(logs(launch, order)).is_dir():
        raise ConfigError(f"slurm.logs: {logs(launch, order)} is no folder; without it Slurm ends the job in silence")


def logs(launch: Launch, order: Order) -> str:
    """Folder of the job's output."""
    return launch.slurm.logs or str(order.folder)


def script(launch: Launch, order: Order) -> str:
    """The whole script."""
    lines = ["#!/bin/bash", *(f"#SBATCH --{option}" for option in _options(launch, order))]
    body = files("metaplastic.clusters").joinpath("slurm_job.sh").read_text(encoding="utf-8")
    return "\n".join([*lines, *_settings(launch, order), *launch.slurm.setup, body])


def _options(launch: Launch, order: Order) -> list[str]:
    slurm = launch.slurm
    for path in (str(order.folder), logs(launch, order)):
        _plain(path)
    options = [
        f"job-name={launch.name}",
        f"nodes={launch.nodes}",
        "ntasks-per-node=1",
        f"cpus-per-task={launch.cpus}",
        f"mem={launch.memory}",
        f"time={clock(launch.hours)}",
        f"chdir={order.folder}",
        f"output={logs(launch, order)}/%x-%j.out",
        "open-mode=append",
        "requeue",
        f"signal=B:USR1@{slurm.notice}",
    ]
    if launch.gpus:
        options.append(f"gpus-per-node={f'{slurm.gpu_type}:' if slurm.gpu_type else ''}{launch.gpus}")
    return options + [
        f"{name}={value}" for name in ("partition", "account", "qos", "constraint") if (value := getattr(slurm, name))
    ]


def _settings(launch: Launch, order: Order) -> list[str]:
    """Settings as the script's variables, quoted for the shell."""
    slurm = launch.slurm
    if launch.hours * 3600 < 2 * slurm.notice:
        raise ConfigError(
            f"hours: is {launch.hours:g} ({launch.hours * 3600:.0f} s), wanted at least twice slurm.notice "
            f"({slurm.notice} s), so that something is searched between start and notice"
        )
    ports = max(200, 60 + 4 * launch.cpus)
    slots = (LAST_PORT - slurm.first_port) // ports
    if slots < 1:
        raise ConfigError(
            f"slurm.first_port: is {slurm.first_port}, wanted at most {LAST_PORT - ports}: a job of {launch.cpus} CPUs "
            f"a node takes {ports} ports below {LAST_PORT}"
        )
    run = need(launch.run_dir, "run_dir", f"a folder that all nodes see, like {order.folder}/runs/{launch.name}")
    values = {
        "python": slurm.python or order.python,
        "run": run,
        "logs": logs(launch, order),
        "temp_parent": slurm.temp,
        "cpus": launch.cpus,
        "gpus": launch.gpus,
        "store_bytes": min(2048, mebibytes(launch.memory) // 5) * 1024**2,
        "retries": launch.retries,
        "notice": slurm.notice,
        "start_seconds": slurm.start_seconds,
        "first_port": slurm.first_port,
        "ports": ports,
        "slots": slots,
    }
    words = search_words(launch, order, str(order.experiment), resolved=False)
    return [
        *(f"{name}={shlex.quote(str(value))}" for name, value in values.items()),
        f"command=({shlex.join(words)})",
        *(f"export {name}={shlex.quote(value)}" for name, value in launch.env.items()),
    ]


def clock(hours: float) -> str:
    """Hours as Slurm writes a time limit: days-hours:minutes:seconds, rounded up to the minute."""
    minutes = -int(-round(hours * 60, 6) // 1)
    days, rest = divmod(minutes, 24 * 60)
    return f"{f'{days}-' if days else ''}{rest // 60:02d}:{rest % 60:02d}:00"


def _plain(path: str) -> None:
    try:
        absolute(path)
    except ValueError as why:
        raise ConfigError(f"the folder {why}") from None
