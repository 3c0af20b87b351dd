"""MAP-Elites: what enters the archive, and that it fills."""

import pytest
import torch
from searching import build, live, outwards, settings, sphere

from metaplastic.core import ConfigError
from metaplastic.outer_loop.quality_diversity import Measure

KINDS = {"grid": {}, "sobol": {"niches": 23}, "cma": {"emitter": "cma", "emitters": 3, "population": 15}}


def told(fitness, measures):
    searcher = build("map_elites", population=5, measures=(Measure(metric="a", low=0.0, high=1.0, cells=4),))
    genomes = searcher.ask()
    searcher.tell(torch.tensor(fitness)[:, None], torch.tensor(measures)[:, None])
    return genomes, searcher.archive()


def test_each_cell_keeps_its_fittest():
    genomes, archive = told([1.0, 3.0, 2.0, -5.0, 0.5], [0.1, 0.2, 0.24, 0.6, 0.9])
    assert torch.equal(archive.genomes, genomes[[1, 3, 4]])
    assert archive.fitness.tolist() == [3.0, -5.0, 0.5]
    torch.testing.assert_close(archive.measures[:, 0], torch.tensor([0.2, 0.6, 0.9]).double())
    assert archive.coverage == 0.75


def test_failed_lives_never_enter_the_archive():
    nan = torch.nan
    genomes, archive = told([1.0, 3.0, 2.0, -5.0, 0.5], [0.1, nan, nan, 0.6, torch.inf])
    assert torch.equal(archive.genomes, genomes[[0, 3]])
    assert archive.measures.isfinite().all()


def test_measures_beyond_a_range_count_for_the_cell_at_its_end():
    _, archive = told([1.0, 3.0, 2.0, 4.0, 5.0], [-7.0, 0.1, 1.0, 1.3, 0.5])
    assert archive.fitness.tolist() == [3.0, 5.0, 4.0]


@pytest.mark.parametrize("changes", KINDS.values(), ids=list(KINDS))
def test_the_archive_fills_and_improves(changes):
    searcher = build("map_elites", **changes)
    live("map_elites", searcher, outwards, 3)
    early = searcher.archive()
    live("map_elites", searcher, outwards, 40)
    late = searcher.archive()
    assert late.coverage > max(0.8, early.coverage)
    assert float(late.fitness.mean()) > float(early.fitness.mean()) + 0.1
    torch.testing.assert_close(outwards(late.genomes)[:, 0], late.fitness)
    torch.testing.assert_close(late.genomes[:, :2], late.measures)


@pytest.mark.parametrize("changes", KINDS.values(), ids=list(KINDS))
def test_it_goes_on_bit_exactly_with_its_archive(changes):
    searcher, other = build("map_elites", **changes), build("map_elites", seed=9, **changes)
    live("map_elites", searcher, sphere, 4)
    other.restore(searcher.state())
    lived = [live("map_elites", each, sphere, 4)[-1] for each in (searcher, other)]
    assert torch.equal(*lived)
    assert torch.equal(searcher.archive().genomes, other.archive().genomes)


@pytest.mark.parametrize("changes", KINDS.values(), ids=list(KINDS))
def test_it_lives_through_failed_generations(changes):
    searcher = build("map_elites", **changes)
    population = len(searcher.ask())
    for _ in range(3):
        searcher.ask()
        searcher.tell(torch.full((population, 1), -1e30), torch.full((population, 2), torch.nan))
    assert searcher.archive().coverage == 0.0
    live("map_elites", searcher, sphere, 2)
    assert searcher.archive().coverage > 0.0
    before = searcher.archive().fitness
    searcher.ask()
    searcher.tell(torch.full((population, 1), -1e30), torch.full((population, 2), torch.nan))
    assert torch.equal(searcher.archive().fitness, before)


def test_niches_do_not_depend_on_the_seed():
    first, other = (build("map_elites", seed, niches=23) for seed in (1, 2))
    assert (first.store.centroids == other.store.centroids).all()


def test_behaviour_is_the_mean_of_a_metric_and_absent_for_failed_lives():
    metrics = {"first": torch.tensor([[1.0, 3.0], [5.0, 5.0]]), "second": torch.tensor([7.0, 8.0])}
    behaviour = settings("map_elites").behaviour(metrics, torch.tensor([False, True]))
    assert behaviour is not None
    assert behaviour[0].tolist() == [2.0, 7.0]
    assert behaviour[1].isnan().all()


def test_a_metric_that_is_not_measured_is_named():
    with pytest.raises(ConfigError, match=r"no metric 'second' \(did you mean 'seconds'\?\); there are first, seconds"):
        settings("map_elites").behaviour(
            {"first": torch.zeros(3), "seconds": torch.zeros(3)}, torch.zeros(3, dtype=torch.bool)
        )


def test_tell_wants_a_row_of_measures_a_genome():
    searcher = build("map_elites")
    fitness = sphere(searcher.ask())
    for measures in (None, torch.zeros(14, 3)):
        with pytest.raises(
            ValueError, match=r"measures has shape .*, wanted \(14, 2\): tell\(fitness, settings.behaviour"
        ):
            searcher.tell(fitness, measures)
    other = build("snes")
    other.ask()
    with pytest.raises(ValueError, match="only quality-diversity searchers take them"):
        other.tell(fitness, torch.zeros(14, 2))


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))])
def test_a_range_has_two_finite_ends(low, high):
    with pytest.raises(ValueError, match="wanted finite ends, the smaller first"):
        Measure(metric="a", low=low, high=high)
