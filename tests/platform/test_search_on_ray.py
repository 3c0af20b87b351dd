"""A search on a pool of Ray actors gives the history that it gives in one process, exactly."""

import pytest
from small_search import history, small

from metaplastic.platform.relaunch import resume
from metaplastic.platform.search import search


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    run = tmp_path_factory.mktemp("here") / "run"
    search(small(), run)
    return history(run)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_gives_equal_fitness_histories(here, tmp_path, workers):
    search(small(f"execution.workers={workers}"), tmp_path / "run")
    assert history(tmp_path / "run") == here


def test_a_run_may_go_on_with_another_number_of_workers(here, tmp_path):
    search(small("execution.workers=2"), tmp_path / "run", stop_after=1)
    resume(tmp_path / "run", workers=0)
    assert history(tmp_path / "run") == here
