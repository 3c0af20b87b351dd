"""A search: the same bits wherever it runs and however often it is stopped; a run that can be reused."""

import json
from pathlib import Path

import pytest
import torch
from small_search import history, small

from metaplastic.core import Array, ConfigError
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of, live_experiment
from metaplastic.platform.experiment_file import load
from metaplastic.platform.living import live_file
from metaplastic.platform.relaunch import resume
from metaplastic.platform.search import search


def results(run: Path) -> tuple:
    names = ("champion.yaml", "comparison.json", "champion.json")
    return history(run), *((run / name).read_text() for name in names)


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """The pages have tests of their own, and drawing one takes longer than the search."""
    monkeypatch.setattr("metaplastic.platform.finish.write_report", lambda run: run / "report.html")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A search that nothing interrupted."""
    run = tmp_path_factory.mktemp("whole") / "run"
    search(small(), run)
    return run


def test_a_run_leaves_what_is_needed_to_reuse_it(whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {"experiment.yaml", "environment.json", "metrics.jsonl", "genome.json", "checkpoints"}
    assert names >= {"champion.yaml", "champion.json", "comparison.json", "report.html"}
    assert load(whole / "experiment.yaml") == small()


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_interrupted_after_any_generation_equals_uninterrupted(whole, tmp_path, stop):
    outcome = search(small(), tmp_path / "run", stop_after=stop)
    assert outcome.done == stop + 1
    torch.rand(3)  # the global generator is nobody's business
    resume(tmp_path / "run")
    assert results(tmp_path / "run") == results(whole)


def test_a_search_stopped_before_the_last_generation_says_how_to_go_on(tmp_path):
    text = search(small(), tmp_path / "run", stop_after=1).summary()
    assert text.startswith("stopped after 2 of 4 generations")
    assert f"metaplastic resume {tmp_path / 'run'}" in text


def test_records_written_after_the_last_checkpoint_are_lived_again(whole, tmp_path):
    search(small(), tmp_path / "run", stop_after=1)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"generation": 2, "fitness": "of a process that died before its checkpoint"}\n')
    resume(tmp_path / "run")
    assert history(tmp_path / "run") == history(whole)


def test_a_longer_search_goes_on_from_the_shorter_one(whole, tmp_path):
    search(small("generations=2"), tmp_path / "run")
    resume(tmp_path / "run", generations=4)
    assert history(tmp_path / "run") == history(whole)


def test_chunks_do_not_change_a_bit(whole, tmp_path):
    for chunk in (1, 7):
        search(small(f"execution.chunk={chunk}"), tmp_path / str(chunk))
        assert history(tmp_path / str(chunk)) == history(whole)


def test_a_run_is_never_overwritten(whole):
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        search(small(), whole)


def test_a_champion_is_a_plain_experiment_that_lives_the_life_it_was_chosen_for(whole):
    champion = load(whole / "champion.yaml")
    assert genome_of(champion).length == 0
    told = json.loads((whole / "champion.json").read_text())
    longer = champion.model_copy(update={"lifetimes": champion.lifetimes * 4})
    score = live_experiment(longer, 1, generation_key(champion.seed, -2), longer.lifetimes).score.double().mean().item()
    assert score == pytest.approx(told["score"], rel=1e-12)
    assert told["formula"]["latex"].startswith(r"\Delta w_{ij} &=")


def test_the_comparison_holds_every_control_under_the_same_lifetimes(whole):
    found = json.loads((whole / "comparison.json").read_text())
    assert [entry["name"] for entry in found["entries"]] == ["plasticity off", "starting rule", "softmax", "champion"]
    assert all(len(entry["scores"]) == 3 for entry in found["entries"])


def test_a_champion_can_be_lived_and_recorded(whole, tmp_path):
    text = live_file(whole, [], 5, ("action", "weights every 3"), out=tmp_path / "life")
    assert "5 lives of 7 trials of Bandit-v0" in text
    assert {p.name for p in (tmp_path / "life").iterdir()} >= {
        "lifetimes.csv",
        "learning_curve.png",
        "recordings.json",
        "recordings.safetensors",
    }


def test_living_an_experiment_with_genes_is_refused(tmp_path):
    from metaplastic.platform.experiment_file import dump

    (tmp_path / "genes.yaml").write_text(dump(small()))
    with pytest.raises(ConfigError, match=r"has genes \(network.units, rule.parameters.eta, policy.epsilon\)"):
        live_file(tmp_path / "genes.yaml", [], None, ())


def test_a_search_without_genes_or_searcher_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no genes, so there is nothing to search"):
        search(small("network.units=3", "rule.parameters.eta=0.1", "policy.epsilon=0"), tmp_path / "a")
    with pytest.raises(ConfigError, match="search: is not given"):
        search(small("search=null"), tmp_path / "b")
    assert not (tmp_path / "a").exists()


def test_a_fitness_that_nobody_measures_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="metric 'scrore' is not measured; there are score") as error:
        search(small("fitness[0].metric=scrore"), tmp_path / "run")
    assert len(str(error.value).splitlines()) == 1
    assert "Traceback" in (tmp_path / "run" / "failures.jsonl").read_text()


def test_individuals_do_not_touch_each_other():
    experiment = small()
    genomes = torch.linspace(0, 1, 5 * 3, dtype=torch.float64).reshape(5, 3)
    key = generation_key(3, 0)
    together = evaluate(experiment, genomes, key)
    alone = torch.cat([evaluate(experiment, genomes[p : p + 1], key).fitness for p in range(5)])
    assert torch.equal(together.fitness, alone)


def test_all_individuals_of_a_generation_meet_the_same_lifetimes():
    experiment = small()
    genome = torch.full((1, 3), 0.4, dtype=torch.float64)
    twins = evaluate(experiment, genome.repeat(2, 1), generation_key(3, 1)).metrics["curve"]
    assert torch.equal(twins[0], twins[1])
    other = evaluate(experiment, genome, generation_key(3, 2)).metrics["curve"]
    assert not torch.equal(twins[:1], other)


def test_innate_weights_evolve_and_the_champion_keeps_them_in_a_file(tmp_path):
    words = ["network.units=6", "network.initial_weights={gene: [-1, 1], per: synapse}"]
    search(small(*words), tmp_path / "run")
    champion = load(tmp_path / "run" / "champion.yaml")
    assert isinstance(champion.network.initial_weights, Array)
    assert (tmp_path / "run" / "champion.safetensors").exists()
    told = json.loads((tmp_path / "run" / "champion.json").read_text())
    longer = champion.model_copy(update={"lifetimes": champion.lifetimes * 4})
    score = live_experiment(longer, 1, generation_key(champion.seed, -2), longer.lifetimes).score.double().mean().item()
    assert score == pytest.approx(told["score"], rel=1e-12)


def test_structures_evolve_as_choices(tmp_path):
    plain, gated = "{kind: feedforward, units: 3}", "{kind: feedforward, layers: 0, gain: {gene: [0, 2]}}"
    search(small(f"network={{choice: [{plain}, {gated}]}}"), tmp_path / "run")
    names = [row["name"] for row in json.loads((tmp_path / "run" / "genome.json").read_text())]
    assert names == ["network", "network[1].gain", "rule.parameters.eta", "policy.epsilon"]
    assert load(tmp_path / "run" / "champion.yaml").network.layers in (0, 1)


def test_two_objectives_leave_a_front(tmp_path):
    words = ["search={kind: nsga2, population: 8}", "fitness=[{metric: score}, {metric: activity, goal: minimise}]"]
    search(small(*words), tmp_path / "run")
    front = json.loads((tmp_path / "run" / "pareto.json").read_text())
    assert front["objectives"] == ["score", "-activity"]
    assert 1 <= len(front["front"]) <= len(front["points"]) == 8


def test_quality_diversity_leaves_an_archive(tmp_path):
    measures = "[{metric: activity, low: 0, high: 1, cells: 5}]"
    search(small(f"search={{kind: map_elites, population: 8, measures: {measures}}}"), tmp_path / "run")
    archive = json.loads((tmp_path / "run" / "archive.json").read_text())
    assert archive["shape"] == [5]
    assert 1 <= len(archive["cells"]) <= 5
