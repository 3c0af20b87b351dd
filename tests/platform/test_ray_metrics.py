"""Gauges for Prometheus: set where Ray can export them, absent in silence where it cannot; a real endpoint is read.

The real one needs ray[default]: `make prometheus` makes an environment that has it.
"""

import re
import socket
import time
import urllib.request
from importlib.util import find_spec

import pytest
import ray
import torch
from toy_evaluators import Sphere

from metaplastic.platform import ray_metrics
from metaplastic.platform.ray_metrics import GAUGES, NEEDED, PoolMetrics
from metaplastic.platform.ray_pool import RayExecutor


class Gauge:
    """Remembers what it was set to."""

    seen: dict = {}  # noqa: RUF012

    def __init__(self, name, description):
        assert description
        self.name = name

    def set(self, value):
        Gauge.seen.setdefault(self.name, []).append(value)


@pytest.fixture
def exported(monkeypatch):
    import ray.util.metrics

    monkeypatch.setattr(ray_metrics, "find_spec", lambda _: object())
    monkeypatch.setattr(ray.util.metrics, "Gauge", Gauge)
    Gauge.seen = {}
    return Gauge.seen


def test_every_gauge_is_set_under_its_own_name(exported):
    PoolMetrics().set({name: number for number, name in enumerate(GAUGES)})
    assert exported == {f"metaplastic_{name}": [float(number)] for number, name in enumerate(GAUGES)}


def test_what_changes_with_every_chunk_is_set_once_a_second(exported, monkeypatch):
    now = iter((10.0, 10.0, 10.5, 11.0, 11.0))
    metrics = PoolMetrics()
    monkeypatch.setattr(ray_metrics.time, "monotonic", lambda: next(now))
    for count in (1, 2, 3):
        metrics.often({"chunks_in_flight": count})
    assert exported == {"metaplastic_chunks_in_flight": [1.0, 3.0]}


def test_where_ray_cannot_export_them_nothing_happens(monkeypatch, capsys):
    monkeypatch.setattr(ray_metrics, "find_spec", lambda name: None if name == "opencensus" else object())
    metrics = PoolMetrics()
    metrics.often({"lost": 1})
    metrics.set({"lost": 1})
    assert capsys.readouterr() == ("", "")


def exported_by(port):
    """name -> value of our gauges at a real metrics port; empty until it answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            text = page.read().decode()
    except OSError:
        return {}
    lines = re.findall(r"^ray_metaplastic_(\w+)\{.*\} (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


@pytest.mark.slow
@pytest.mark.skipif(not all(find_spec(name) for name in NEEDED), reason="ray[default] is not installed")
def test_a_real_endpoint_tells_what_a_pool_is_at():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray.init(address="local", include_dashboard=False, num_cpus=2, _metrics_export_port=port)
    try:
        with RayExecutor(Sphere(), workers=2, chunk=2) as pool:
            seen, patience = {}, time.monotonic() + 120
            while seen.get("workers_alive") != 2 and time.monotonic() < patience:  # the second one may come late
                genomes = torch.linspace(0, 1, 24, dtype=torch.float64).reshape(8, 3)
                best = pool.evaluate(genomes, 1, 7).fitness[:, 0].max().item()
                for _ in range(4):  # Ray exports every few seconds
                    time.sleep(1)
                    seen = exported_by(port)
    finally:
        ray.shutdown()
    assert seen == pytest.approx(
        dict.fromkeys(GAUGES, 0.0) | {"generation": 7, "workers_alive": 2, "best_fitness": best}
    )
