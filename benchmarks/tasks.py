"""How many steps a second? Tasks of this package beside NeuroGym, Gymnasium's vectorised CartPole and gymnax.

One thread, processor time (not the clock), batches of 4,096 lifetimes. Every workload is timed in turns with its peer,
so that whatever else the machine does falls on both; the ratios are medians over the turns.

    step      the closed loop, one answer at a time           render    whole trials at once, for supervised training
    eager     plain PyTorch                                   compiled  torch.compile(fullgraph=True), compiled before

    python benchmarks/tasks.py [--batch 4096] [--seconds 1] [--turns 5] [--only NAME] [--eager]
                               [--neurogym PYTHON] [--gymnax PYTHON]

NeuroGym pins an older Gymnasium and gymnax needs JAX, so each may live in an environment of its own: name its Python.
Exits with 1 if a ratio is below its target, with 2 if no peer could be timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from metaplastic import compiling
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.registry import TASKS, make

NEUROGYM = """
import sys, time, warnings; warnings.filterwarnings("ignore")
import neurogym as ngym
name, dt, mode, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
if mode == "step":
    env = ngym.make(name, dt=dt); env.reset(); env.step(0)
    call, size = (lambda: [env.step(0) for _ in range(1000)]), 1000
else:
    data = ngym.Dataset(name, env_kwargs={"dt": dt}, batch_size=64, seq_len=100); data()
    call, size = data, 6400
call(); count, start = 0, time.process_time()
while time.process_time() - start < seconds:
    call(); count += size
print(count / (time.process_time() - start))
"""

GYMNASIUM = """
import sys, time, gymnasium as gym, numpy as np
name, batch, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
env = gym.make_vec(name, num_envs=batch, vectorization_mode="vector_entry_point"); env.reset(seed=0)
act = np.arange(batch) % 2
for _ in range(20): env.step(act)
count, start = 0, time.process_time()
while time.process_time() - start < seconds:
    env.step(act); count += batch
print(count / (time.process_time() - start))
"""

GYMNAX = """
import sys, time, os
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import jax, gymnax
name, batch, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
env, params = gymnax.make(name); steps = 100
def one(key):
    obs, state = env.reset(key, params)
    def step(carry, k):
        out = env.step(k, carry, env.action_space(params).sample(k), params)
        return out[1], out[2]
    return jax.lax.scan(step, state, jax.random.split(key, steps))[1].sum()
run = jax.jit(jax.vmap(one)); keys = jax.random.split(jax.random.PRNGKey(0), batch)
jax.block_until_ready(run(keys)); count, start = 0, time.process_time()
while time.process_time() - start < seconds:
    jax.block_until_ready(run(keys)); count += batch * steps
print(count / (time.process_time() - start))
"""


class Workload(NamedTuple):
    """What is timed, and beside what."""

    id: str
    settings: dict[str, Any]
    mode: str
    """step or render"""
    peer: str
    """neurogym, gymnasium, gymnax or nothing"""
    words: tuple[str, ...]
    """the peer's own words"""
    eager: float | None = None
    """how many times the peer, at least"""
    compiled: float | None = None


DT20 = {"dt": 20.0}
WORKLOADS = {
    "random dots, step": Workload(
        "PerceptualDecisionMaking-v0",
        {**DT20, "timing": {"fixation": 740}},
        "step",
        "neurogym",
        ("PerceptualDecisionMaking-v0", "20", "step"),
        None,
        10,
    ),
    "random dots, render": Workload(
        "PerceptualDecisionMaking-v0",
        {**DT20, "timing": {"fixation": 740}},
        "render",
        "neurogym",
        ("PerceptualDecisionMaking-v0", "20", "render"),
        None,
        20,
    ),
    "context, step": Workload(
        "ContextDecisionMaking-v0",
        {**DT20, "timing": {"fixation": 740, "stimulus": 740}},
        "step",
        "neurogym",
        ("ContextDecisionMaking-v0", "20", "step"),
        None,
        10,
    ),
    "context, render": Workload(
        "ContextDecisionMaking-v0",
        {**DT20, "timing": {"fixation": 740, "stimulus": 740}},
        "render",
        "neurogym",
        ("ContextDecisionMaking-v0", "20", "render"),
        None,
        20,
    ),
    "match to sample, step": Workload(
        "DelayMatchSample-v0",
        {"preset": "neurogym", "dt": 20.0},
        "step",
        "neurogym",
        ("DelayMatchSample-v0", "20", "step"),
        None,
        10,
    ),
    "yang19 ctxdm1, render": Workload(
        "yang19.ctxdm1-v0",
        {"preset": "neurogym", "dt": 20.0},  # 33 channels, as the peer has
        "render",
        "neurogym",
        ("yang19.ctxdm1-v0", "20", "render"),
        None,
        20,
    ),
    "yang19 ctxdm1, render (85 channels)": Workload(
        "yang19.ctxdm1-v0", {"preset": "yang19"}, "render", "neurogym", ("yang19.ctxdm1-v0", "20", "render")
    ),
    "bandit, step": Workload("Bandit-v0", {}, "step", "neurogym", ("Bandit-v0", "100", "step"), 10, 10),
    "bandit, step (gymnax)": Workload("Bandit-v0", {}, "step", "gymnax", ("BernoulliBandit-misc",)),
    "cart pole, step": Workload("CartPole-v1", {}, "step", "gymnasium", ("CartPole-v1",), None, 1),
    "cart pole, step (gymnax)": Workload("CartPole-v1", {}, "step", "gymnax", ("CartPole-v1",)),
    "T maze, step": Workload("TMaze-v0", {}, "step", "", ()),
    "meta maze, step": Workload("MetaMaze-v0", {}, "step", "", ()),
}
"""name -> workload; the targets are those of the project's task specification"""


