"""Recordings: what may be asked for, and the way to disk and back."""

import json

import pytest
import torch

from metaplastic.inner_loop.recording import Labelled, Tape, load, requests, save, to_table

RPE = Labelled(torch.tensor([[0.5, -1.0], [0.25, 2.0], [0.0, 1.5]]), ("trial", "lifetime"), "reward", 4)


def test_a_request_is_a_name_or_a_name_and_a_period():
    assert requests(["rpe", "weights every 100"], ["rpe", "weights", "q"]) == {"rpe": 1, "weights": 100}


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ("wieghts", "did you mean 'weights'"),
        ("weights every 0", "whole number k above 0"),
        ("weights every x", "whole number k above 0"),
    ],
)
def test_a_wrong_request_says_what_was_wanted(request_, complaint):
    with pytest.raises(ValueError, match=complaint):
        requests([request_], ["rpe", "weights"])


def test_a_tape_keeps_what_was_asked_for_when_it_was_asked_for():
    tape = Tape(["rpe every 2"], ["rpe", "q"])
    now = torch.zeros(3)
    for time in range(5):
        now += 1
        for name in ("rpe", "q"):
            if tape.wants(name, time):
                tape.keep(name, now)
    assert tape.recordings().keys() == {"rpe"}
    assert tape.recordings()["rpe"].tolist() == [[1.0] * 3, [3.0] * 3, [5.0] * 3]


def test_a_recording_comes_back_as_it_was(tmp_path):
    kept = {"rpe": RPE, "action": Labelled(torch.arange(6).reshape(3, 2).T, ("trial", "individual"))}
    save(tmp_path / "champion", kept)
    back = load(tmp_path / "champion")
    assert back.keys() == kept.keys()
    for name, one in kept.items():
        assert torch.equal(back[name].data, one.data)
        assert back[name][1:] == one[1:]
    index = json.loads((tmp_path / "champion.json").read_text())["arrays"]["rpe"]
    assert index == {"dimensions": ["trial", "lifetime"], "shape": [3, 2], "unit": "reward", "every": 4}


def test_every_axis_needs_a_name(tmp_path):
    with pytest.raises(ValueError, match="2 axes and 1 dimension names \\(trial\\)"):
        save(tmp_path / "bad", {"rpe": RPE._replace(dimensions=("trial",))})


def test_a_foreign_index_is_refused(tmp_path):
    save(tmp_path / "old", {"rpe": RPE})
    (tmp_path / "old.json").write_text('{"format": "other"}')
    with pytest.raises(ValueError, match="format 'other', wanted 'metaplastic-recording-1'"):
        load(tmp_path / "old")


def test_a_table_has_one_row_a_number():
    rows = to_table(RPE, "rpe").splitlines()
    assert rows[0] == "trial,lifetime,rpe (reward)"
    assert rows[1:4] == ["0,0,0.5", "0,1,-1.0", "4,0,0.25"]
    assert len(rows) == 7
    assert to_table(Labelled(torch.tensor(2.5), ()), "score") == "score\n2.5\n"
