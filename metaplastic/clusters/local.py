"""This machine: the search in a process of its own, with a pool of Ray actors on this machine's CPUs."""

from __future__ import annotations

from metaplastic.clusters.description import Launch
from metaplastic.clusters.order import Order, search_words
from metaplastic.clusters.plan import Plan
from metaplastic.settings import ConfigError


def plan(launch: Launch, order: Order) -> Plan:
    """The command alone; Ray is started by the search, on loopback, with a token and a folder of its own."""
    if launch.nodes != 1:
        raise ConfigError(
            f"nodes: is {launch.nodes}, but this machine is one; for more: ray-job, slurm, kubernetes, cloud"
        )
    words = search_words(launch, order, str(order.experiment), resolved=False, address=False)
    return Plan(
        commands=((order.python, "-m", "metaplastic", *words),), environment={"RAY_AUTH_MODE": "token", **launch.env}
    )
