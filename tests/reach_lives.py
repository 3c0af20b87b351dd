"""Reaches that the tests of reaching share: settings, bodies and policies."""

from typing import Any

import pytest
import torch
from torch import Tensor

from metaplastic.tasks.base import Policy
from metaplastic.tasks.motor.reaching import Body, ReachTask
from metaplastic.tasks.registry import make

IDS = ("Reach-v0", "ArmReach-v0")
BOTH = pytest.mark.parametrize("id", IDS)
NOW = {"hold": 0, "cue": 0, "delay": 0}
SHORT = {"hold": 50, "cue": 20, "delay": 30, "move": 1000}
LIVES = torch.arange(7)


def reach(id: str, **settings: Any) -> ReachTask:
    task = make(id, **settings)
    assert isinstance(task, ReachTask)
    return task


def body(position: list[float], velocity: list[float]) -> Body:
    return Body(torch.tensor([position]), torch.tensor([velocity]), None)


def push(output: list[float]) -> Policy:
    """Always the same outputs."""
    return lambda state, _: torch.tensor(output).expand(*state.trial.shape, 2)


def still(state: Any, _: Tensor) -> Tensor:
    return torch.zeros(*state.trial.shape, 2)
