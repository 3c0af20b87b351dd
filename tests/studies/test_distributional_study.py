"""The distributional study: the smoke of its acceptance, and tests of cells that see what is planted."""

import numpy as np
import pytest

from metaplastic.studies.dopamine.distributional import (
    DistributionalStudy,
    excited_and_inhibited,
    population,
)
from metaplastic.studies.study import Run, read_result, run_study


def test_cells_that_are_excited_and_inhibited_are_told_from_those_that_are_not():
    noise = np.random.default_rng(0).standard_normal((200, 8))
    shift = np.array([1, 1, 1, -1, 0, 0, 0, 0])
    assert excited_and_inhibited(noise + shift) == (3 / 8, 1 / 8)


def test_a_seed_is_a_population_of_its_own_and_the_same_again():
    one, again, other = (population(5, 400, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.response, again.response)
    assert not np.isin(one.tau, other.tau).any()
    assert (population(5, 400, 3, classical=True).tau == 0.5).all()


def test_one_population_is_within_all_bounds_and_its_page_is_written(tmp_path):
    # the whole protocol; one population in ten misses a bound on 40 cells, seed 0 does not
    result = run_study(DistributionalStudy(), Run(tmp_path / "study", seeds=1, say=lambda _: None))
    assert result.holds, [claim for claim in result.claims if claim.within is False]
    assert {"page.html", "distributional.svg", "result.json"} <= {file.name for file in (tmp_path / "study").iterdir()}
    kept = read_result(tmp_path / "study")["numbers"]
    assert len(kept["distributional"][0]["value"]) == 40
    assert np.ptp(kept["classical"][0]["value"]) < 0.2 * np.ptp(kept["distributional"][0]["value"])


@pytest.mark.slow
def test_the_study_holds(tmp_path):
    assert run_study(DistributionalStudy(), Run(tmp_path / "study")).holds
