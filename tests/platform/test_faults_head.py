"""The head of the cluster is lost: the search ends in bounded time, and goes on with another head, to the same bits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from small_search import history, small_file

GENERATIONS = "generations=40"
HEAD = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False}
QUICK = {"RAY_gcs_rpc_server_reconnect_timeout_s": "3", "RAY_health_check_period_ms": "500"}
"""a driver gives a lost head up after a minute otherwise"""


@pytest.fixture
def heads():
    """Makes heads; ends those that are left."""
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
    made: list[Cluster] = []

    def head() -> Cluster:
        made.append(Cluster(initialize_head=True, head_node_args=dict(HEAD)))
        return made[-1]

    yield head
    ray.shutdown()
    for one in made:
        one.shutdown()


def begun(file: Path, run: Path, log: Path, *overrides: str) -> subprocess.Popen:
    words = ["search", file, "--out", run, "--resume", GENERATIONS, *overrides]
    with log.open("w") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "metaplastic", *map(str, words)],
            stdout=told,
            stderr=told,
            env={**os.environ, **QUICK},
        )


def kill(head: Cluster) -> None:
    assert head.head_node is not None
    processes = head.head_node.all_processes
    for name in ("gcs_server", "raylet"):
        os.kill(processes[name][0].process.pid, signal.SIGKILL)


def test_a_lost_head_ends_the_search_and_another_goes_on_with_it(heads, tmp_path):
    file, run, log = small_file(tmp_path), tmp_path / "run", tmp_path / "log"
    alone = begun(file, tmp_path / "here", tmp_path / "log-here")
    head = heads()
    driver = begun(file, run, log, "execution.workers=2", f"execution.address={head.address}")
    metrics = run / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not metrics.exists() or metrics.read_text().count("\n") < 3:
        assert driver.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.005)
    kill(head)
    code = driver.wait(120)
    done = metrics.read_text().count("\n")
    assert code not in (0, 130, 143, 75), log.read_text()
    assert 3 <= done < 40, "the head was lost in the middle of the search"

    again = begun(file, run, log, "execution.workers=2", f"execution.address={heads().address}")
    assert again.wait(180) == 0, log.read_text()
    assert alone.wait(120) == 0, (tmp_path / "log-here").read_text()
    assert history(run) == history(tmp_path / "here")
