"""The spec of a readout task whose trials are counted in steps, one ms each, and are all as long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaplastic.core import TaskSpec
from metaplastic.tasks.base import slices_of
from metaplastic.tasks.readouts import ReadoutTask


def step_spec(task: ReadoutTask, widths: Mapping[str, int], actions: int, steps: int, **more: Any) -> TaskSpec:
    """From the widths of the channels and what the scores mean (chance, criterion, …); a ceiling is 1 if not given."""
    return TaskSpec(
        **{
            "id": task.kind,
            "channels": slices_of(widths),
            "observations": sum(widths.values()),
            "actions": actions,
            "response": "readout",
            "dt": 1.0,
            "trial_steps": steps,
            "trial_types": 1,
            "ceiling": 1.0,
            "tags": task.tags,
            "cite": task.references,
            "epochs": task.epochs,
            **more,
        }
    )
