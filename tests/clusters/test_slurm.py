"""The sbatch script: its text, what shells say of it, and what it does when Ray, Slurm and the search are played."""

import os
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
from launch_orders import description, is_golden, order, shellcheck

from metaplastic.clusters import slurm
from metaplastic.settings import ConfigError

MARK = "# ---- from here on the same for every job"
GPUS = {
    "nodes": 2,
    "cpus": 16,
    "gpus": 4,
    "memory": "128G",
    "hours": 30.5,
    "workers": 16,
    "run_dir": "/shared/runs/digits",
    "env": {"NUMBA_CACHE_DIR": "/tmp/it's $HOME"},
    "slurm": {"partition": "gpu", "gpu_type": "a100", "account": "lab", "setup": ["module load cuda/12"]},
}
PLAIN = {"run_dir": "/shared/runs/digits"}


@pytest.mark.parametrize(("name", "settings"), [("slurm_gpus.sbatch", GPUS), ("slurm_one_node.sbatch", PLAIN)])
def test_what_differs_from_job_to_job_is_as_it_was(name, settings):
    head, mark, _ = slurm.script(
        description(**settings), order("search.population=64", "notes=it's $(rm -rf)")
    ).partition(MARK)
    is_golden(name, head + mark + "\n")


@pytest.mark.parametrize("settings", [GPUS, PLAIN])
def test_shells_find_no_fault(settings, tmp_path):
    file = tmp_path / "job.sbatch"
    file.write_text(slurm.script(description(**settings), order()))
    subprocess.run(["bash", "-n", file], check=True)
    if shellcheck():
        done = subprocess.run(
            [shellcheck(), "--shell=bash", "--exclude=SC2016", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_shellcheck_would_have_found_one(tmp_path):
    if not shellcheck():
        pytest.skip("shellcheck is not installed")
    (tmp_path / "bad.sh").write_text("#!/bin/bash\nrm $1\n")
    assert subprocess.run([shellcheck(), tmp_path / "bad.sh"], capture_output=True, check=False).returncode == 1


def test_time_limits_are_written_as_slurm_reads_them():
    assert [slurm.clock(hours) for hours in (0.1, 1.5, 4, 30.5, 1 / 60, 1 / 61)] == [
        "00:06:00", "01:30:00", "04:00:00", "1-06:30:00", "00:01:00", "00:01:00",
    ]  # fmt: skip


def test_jobs_of_other_numbers_have_other_ports_all_below_those_of_the_system():
    text = slurm.script(description(**PLAIN, cpus=200, memory="400G"), order())
    value = {
        line.split("=")[0]: line.split("=")[1] for line in text.splitlines() if line.startswith(("ports=", "slots="))
    }
    assert int(value["ports"]) >= 20 + 2 * 200
    assert 20000 + int(value["ports"]) * int(value["slots"]) <= 32768


@pytest.mark.parametrize(
    ("settings", "folder", "message"),
    [
        ({**PLAIN, "hours": 0.05}, "/shared/lab", "hours: is 0.05 (180 s), wanted at least twice slurm.notice (120 s)"),
        ({**PLAIN, "cpus": 512, "slurm": {"first_port": 31000}}, "/shared/lab", "wanted at most 30660"),
        ({}, "/shared/lab", "run_dir: is not given, wanted a folder that all nodes see, like /shared/lab/runs/digits"),
        (PLAIN, "/shared/my lab", "the folder is '/shared/my lab', wanted a path of letters"),
    ],
)
def test_what_slurm_would_refuse_or_spoil_is_refused(settings, folder, message):
    with pytest.raises(ConfigError) as error:
        slurm.script(description(**settings), order(folder=folder))
    assert message in str(error.value)


def test_a_folder_of_logs_that_is_not_there_is_told(tmp_path):
    wanted = description(slurm={"logs": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="without it Slurm ends the job in silence"):
        slurm.check_here(wanted, order())
    slurm.check_here(description(slurm={"logs": str(tmp_path)}), order())


# ---- the script is run, with programs that play Ray, Slurm and metaplastic

RAY = """#!/bin/bash
echo "ray $*" >> "$STAGE/calls"
case $1 in
  health-check) [ -z "$RAY_IS_DEAD" ] && [ -f "$STAGE/started" ] ;;
  start) if [[ $2 == --address=* ]]; then
           echo "$RAY_AUTH_TOKEN" > "$STAGE/token of a node"; trap 'exit 0' TERM; while :; do sleep 0.1; done
         fi
         env | grep ^RAY_ > "$STAGE/environment"; echo "$RAY_AUTH_TOKEN" > "$STAGE/token"
         temp=$(grep -o 'temp-dir=[^ ]*' <<<"$*" | cut -d= -f2)
         ls -ld "$(dirname "$temp")" > "$STAGE/mode"
         touch "$STAGE/started"
         [ -z "$RAY_IS_DEAD" ] || { echo "why it cannot" >&2; exit 1; }
         trap 'exit 0' TERM; while :; do sleep 0.1; done ;;
esac
"""
PYTHON = """#!/bin/bash
[ "$1" != -c ] || exit "${NO_GRPC:-0}"
echo "search $*" >> "$STAGE/calls"
case $SEARCH in
  works) mkdir -p "$RUN"; echo x > "$RUN/champion.yaml" ;;
  slow)  for _ in $(seq 200); do [ ! -f "$STAGE/token of a node" ] || break; sleep 0.1; done ;;
  fails) exit 2 ;;
  stops) trap 'exit 0' TERM; echo ready >> "$STAGE/ready"; while :; do sleep 0.1; done ;;
  ends)  trap 'mkdir -p "$RUN"; echo x > "$RUN/champion.yaml"; exit 0' TERM
         echo ready >> "$STAGE/ready"; while :; do sleep 0.1; done ;;
esac
"""
SRUN = """#!/bin/bash
echo "srun $*" >> "$STAGE/calls"
while [ "$1" != bash ]; do shift; done
SLURMD_NODENAME=n2 exec "$@"
"""
HOSTNAME = '#!/bin/bash\necho "127.0.0.1 "\n'
SCONTROL = '#!/bin/bash\necho "scontrol $*" >> "$STAGE/calls"\nexit "${REFUSED:-0}"\n'


@pytest.fixture
def stage(tmp_path):
    """A played machine: run the job on it, perhaps with a notice, and see what was called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    played = {"ray": RAY, "python": PYTHON, "scontrol": SCONTROL, "srun": SRUN, "hostname": HOSTNAME}
    for name, text in played.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "t").mkdir()
    run = tmp_path / "run"

    def go(notice: bool = False, retries: int = 3, **environment: str) -> SimpleNamespace:
        wanted = description(retries=retries, run_dir=str(run), slurm={"start_seconds": 20})
        text = slurm.script(wanted, order(folder=str(tmp_path), python=str(programs / "python")))
        (tmp_path / "job.sbatch").write_text(text.replace("temp_parent=/tmp", f"temp_parent={tmp_path / 't'}"))
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        variables = {
            "SLURM_JOB_ID": "4242",
            "SLURM_JOB_NAME": "digits",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURMD_NODENAME": "n1",
        }
        played = {"STAGE": str(tmp_path), "RUN": str(run), "PATH": path, "SEARCH": "works", **variables, **environment}
        job = subprocess.Popen(
            ["bash", tmp_path / "job.sbatch"], env={**os.environ, **played}, stderr=subprocess.PIPE, text=True
        )
        if notice:
            deadline = time.monotonic() + 60
            while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            job.send_signal(signal.SIGUSR1)
        _, said = job.communicate(timeout=90)
        calls = (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""
        return SimpleNamespace(code=job.returncode, said=said, calls=calls, left=list((tmp_path / "t").iterdir()))

    go.folder = tmp_path
    go.run = run
    return go


def test_a_search_that_ends_well_ends_the_job_and_leaves_nothing_behind(stage):
    job = stage()
    assert job.code == 0, job.said
    assert (
        f"search -m metaplastic search {stage.folder}/digits.yaml execution.workers=8 execution.address=auto"
        in job.calls
    )
    assert "--node-ip-address=127.0.0.1" in job.calls
    assert "scontrol" not in job.calls
    assert job.left == []


def test_ray_is_given_a_token_and_a_folder_of_its_own(stage):
    stage(RAY_AUTH_TOKEN_PATH="/somewhere/else", RAY_AUTH_MODE="disabled")
    environment = dict(line.split("=", 1) for line in (stage.folder / "environment").read_text().splitlines())
    assert environment["RAY_AUTH_MODE"] == "token"
    assert len(environment["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_TOKEN_PATH" not in environment
    assert environment["RAY_ADDRESS"] == f"127.0.0.1:{20000 + 4242 % 63 * 200}"
    assert (stage.folder / "mode").read_text().startswith("drwx------")
    assert environment["RAY_AUTH_TOKEN"] not in (stage.folder / "calls").read_text()


@pytest.mark.parametrize(("absent", "given"), [("0", True), ("1", False)])
def test_the_client_servers_port_is_named_only_where_ray_has_one(stage, absent, given):
    assert ("--ray-client-server-port=" in stage(NO_GRPC=absent).calls) == given


def test_the_other_nodes_join_with_the_token_and_leave_nothing_behind(stage):
    job = stage(SLURM_JOB_NUM_NODES="3", METAPLASTIC_HEAD_IP="127.0.0.1", SEARCH="slow")
    assert job.code == 0, job.said
    (step,) = [line for line in job.calls.splitlines() if line.startswith("srun")]
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=8 --exclude=n1" in step
    assert f"ray start --address=127.0.0.1:{20000 + 4242 % 63 * 200} --num-cpus=8" in job.calls
    assert (stage.folder / "token of a node").read_text().strip() == (stage.folder / "token").read_text().strip()
    assert job.left == []


def test_a_mistake_in_the_experiment_is_the_jobs_exit_code_and_not_tried_again(stage):
    job = stage(SEARCH="fails")
    assert job.code == 2
    assert "scontrol" not in job.calls


def test_a_notice_stops_the_search_and_the_job_goes_back_to_the_queue(stage):
    job = stage(notice=True, SEARCH="stops")
    assert job.code == 0, job.said
    assert "scontrol requeue 4242" in job.calls
    assert "goes on from" in job.said
    assert job.left == []


def test_a_search_that_ends_within_the_notice_is_done(stage):
    job = stage(notice=True, SEARCH="ends")
    assert (job.code, "scontrol" in job.calls) == (0, False)


def test_a_restarted_job_resumes_its_run_without_reading_the_experiment(stage):
    stage.run.mkdir()
    (stage.run / "experiment.yaml").write_text("x")
    job = stage(SLURM_RESTART_COUNT="1")
    assert f"search -m metaplastic resume {stage.run}\n" in job.calls


def test_the_last_stop_says_how_to_go_on(stage):
    job = stage(notice=True, retries=1, SEARCH="stops", SLURM_RESTART_COUNT="1")
    assert job.code == 75
    assert "stopped for the last of 2 times; all is saved in" in job.said
    assert "scontrol" not in job.calls


def test_a_queue_that_does_not_take_the_job_back_is_told(stage):
    job = stage(notice=True, SEARCH="stops", REFUSED="1")
    assert (job.code, "submit it again to go on" in job.said) == (76, True)


def test_a_head_that_does_not_start_is_told_with_its_logs_in_view(stage):
    job = stage(RAY_IS_DEAD="1")
    assert job.code == 66
    assert "why it cannot\nmetaplastic: Ray's head ended at once; its own words stand above" in job.said
    assert "search" not in job.calls


def test_an_environment_that_is_not_there_is_told(stage):
    (stage.folder / "bin" / "ray").unlink()
    job = stage()
    assert job.code == 64
    assert "with a ray beside it on n1; put it on a disk that all nodes see" in job.said


def test_an_address_that_the_node_does_not_have_is_refused(stage):
    job = stage(SLURM_JOB_NUM_NODES="2", METAPLASTIC_HEAD_IP="192.0.2.1")
    assert job.code == 65
    assert "not '192.0.2.1'; set METAPLASTIC_HEAD_IP to one of them" in job.said


def test_a_port_that_is_taken_is_passed_over(stage):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 20000 + 4242 % 63 * 200))
        taken.listen()
        stage()
    environment = (stage.folder / "environment").read_text()
    assert f"RAY_ADDRESS=127.0.0.1:{20000 + (4242 % 63 + 1) * 200}" in environment
