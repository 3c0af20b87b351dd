"""`metaplastic launch`, as a user runs it: shown, written, refused, submitted to programs that play the managers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from launch_orders import AWS
from small_search import small_file

from metaplastic.cli import main
from metaplastic.clusters.description import Launch
from metaplastic.clusters.launch import KINDS, read_description

EXAMPLES = Path(__file__).parents[2] / "examples" / "clusters"
ASKED = {
    "local": [],
    "ray-job": ["--address", "http://127.0.0.1:8265", "--run-dir", "/data/small"],
    "slurm": ["--nodes", "2", "--hours", "2"],
    "kubernetes": ["--set", "kubernetes.image=lab/metaplastic:1", "--set", "kubernetes.claim=runs"],
    "cloud": [word for name, value in AWS.items() for word in ("--set", f"cloud.{name}={value}")],
}
WRITTEN = {
    "local": set(),
    "ray-job": {"runtime_env.yaml"},
    "slurm": {"job.sbatch"},
    "kubernetes": {"rayjob.yaml"},
    "cloud": {"cluster.yaml", "start.sh", "experiment.yaml"},
}
NEEDS = {"ray-job": "ray", "slurm": "sbatch", "kubernetes": "kubectl", "cloud": "ray"}


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Run the command line in this process, in a folder with an experiment; (exit code, standard output, error)."""
    small_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def go(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["metaplastic", "launch", *words])
        monkeypatch.setattr(sys, "path", list(sys.path))
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        out = capfd.readouterr()
        return code, out.out, out.err

    return go


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Only the given programs are to be found; each writes its words to `calls` and ends as told."""

    def go(*names: str, code: int = 0) -> None:
        folder = tmp_path / "programs"
        folder.mkdir()
        for name in names:
            (folder / name).write_text(f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/calls\nexit {code}\n')
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin{os.pathsep}/usr/bin")
        monkeypatch.setattr(sys, "executable", str(folder / "python"))

    return go


@pytest.mark.parametrize("where", KINDS)
def test_a_dry_run_shows_all_and_does_nothing(run, tmp_path, where):
    before = sorted(tmp_path.iterdir())
    code, out, err = run(where, "small.yaml", "seed=4", *ASKED[where], "--dry-run")
    assert (code, err) == (0, "")
    assert "# ---- to be run:" in out
    assert "RAY_AUTH_MODE" in out or where == "kubernetes"
    assert where != "kubernetes" or "mode: token" in out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("where", KINDS)
def test_a_dry_run_writes_where_it_is_told(run, tmp_path, where):
    code, out, _ = run(where, "small.yaml", *ASKED[where], "--dry-run", "--out", "there")
    assert code == 0
    there = tmp_path / "there"
    assert {path.name for path in there.iterdir()} == WRITTEN[where]
    assert there.stat().st_mode & 0o777 == 0o700
    assert all(f"# written: {there / name}" in out for name in WRITTEN[where])
    for path in there.glob("*.yaml"):
        list(yaml.safe_load_all(path.read_text()))
    assert "ray stop" not in out + "".join(path.read_text() for path in there.iterdir())
    assert "symmetric-run" not in out


def test_a_shown_job_is_a_job(run, tmp_path):
    _, out, _ = run("slurm", "small.yaml", "--dry-run")
    assert out.startswith("#!/bin/bash\n#SBATCH --job-name=small\n")
    (tmp_path / "job").write_text(out)
    subprocess.run(["bash", "-n", tmp_path / "job"], check=True)


def test_nothing_that_differs_is_overwritten(run):
    assert run("slurm", "small.yaml", "--dry-run", "--out", "there")[0] == 0
    assert run("slurm", "small.yaml", "--dry-run", "--out", "there")[0] == 0
    code, _, err = run("slurm", "small.yaml", "--nodes", "3", "--dry-run", "--out", "there")
    assert code == 2
    assert "job.sbatch is there with other content, and nothing is overwritten; choose another --out" in err


MISTAKES = [
    (["slrum", "small.yaml"], "wanted one of local, ray-job, slurm, kubernetes, cloud (did you mean 'slurm'?)"),
    (["slurm", "none.yaml"], "none.yaml: no such experiment file"),
    (["slurm", "small.yaml", "sed=3"], "sed: no such setting (did you mean 'seed'?)"),
    (["slurm", "small.yaml", "execution.workers=3"], "override execution.workers: the launcher sets it; use --workers"),
    (["slurm", "small.yaml", "execution.address=auto"], "the launcher sets it; use --address"),
    (["slurm", "small.yaml", "--nodes", "two"], "launch: nodes: is 'two', wanted a whole number"),
    (["slurm", "small.yaml", "--set", "slurm.partitoin=x"], "did you mean 'partition'?"),
    (["slurm", "small.yaml", "--set", "nodes"], "'nodes': wanted an override like"),
    (["slurm", "small.yaml", "--launch", "none.yaml"], "none.yaml: no such launch description"),
    (["slurm", "small.yaml", "execution.device=cuda"], "gpus: is 0, but the experiment's execution.device is"),
    (["local", "small.yaml", "--nodes", "2"], "nodes: is 2, but this machine is one"),
    (["kubernetes", "small.yaml"], "kubernetes.claim: is not given"),
    (["ray-job", "small.yaml"], "ray_job.address: is not given"),
    (["cloud", "small.yaml"], "cloud.provider: is not given, wanted aws or gcp"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[m[1][:50] for m in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(run, tmp_path, words, message):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize("where", NEEDS)
def test_a_manager_that_is_not_here_is_told_and_nothing_is_written(run, play, tmp_path, monkeypatch, where):
    play()
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x")
    code, _, err = run(where, "small.yaml", *ASKED[where])
    assert code == 2
    assert f"{NEEDS[where]} is not on this machine, so nothing was submitted" in err
    assert not (tmp_path / "launches").exists()


def test_a_job_is_submitted_from_its_folder(run, play, tmp_path):
    play("sbatch")
    code, out, err = run("slurm", "small.yaml")
    assert code == 0, err
    assert (tmp_path / "calls").read_text() == "sbatch job.sbatch\n"
    assert (tmp_path / "launches" / "small" / "job.sbatch").is_file()
    assert "state: squeue --name=small" in out


def test_a_submission_that_fails_passes_its_exit_code_on(run, play):
    play("kubectl", code=3)
    code, out, err = run("kubernetes", "small.yaml", *ASKED["kubernetes"])
    assert (code, out) == (3, "")
    assert "kubectl failed with exit code 3" in err


def test_a_cloud_is_begun_by_two_commands_with_a_private_token(run, play, tmp_path, monkeypatch):
    from metaplastic.clusters import plan

    play("ray")
    monkeypatch.setattr(plan, "find_spec", lambda name: name)
    code, out, err = run("cloud", "small.yaml", *ASKED["cloud"])
    assert code == 0, err
    assert (tmp_path / "calls").read_text().splitlines() == [
        "ray up --yes cluster.yaml",
        "ray exec --tmux cluster.yaml bash ~/launch/start.sh",
    ]
    token = tmp_path / "launches" / "small" / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.read_text() not in out + err


def test_a_module_that_ray_wants_is_named(run, play, tmp_path, monkeypatch):
    from metaplastic.clusters import plan

    play("ray")
    monkeypatch.setattr(plan, "find_spec", lambda _: None)
    code, _, err = run("cloud", "small.yaml", *ASKED["cloud"])
    assert code == 2
    assert "ray needs boto3, which is not installed: pip install 'boto3'" in err
    assert not (tmp_path / "calls").exists()


@pytest.mark.slow
def test_this_machine_searches_at_once_on_its_own_cpus(run, tmp_path):
    words = ("local", "small.yaml", "generations=1", "--workers", "1", "--run-dir", str(tmp_path / "run"))
    code, out, err = run(*words)
    assert code == 0, err
    assert "champion" in out
    assert (tmp_path / "run" / "champion.yaml").is_file()
    assert "workers: 1" in (tmp_path / "run" / "experiment.yaml").read_text()


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_examples_are_descriptions_that_can_be_launched(run, file, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x")
    where = {"aws": "cloud", "gcp": "cloud", "ray_job": "ray-job", "slurm_gpus": "slurm"}.get(file.stem, file.stem)
    code, out, err = run(where, "small.yaml", "--launch", str(file), "--dry-run")
    assert code == 0, err
    assert "--resume" in out or where == "local"


def test_the_examples_show_every_kind():
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {
        "local", "ray_job", "slurm", "slurm_gpus", "kubernetes", "aws", "gcp",
    }  # fmt: skip
    for file in EXAMPLES.glob("*.yaml"):
        assert isinstance(read_description(file, {}, [], "x"), Launch)


def test_launchers_run_without_torch():
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import metaplastic.clusters.launch\n"
        "print(*(set(sys.modules) & {'ray', 'numpy', 'sympy', 'wandb', 'jaxtyping'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_script_is_part_of_the_package():
    import metaplastic.clusters as room

    assert (Path(room.__file__).parent / "slurm_job.sh").is_file()


@pytest.mark.parametrize(("number", "to_all", "code"), [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143)])
def test_a_command_that_is_told_to_stop_has_the_time_it_needs(tmp_path, number, to_all, code):
    command = (
        "import signal, sys, time\n"
        "def stop(number, frame):\n"
        "    time.sleep(1.0)\n"
        "    open('saved', 'w').close()\n"
        "    sys.exit(128 + number)\n"
        f"signal.signal({int(number)}, stop)\n"
        "open('ready', 'w').close()\n"
        "time.sleep(60)\n"
    )
    launcher = (
        "import os, sys; from pathlib import Path; from metaplastic.clusters.plan import attended\n"
        f"sys.exit(attended([sys.executable, '-c', {command!r}], Path({str(tmp_path)!r}), os.environ))\n"
    )
    running = subprocess.Popen([sys.executable, "-c", launcher], start_new_session=True)
    while not (tmp_path / "ready").exists():
        assert running.poll() is None
        time.sleep(0.05)
    if to_all:  # as a terminal does
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    assert running.wait(timeout=50) == code
    assert (tmp_path / "saved").exists()
