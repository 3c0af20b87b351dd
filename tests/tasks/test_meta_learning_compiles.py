"""A step of every bandit and meta-learning task is one graph for the compiler, and stays the same graph."""

import subprocess
import sys

COMPILED = """
import sys

import torch
import torch._dynamo
from metaplastic.tasks.registry import make

for name in sys.argv[1:]:
    id, _, preset = name.partition(":")
    task = make(id, preset=preset or None)
    state, _ = task.reset(torch.arange(5))
    policy = task.random_policy(torch.arange(5))
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        step = torch.compile(task.step, fullgraph=True, dynamic=False, backend="eager")
        for _ in range(3):
            answer = policy(state, None)
            (other, wanted), (state, seen) = task.step(state, answer), step(state, answer)
            pairs = ((seen.reward, wanted.reward), (seen.observation, wanted.observation), (state.trial, other.trial))
            assert all(torch.equal(*pair) for pair in pairs), name
"""
NAMES = (
    "Bandit-v0:wang16",
    "ReversalBandit-v0",
    "VolatileBandit-v0:behrens07_magnitudes",
    "DependentArms-v0",
    "BaitedBandit-v0",
    "TwoStep-v0:wang18",
    "TwoStep-v0:daw",
    "InferredValue-v0",
    "Harlow-v0:psychlab",
    "HarlowChoice-v0:five",
    "ContextualBandit-v0",
    "TargetDiscovery-v0",
    "Forage-v0",
)


def test_a_step_is_one_graph_and_is_compiled_once():
    # in a process of its own, because the run-time type checker of the tests breaks graphs
    done = subprocess.run(
        [sys.executable, "-c", COMPILED, *NAMES], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
