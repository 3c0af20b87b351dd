"""A search that is killed at any moment and resumed leaves what an undisturbed one leaves, bit for bit."""

import json
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from forked_searches import Server, is_alive, remains, until
from small_search import small_file

from metaplastic.platform.checkpoint import load
from metaplastic.platform.interrupt import NAMES
from metaplastic.platform.search import CHECKPOINT_SECONDS

GENERATIONS = 14
WORDS = (f"generations={GENERATIONS}",)


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    small_file(folder)
    return folder


@pytest.fixture(scope="module")
def whole(server, folder):
    """What an undisturbed run leaves."""
    code, text = server.run("search", folder / "small.yaml", *WORDS, "--out", folder / "whole", log=folder / "log")
    assert code == 0, text
    return remains(folder / "whole")


def begin(server, folder, run):
    """The search, or its resumption if there is a run already; the same words, as a cluster says them."""
    return server.start("search", folder / "small.yaml", *WORDS, "--out", run, "--resume", log=folder / "log")


def lost(run):
    """Generations that were done and are in no checkpoint, and their seconds but for the newest, which had no time."""
    path = run / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    saved = [int(place.name[-8:]) for place in (run / "checkpoints").glob("generation-*")]
    after = [json.loads(line) for line in lines]
    after = [record for record in after if record["generation"] > max(saved, default=-1)]
    return len(after), sum(record["seconds"] for record in after[:-1])


def records(run):
    """How many generations are recorded."""
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def killed_until_it_ends(server, folder, run, moments):
    """Kill a search so many generations and seconds after its start, and begin it again; kills, worst loss."""
    kills, worst = 0, (0, 0.0)
    for generations, seconds in moments:
        pid = begin(server, folder, run)
        before = records(run)
        until(lambda: records(run) >= min(GENERATIONS, before + generations) or not is_alive(pid))  # noqa: B023
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        if server.wait(pid) == 0:
            return kills, worst
        kills, worst = kills + 1, max(worst, lost(run))
    code = server.wait(begin(server, folder, run))
    assert code == 0, (folder / "log").read_text()
    return kills, worst


def test_killed_a_few_times_and_resumed_is_the_undisturbed_run(server, folder, whole):
    run = folder / "killed"
    kills, worst = killed_until_it_ends(server, folder, run, [(0, 0.05), (5, 0.1), (4, 0.0)])
    assert kills == 3
    assert worst[1] < CHECKPOINT_SECONDS
    assert remains(run) == whole


def test_killed_in_the_middle_of_a_line_and_of_a_checkpoint_it_goes_on(server, folder, whole):
    run = folder / "torn"
    pid = begin(server, folder, run)
    until(lambda: list((run / "checkpoints").glob("generation-*")))
    os.kill(pid, signal.SIGKILL)
    assert server.wait(pid) == -signal.SIGKILL
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"generation": 9, "environment_st')
    half = run / "checkpoints" / ".tmp-half"
    half.mkdir()
    (half / "state.json").write_text("{")
    assert server.wait(begin(server, folder, run)) == 0
    assert remains(run) == whole
    assert not half.exists()


@pytest.mark.slow
def test_killed_at_thirty_random_moments(server, folder, whole):
    chance, kills, worst, number = random.Random(7), 0, (0, 0.0), 0
    while kills < 30:
        run = folder / f"random-{number}"
        moments = [(chance.randrange(5), chance.uniform(0, 0.5)) for _ in range(min(5, 30 - kills))]
        more, loss = killed_until_it_ends(server, folder, run, moments)
        kills, worst, number = kills + more, max(worst, loss), number + 1
        assert remains(run) == whole
    assert worst[1] < CHECKPOINT_SECONDS
    print(f"{kills} kills of {number} runs; worst loss {worst[0]} finished generations, {worst[1]:.2f} s + the last")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 75)])
def test_a_signal_saves_says_how_to_go_on_and_has_its_own_exit_code(server, folder, number, code):
    run, log = folder / f"signal-{code}", folder / f"log-{code}"
    pid = server.start("search", folder / "small.yaml", "generations=900", "--out", run, log=log)
    until(lambda: records(run) >= 2)
    os.kill(pid, number)
    assert server.wait(pid) == code
    done = records(run)
    assert load(run / "checkpoints").generation == done - 1
    last = log.read_text().splitlines()[-1]
    assert last.startswith(f"stopped by {NAMES[number]}, after {done} of 900 generations; all is saved")
    assert last.endswith(f"metaplastic resume {run}")


