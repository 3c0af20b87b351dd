"""Analyses of choices: by hand, and recovery of what was planted."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from metaplastic.studies.analysis.behaviour import (
    Psychometric,
    bic,
    cumulative_regret,
    history_kernels,
    indifference_ratio,
    lagged,
    logistic,
    matching,
    psychometric,
    stay_by,
    stays,
    two_step_weights,
)

rng = np.random.default_rng


def test_stays_by_hand_without_missing_trials():
    choice = np.array([0, 0, 1, -1, 1, 1, 0])[:, None]
    reward = np.array([1, 0, 1, 0, np.nan, 0, 0])[:, None]
    common = np.array([1, 0, 1, 1, 1, 0, 0], dtype=bool)[:, None]
    found = stays(choice, reward, common)
    # trial 0 CR stays; 1 UU leaves; 2 has no choice after it, 3 none itself; 4 no reward; 5 UU leaves
    assert found.common_rewarded == 1
    assert found.uncommon_unrewarded == 0
    assert np.isnan(found.uncommon_rewarded)
    assert np.isnan(found.common_unrewarded)
    assert stay_by(choice, np.where(common, 7, 3)) == {7: 1.0, 3: 0.0}


def test_lags_by_hand():
    found = lagged(np.array([[1.0, 4], [2, 5], [3, 6]]), 2)
    np.testing.assert_array_equal(found[2], [[2, 1], [5, 4]])
    np.testing.assert_array_equal(found[1], [[1, np.nan], [4, np.nan]])


def test_a_logistic_regression_of_a_two_by_two_table_is_its_log_odds():
    # x = 0: 3 of 4; x = 1: 1 of 5
    x = np.repeat([0.0, 1.0], [4, 5])[:, None]
    y = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0.0])
    found = logistic(x, y)
    assert found.intercept == pytest.approx(np.log(3), abs=1e-4)
    assert found.weights[0] == pytest.approx(np.log(1 / 4) - np.log(3), abs=1e-4)
    assert found.errors[0] == pytest.approx((1 / 3 + 1 + 1 + 1 / 4) ** 0.5, abs=1e-3)
    wanted = 3 * np.log(0.75) + np.log(0.25) + np.log(0.2) + 4 * np.log(0.8)
    assert found.log_likelihood == pytest.approx(wanted)
    assert found.bic == bic(found.log_likelihood, 2, 9) == pytest.approx(2 * np.log(9) - 2 * wanted)
    with pytest.raises(ValueError, match="wanted both 0 and 1"):
        logistic(x, np.ones(9))


def test_planted_kernels_are_recovered():
    reward_kernel, choice_kernel = np.array([1.5, 0.8, 0.4]), np.array([-0.9, 0.3, 0.0])
    T, E, draw = 120, 200, rng(0)
    signed, rewards = np.zeros((T, E)), (draw.random((T, E)) < 0.4) * 1.0
    for t in range(T):
        back = range(1, min(t, 3) + 1)
        z = sum(
            (signed[t - i] * (reward_kernel[i - 1] * rewards[t - i] + choice_kernel[i - 1]) for i in back), np.zeros(E)
        )
        signed[t] = np.where(draw.random(E) < expit(0.2 + z), 1, -1)
    found = history_kernels((signed > 0).astype(int), rewards, 5)
    np.testing.assert_allclose(found.reward, [*reward_kernel, 0, 0], atol=0.15)
    np.testing.assert_allclose(found.choice, [*choice_kernel, 0, 0], atol=0.1)
    assert found.fit.intercept == pytest.approx(0.2, abs=0.08)
    assert found.fit.rows == (T - 5) * E


@pytest.mark.parametrize(("planner", "mb", "mf"), [(1.0, 4.0, 0.0), (0.0, 0.0, 4.0), (0.5, 2.0, 2.0)])
def test_indices_tell_a_planner_from_a_repeater(planner, mb, mf):
    T, E, draw = 100, 300, rng(1)
    common, rewards = draw.random((T, E)) < 0.8, (draw.random((T, E)) < 0.5) * 1.0
    repeat = 2 * rewards - 1
    pull = planner * np.where(common, repeat, -repeat) + (1 - planner) * repeat
    signed = np.ones((T, E))
    for t in range(1, T):
        signed[t] = np.where(draw.random(E) < expit(signed[t - 1] * pull[t - 1]), 1, -1)
    found = two_step_weights((signed > 0).astype(int), rewards, common, 2)
    assert found.model_based_index == pytest.approx(mb, abs=0.25)
    assert found.model_free_index == pytest.approx(mf, abs=0.25)


def test_perfect_matching_has_slope_one_and_one_sided_episodes_are_left_out():
    # 16 trials: arm 1 chosen 4, 8, 12, 16 times; every second choice of an arm is paid
    choice = np.stack([np.repeat([1, 0], [n, 16 - n]) for n in (4, 8, 12, 16)], 1)
    reward = np.tile([1.0, 0.0], 8)[:, None] * np.ones((1, 4))
    found = matching(choice, reward)
    assert found.slope == pytest.approx(1)
    assert found.r == pytest.approx(1)
    np.testing.assert_allclose(found.log_choices, [-np.log2(3), 0, np.log2(3), np.nan])
    assert np.isnan(matching(choice[:, :1], reward[:, :1]).slope)


def test_undermatching_is_measured():
    # choices 4 : 1 of rewards 16 : 1 is a slope of one half
    choice = np.stack((np.repeat([1, 0], [80, 20]), np.repeat([0, 1], [80, 20])), 1)
    reward = np.stack((np.r_[np.ones(16), np.zeros(64), 1, np.zeros(19)],) * 2, 1)
    assert matching(choice, reward).slope == pytest.approx(0.5)


def test_a_planted_psychometric_curve_is_recovered():
    x, planted = np.linspace(-1, 1, 11), Psychometric(0.375, 0.3, 0.02, 0.06, 0.0)
    n = np.full(11, 4000)
    found = psychometric(x, rng(2).binomial(n, planted.at(x)), n)
    assert found.mu == pytest.approx(0.375, abs=0.02)
    assert found.sigma == pytest.approx(0.3, abs=0.03)
    assert found.low == pytest.approx(0.02, abs=0.01)
    assert found.high == pytest.approx(0.06, abs=0.02)
    assert indifference_ratio(0.375) == pytest.approx(2.2)


def test_a_curve_without_lapses_passes_through_exact_proportions():
    x = np.array([-1.0, 0.0, 1.0])
    found = psychometric(x, 1e6 * norm.cdf((x - 0.1) / 0.5), np.full(3, 1e6), most_lapse=0)
    assert (found.mu, found.sigma) == pytest.approx((0.1, 0.5), abs=1e-3)
    with pytest.raises(ValueError, match="wanted two or more"):
        psychometric(x[:1], np.ones(1), np.ones(1))


def test_regret_is_of_expected_values():
    expected = np.array([[[0.9, 0.1]], [[0.9, 0.1]], [[0.2, 0.7]]])
    np.testing.assert_allclose(cumulative_regret(expected, np.array([[0], [1], [0]]))[:, 0], [0, 0.8, 1.3], atol=1e-6)


def test_choices_that_are_no_choice_of_two_are_refused():
    with pytest.raises(ValueError, match="wanted 0 or 1"):
        history_kernels(np.array([[0], [2], [1]]), np.zeros((3, 1)), 1)
    with pytest.raises(ValueError, match="wanted 1 to 2"):
        history_kernels(np.array([[0], [1], [1]]), np.zeros((3, 1)), 3)
