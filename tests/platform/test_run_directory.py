"""A run's directory is made new, never overwritten, and its metrics are the truth."""

import errno
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from metaplastic.core import ConfigError, Evaluation
from metaplastic.platform import durable, environment
from metaplastic.platform.interrupt import NAMES, StopRequest
from metaplastic.platform.metrics import describe, generation_record
from metaplastic.platform.run import RunDirectory
from metaplastic.platform.run_lock import RunLock, holder


def test_runs_of_one_name_are_numbered(tmp_path):
    first, second = (RunDirectory.create("q agrel/1", below=tmp_path / "runs") for _ in range(2))
    assert [first.path.name, second.path.name] == ["q-agrel-1-001", "q-agrel-1-002"]


def test_a_number_is_never_used_again_below_the_highest(tmp_path):
    (tmp_path / "bandit-007").mkdir()
    assert RunDirectory.create("bandit", below=tmp_path).path.name == "bandit-008"


def test_a_directory_that_holds_something_is_refused_with_the_mend(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ValueError, match=r"not empty.*choose another --out.*metaplastic resume"):
        RunDirectory.create("bandit", out=tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_an_empty_directory_may_be_used(tmp_path):
    assert RunDirectory.create("bandit", out=tmp_path).path == tmp_path


def test_a_file_is_no_place_for_a_run(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match="a file; wanted a new directory"):
        RunDirectory.create("bandit", out=tmp_path / "out")


def test_only_a_run_can_be_opened(tmp_path):
    with pytest.raises(ValueError, match=r"is no run: it holds no experiment\.yaml"):
        RunDirectory.open(tmp_path)


def test_the_experiment_comes_back_as_it_was_written(tmp_path):
    text = "name: Kandel's café\nseed: 3\n"
    RunDirectory.create("a", out=tmp_path / "a").write_experiment(text)
    assert RunDirectory.open(tmp_path / "a").experiment() == text


def test_metrics_come_back_and_what_is_not_finite_is_null(tmp_path):
    run = RunDirectory.create("a", out=tmp_path / "a")
    run.add_metrics({"generation": 0, "best": torch.tensor(0.5), "curve": np.array([0.25, np.nan])})
    assert run.metrics() == [{"generation": 0, "best": 0.5, "curve": [0.25, None]}]


def test_a_last_line_cut_short_by_a_crash_is_left_out(tmp_path):
    run = RunDirectory.create("a", out=tmp_path / "a")
    run.add_metrics({"generation": 0})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"generation": 1, "be')
    assert run.metrics() == [{"generation": 0}]
    run.go_back_to(0)
    run.add_metrics({"generation": 1})
    assert run.metrics() == [{"generation": 0}, {"generation": 1}]


def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(tmp_path):
    run = RunDirectory.create("a", out=tmp_path / "a")
    (run.path / "metrics.jsonl").write_text('{"generation": 0}\n{"gen\n{"generation": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2 is not JSON"):
        run.metrics()


@pytest.mark.parametrize(("generation", "left"), [(-1, []), (1, [0, 1]), (9, [0, 1, 2, 3])])
def test_going_back_forgets_what_the_checkpoint_does_not_cover(tmp_path, generation, left):
    run = RunDirectory.create("a", out=tmp_path / "a")
    for number in range(4):
        run.add_metrics({"generation": number})
    kept = run.go_back_to(generation)
    assert [record["generation"] for record in kept] == left
    assert run.metrics() == kept


def test_the_champion_s_tensors_come_back(tmp_path):
    run = RunDirectory.create("a", out=tmp_path / "a")
    weights = np.arange(6.0).reshape(2, 3).T
    run.write_champion("name: a\n", {"rule.eta": weights, "scalar": np.array(2.5)})
    arrays = load_file(run.champion_arrays)
    assert np.array_equal(arrays["rule.eta"], weights)
    assert arrays["scalar"].shape == ()
    assert run.champion.read_text() == "name: a\n"


def test_json_that_is_not_there_is_empty_and_damaged_json_is_an_error(tmp_path):
    run = RunDirectory.create("a", out=tmp_path / "a")
    assert run.read_json("comparison.json") == {}
    run.write_json("comparison.json", {"mean": np.float32(0.5), "n": 3, "where": Path("x")})
    assert run.read_json("comparison.json") == {"mean": 0.5, "n": 3, "where": "x"}
    (run.path / "comparison.json").write_text("{")
    with pytest.raises(ValueError, match=r"comparison\.json is not JSON"):
        run.read_json("comparison.json")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    durable.write(tmp_path / "a", "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(durable.DiskError, match="a: cannot be written: disk full"):
        durable.write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_environment_is_plain_and_names_the_seed_and_the_command():
    found = environment.describe(seed=11, command=["metaplastic", "search", "a.yaml"])
    assert json.loads(durable.dumps(found)) == found
    assert found["seed"] == 11
    assert found["command"] == ["metaplastic", "search", "a.yaml"]
    assert found["packages"]["torch"] == torch.__version__


def test_a_folder_outside_of_git_has_no_commit(tmp_path):
    assert environment.source_commit(tmp_path) == (None, None)


def test_a_generation_s_record_by_hand():
    fitness = torch.tensor([[1.0, -1.0], [3.0, -2.0], [float("nan"), -9.0], [2.0, -6.0]])
    metrics = {"score": torch.tensor([0.0, 1.0, 50.0, 2.0]), "curve": torch.tensor([[0.0, 1.0]]).repeat(4, 1)}
    record = generation_record(
        5,
        Evaluation(fitness, metrics),
        objectives=("score", "cost"),
        genes={"rule.eta": torch.tensor([[0.1], [0.2], [9.0], [0.6]], dtype=torch.float64)},
        best_so_far=(4.0, -1.0),
        lifetimes=12,
        seconds=0.5,
        steps=700,
    )
    assert record["failed"] == 1
    assert record["population"] == 4
    assert record["lifetimes_per_second"] == 24
    assert record["environment_steps"] == 700
    assert record["fitness"]["score"]["best"] == 3
    assert record["fitness"]["score"]["quantiles"] == pytest.approx([1.1, 1.5, 2.0, 2.5, 2.9])
    assert record["fitness"]["cost"]["mean"] == -3
    assert record["best_so_far"] == {"score": 4.0, "cost": -1.0}
    assert record["metrics"] == {"score": 1.0, "curve": [0.0, 1.0]}
    assert record["genes"]["rule.eta"]["mean"] == pytest.approx(0.3)
    assert record["genes"]["rule.eta"]["sd"] == pytest.approx((0.14 / 3) ** 0.5)


def test_a_generation_without_survivors_has_a_record_too():
    record = generation_record(
        0,
        Evaluation(torch.full((3, 1), float("nan")), {"score": torch.full((3,), float("nan"))}),
        objectives=("score",),
        genes={"eta": torch.ones(3, 1)},
        best_so_far=(float("nan"),),
        lifetimes=3,
        seconds=1.0,
        steps=1,
    )
    assert record["failed"] == 3
    assert record["fitness"]["score"]["best"] is None
    assert json.loads(durable.dumps(record))["best_so_far"] == {"score": None}


def test_quantiles_agree_with_numpy():
    values = torch.sin(torch.arange(37, dtype=torch.float64) ** 2)
    assert describe(values)["quantiles"] == pytest.approx(np.percentile(values.numpy(), [5, 25, 50, 75, 95]))


def test_a_run_that_is_in_use_is_refused_with_the_name_of_its_holder(tmp_path):
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()
        with (
            pytest.raises(ConfigError, match=rf"is in use by process {os.getpid()} on \S+, since 20"),
            RunLock(tmp_path),
        ):
            pass
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        pass


def test_a_file_system_without_locks_is_told_and_does_not_stop_a_run(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with RunLock(tmp_path):
        assert "the file system keeps no locks" in caplog.text


def test_what_a_search_that_was_killed_before_it_began_leaves_is_no_obstacle(tmp_path):
    (tmp_path / "run.lock").touch()
    (tmp_path / ".tmp-experiment.yaml").touch()
    assert RunDirectory.create("a", out=tmp_path).path == tmp_path


@pytest.mark.parametrize("count", [1, 3, 40])
def test_the_recent_records_are_read_without_the_rest(tmp_path, count):
    run = RunDirectory.create("a", out=tmp_path / "a")
    assert run.recent(count) == []
    for generation in range(20):
        run.add_metrics({"generation": generation, "long": "x" * 9000})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"generation": 20, "lo')
    assert [record["generation"] for record in run.recent(count)] == list(range(20))[-count:]


def test_the_file_of_failures_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("metaplastic.platform.run.FAILURES_BYTES", 500)
    run = RunDirectory.create("a", out=tmp_path / "a")
    for individual in range(50):
        run.add_failure({"individual": individual, "trace": "x" * 90})
    assert 500 <= run.failures.stat().st_size < 650


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_every_signal_asks_to_stop_and_a_repeated_one_from_a_launcher_changes_nothing(number):
    said = []
    with StopRequest(said.append) as stop:
        os.kill(os.getpid(), number)
        assert stop.signal == number
        for repeated in (signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), repeated)
        assert stop.signal == number
    assert len(said) == 1
    assert said[0].startswith(NAMES[number])


def test_the_first_ctrl_c_asks_and_the_second_stops():
    said = []
    with StopRequest(said.append) as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(said) == 1
    assert "Ctrl-C again" in said[0]


def test_after_the_context_ctrl_c_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_stop_request_in_a_thread_handles_no_signals():
    found = []

    def enter():
        with StopRequest() as stop:
            found.append(stop.requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]