def test_a_second_ctrl_c_stops_at_once(server, folder):
    run, log = folder / "twice", folder / "log-twice"
    slow = "import time, metaplastic.platform.search as s; s.ExperimentEvaluator.score = lambda *_: time.sleep(300)"
    pid = server.start("search", folder / "small.yaml", "--out", run, log=log, patch=slow)
    until(lambda: (run / "status.json").exists())
    os.kill(pid, signal.SIGINT)
    until(lambda: "press Ctrl-C again" in log.read_text())
    os.kill(pid, signal.SIGINT)
    assert server.wait(pid) == 130
    assert log.read_text().splitlines()[-1] == (
        f"metaplastic: stopped at once; nothing is saved yet, go on with: metaplastic resume {run}"
    )


def test_a_second_process_on_a_run_is_refused_and_status_tells_of_the_first(server, folder):
    run, log = folder / "used", folder / "log-used"
    pid = server.start("search", folder / "small.yaml", "generations=900", "--out", run, log=log)
    until(lambda: records(run) >= 1 and (run / "status.json").exists())
    code, text = server.run("resume", run, log=folder / "log-second")
    assert (code, len(text.splitlines())) == (2, 1)
    assert f"{run} is in use by process {pid} on " in text
    code, text = server.run("status", run, log=folder / "log-second")
    assert code == 0
    assert text.startswith(f"running: process {pid} on ")
    assert re.search(r"generation \d+ of 900   best score \S+   lifetimes/s \S+   failed 0 of 7   left \d+:\d\d", text)
    assert "workers 0: it computes in its own process" in text
    os.kill(pid, signal.SIGKILL)
    server.wait(pid)
    assert server.run("status", run, log=folder / "log-second")[1].startswith("stopped; go on with: metaplastic resume")


def grown(server, folder, run, whole_generations=8):
    """A finished run of fewer generations than the whole one."""
    words = [f"generations={whole_generations}", "--out", run]
    code, text = server.run("search", folder / "small.yaml", *words, log=folder / "log-disk")
    assert code == 0, text
    return run


def stopped_by_the_disk(server, folder, run, reason, **limits):
    """It ends with one line and code 2, a whole checkpoint is left."""
    code, text = server.run("resume", run, "--generations", GENERATIONS, log=folder / "log-disk", **limits)
    errors = [line for line in text.splitlines() if line.startswith("metaplastic: ")]
    assert code == 2, text
    assert len(errors) == 1
    assert "Traceback" not in text
    assert f"cannot be written: {reason}" in errors[0]
    assert load(run / "checkpoints") is not None


def test_a_file_that_may_not_grow_stops_the_search_and_nothing_saved_is_lost(server, folder, whole):
    run = grown(server, folder, folder / "limited")
    size = (run / "metrics.jsonl").stat().st_size
    assert size > max(file.stat().st_size for file in (run / "checkpoints").rglob("*"))
    stopped_by_the_disk(server, folder, run, "File too large; raise the limit", fsize=size + size // 4)
    assert server.wait(begin(server, folder, run)) == 0
    assert remains(run) == whole


def test_a_full_disk_stops_the_search_and_nothing_saved_is_lost(server, folder, whole):
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        run, filler = grown(server, folder, disk / "run"), disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - 8192)
        stopped_by_the_disk(server, folder, run, "No space left on device; make room on that disk")
        filler.unlink()
        assert server.wait(begin(server, folder, run)) == 0
        assert remains(run) == whole
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_that_may_not_be_written_is_one_line_and_code_2(server, folder):
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        there = Path(place)
        run, file = grown(server, folder, there / "run", 1), small_file(there)
        there.chmod(0o555)
        run.chmod(0o555)
        other = {"uid": 65534} if os.geteuid() == 0 else {}
        for words in (["search", file, "--out", there / "new"], ["resume", run]):
            code, text = server.run(*words, log=folder / "log-other", **other)
            assert (code, len(text.splitlines())) == (2, 1), text
            assert "cannot be written: Permission denied; mend the folder's permissions" in text
        run.chmod(0o755)
        there.chmod(0o755)
