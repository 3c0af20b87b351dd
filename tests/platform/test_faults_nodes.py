"""A machine that crashes in the middle of a generation changes no number, and one that comes later is used.

The machines are Ray nodes on this one. A crash is SIGKILL to the raylet and to its workers, by their process numbers:
without the raylet alone the workers live on for a while, and nothing would have been lost.
"""

import os
import signal
import threading
import time

import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from toy_evaluators import Gated, Sphere

from metaplastic.platform.executor import LocalExecutor
from metaplastic.platform.ray_pool import RayExecutor

P, G, CHUNK = 13, 5, 3
WARM, CRASH, AFTER = 76, 77, 78
FAST = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
MACHINE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster():
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:  # as a pool of our own sets it, if one was there before
        os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
    machines = Cluster(initialize_head=True, head_node_args={**MACHINE, "_system_config": FAST})
    yield machines
    ray.shutdown()
    machines.shutdown()


@pytest.fixture
def genomes():
    return torch.linspace(0.0, 0.9, P * G, dtype=torch.float64).reshape(G, P).T.contiguous()


def alone(genomes, key):
    return LocalExecutor(Sphere(), CHUNK).evaluate(genomes, key, 0).fitness


def until(condition, act=lambda: time.sleep(0.01), seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        act()


def crash(machine, pool, folder):
    """When a worker of the machine is at a piece: kill the machine, then let the others go on."""
    there = [pid for actor, pid in pool.pids.items() if pool.nodes[actor] == machine.node_id]
    until(lambda: any((folder / f"at-{pid}").exists() for pid in there))
    for pid in [machine.all_processes["raylet"][0].process.pid, *there]:
        os.kill(pid, signal.SIGKILL)
    (folder / "gate").touch()


def test_a_machine_may_crash_and_another_come(cluster, genomes, tmp_path):
    with RayExecutor(Gated(tmp_path, CRASH), 2, CHUNK, address=cluster.address) as pool:
        same = pool.evaluate(genomes, WARM, 0).fitness.equal(alone(genomes, WARM))
        assert same, "one machine has room for one worker, and that is enough"
        machine = cluster.add_node(**MACHINE)
        until(lambda: machine.node_id in pool.nodes.values(), lambda: pool.evaluate(genomes, WARM, 0))
        assert pool.faults["nodes_joined"] == 1

        killer = threading.Thread(target=crash, args=(machine, pool, tmp_path))
        killer.start()
        result = pool.evaluate(genomes, CRASH, 1)
        killer.join()
        assert result.fitness.equal(alone(genomes, CRASH))
        assert pool.faults["workers_lost"] == 1
        assert pool.faults["retries"] == 1
        until(lambda: pool.faults["nodes_lost"] == 1, lambda: pool.evaluate(genomes, AFTER, 2))

        machine = cluster.add_node(**MACHINE)
        until(lambda: machine.node_id in pool.nodes.values(), lambda: pool.evaluate(genomes, AFTER, 3))
        assert pool.evaluate(genomes, AFTER, 4).fitness.equal(alone(genomes, AFTER))
        assert pool.faults["nodes_joined"] == 2
        assert not pool.failures
