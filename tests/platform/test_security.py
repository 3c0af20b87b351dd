"""Hostile files are refused in one line, and a Ray of ours can be reached by nobody else."""

import hashlib
import io
import json
import os
import pickle
import stat
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from searching import KINDS, build
from small_search import SMALL, small
from toy_evaluators import Sphere

from metaplastic.core import ConfigError
from metaplastic.outer_loop import searcher_pickle
from metaplastic.platform import checkpoint
from metaplastic.platform.experiment_file import load
from metaplastic.platform.ray_pool import RayExecutor


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """What takes long to import is imported before anything is timed."""
    small()


def refused(tmp_path, text, *overrides):
    """The one line that a hostile experiment file gets, quickly."""
    file = tmp_path / "hostile.yaml"
    file.write_text(text, encoding="utf-8")
    began = time.process_time()
    with pytest.raises(ConfigError) as error:
        load(file, list(overrides))
    assert time.process_time() - began < 20
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert "Traceback" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch %s']",
        "!!python/object/new:subprocess.Popen [['touch', '%s']]",
        "!!python/name:os.system",
        "!!python/module:os",
    ],
)
def test_yaml_tags_run_nothing(tmp_path, tag):
    mark = tmp_path / "ran"
    assert "could not determine a constructor" in refused(tmp_path, f"notes: {tag.replace('%s', str(mark))}\n{SMALL}")
    assert not mark.exists()


def test_a_billion_laughs_are_refused_before_they_are_written_out(tmp_path):
    levels = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases stand for" in refused(tmp_path, "\n".join(levels) + "\n" + SMALL)


def test_a_text_that_holds_itself_or_is_bottomless_is_refused(tmp_path):
    assert "nested too deeply" in refused(tmp_path, "notes: &a [*a]\n" + SMALL)
    assert "nested too deeply" in refused(tmp_path, "notes: " + "[" * 5000 + "]" * 5000 + "\n" + SMALL)


@pytest.mark.parametrize(
    "kind",
    ["os:system", "builtins:eval", "subprocess:Popen", "../evil:X", "os.path;x:join", "no.such.module:X", ":", "a:b:c",
     "__main__:X", "metaplastic.cli:app", "posix:fork"],
)  # fmt: skip
def test_a_kind_that_is_no_component_is_refused(tmp_path, kind):
    refused(tmp_path, SMALL, f"rule.kind='{kind}'")


@pytest.mark.parametrize(
    "formula",
    ["pre.__class__", "().__class__.__bases__", "__import__('os').system('id')", "eval('1')", "pre[0]", "lambda: 1",
     "[x for x in (1,)]", "pre ** 9 ** 9 ** 9", "2 ** 99999999", "(" * 3000 + "pre" + ")" * 3000, "-" * 5000 + "pre",
     "pre if post else w", "f'{pre}'", "pre := 1", "exp(exp(exp(exp(9))))"],
)  # fmt: skip
def test_a_formula_does_nothing_but_arithmetic(tmp_path, formula):
    text = SMALL.replace("eta * rpe * feedback * pre + b * post", json.dumps(formula))
    assert "rule" in refused(tmp_path, text)


class Runs:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(mark):
    tensors = io.BytesIO()
    torch.save(Runs(os.system, f"touch {mark}"), tensors)
    return {
        "a call": pickle.dumps(Runs(os.system, f"touch {mark}")),
        "an evaluation": pickle.dumps(Runs(eval, f"open({str(mark)!r}, 'w')")),
        "a call inside a state": pickle.dumps({"identity": {}, "memory": Runs(os.mkdir, str(mark))}),
        "a call in a tensor's bytes": pickle.dumps(Runs(torch.storage._load_from_bytes, tensors.getvalue())),
        "a name through another module": b"cevotorch.core\nos.system\n(S'touch " + str(mark).encode() + b"'\ntR.",
        "a method of a module's function": pickle.dumps(Runs(getattr, os.system, "__call__")),
        "a dunder of an allowed class": b"cevotorch.core\nSolutionBatch.__init__.__globals__\n.",
    }


