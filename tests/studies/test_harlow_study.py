"""The Harlow study: its analysis by hand, its smoke (trial 2 after 1,000 updates), and its page."""

from dataclasses import replace

import numpy as np
import pytest

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.studies.dopamine import harlow
from metaplastic.studies.dopamine.harlow import NETWORK, HarlowStudy, accuracy, by_outcome, claims, task_of
from metaplastic.studies.dopamine.laboratory import load_weights, train_population
from metaplastic.studies.study import Run, read_result, run_study


def test_trial_two_and_errors_are_sorted_by_what_came_first():
    score = np.array([[[1.0, 1, 0, 0]], [[1, 0, 1, 1]]])  # two trials, one seed, four episodes
    rpe = np.array([[[0.5, 0.7, -1.0, -0.8]], [[0.1, -0.3, 0.2, 0.3]]])
    second, surprise = by_outcome(score, rpe)
    np.testing.assert_allclose(second, [[1.0, 0.5]])
    np.testing.assert_allclose(surprise, [[[-0.9, 0.6], [-0.3, 0.2]]])
    missing, _ = by_outcome(np.ones((2, 1, 3)), np.zeros((2, 1, 3)))
    assert np.isnan(missing[0, 0])


def test_the_table_accepts_one_trial_learning_and_refuses_a_win_stay_that_cannot_use_a_wrong_pick():
    one_trial = np.tile([0.5, 0.98, 0.98, 0.98, 0.98, 0.98], (3, 1))
    flat = np.full((3, 6), 0.5)
    surprise = np.zeros((3, 6, 2))
    good = harlow.Found(
        [0, 9], np.stack([flat, one_trial]), one_trial, np.full((3, 2), 0.98), surprise, flat, flat, True
    )
    assert all(claim.within is not False for claim in claims(good))
    half = np.tile([0.5, 0.75, 0.97, 0.97, 0.97, 0.97], (3, 1))
    poor = good._replace(course=np.stack([flat, half]), familiar=half, second=np.tile([0.5, 1.0], (3, 1)))
    failed = {claim.what for claim in claims(poor) if claim.within is False}
    assert "right in trial 2 after a wrong first pick, held-out objects" in failed
    assert "all of these in one seed" in failed
    assert "weights after the tests" in {
        claim.what for claim in claims(good._replace(is_unchanged=False)) if not claim.within
    }


def test_weights_on_the_way_are_kept_and_read_again(tmp_path):
    rule = A2C(updates=4, batch=3, value_weight=0.5)
    trained = train_population(Run(tmp_path, 2), "agents", NETWORK, rule, task_of("training"), keep=(0, 0.5, 1))
    assert sorted(trained.on_the_way) == [0, 2, 4]
    assert trained.after(0).agents.checksum() == trained.untrained().agents.checksum()
    assert trained.after(4).agents.checksum() == trained.agents.checksum()
    assert trained.after(2).agents.checksum() not in {trained.after(0).agents.checksum(), trained.agents.checksum()}
    again = load_weights(replace(trained, on_the_way={}), tmp_path / "agents.safetensors")
    assert again.after(2).agents.checksum() == trained.after(2).agents.checksum()


def test_a_thousand_updates_teach_to_learn_from_one_trial(tmp_path):
    # a nearer horizon and a larger step than the study: what a pick earns is known at once, and 1,000 updates are few
    rule = A2C(updates=1000, batch=128, value_weight=0.5, learning_rate=4e-3, discount=0.5)
    trained = train_population(Run(tmp_path, 1, say=lambda _: None), "agents", NETWORK, rule, task_of("training"))
    right = accuracy(trained, 1000)
    assert abs(right[0, 0] - 0.5) < 0.05
    assert right[0, 1] >= 0.90
    # without its state an agent that picks by looks has its last reward, which tells in trial 2, but no more in trial 3
    assert right[0, 2] - accuracy(trained, 1000, forget=True)[0, 2] >= 0.2


def test_a_quick_look_writes_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(harlow, "UPDATES", 40)
    run_study(HarlowStudy(), Run(tmp_path / "study", seeds=2, scale="quick", say=lambda _: None))
    assert {"page.html", "harlow.svg", "agents.safetensors"} <= {file.name for file in (tmp_path / "study").iterdir()}
    assert np.shape(read_result(tmp_path / "study")["numbers"]["course"])[1:] == (2, 6)


@pytest.mark.slow
def test_the_study_holds(tmp_path):
    assert run_study(HarlowStudy(), Run(tmp_path / "study")).holds
