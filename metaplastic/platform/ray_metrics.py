"""What a pool is at, for Prometheus: gauges of `ray.util.metrics`, set by the driver about once a second.

They appear at the metrics port of the driver's node as `ray_metaplastic_generation` and so on, where Ray was installed
with its dashboard (`pip install 'ray[default]'`); without it nothing is measured and nothing is said.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

GAUGES = {
    "generation": "the generation that was evaluated last",
    "best_fitness": "first objective of its best individual",
    "workers_alive": "workers that have the evaluator",
    "chunks_in_flight": "chunks that workers are at",
    "retries": "chunks that were done again so far",
    "lost": "workers that were lost so far",
}
NEEDED = ("aiohttp", "prometheus_client", "opencensus")
"""what Ray's metrics agent imports; ray[default] brings them"""
SECONDS = 1.0
"""between two settings of what changes with every chunk"""


class PoolMetrics:
    """The gauges of one pool, or nothing if Ray cannot export them."""

    def __init__(self) -> None:
        self._gauges: dict[str, Any] = {}
        self._set = -SECONDS
        if all(find_spec(name) for name in NEEDED):
            from ray.util.metrics import Gauge

            self._gauges = {name: Gauge(f"metaplastic_{name}", text) for name, text in GAUGES.items()}

    def often(self, values: Mapping[str, float]) -> None:
        """Set gauges, if they were not set within the last second."""
        if self._gauges and time.monotonic() - self._set >= SECONDS:
            self._set = time.monotonic()
            self.set(values)

    def set(self, values: Mapping[str, float]) -> None:
        """Set gauges now."""
        for name, value in values.items() if self._gauges else ():
            self._gauges[name].set(float(value))
