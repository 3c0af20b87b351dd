"""The sbatch script on a real Slurm of two nodes, in namespaces of its own: a job that is interrupted and comes back.

Needs Debian's packages slurm-wlm, munge and iproute2, and the right to make namespaces; it says aloud what is missing.
"""

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
from metaplastic.platform.experiment_file import dump, load
from metaplastic.platform.search import search

pytestmark = pytest.mark.slow

CLUSTER = Path(__file__).with_name("slurm_in_a_namespace.sh")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "ip", "unshare")

GENERATIONS = 30
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


def searched(folder: Path, commands: str) -> Path:
    """The run of a job on two nodes, `commands` having submitted it."""
    experiment = small(f"generations={GENERATIONS}", "lifetimes=40", "search.population=12")
    (folder / "digits.yaml").write_text(dump(experiment), encoding="utf-8")
    wanted = description(
        nodes=2, cpus=2, memory="4G", hours=0.5, run_dir=str(folder / "run"), slurm={"logs": str(folder)},
    )  # fmt: skip
    text = slurm.script(wanted, order(folder=str(folder), python=sys.executable))
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
    assert (folder / "run" / "champion.yaml").is_file(), said
    return folder / "run"


def test_an_interrupted_job_comes_back_and_ends_with_the_numbers_of_a_search_that_was_not(tmp_path):
    for name in ("here", "slurm"):
        (tmp_path / name).mkdir()
    run = searched(tmp_path / "slurm", INTERRUPTED)
    stopped = int((tmp_path / "slurm" / "stopped_after").read_text())
    assert 3 <= stopped < GENERATIONS  # it was seen to be interrupted
    said = next((tmp_path / "slurm").glob("*.out")).read_text()
    assert "back to the queue; the search goes on from" in said
    assert not [line for line in said.splitlines() if "RAY_AUTH_TOKEN" in line]
    here = search(load(tmp_path / "slurm" / "digits.yaml"), tmp_path / "here" / "run")
    assert history(run) == history(here.run)
    assert len(history(run)) == GENERATIONS
