"""The Song studies: from training to the page, in small; criteria and analyses by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.studies.registry import STUDIES, study
from metaplastic.studies.song import laboratory, song_study, wager
from metaplastic.studies.song.dots import SongDots, growing, psychometric_line
from metaplastic.studies.song.economic import chose_b, fitted, mix, of_unit
from metaplastic.studies.song.multisensory import SongMultisensory
from metaplastic.studies.song.song_study import by_level
from metaplastic.studies.study import Run, run_study

SONG = [name for name in STUDIES if name.startswith("song-")]


def test_the_dots_from_training_to_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(SongDots, "updates", {"quick": 3})
    monkeypatch.setattr(SongDots, "validation", 20)
    monkeypatch.setattr(song_study, "TRIALS", {"quick": 150})
    monkeypatch.setattr(SongDots, "network", lambda _: ModifiedGRU(units=12, value_units=9, density=0.3))
    said: list[str] = []
    result = run_study(SongDots(), Run(tmp_path / "out", seeds=2, scale="quick", say=said.append))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"page.html", "song-rdm.png", "song-rdm.safetensors", "song-rdm-constant.safetensors"} <= names
    assert len(said) == 2
    table = {claim.what: claim for claim in result.claims}
    assert table["pairs that reach the criterion"].measured == "0 of 2"
    assert not table["pairs that reach the criterion"].within
    assert table["same actions without the value network"].within
    assert result.numbers["updates"] == [3, 3]
    assert result.numbers["trials"] == [None, None]


@pytest.mark.parametrize("name", SONG)
def test_every_study_has_its_task_at_every_scale(name):
    one: Any = study(name)
    for scale, dt in song_study.DT.items():
        assert one.task(scale).dt == dt
        assert one.rule(scale).updates == one.updates[scale]
    assert one.network().units == (150 if isinstance(one, SongMultisensory) else 100)


def told(answer, correct, given) -> laboratory.Tested:
    """Two pairs that answered alike."""
    answer = np.array([answer, answer])
    correct = np.array([correct, correct], dtype=bool)
    given = {name: np.array(values) for name, values in given.items()}
    return laboratory.Tested(given, answer, correct, answer > 0, correct.astype(float), answer * 0.0)


def test_levels_count_what_was_answered_in_time():
    tested = told([1, 2, 0, 2], [1, 0, 0, 1], {"level": [3, 5, 5, 5]})
    levels, hits, trials = by_level(tested, tested.given["level"], tested.correct)
    assert levels.tolist() == [3, 5]
    assert hits[0].tolist() == [1, 1]
    assert trials[0].tolist() == [1, 2]
    assert tested.p_answered() == [0.75, 0.75]
    assert tested.p_correct() == [2 / 3, 2 / 3]


def test_the_psychometric_line_has_the_observers_sigma():
    side = np.tile([0, 1], 3000)
    coherence = np.repeat([0.1, 0.2, 0.4], 2000)
    x = 100 * coherence * (2 * side - 1)
    right = x + 15 * np.random.default_rng(0).normal(size=len(x)) > 0
    tested = told(np.where(right, 2, 1), right == side, {"side": side, "coherence": coherence})
    line, sigma = psychometric_line("all", tested)
    assert line.x.tolist() == [-40, -20, -10, 10, 20, 40]
    assert sigma == pytest.approx(15, abs=1.5)
    assert growing(np.array([0.0, 1, 2]), np.array([1.0, 3, 5])) == pytest.approx(1)


def test_a_chooser_of_two_for_one_is_indifferent_at_two():
    b, a = np.repeat([1, 2, 3, 4, 1], 400), np.repeat([1, 1, 1, 1, 2], 400)
    right = np.tile([0, 1], 1000)
    x = (b - a) / (b + a)
    takes_b = x + 0.1 * np.random.default_rng(1).normal(size=2000) > 1 / 3
    answer = np.where(takes_b == (right == 1), 1, 2)
    given = {"drops_b": b, "drops_a": a, "a_is_right": right}
    tested = told(answer, takes_b, given)
    assert (chose_b(tested.answer[0], tested.given) == takes_b).all()
    assert fitted(tested, 0).mu == pytest.approx(1 / 3, abs=0.02)
    assert np.unique(mix(tested.given)).tolist() == [-0.3333, 0, 0.3333, 0.5, 0.6]


def test_a_unit_is_of_the_class_that_it_follows_most():
    noise = np.random.default_rng(2)
    offer, choice = noise.normal(size=300), noise.integers(0, 2, 300).astype(float)
    variables = {"offer A": offer, "choice": choice}
    assert of_unit(3 * offer + 0.5 * choice, variables) == "offer A"
    assert of_unit(0.2 * offer + 5 * choice, variables) == "choice"
    assert of_unit(np.ones(300), variables) == ""
    assert of_unit(noise.normal(size=300), variables) == ""


def test_the_wager_is_met_by_who_takes_the_sure_target_half_of_the_time():
    offered = torch.tensor([[1, 1, 0, 0]])
    answer = torch.tensor([[3, 1, 1, 2], [3, 3, 1, 2], [3, 1, 1, 3], [3, 1, 1, 0], [1, 1, 1, 2]])
    lived: Any = SimpleNamespace(
        answer=answer,
        in_time=answer > 0,
        correct=(answer > 0) & (answer < 3),
        batch=SimpleNamespace(drawn=SimpleNamespace(values=SimpleNamespace(conditions=SimpleNamespace(wager=offered)))),
    )
    one: Any = study("song-wager")
    assert wager.met(one.task("quick"), [lived]).tolist() == [True, False, False, False, False]