@pytest.mark.parametrize("what", list(hostile("x")))
def test_a_state_that_would_run_something_is_refused_by_every_reader(tmp_path, what):
    mark = tmp_path / "ran"
    with pytest.raises(ConfigError, match="searcher's saved state") as error:
        build("snes").restore(hostile(mark)[what])
    assert "\n" not in str(error.value)
    assert not mark.exists()
    pickle.loads(hostile(mark)["a call"])  # an ordinary reader would have run it
    assert mark.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_honest_states_are_read_as_they_are(kind):
    searcher = build(kind)
    asked = searcher.ask()
    other = build(kind, seed=9)
    other.restore(searcher.state())
    assert other.ask().equal(asked)


def test_bytes_that_are_no_pickle_are_one_line():
    with pytest.raises(ConfigError, match="cannot be read"):
        searcher_pickle.loads(b"\x80\x04nonsense", "metaplastic.outer_loop")


def saved(folder, searcher=b"good"):
    return checkpoint.save(
        folder,
        checkpoint.Checkpoint(
            generation=1, seed=1, searcher=searcher, best_genome=np.zeros(2), best_fitness=np.zeros(1)
        ),
    )


BEYOND = b'{"best_genome":{"dtype":"F64","shape":[9],"data_offsets":[0,99999]}}'
"""a header of safetensors that points behind the end of its file"""


def plant(place, name, data, mend):
    """Put data into a checkpoint, and its hash into the manifest if `mend`."""
    (place / name).write_bytes(data)
    manifest = json.loads((place / "manifest.json").read_text())
    if mend:
        manifest["sha256"][name] = hashlib.sha256(data).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))


def test_a_planted_pickle_is_not_read_with_a_wrong_hash_and_is_refused_with_a_right_one(tmp_path):
    mark = tmp_path / "ran"
    evil = hostile(mark)["a call"]
    plant(saved(tmp_path / "wrong"), "searcher.bin", evil, mend=False)
    assert checkpoint.load(tmp_path / "wrong") is None
    plant(saved(tmp_path / "right"), "searcher.bin", evil, mend=True)
    found = checkpoint.load(tmp_path / "right")
    assert found is not None
    with pytest.raises(ConfigError, match=r"asks for (posix|os)\.system"):
        build("snes").restore(found.searcher)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("arrays.safetensors", struct.pack("<Q", 2**60) + b"{}"),
        ("arrays.safetensors", b"\x80\x04."),
        ("arrays.safetensors", struct.pack("<Q", len(BEYOND)) + BEYOND),
        ("state.json", b"[" * 200_000),
        ("state.json", b'{"generation": 1, "__class__": "x"}'),
    ],
)  # fmt: skip
def test_a_hostile_file_of_a_checkpoint_is_passed_over_in_one_line(tmp_path, caplog, name, data):
    plant(saved(tmp_path), name, data, mend=True)
    assert checkpoint.load(tmp_path) is None
    assert len(caplog.messages) == 1


def test_an_array_that_is_another_file_is_refused():
    from metaplastic.platform.evaluate import _read_array

    with pytest.raises(ConfigError, match="cannot be read"):
        _read_array("/etc/passwd", "x")


def listening(pid):
    """(address in hexadecimal, port) of the sockets that a process listens at."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                found.append((address, int(port, 16)))
    return found


def descendants(pid):
    found = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(below for child in found for below in descendants(child))]


LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def test_a_pool_of_ours_listens_on_loopback_alone_and_keeps_its_files_private():
    with RayExecutor(Sphere(), 1, 3) as pool:
        pool.evaluate(torch.rand(4, 3, dtype=torch.float64), 77, 0)
        sockets = [(pid, *one) for pid in descendants(os.getpid()) for one in listening(pid)]
        assert len(sockets) >= 3  # the test sees Ray's
        assert [one for one in sockets if one[1] not in LOOPBACK] == []
        folder = pool.session.folder
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert os.environ["RAY_AUTH_TOKEN"]
        logs = [file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()]
        assert not any(os.environ["RAY_AUTH_TOKEN"].encode() in log for log in logs)
    assert not os.path.exists(folder)


def test_nothing_that_looks_like_a_secret_is_kept_with_a_run(monkeypatch):
    from metaplastic.platform import environment
    from metaplastic.platform.durable import dumps

    monkeypatch.setenv("WANDB_API_KEY", "hush-hush")
    monkeypatch.setenv("MY_TOKEN", "hush-hush")
    assert "hush-hush" not in dumps(environment.describe(small().seed, ["metaplastic"]))
