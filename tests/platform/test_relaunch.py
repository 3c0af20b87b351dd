"""The same words again and again: a search that is begun, gone on with, and refused for another experiment's run."""

import pytest
from small_search import history, small

from metaplastic.core import ConfigError
from metaplastic.platform.changes import definition, differences, refuse_changes
from metaplastic.platform.relaunch import resume, search_or_resume
from metaplastic.platform.search import search


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """The pages have tests of their own, and drawing one takes longer than the search."""
    monkeypatch.setattr("metaplastic.platform.finish.write_report", lambda run: run / "report.html")


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
    with pytest.raises(ConfigError, match=r"another experiment: seed: 3 -> 4; lifetimes: 3 -> 2; .* --allow-change"):
        search_or_resume(small("seed=4", "lifetimes=2"), tmp_path / "run")
    assert (tmp_path / "run" / "experiment.yaml").read_text() == before


def test_an_experiment_that_was_edited_in_the_run_is_refused_unless_it_is_allowed(tmp_path, caplog):
    search(small(), tmp_path / "run", stop_after=0)
    file = tmp_path / "run" / "experiment.yaml"
    file.write_text(file.read_text().replace("lifetimes: 3\n", "lifetimes: 2\n", 1))
    with pytest.raises(ConfigError, match=r"another experiment: lifetimes: 3 -> 2; put it back"):
        resume(tmp_path / "run")
    assert resume(tmp_path / "run", stop_after=1, allow_change=True).done == 2
    assert "goes on with another experiment: lifetimes: 3 -> 2" in caplog.text
    assert resume(tmp_path / "run", stop_after=2).done == 3  # it is now the run's own


def test_a_searcher_that_the_checkpoint_does_not_fit_is_refused_in_one_line(tmp_path):
    search(small(), tmp_path / "run", stop_after=0)
    with pytest.raises(ConfigError, match="run: the checkpoint does not fit: the saved search has") as error:
        search_or_resume(small("search.population=9"), tmp_path / "run", allow_change=True)
    assert len(str(error.value).splitlines()) == 1


def test_records_that_are_lost_send_the_search_back_to_a_checkpoint_that_they_reach(tmp_path, caplog):
    whole = search(small("execution.keep=9"), tmp_path / "whole")
    search(small("execution.keep=9"), tmp_path / "run", stop_after=1)
    resume(tmp_path / "run", stop_after=2)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:2]))
    resume(tmp_path / "run")
    assert "2 are recorded; the search goes on from generation 2" in caplog.text
    assert history(tmp_path / "run") == history(whole.run)


def test_a_checkpoint_of_other_random_numbers_is_refused(tmp_path, monkeypatch):
    search(small(), tmp_path / "run", stop_after=0)
    monkeypatch.setattr("metaplastic.platform.search_state.RNG_VERSION", 99)
    with pytest.raises(ConfigError, match="of the random numbers, this is version 99"):
        resume(tmp_path / "run")


def test_differences_name_the_place_and_both_values():
    old = {"a": {"b": [1, {"c": 2}], "d": "x"}, "e": None}
    new = {"a": {"b": [1, {"c": 2.5}], "d": "x"}, "f": [1]}
    assert differences(old, new) == ["a.b[1].c: 2 -> 2.5", "e: None -> (not there)", "f: (not there) -> [1]"]
    assert differences({"a": [1, 2]}, {"a": [1]}) == ["a: [1, 2] -> [1]"]
    assert differences(old, old) == []


def test_a_run_begun_before_a_setting_was_invented_goes_on(tmp_path):
    search(small(), tmp_path / "run", stop_after=0)
    begun = definition(small(), tmp_path / "run").replace("lifetimes: 3\n", "", 1)  # by default it is 4
    with pytest.raises(ConfigError, match="another experiment: lifetimes: 4 -> 3;"):
        refuse_changes(begun, small(), tmp_path / "run")
    assert refuse_changes(begun, small("lifetimes=4"), tmp_path / "run") == []
