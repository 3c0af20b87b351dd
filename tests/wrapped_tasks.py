"""Small tasks and lives that the tests of wrappers share."""

from typing import Any

import torch

from metaplastic.tasks.base import Rollout, TensorTask
from metaplastic.tasks.registry import make

BANDIT = {"kind": "Bandit-v0", "arms": 3, "trials": 6, "test_trials": 2}
DOTS = {
    "kind": "PerceptualDecisionMaking-v0",
    "dt": 50,
    "timing": {"fixation": 100, "stimulus": {"uniform": [100, 300]}, "delay": 0, "decision": 200},
    "trials": 3,
    "test_trials": 1,
}
MATCH = {
    "kind": "DelayNonMatchSample-v0",
    "dt": 20,
    "trial": 300,
    "onset": 0,
    "stimulus": 60,
    "delay": 40,
    "response": 60,
    "order": "random",
    "trials": 2,
    "test_trials": 1,
}
TWO_STEP = {"kind": "TwoStep-v0", "feedback": False, "trials": 5, "test_trials": 1}
LIVES = torch.arange(5) * 11 + 2


def wrapped(kind: str, task: dict[str, Any], **settings: Any) -> TensorTask:
    return make(kind, task=task, **settings)


def rollout(task: TensorTask, steps: int, policy: Any = None) -> Rollout:
    return task.rollout(policy or task.random_policy(LIVES), LIVES, steps)
