"""Decoders, partial correlations and permutations, on activity with planted codes and on none."""

import numpy as np
import pytest

from metaplastic.studies.analysis.decoding import (
    coding,
    decode,
    decoding_null,
    partial_correlations,
    residual,
    trajectories,
)

T, E, N = 12, 60, 7


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def per_episode(values: np.ndarray) -> np.ndarray:
    return np.broadcast_to(values, (T, len(values)))


def test_a_planted_class_is_decoded_and_missing_steps_are_not_predicted():
    label = per_episode(np.arange(E) % 3 * 1.0).copy()
    units = noise(0, T, E, N)
    for k in range(3):
        units[..., k] += 6 * (label == k)
    label[0] = np.nan
    found = decode(units, label)
    assert found.score > 0.97
    assert found.chance == pytest.approx(1 / 3)
    assert np.isnan(found.predicted[0]).all()
    assert np.isfinite(found.predicted[1:]).all()
    assert found.per_fold.shape == (5,)


def test_what_marks_an_episode_alone_tells_nothing_about_others():
    # every episode has its own direction: shared between the sides, it would give each label away
    units = np.broadcast_to(noise(1, E, 40) * 5, (T, E, 40)) + 0.01 * noise(2, T, E, 40)
    label = per_episode(np.random.default_rng(3).integers(0, 2, E))
    assert decode(units, label).score < 0.7
    as_if_alone = decode(units.reshape(1, T * E, 40), label.reshape(1, T * E), strength=1e-3)
    assert as_if_alone.score > 0.9


def test_a_number_is_decoded():
    value = noise(4, T, E)
    units = noise(5, T, E, N)
    units[..., 2] = 2 * value + noise(6, T, E)
    found = decode(units, value, "number")
    assert found.score == pytest.approx(0.8, abs=0.05)  # 4 of 4 + 1 parts of the unit's variance


def test_permuted_episodes_decode_at_chance():
    label = per_episode(np.arange(E) % 2)
    found = decoding_null(noise(7, T, E, N) + 3 * label[..., None], label, 12)
    assert abs(found.mean() - 0.5) < 4 * found.std() / 12**0.5 + 0.02
    assert found.max() < 0.8


def test_partial_correlations_are_those_of_the_formula():
    a, b, c = noise(8, 200), noise(9, 200), noise(10, 200)
    b, unit = b + 0.7 * a, a + b + c
    r = np.corrcoef([unit, a, b])
    wanted = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = partial_correlations(np.stack((unit, np.full(200, 0.3)), -1), np.stack((a, b), -1))
    assert found[0, 0] == pytest.approx(wanted)
    np.testing.assert_array_equal(found[1], 0)  # a constant unit
    np.testing.assert_array_equal(residual(a[:, None], a[:, None]), 0)


def test_a_unit_that_follows_another_variable_has_no_partial_correlation():
    a = noise(11, 5000)
    b = a + noise(12, 5000)
    found = partial_correlations((a + noise(13, 5000))[:, None], np.stack((a, b), -1))
    assert found[0, 0] > 0.5
    assert abs(found[0, 1]) < 0.05


def test_units_that_code_a_variable_are_counted_and_a_control_takes_them_away():
    volatility, value = per_episode(np.repeat([0.0, 1.0], E // 2)), noise(14, T, E)
    units = noise(15, T, E, 10)
    units[..., :3] += volatility[..., None]
    units[..., 3:5] += 2 * value[..., None]
    found = coding(units, volatility, value[..., None], 199)
    assert found.fraction >= 0.3
    assert (found.p[:3] == 1 / 200).all()
    leaky = coding(units[..., :3], volatility, volatility[..., None] + 0.01 * noise(16, T, E, 1), 199)
    assert leaky.fraction < 1


def test_without_a_code_p_is_uniform_even_if_units_are_constant_in_an_episode():
    units = np.broadcast_to(noise(17, E, 400), (T, E, 400))
    found = coding(units, per_episode(np.arange(E) % 2 * 1.0), None, 99, level=0.05)
    assert abs(found.fraction - 0.05) < 0.06  # tests on steps as samples would find most of them
    assert abs(found.p.mean() - 0.5) < 0.08


def test_missing_values_give_the_same_answer_as_leaving_the_steps_out():
    units, variable = noise(18, T, E, N), noise(19, T, E)
    units[..., 0] += variable
    missing = variable.copy()
    missing[-2:] = np.nan
    found = coding(units, missing, None, 99, level=0.05)
    wanted = coding(units[:-2], variable[:-2], None, 99, level=0.05)
    np.testing.assert_allclose(found.r, wanted.r)
    np.testing.assert_allclose(found.p, wanted.p)


def test_paths_of_a_circle_and_a_point():
    angle = np.linspace(0, 2 * np.pi, T, endpoint=False)
    circle = np.stack((np.cos(angle), np.sin(angle)), -1)[:, None] @ noise(20, 2, N)
    units = np.concatenate((np.repeat(circle, 5, 1), np.zeros((T, 3, N))), 1)
    found = trajectories(units, np.repeat([0, 2], [5, 3]))
    assert found.explained.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.paths[0] @ found.axes + found.centre, circle[:, 0], atol=1e-12)
    np.testing.assert_allclose(found.paths[2] @ found.axes + found.centre, 0, atol=1e-12)
    assert np.isnan(found.paths[1]).all()
    assert (np.abs(found.axes).max(1) == found.axes.max(1)).all()


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="wanted 5 episodes"):
        decode(np.zeros((T, 3, N)), np.zeros((T, 3)))
    with pytest.raises(ValueError, match="wanted 100 or more"):
        coding(np.zeros((T, 3, N)), np.zeros((T, 3)), permutations=20)
    with pytest.raises(ValueError, match="more samples than variables"):
        partial_correlations(np.zeros((3, N)), np.zeros((3, 2)))
