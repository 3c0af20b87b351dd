"""Averages around events, by hand."""

import numpy as np
import pytest

from metaplastic.studies.analysis.events import aligned, by_condition, event_mean, over_seeds, trial_course, windows

SIGNAL = np.array([[0.0, 10], [1, 11], [2, 12], [3, 13], [4, 14]])  # T = 5, E = 2
EVENTS = np.zeros((5, 2), dtype=bool)
EVENTS[1, 0] = EVENTS[4, 1] = True


def test_windows_by_hand_with_nan_outside_the_recording():
    found = windows(SIGNAL, EVENTS, 2, 1)
    np.testing.assert_array_equal(found, [[np.nan, 0, 1, 2], [12, 13, 14, np.nan]])
    np.testing.assert_array_equal(event_mean(SIGNAL, EVENTS, 2, 1), [12, 6.5, 7.5, 2])


def test_units_are_carried_along():
    units = np.stack((SIGNAL, -SIGNAL, SIGNAL * 2), -1)
    assert windows(units, EVENTS, 0, 1).shape == (2, 2, 3)
    np.testing.assert_array_equal(event_mean(units, EVENTS), [[7.5, -7.5, 15]])


def test_the_seed_is_the_unit_however_many_episodes_it_has():
    many, few = np.full((3, 100), 1.0), np.full((3, 2), 3.0)
    found = aligned([many, few], [np.ones((3, 100), bool), np.ones((3, 2), bool)])
    assert found.mean == pytest.approx([2])
    assert found.sem == pytest.approx([1])  # sd sqrt 2 over sqrt 2


def test_a_missing_seed_does_not_count_and_one_seed_has_no_error():
    found = over_seeds(np.array([[1.0, np.nan], [3.0, 5.0], [5.0, np.nan]]))
    np.testing.assert_allclose(found.mean, [3, 5])
    np.testing.assert_allclose(found.sem, [2 / 3**0.5, np.nan])


def test_conditions_are_kept_apart():
    condition = np.where(np.arange(5)[:, None] < 3, 0, 1) * np.ones((1, 2), dtype=int)
    found = by_condition([SIGNAL], [EVENTS], [condition], {0: "early", 1: "late", 2: "never"})
    assert found["early"].mean == pytest.approx([1])
    assert found["late"].mean == pytest.approx([14])
    assert np.isnan(found["never"].mean).all()


def test_courses_over_trials():
    values = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    found = trial_course(values)
    np.testing.assert_allclose(found.per_seed, [[1.5, 5.5, 9.5], [13.5, 17.5, 21.5]])


def test_swapped_axes_are_refused():
    with pytest.raises(ValueError, match="time first"):
        windows(SIGNAL.T, EVENTS, 0, 0)
