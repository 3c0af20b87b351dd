"""Is a task's step one graph for the compiler, made once? In a process of its own: type checkers break graphs."""

import json
import subprocess
import sys

CODE = """
import json, sys
import torch
import torch._dynamo as dynamo
from metaplastic.tasks.base import leaves
from metaplastic.tasks.registry import make

for id, settings in json.loads(sys.argv[1]):
    task = make(id, **settings)
    dynamo.reset()
    state, _ = task.reset(torch.arange(5))
    policy = task.random_policy(torch.arange(5))
    with dynamo.config.patch(error_on_recompile=True):
        compiled = torch.compile(task.step, fullgraph=True, dynamic=False, backend="eager")
        for _ in range(3):
            answer = policy(state, None)
            (one, seen), (state, wanted) = compiled(state, answer), task.step(state, answer)
            pairs = zip(leaves((one, seen)), leaves((state, wanted)), strict=True)
            assert all(torch.equal(*pair) for pair in pairs), id
            state = one
"""


def check_one_graph(*cases: tuple[str, dict]) -> None:
    """Each (id, settings) is compiled once in one graph, and three steps give the numbers of plain ones."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(cases)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
