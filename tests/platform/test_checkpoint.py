"""A checkpoint is whole or not there; a damaged one is passed over aloud."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import metaplastic
from metaplastic.platform import checkpoint as checkpoints
from metaplastic.platform import durable
from metaplastic.platform.checkpoint import Checkpoint, load, save

STATE = Checkpoint(
    generation=4,
    seed=2**63 + 5,
    searcher=b"\x00not text\xff",
    best_genome=np.array([0.125, 1 / 3, 0.9]),
    best_fitness=np.array([0.75, -2.0]),
    histories={"centre": np.arange(6, dtype=np.float32).reshape(3, 2).T, "scalar": np.array(7)},
    notes={"best_generation": 3, "environment_steps": 12345678901},
    tracker="abc123",
)


def same(one, other):
    assert one.searcher == other.searcher
    assert [one.generation, one.seed, one.tracker, one.rng_version] == [
        other.generation,
        other.seed,
        other.tracker,
        other.rng_version,
    ]
    assert one.notes == other.notes
    assert one.histories.keys() == other.histories.keys()
    for name, array in one.histories.items():
        assert np.array_equal(array, other.histories[name])
        assert array.dtype == other.histories[name].dtype
    assert np.array_equal(one.best_genome, other.best_genome)
    assert np.array_equal(one.best_fitness, other.best_fitness)


def test_a_checkpoint_comes_back_exactly(tmp_path):
    save(tmp_path / "checkpoints", STATE)
    same(load(tmp_path / "checkpoints"), STATE)


def kept(folder):
    return [int(path.name.removeprefix("generation-")) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(("keep", "left"), [(1, [5, 11]), (2, [5, 10, 11]), (9, [3, 4, 5, 6, 7, 8, 9, 10, 11])])
def test_the_newest_and_the_first_with_the_best_fitness_are_kept_and_the_newest_is_read(tmp_path, keep, left):
    for generation in range(3, 12):
        best = np.array([min(generation, 5) / 8, -2.0])  # it does not get better after generation 5
        save(tmp_path, replace(STATE, generation=generation, best_fitness=best), keep)
    assert kept(tmp_path) == left
    assert load(tmp_path).generation == 11


def test_a_checkpoint_up_to_a_generation_can_be_asked_for(tmp_path):
    for generation in (8, 9, 10):
        save(tmp_path, replace(STATE, generation=generation), keep=3)
    assert load(tmp_path, last=9).generation == 9
    assert load(tmp_path, last=7) is None


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert load(tmp_path / "nowhere") is None
    assert load(tmp_path) is None


@pytest.mark.parametrize("name", ["state.json", "arrays.safetensors", "searcher.bin", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "lost"])
def test_a_damaged_checkpoint_is_passed_over_with_one_line(tmp_path, caplog, name, damage):
    save(tmp_path, replace(STATE, generation=4))
    file = save(tmp_path, replace(STATE, generation=5)) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    {"flip": lambda: file.write_bytes(data), "cut": lambda: file.write_bytes(data[:5]), "lost": file.unlink}[damage]()
    same(load(tmp_path), STATE)
    assert len(caplog.messages) == 1
    assert "generation-00000005 is damaged" in caplog.messages[0]
    assert name in caplog.messages[0] or name == "manifest.json"


def test_if_all_are_damaged_there_is_none(tmp_path, caplog):
    (save(tmp_path, STATE) / "manifest.json").unlink()
    assert load(tmp_path) is None
    assert len(caplog.messages) == 1


def test_the_same_generation_can_be_saved_again(tmp_path):
    save(tmp_path, STATE)
    again = replace(STATE, searcher=b"again")
    save(tmp_path, again)
    same(load(tmp_path), again)


DIES = """
import os, signal, sys
from pathlib import Path
import numpy as np
from metaplastic.platform import checkpoint, durable

writes = 0
def write(path, data, whole=durable.write):
    global writes
    writes += 1
    if writes == int(sys.argv[2]):
        path.write_bytes(data[:3])
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, data)
durable.write = write
checkpoint.save(Path(sys.argv[1]), checkpoint.Checkpoint(5, 0, b"new", np.zeros(1), np.zeros(1)))
"""


@pytest.mark.parametrize("write", [2, 4])
def test_a_process_killed_while_it_saves_leaves_the_checkpoint_before(tmp_path, caplog, write):
    save(tmp_path, STATE)
    source = str(Path(metaplastic.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path), str(write)],
        env={**os.environ, "PYTHONPATH": source},
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    same(load(tmp_path), STATE)
    assert not caplog.messages
    save(tmp_path, replace(STATE, generation=6))
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("failing", range(1, 11))
def test_a_disk_that_fills_up_at_any_moment_of_a_save_leaves_the_checkpoint_before(tmp_path, monkeypatch, failing):
    """Four files are forced to disk, each with its folder, then the folder of all: nine times, of which one fails."""
    save(tmp_path, STATE)
    calls = iter(range(1, 99))

    def fsync(handle, whole=os.fsync):
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    new = replace(STATE, generation=6)
    if failing == 10:
        save(tmp_path, new)
        same(load(tmp_path), new)
        return
    with pytest.raises(durable.DiskError, match="cannot be written: No space left on device; make room on that disk"):
        save(tmp_path, new)
    found = load(tmp_path)
    same(found, STATE if failing < 9 else new)  # at the ninth it is in its place already
    assert not list(tmp_path.glob(".tmp-*"))


def test_a_checkpoint_of_another_format_is_not_guessed_at(tmp_path, caplog):
    path = save(tmp_path, STATE)
    (path / "manifest.json").write_text((path / "manifest.json").read_text().replace('"format": 1', '"format": 2'))
    assert checkpoints.load(tmp_path) is None
    assert "format 2, wanted 1" in caplog.messages[0]
