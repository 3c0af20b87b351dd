"""Whole searches with a fault in the middle leave the history, the champion and the checkpoints of the undisturbed."""

import json

import pytest
import torch
import yaml
from small_search import history, small
from toy_evaluators import Sabotaged, Sphere

from metaplastic.core import ConfigError
from metaplastic.platform import checkpoint as checkpoints
from metaplastic.platform import search as searches
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.executor import make_executor
from metaplastic.platform.faults import FAULTS
from metaplastic.platform.quarantine import QUARANTINE, entries, live_again
from metaplastic.platform.ray_pool import RayExecutor
from metaplastic.platform.search import search

WORKERS = "execution.workers=2"
PATIENCE = {"kill": "execution.patience={}", "stop": "execution.patience={multiple: 4, floor: 4, grace: 60}"}
VICTIM = 4
"""an individual of generation 1"""


@pytest.fixture(scope="module")
def ray_is_there():
    """One Ray for all searches: those that find it leave it."""
    with RayExecutor(Sphere(), workers=2, chunk=3):
        yield


@pytest.fixture(scope="module", autouse=True)
def no_report():
    """Reports are drawn elsewhere, and take longer than these searches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metaplastic.platform.finish.write_report", lambda run: run / "report.html")
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    search(small(), run)
    return run


@pytest.fixture(scope="module")
def gene():
    """The first gene of the victim: genomes of a generation follow from the seed, and no other individual has it."""
    experiment = small()
    searcher = searches.new_searcher(experiment, genome_of(experiment))
    genomes = searcher.ask()
    result = evaluate(experiment, genomes, generation_key(experiment.seed, 0))
    settings = experiment.search
    failed = torch.zeros(len(genomes), dtype=torch.bool)
    searcher.tell(result.fitness.double(), settings.behaviour(result.metrics, failed))
    return float(searcher.ask()[VICTIM, 0])


@pytest.fixture
def sabotage(monkeypatch, tmp_path, gene):
    def plant(how, always=False):
        def sabotaged(evaluator, *words, **options):
            return make_executor(Sabotaged(evaluator, tmp_path, gene, how, always), *words, **options)

        monkeypatch.setattr(searches, "make_executor", sabotaged)

    return plant


def faults(run):
    """What the records of a run's generations say, added up."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(set(record["faults"]) == set(FAULTS) for record in records)
    return {name: [record["faults"][name] for record in records] for name in FAULTS}


def left(run):
    """Of a finished run: the champion, the bytes of its arrays and of its last checkpoint's, and what is asked next.

    The bytes of the searcher's pickle hold addresses, so it is asked instead; what tells of workers is left
    out; earlier checkpoints are written by the clock.
    """
    champion = yaml.safe_load((run / "champion.yaml").read_text())
    champion.pop("execution")
    last = run / "checkpoints" / "generation-00000003"
    files = [last / "arrays.safetensors", last / "state.json", run / "champion.json", run / "comparison.json"]
    experiment = small()
    searcher = searches.new_searcher(experiment, genome_of(experiment))
    searcher.restore(checkpoints.load(run / "checkpoints").searcher)
    return champion, [path.read_bytes() for path in files], searcher.ask().tolist()


@pytest.mark.usefixtures("ray_is_there")
@pytest.mark.parametrize(("how", "name"), [("kill", "workers_lost"), ("stop", "hung")])
def test_a_worker_lost_in_the_middle_leaves_the_same_run(undisturbed, tmp_path, sabotage, how, name):
    sabotage(how)
    search(small(WORKERS, PATIENCE[how]), tmp_path / "run")
    assert (tmp_path / "wrong-0").exists()
    seen = faults(tmp_path / "run")
    assert seen[name][1] >= 1
    assert seen["retries"][1] >= 1
    assert not (tmp_path / "run" / QUARANTINE).exists()
    assert history(tmp_path / "run") == history(undisturbed)
    assert left(tmp_path / "run") == left(undisturbed)


@pytest.mark.usefixtures("ray_is_there")
def test_a_poisonous_individual_is_the_worst_is_kept_and_can_be_lived_again(tmp_path, sabotage, gene):
    sabotage("kill", always=True)
    search(small(), tmp_path / "here", stop_after=1)  # in this process it raises
    search(small(WORKERS, "execution.attempts=1"), tmp_path / "run", stop_after=1)
    assert history(tmp_path / "run") == history(tmp_path / "here")
    assert history(tmp_path / "run")[1]["failed"] == 1
    seen = faults(tmp_path / "run")
    assert seen["workers_lost"][1] >= 3
    assert seen["bisected"][1] >= 1
    assert seen["quarantined"][:2] == [0, 1]
    entry, other = entries(tmp_path / "run")[0], entries(tmp_path / "here")[0]
    assert (entry["generation"], entry["individual"], entry["kind"]) == (1, VICTIM, "died")
    assert (other["kind"], other["genome"]) == ("raised", entry["genome"])
    assert entry["genome"][0] == gene
    experiment, genome = small(), torch.tensor([entry["genome"]], dtype=torch.float64)
    fitness = evaluate(experiment, genome, generation_key(experiment.seed, 1)).fitness.item()
    assert f"fitness {fitness:.6g}" in live_again(tmp_path / "run", 0)
    with pytest.raises(ConfigError, match="--quarantined: is 7"):
        live_again(tmp_path / "run", 7)


def test_the_first_failure_stops_the_search_where_that_is_asked_for(tmp_path, sabotage):
    sabotage("raise", always=True)
    with pytest.raises(ConfigError, match="individual 4 of generation 1 failed: ValueError: this genome is poison"):
        search(small("execution.on_failure=raise"), tmp_path / "run")
    lines = (tmp_path / "run" / "failures.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["trace"].count("Traceback (most recent call last)") == 1


def test_gpu_workers_without_a_gpu_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"execution\.gpus: is 0 with device cuda and 2 workers"):
        search(small("execution.workers=2", "execution.device=cuda"), tmp_path / "run")
