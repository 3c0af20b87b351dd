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

complaints, backend = [], sys.argv[1]
for id, settings in json.loads(sys.argv[2]):
    task, lives = make(id, **settings), torch.arange(5)
    state, seen = task.reset(lives)
    policy = task.random_policy(lives)
    task.step(state, policy(state, seen.observation))  # makes the tables that are kept
    dynamo.reset()
    step = torch.compile(task.step, fullgraph=True, dynamic=False, backend=backend)
    try:
        with dynamo.config.patch(error_on_recompile=True):
            for _ in range(3):
                answer = policy(state, seen.observation)
                compiled, plain = step(state, answer), task.step(state, answer)
                for one, other in zip(leaves(compiled), leaves(plain), strict=True):
                    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
                    assert torch.equal(one, other) or (backend != "eager" and one.is_floating_point())
                state, seen = plain
    except Exception as why:
        complaints.append(f"{id} {settings}: {type(why).__name__} {str(why)[:1500]}")
sys.exit("\\n".join(complaints) or None)
"""


def check_one_graph(*cases: tuple[str, dict], backend: str = "eager") -> None:
    """Each (id, settings) is compiled once in one graph, and three steps give the numbers of plain ones.

    Exactly those with the backend `eager`; floats within 1e-5 with another one.
    """
    done = subprocess.run(
        [sys.executable, "-c", CODE, backend, json.dumps(cases)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
