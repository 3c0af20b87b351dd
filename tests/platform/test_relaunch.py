"""The same words again and again: a search that is begun, gone on with, and refused for another experiment's run."""

import pytest
from small_search import history, small

from metaplastic.core import ConfigError
from metaplastic.platform.relaunch import search_or_resume
from metaplastic.platform.search import search


def test_the_first_start_makes_the_run_and_the_next_goes_on_with_it(tmp_path):
    whole = search(small(), tmp_path / "whole")
    search(small(), tmp_path / "run", stop_after=1)
    outcome = search_or_resume(small("execution.chunk=2"), tmp_path / "run")
    assert outcome.done == 4
    assert history(outcome.run) == history(whole.run)
    assert search_or_resume(small("generations=5"), tmp_path / "run").done == 5
    assert history(outcome.run)[:4] == history(whole.run)


def test_a_start_without_a_run_is_a_search(tmp_path):
    outcome = search_or_resume(small("generations=1"), tmp_path / "new", command=["metaplastic"])
    assert (outcome.done, outcome.run) == (1, tmp_path / "new")


def test_a_run_of_another_experiment_is_refused_and_left_alone(tmp_path):
    search(small(), tmp_path / "run", stop_after=0)
    before = (tmp_path / "run" / "experiment.yaml").read_text()
    with pytest.raises(ConfigError, match="they differ in seed, lifetimes"):
        search_or_resume(small("seed=4", "lifetimes=2"), tmp_path / "run")
    assert (tmp_path / "run" / "experiment.yaml").read_text() == before
