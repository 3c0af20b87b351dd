"""The two-step study: planted planners and repeaters are told apart, steps are where they belong, the page comes."""

import numpy as np
import pytest
import torch

from metaplastic.studies.analysis.learners import Recorded
from metaplastic.studies.analysis.two_step_errors import Errors, model_based_errors, model_free_errors
from metaplastic.studies.dopamine import two_step
from metaplastic.studies.dopamine.claims import Bounded, together
from metaplastic.studies.dopamine.two_step import Seen, TwoStepStudy, analyse, error_means, references, seen_of
from metaplastic.studies.study import Run, read_result, run_study
from metaplastic.tasks.bandits.two_step import TwoStep

TRIALS, EPISODES = 40, 50


def recorded(seed=0):
    """Random choices in random places, paid more in state 1."""
    draw = np.random.default_rng(seed)
    action = draw.integers(0, 2, (TRIALS, EPISODES))
    state = np.where(draw.random(action.shape) < 0.8, action, 1 - action)
    reward = (draw.random(action.shape) < np.where(state == 1, 0.9, 0.1)).astype(float)
    return Recorded(action, reward, state)


def seen_with(lived, errors, value=0.0):
    steps = np.zeros((2 * TRIALS, EPISODES))
    steps[1::2] = lived.reward
    return Seen(lived, errors, steps * 0 + value, steps, lived.state == 1)


def test_errors_of_a_planner_and_of_a_repeater_are_told_apart():
    lived = recorded()
    planner = analyse(seen_with(lived, model_based_errors(lived, 0.4)), 0.9).shares
    assert planner.alpha == 0.4
    assert planner.pooled.model_based_r2 == pytest.approx(1)
    assert planner.pooled.unique_model_free < 1e-6
    repeater = analyse(seen_with(lived, model_free_errors(lived, 0.4)), 0.9).shares
    assert repeater.pooled.unique_model_free > 0.2
    assert repeater.pooled.unique_model_free > 3 * repeater.pooled.unique_model_based


def test_the_arrival_is_the_error_of_the_first_step_and_the_outcome_that_of_the_second():
    draw = np.random.default_rng(1)
    steps, seeds, episodes = 2 * TRIALS, 2, 3
    shape = steps, seeds, episodes
    rpe, reward = draw.standard_normal(shape), draw.random(shape)
    place = np.zeros(shape, dtype=int)
    place[1::2] = draw.integers(1, 3, (TRIALS, seeds, episodes))
    pays = np.broadcast_to(np.array([0.9, 0.9, 0.1, 0.1]), (*shape, 4))
    arrays = {
        "rpe": rpe,
        "reward": reward,
        "value": rpe,
        "action": draw.integers(0, 2, shape),
        "latent.world.place": place,
        "latent.world.pays": pays,
    }
    seen = seen_of(arrays, 1)
    assert np.array_equal(seen.errors.stage2, rpe[::2, 1])
    assert np.array_equal(seen.errors.outcome, rpe[1::2, 1])
    assert np.array_equal(seen.recorded.reward, reward[1::2, 1])
    assert seen.recorded.state is not None
    assert np.array_equal(seen.recorded.state, place[1::2, 1] - 1)
    assert np.array_equal(seen.in_good, seen.recorded.state == 0)


def test_mean_errors_are_of_the_events_that_they_are_named_for():
    lived = recorded()
    events = Errors(np.where(lived.state == lived.action, 0.1, -0.4), np.where(lived.reward > 0, 0.2, -0.9))
    means = error_means(seen_with(lived, events), np.ones(TRIALS, dtype=bool))
    assert means["common"] == pytest.approx(0.1)
    assert means["uncommon"] == pytest.approx(-0.4)
    assert (means["good, paid"], means["bad, paid"]) == pytest.approx((0.2, 0.2))
    assert (means["good, not"], means["bad, not"]) == pytest.approx((-0.9, -0.9))


def test_the_references_stay_as_they_must_and_their_errors_are_called_what_they_are():
    known = references(TwoStep(), 60)
    ideal, repeater = known["Bayes"], known["SARSA(1)"]
    assert ideal.stays.interaction > 0.6 > 0.2 > abs(ideal.stays.reward_effect)
    assert repeater.stays.reward_effect > 0.25
    assert ideal.lags.model_based_index > 5 * abs(ideal.lags.model_free_index)
    assert repeater.lags.model_free_index > 5 * abs(repeater.lags.model_based_index)
    assert ideal.errors_by_itself.pooled.model_based_r2 > 0.8
    assert ideal.errors_by_itself.pooled.unique_model_free < 0.05
    assert repeater.errors_by_itself.pooled.unique_model_free > 0.4


def test_bounds_that_different_seeds_miss_do_not_hold_together():
    def above(what, values):
        return Bounded(what, "> 0", "proposed", values, lambda x: x > 0)

    first, second = above("a", [1.0, 1, 1, -1]), above("b", [-1.0, 1, 1, 1])
    assert first.claim.within
    assert second.claim.within
    assert together([first]).within
    assert not together([first, second]).within
    assert together([first, second]).measured == "2 of 4 seeds"


def test_the_page_is_written_with_a_row_for_every_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(two_step, "UPDATES", 40)
    monkeypatch.setattr(two_step, "BATCH", 3)
    monkeypatch.setattr(two_step, "TwoStep", lambda: TwoStep(trials=25))
    torch.set_num_threads(1)
    run = Run(tmp_path / "out", seeds=2, scale="quick", say=lambda _: None)
    result = run_study(TwoStepStudy(), run)
    assert {"page.html", "choices.png", "errors.svg", "training.png"} <= {path.name for path in run.out.iterdir()}
    kept = read_result(run.out)
    assert len(kept["claims"]) == len(result.claims) == 19
    assert len(kept["numbers"]["seeds"]) == 2
    assert not result.holds
    assert result.claims[-1].within


@pytest.mark.slow
def test_trained_agents_choose_and_err_as_planners(tmp_path):
    result = run_study(TwoStepStudy(), Run(tmp_path / "out", seeds=2))
    assert result.holds, [claim for claim in result.claims if claim.within is False]
