"""The distributional code: expectiles by their definition, and the acceptance numbers of the reproduction."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import spearmanr

from metaplastic.studies.analysis.distributional import (
    CHANCES,
    MAGNITUDES,
    Rates,
    asymmetry,
    cue_classes,
    decoding_controls,
    drawn_cues,
    drawn_rates,
    drawn_rewards,
    expectile,
    halves,
    imputation_loss,
    impute,
    live_channels,
    optimism,
    optimists,
    responses,
    reversal_points,
    split_half,
    utility,
)

N, T = 40, 20_000


@pytest.fixture(scope="module")
def distributional():
    rates = drawn_rates(N)
    return rates, live_channels(rates, drawn_rewards(T)).average[:, 0]


@pytest.fixture(scope="module")
def classical():
    rates = drawn_rates(N, classical=True)
    return rates, live_channels(rates, drawn_rewards(T)).average[:, 0]


def test_expectiles_by_hand():
    coin = (np.array([1.0, 0.0]), np.array([0.9, 0.1]))
    for tau in (0.05, 0.5, 0.8):
        p = 0.9
        assert expectile(*coin, tau) == pytest.approx(tau * p / (tau * p + (1 - tau) * (1 - p)))
    assert expectile(MAGNITUDES, CHANCES, 0.5) == pytest.approx(MAGNITUDES @ CHANCES)
    assert pytest.approx(5.21, abs=0.01) == MAGNITUDES @ CHANCES
    for tau in (0.01, 0.2, 0.9, 0.999):
        e = expectile(MAGNITUDES, CHANCES, tau)
        up, down = np.maximum(MAGNITUDES - e, 0) @ CHANCES, np.maximum(e - MAGNITUDES, 0) @ CHANCES
        assert tau * up == pytest.approx((1 - tau) * down)


def test_one_step_of_learning_by_hand():
    rates = Rates(np.array([0.5, 0.1]), np.array([0.1, 0.5]))
    found = live_channels(rates, np.array([4.0, 1.0]))
    np.testing.assert_allclose(found.delta, [[4, 4], [-1, 0.6]])
    np.testing.assert_allclose(found.value[:, 0], [1.9, 0.46])
    signs = live_channels(rates, np.array([4.0, 0.2]), form="quantile")
    np.testing.assert_allclose(signs.value[:, 0], [0.5 - 0.1, 0.1 + 0.1])


def test_channels_settle_at_their_expectiles_and_signs_at_quantiles():
    tau = np.array([0.1, 0.5, 0.9])
    rates = Rates(0.004 * tau, 0.004 * (1 - tau))
    value = live_channels(rates, drawn_rewards(40_000)).average[:, 0]
    np.testing.assert_allclose(value, [expectile(MAGNITUDES, CHANCES, t) for t in tau], rtol=0.06)
    value = live_channels(rates, drawn_rewards(40_000), form="quantile").average[:, 0]
    np.testing.assert_allclose(value, [0.3, 5, 10], atol=0.1)  # cumulative .07 .16 .31 .46 .77 .92 1


def test_value_passes_back_to_an_earlier_state():
    state, after = np.tile([0, 1], 4000), np.tile([1, -1], 4000)
    reward = np.where(state == 1, 2.0, 0.0)
    found = live_channels(drawn_rates(5, 0.02, 0.05), reward, state, after, gamma=0.5)
    np.testing.assert_allclose(found.value, [[1, 2]] * 5, rtol=1e-3)


def test_reversal_points_and_asymmetries_without_noise(distributional):
    rates, value = distributional
    assert spearmanr(rates.tau, value).statistic >= 0.95
    reward = np.tile(np.linspace(0, 20, 201), 3)
    found = reversal_points(responses(value, rates, reward), reward)
    np.testing.assert_allclose(found, value, atol=0.06)
    np.testing.assert_allclose(asymmetry(responses(value, rates, reward), reward, value), rates.tau)


def test_a_classical_population_has_one_reversal_point(classical):
    rates, value = classical
    assert (rates.tau == 0.5).all()
    assert np.ptp(value) < 0.1 * MAGNITUDES @ CHANCES


def test_split_halves_agree_in_a_distributional_population_alone(distributional, classical):
    reward = drawn_rewards(560, seed=5)
    first, second = halves(560)
    assert first.sum() == second.sum() == 280
    assert not (first & second).any()
    found = split_half(responses(distributional[1], distributional[0], reward, 1.0, seed=6), reward)
    for r, p in found:
        assert r > 0.3
        assert p < 0.01
    settled = np.full(N, MAGNITUDES @ CHANCES)
    null = split_half(responses(settled, classical[0], reward, 1.0, seed=6), reward)
    for r, p in null:
        assert abs(r) < 0.35
        assert p > 0.01


def test_the_gradient_of_the_decoder_is_exact():
    rng = np.random.default_rng(0)
    z, tau, s = rng.uniform(0, 20, 9), rng.uniform(0.05, 0.95, 9), rng.uniform(0, 20, 7)
    error = check_grad(lambda s: imputation_loss(s, z, tau)[0], lambda s: imputation_loss(s, z, tau)[1], s)
    assert error < 1e-5


def test_decoded_samples_have_the_expectiles_that_they_were_decoded_from():
    tau = np.linspace(0.05, 0.95, 19)
    z = np.array([expectile(MAGNITUDES, CHANCES, t) for t in tau])
    samples = impute(z, tau, 0.1, 20.0, starts=200, repeats=1)
    found = [expectile(samples, np.ones(len(samples)), t) for t in tau]
    np.testing.assert_allclose(found, z, atol=0.05)
    with pytest.raises(ValueError, match="wanted one or more"):
        impute(z * np.nan, tau, 0.1, 20.0)


def test_decoding_is_closer_to_the_truth_than_its_controls(distributional):
    rates, value = distributional
    found = decoding_controls(value, rates.tau, shuffles=1)
    assert found.real <= 0.5 * found.shuffled
    assert found.real < found.gaussian < found.uniform
    assert found.uniform == pytest.approx(4.92, abs=0.1)
    assert found.gaussian == pytest.approx(1.32, abs=0.1)


def cue_responses(rates: Rates, noise: float) -> tuple[np.ndarray, np.ndarray]:
    cue, reward = drawn_cues(12_000)
    value = live_channels(rates, reward, cue, start=0.5).value
    shown = np.repeat([0, 1, 2], 60)
    return value[:, shown].T + noise * np.random.default_rng(1).standard_normal((180, len(rates.up))), shown


def test_optimistic_and_pessimistic_channels_side_by_side_in_a_distributional_population_alone():
    tau = np.linspace(0.05, 0.95, N)
    found = optimists(*cue_responses(Rates(0.01 * tau, 0.01 * (1 - tau)), 0.2))
    assert (found == 1).mean() >= 0.2
    assert (found == -1).mean() >= 0.2
    response, shown = cue_responses(Rates(0.01 * tau, 0.01 * (1 - tau)), 0.2)
    assert spearmanr(optimism(response, shown), tau).statistic > 0.95
    classes = cue_classes(response, shown)
    assert tau[classes.pessimistic].max() < tau[classes.interpolating].mean() < tau[classes.optimistic].min()
    same = np.full(N, 0.002)
    flat = cue_classes(*cue_responses(Rates(same, same), 0.2))
    assert flat.interpolating.all()


def test_utility_saturates():
    np.testing.assert_allclose(utility(np.array([0.0, 200.0])), [0, 5])
