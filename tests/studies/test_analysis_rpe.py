"""Prediction errors by hand, and shares of planted mixtures."""

import numpy as np
import pytest

from metaplastic.studies.analysis.rpe import (
    at_cue,
    at_outcome,
    discounted_returns,
    explained_variance,
    is_settled,
    prediction_errors,
    regress,
    shares,
    unique_r2,
)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_three_steps_by_hand():
    value, reward = np.array([[0.5], [1.0], [2.0]]), np.array([[0.0], [1.0], [4.0]])
    found = prediction_errors(value, reward, 0.9)
    # 0 + .9 * 1 - .5,  1 + .9 * 2 - 1,  4 + 0 - 2
    np.testing.assert_allclose(found, [[0.4], [1.8], [2.0]])
    np.testing.assert_allclose(prediction_errors(value, reward, 0.9, 10.0)[-1], [11.0])


def test_a_cue_has_the_error_of_the_step_before_and_an_outcome_that_of_the_response():
    delta = np.array([[1.0, 4], [2, 5], [3, 6]])
    is_cue = np.array([[True, False], [False, True], [True, False]])
    np.testing.assert_array_equal(at_cue(delta, is_cue), [[np.nan, np.nan], [np.nan, 4], [2, np.nan]])
    np.testing.assert_array_equal(at_outcome(delta, is_cue), [[1, np.nan], [np.nan, 5], [3, np.nan]])


def test_a_perfect_critic_has_no_errors_and_explains_all():
    reward = noise(0, 7, 5)
    returns = discounted_returns(reward, 0.8)
    assert returns[-2] == pytest.approx(reward[-2] + 0.8 * reward[-1])
    np.testing.assert_allclose(prediction_errors(returns, reward, 0.8), 0, atol=1e-12)
    assert explained_variance(returns, returns) == 1
    assert explained_variance(np.full_like(returns, 3.0), returns) == pytest.approx(0)
    assert explained_variance(-returns, returns) < -1
    assert np.isnan(explained_variance(returns, np.ones_like(returns)))


def test_ends_of_episodes_are_left_out():
    assert is_settled(7, 2, 3).tolist() == [False, False, True, True, False, False, False]


def test_planted_weights_are_found_and_nan_is_left_out():
    x = noise(1, 50, 4, 3)
    y = 2 + x @ np.array([1.0, -3, 0.5])
    y[0], x[1, 1, 2] = np.nan, np.nan
    found = regress(y, x)
    assert found.samples == 50 * 4 - 5
    assert found.intercept == pytest.approx(2)
    np.testing.assert_allclose(found.weights, [1, -3, 0.5])
    assert found.r2 == pytest.approx(1)


def test_a_share_is_unique_only_if_the_other_does_not_have_it():
    mb, own = noise(2, 400, 100), noise(3, 400, 100)
    mf = 0.8 * mb + 0.6 * own  # correlates .8 with mb
    delta = mb + 0.5 * noise(4, 400, 100)
    found = shares(delta, mb, mf)
    assert found.model_based_r2 == pytest.approx(1 / 1.25, abs=0.01)
    assert found.model_free_r2 == pytest.approx(0.64 / 1.25, abs=0.01)  # raw: high, though nothing of mf is in delta
    assert found.unique_model_free < 1e-3
    # of mb, .6 is left after mf (variance .36): .36 / (.36 + .25)
    assert found.unique_model_based == pytest.approx(0.36 / 0.61, abs=0.01)


def test_the_unique_share_is_the_squared_partial_correlation_of_three_variables():
    x, y, z = noise(5, 300), noise(6, 300), noise(7, 300)
    y, x = y + 0.4 * x + z, x - z
    r = np.corrcoef([x, y, z])
    by_formula = (r[0, 1] - r[0, 2] * r[1, 2]) ** 2 / (1 - r[0, 2] ** 2) / (1 - r[1, 2] ** 2)
    assert unique_r2(y, x, z[:, None]) == pytest.approx(by_formula)
    assert unique_r2(y, z, z[:, None]) == 0


def test_what_cannot_be_regressed_is_said():
    with pytest.raises(ValueError, match=r"wanted \(5, 'F'\)"):
        regress(np.zeros(5), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="record more"):
        regress(np.full(5, np.nan), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="time first"):
        prediction_errors(np.zeros((5, 2)), np.zeros((4, 2)), 0.9)
