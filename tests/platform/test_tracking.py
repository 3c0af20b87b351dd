"""W&B is told everything and can stop nothing."""

import re
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import pytest
from forked_searches import until

from metaplastic.platform.experiment import Experiment, Tracking
from metaplastic.platform.metrics import flatten
from metaplastic.platform.run import RunDirectory
from metaplastic.platform.tracking import NoTracker, WandbTracker, make_tracker


def record(generation):
    return {
        "generation": generation,
        "environment_steps": 100 * (generation + 1),
        "fitness": {"score": {"best": 0.5, "mean": None, "quantiles": [0.1, 0.2, 0.3, 0.4, None]}},
        "metrics": {"curve": [0.1, 0.2], "score": 0.25},
    }


class FakeRun:
    """Keeps what a W&B run is told."""

    known = 0
    """steps that the server has"""

    def __init__(self, settings, folder):
        self.settings, self.dir = settings, str(folder)
        self.metrics, self.logged, self.summary, self.saved, self.exit_code = [], [], {}, [], None
        self.step = FakeRun.known

    def define_metric(self, name, step_metric=None):
        self.metrics.append((name, step_metric))

    def log(self, numbers, step):
        self.logged.append((step, numbers))

    def save(self, path, base_path, policy):
        self.saved.append((path, base_path, policy))

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def directory(tmp_path):
    run = RunDirectory.create("a", below=tmp_path / "runs")
    run.write_experiment("name: a\nseed: 3\nnetwork: {units: {gene: [2, 7]}}\n")
    return run


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A W&B that keeps its runs in `runs`."""
    module, runs = ModuleType("wandb"), []
    monkeypatch.setattr(FakeRun, "known", 0)
    folder = tmp_path / "files"
    folder.mkdir()

    def init(**settings):
        runs.append(FakeRun(settings, folder))
        return runs[-1]

    monkeypatch.setattr(module, "init", init, raising=False)
    monkeypatch.setattr(module, "Settings", SimpleNamespace, raising=False)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return SimpleNamespace(module=module, runs=runs)


OFFLINE, ONLINE = Tracking(wandb="offline"), Tracking(wandb="online", project="lab", group="pilot")


@pytest.mark.parametrize(
    ("mode", "kind"), [("disabled", NoTracker), ("offline", WandbTracker), ("online", WandbTracker)]
)
def test_the_experiment_says_who_is_told(directory, mode, kind):
    experiment = Experiment.model_construct(name="a", tracking=Tracking(wandb=mode))
    assert type(make_tracker(experiment, directory)) is kind


def test_disabled_tells_nobody(directory):
    before = sorted(directory.path.iterdir())
    with NoTracker() as tracker:
        tracker.log(record(0))
        tracker.summary({"best": 1.0})
    assert tracker.run_id is None
    assert sorted(directory.path.iterdir()) == before


def test_a_record_is_flattened_by_path_without_gaps_and_curves():
    assert flatten(record(2)) == {
        "generation": 2,
        "environment_steps": 300,
        "fitness/score/best": 0.5,
        "fitness/score/q05": 0.1,
        "fitness/score/q25": 0.2,
        "fitness/score/q50": 0.3,
        "fitness/score/q75": 0.4,
        "metrics/score": 0.25,
    }


def test_w_and_b_gets_the_settings_the_axes_the_records_and_the_champion(fake, directory):
    with WandbTracker(directory, ONLINE) as tracker:
        tracker.log(record(1))
        tracker.summary({"held_out/champion": 0.5})
        directory.champion.write_text("name: champion\n")
    (run,) = fake.runs
    assert {name: run.settings[name] for name in ("project", "group", "name", "mode", "resume", "dir")} == {
        "project": "lab",
        "group": "pilot",
        "name": "a-001",
        "mode": "online",
        "resume": "allow",
        "dir": str(directory.path),
    }
    assert run.settings["config"] == {"name": "a", "seed": 3, "network": {"units": {"gene": [2, 7]}}}
    assert run.metrics == [("generation", None), ("environment_steps", None), ("*", "generation")]
    assert run.logged == [(1, flatten(record(1)))]
    assert run.summary == {"held_out/champion": 0.5}
    assert run.saved == [(f"{run.dir}/champion.yaml", run.dir, "now")]
    assert run.exit_code == 0


@pytest.mark.parametrize(
    ("settings", "known", "steps"), [(OFFLINE, 0, [0, 1, 2]), (ONLINE, 2, [2]), (ONLINE, 1, [1, 2])]
)
def test_a_run_that_goes_on_keeps_its_id_and_is_told_each_step_once(fake, directory, settings, known, steps):
    """Killed after three generations, of which the checkpoint covers two, and W&B (online) knows `known`."""
    with WandbTracker(directory, settings) as first:
        for generation in range(3):
            first.log(record(generation))
    for generation in range(2):
        directory.add_metrics(record(generation))
    FakeRun.known = known
    with WandbTracker(directory, settings) as again:
        again.log(record(2))
    assert fake.runs[1].settings["id"] == fake.runs[0].settings["id"] == again.run_id == first.run_id
    assert [step for step, _ in fake.runs[1].logged] == steps


def test_two_runs_have_two_ids(tmp_path):
    ids = {WandbTracker(RunDirectory.create("a", below=tmp_path), OFFLINE).run_id for _ in range(2)}
    assert len(ids) == 2


def test_a_server_that_never_answers_costs_a_search_nothing_and_its_end_a_bounded_wait(
    fake, directory, caplog, monkeypatch
):
    released = threading.Event()
    monkeypatch.setattr(fake.module, "init", lambda **_: released.wait(60))
    monkeypatch.setattr("metaplastic.platform.tracking.FINISH_SECONDS", 0.3)
    began = time.monotonic()
    with WandbTracker(directory, ONLINE) as tracker:
        for generation in range(500):
            tracker.log(record(generation))
        assert time.monotonic() - began < 0.2
    assert 0.3 <= time.monotonic() - began < 2
    assert caplog.messages == ["W&B: no answer within 0.3 s; going on without it, metrics.jsonl has everything"]
    released.set()
    tracker._thread.join(5)
    assert not tracker._thread.is_alive()


def test_a_mirror_that_falls_too_far_behind_is_given_up(fake, directory, caplog, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(fake.module, "init", lambda **_: released.wait(60))
    monkeypatch.setattr("metaplastic.platform.tracking.WAITING", 5)
    with WandbTracker(directory, ONLINE) as tracker:
        for generation in range(9):
            tracker.log(record(generation))
        released.set()
    assert caplog.messages == ["W&B: 5 generations behind; going on without it, metrics.jsonl has everything"]


def test_without_w_and_b_the_run_goes_on_and_one_line_says_so(monkeypatch, directory, caplog):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with WandbTracker(directory, OFFLINE) as tracker:
        tracker.log(record(0))
        tracker.summary({})
    assert len(caplog.messages) == 1
    assert "starting failed" in caplog.messages[0]
    assert "metrics.jsonl has everything" in caplog.messages[0]


@pytest.mark.parametrize("broken", ["log", "finish"])
def test_a_failure_later_on_is_said_once_and_the_run_goes_on(fake, directory, caplog, broken):
    def fail(*_, **__):
        raise OSError("no space\n left on device")

    with WandbTracker(directory, OFFLINE) as tracker:
        until(lambda: fake.runs)
        setattr(fake.runs[0], broken, fail)
        for generation in range(3):
            tracker.log(record(generation))
    assert len(caplog.messages) == 1
    assert "(no space left on device)" in caplog.messages[0]


def test_a_run_that_failed_ends_as_failed(fake, directory):
    with pytest.raises(ValueError, match="the search broke"), WandbTracker(directory, OFFLINE):
        raise ValueError("the search broke")
    assert fake.runs[0].exit_code == 1


def test_after_three_offline_starts_the_real_w_and_b_leaves_one_folder_with_each_step_once(directory, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(directory.path))
    monkeypatch.setattr("metaplastic.platform.tracking.FINISH_SECONDS", 300)  # on a machine that is busy with others
    for start in range(3):
        with WandbTracker(directory, OFFLINE) as tracker:
            for generation in (2 * start, 2 * start + 1, 2 * start + 2):  # the last is lost, and lived again
                tracker.log(record(generation))
        for generation in (2 * start, 2 * start + 1):
            directory.add_metrics(record(generation))
        time.sleep(1.1)  # W&B names its folders by the second
    (folder,) = directory.wandb.glob("offline-run-*")
    data = (folder / f"run-{tracker.run_id}.wandb").read_bytes()
    # its file tells each step twice: as history, and as the summary so far
    told = re.findall(rb"environment_steps\x82\x01\x03(\d00)", data)
    assert sorted(map(int, told)) == [100 * (step + 1) for step in range(7) for _ in range(2)]


def test_the_real_w_and_b_writes_its_files_offline_and_silently(directory, capfd, caplog, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(directory.path))
    with WandbTracker(directory, OFFLINE) as tracker:
        tracker.log(record(0))
        tracker.summary({"best": 0.5})
        directory.champion.write_text("name: champion\n")
    (folder,) = directory.wandb.glob(f"offline-run-*-{tracker.run_id}")
    assert (folder / f"run-{tracker.run_id}.wandb").stat().st_size > 0
    assert (folder / "files" / "champion.yaml").read_text() == "name: champion\n"
    out = capfd.readouterr()
    assert out.out + out.err == ""
    assert not [message for message in caplog.records if message.levelname not in ("DEBUG", "INFO")]
