"""The sbatch script on a real Slurm of two nodes, in namespaces of its own: a plain job, one that is interrupted and
comes back, and one whose Ray does not start.

Needs Debian's packages slurm-wlm, munge and iproute2, and the right to make namespaces; it says aloud what is missing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from launch_orders import description, order
from small_search import history, small

import metaplastic
from metaplastic.clusters import slurm
from metaplastic.platform.experiment_file import dump
from metaplastic.platform.search import search

pytestmark = pytest.mark.slow

CLUSTER = Path(__file__).with_name("slurm_in_a_namespace.sh")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "ip", "unshare")

GENERATIONS = 30
PLAIN = """
job=$(sbatch --parsable job.sbatch)
until scontrol show job "$job" | grep -qE 'JobState=(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL)'; do sleep 0.5; done
scontrol show job "$job" > ended
"""
INTERRUPTED = """
job=$(sbatch --parsable job.sbatch)
until [ "$(wc -l < run/metrics.jsonl 2>/dev/null || echo 0)" -ge 3 ]; do sleep 0.2; done
scancel --batch --signal=USR1 "$job"
until squeue --noheader --job="$job" --format=%T | grep -q PENDING; do sleep 0.5; done
wc -l < run/metrics.jsonl > stopped_after
scontrol update JobId="$job" StartTime=now
while squeue --noheader --job="$job" --format=%T 2>/dev/null | grep -q .; do sleep 0.5; done
"""
"""the notice that Slurm gives before its limit; then the two minutes of a requeued job are skipped"""


@pytest.fixture(autouse=True)
def _slurm():
    missing = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    if missing:
        pytest.skip(f"no real Slurm: {', '.join(missing)} not installed (apt-get install slurm-wlm munge iproute2)")
    alone = ["unshare", "--net", "--pid", "--fork", "--mount", "--mount-proc", "true"]
    if subprocess.run(alone, capture_output=True, check=False, timeout=20).returncode:
        pytest.skip("no real Slurm: this machine gives us no namespaces (root is needed)")


def submitted(folder: Path, commands: str, python: str = sys.executable, generations: int = GENERATIONS) -> str:
    """What a job on two nodes said, `commands` having submitted it and waited."""
    folder.mkdir()
    experiment = small(f"generations={generations}", "lifetimes=40", "search.population=12")
    (folder / "digits.yaml").write_text(dump(experiment), encoding="utf-8")
    wanted = description(
        nodes=2, cpus=2, memory="4G", hours=0.5, run_dir=str(folder / "run"), slurm={"logs": str(folder)},
    )  # fmt: skip
    text = slurm.script(wanted, order(folder=str(folder), python=python))
    (folder / "job.sbatch").write_text(text, encoding="utf-8")
    source = Path(metaplastic.__file__).parents[1]
    with tempfile.TemporaryDirectory(prefix="sl", dir="/tmp") as state:
        done = subprocess.run(
            ["timeout", "--kill-after=5", "900", "bash", CLUSTER, f"{state}/s", "bash", "-euc", commands],
            cwd=folder,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "PYTHONPATH": str(source)},
            capture_output=True,
            text=True,
            timeout=920,
            check=False,
        )
    said = "\n".join(file.read_text(encoding="utf-8") for file in folder.glob("*.out"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{said}"
    return said


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The history of the same search in this process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    search(small(f"generations={GENERATIONS}", "lifetimes=40", "search.population=12"), run)
    return history(run)


def test_a_job_uses_the_workers_of_both_nodes_and_gives_the_numbers_of_one_process(tmp_path, alone):
    said = submitted(tmp_path / "slurm", PLAIN, generations=20 * GENERATIONS)  # time for all workers to come
    run = tmp_path / "slurm" / "run"
    assert (run / "champion.yaml").is_file(), said
    workers = [json.loads(line)["workers"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert workers[-1]["wanted"] == 4
    assert max(count["alive"] for count in workers) > 2, "one node has room for two"
    assert history(run)[:GENERATIONS] == alone
    assert "RAY_AUTH_TOKEN" not in said


def test_an_interrupted_job_comes_back_and_ends_with_the_numbers_of_a_search_that_was_not(tmp_path, alone):
    said = submitted(tmp_path / "slurm", INTERRUPTED)
    run = tmp_path / "slurm" / "run"
    assert (run / "champion.yaml").is_file(), said
    assert 3 <= int((tmp_path / "slurm" / "stopped_after").read_text()) < GENERATIONS  # it was seen to be interrupted
    assert "back to the queue; the search goes on from" in said
    assert "RAY_AUTH_TOKEN" not in said
    assert history(run) == alone
    assert len(history(run)) == GENERATIONS


def test_a_head_that_does_not_start_ends_the_job_with_its_words_and_a_code_of_its_own(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    (programs / "ray").write_text("#!/bin/sh\necho this node has no room >&2\nexit 3\n")
    (programs / "ray").chmod(0o755)
    said = submitted(tmp_path / "slurm", PLAIN, python=str(programs / "python"))
    assert "this node has no room" in said
    assert "Ray's head ended at once" in said
    assert "ExitCode=66:0" in (tmp_path / "slurm" / "ended").read_text()
    assert not (tmp_path / "slurm" / "run").exists()
