"""Gauges for Prometheus: set where Ray can export them, absent in silence where it cannot."""

import pytest

from metaplastic.platform import ray_metrics
from metaplastic.platform.ray_metrics import GAUGES, PoolMetrics


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