def runner(task: TensorTask, mode: str, batch: int, *, compiled: bool) -> Callable[[], int]:
    """A function that does one step or one trial of a whole batch and gives how many steps that was."""
    lives = torch.arange(batch)
    if mode == "render":

        def one() -> Any:
            return task.render(lives, 0)

        make_trial = compiling.compiled(one, whole_trials=True) if compiled else one
        steps = task.spec.trial_steps
        return lambda: len(make_trial().w) * batch // steps * steps
    state, _ = task.reset(lives)
    policy = task.random_policy(lives)
    action = policy(state, torch.zeros(()))
    step = compiling.compiled(task.step) if compiled else task.step
    kept = [state]

    def go() -> int:
        kept[0], _ = step(kept[0], action)
        return batch

    return go


def speed(run: Callable[[], int], seconds: float) -> float:
    """Steps a second of processor time."""
    count, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        count += run()
    return count / (time.process_time() - start)


def peer_speed(work: Workload, given: argparse.Namespace) -> float | None:
    """The peer's, in a process of its own; None where it cannot run."""
    python = {"neurogym": given.neurogym, "gymnax": given.gymnax, "gymnasium": sys.executable}.get(work.peer)
    if not python:
        return None
    code = {"neurogym": NEUROGYM, "gymnax": GYMNAX, "gymnasium": GYMNASIUM}[work.peer]
    words = [*work.words] if work.peer == "neurogym" else [*work.words, str(given.batch)]
    done = subprocess.run(
        [python, "-c", code, *words, str(given.seconds)], capture_output=True, text=True, env=ONE_THREAD, check=False
    )
    if done.returncode:
        print(f"{work.peer} could not run: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return float(done.stdout.split()[-1])


def compare(name: str, work: Workload, given: argparse.Namespace) -> tuple[bool, bool]:
    """One line of the table; whether the targets are reached, and whether a peer was timed."""
    task = make(work.id, **work.settings)
    forms = {"eager": runner(task, work.mode, given.batch, compiled=False)}
    if not given.eager:
        forms["compiled"] = runner(task, work.mode, given.batch, compiled=True)
    for run in forms.values():
        run(), run(), run()
    ours: dict[str, list[float]] = {form: [] for form in forms}
    theirs: list[float] = []
    for _ in range(given.turns):
        for form, run in forms.items():
            ours[form].append(speed(run, given.seconds))
        peer = peer_speed(work, given)
        theirs += [] if peer is None else [peer]
    line, passed = f"{name:26}", True
    for form, speeds in ours.items():
        line += f"{statistics.median(speeds) / 1e6:9.2f} M/s"
        if theirs:
            ratio = statistics.median(mine / other for mine, other in zip(speeds, theirs, strict=True))
            target = getattr(work, form)
            line += f"{ratio:7.1f}x" + (f" (target {target:g})" if target else "")
            passed &= target is None or ratio >= target
    print(line + (f"   {work.peer} {statistics.median(theirs) / 1e6:.3f} M/s" if theirs else ""), flush=True)
    return passed, bool(theirs)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--eager", action="store_true", help="compile nothing")
    parser.add_argument("--neurogym", default="", help="a Python that has NeuroGym")
    parser.add_argument("--gymnax", default="", help="a Python that has gymnax")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"batch {given.batch}, one thread, processor time, medians of {given.turns} turns of {given.seconds:g} s")
    results = []
    for name, work in WORKLOADS.items():
        if given.only in name and work.id in TASKS:
            results.append(compare(name, work, given))
    if not all(passed for passed, _ in results):
        return 1
    return 0 if any(has_peer for _, has_peer in results) else 2


ONE_THREAD = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

if __name__ == "__main__":
    sys.exit(main())
