"""The contract of every searcher."""

import random
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from searching import GENES, KINDS, POPULATION, behaviour, build, live, outwards, rastrigin, settings, sphere

from metaplastic.core import ConfigError
from metaplastic.outer_loop.failed_fitness import LOWEST, settle
from metaplastic.outer_loop.searchers import SEARCHERS
from metaplastic.outer_loop.unit_cube import reflect

every_kind = pytest.mark.parametrize("kind", KINDS)
every_learner = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "random"])


def shake(seed):
    """Leave the global generators anywhere."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def global_generators():
    """PyTorch's and NumPy's; Python's is used by the type checker of the tests and is watched in the fresh process."""
    return torch.get_rng_state().tolist(), str(np.random.get_state())  # noqa: NPY002


@every_kind
def test_each_generation_is_a_population_of_the_unit_cube(kind):
    for genomes in live(kind, build(kind), outwards, 12):
        assert genomes.shape == (POPULATION, GENES)
        assert genomes.dtype == torch.float64
        assert type(genomes) is torch.Tensor
        assert ((genomes >= 0) & (genomes <= 1)).all()


@every_kind
def test_a_search_is_repeated_by_its_seed_and_not_by_another(kind):
    first, again, other = (live(kind, build(kind, seed), sphere, 4) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@every_kind
def test_generations_differ(kind):
    lived = live(kind, build(kind), sphere, 5)
    assert len({tuple(genomes.flatten().tolist()) for genomes in lived}) == 5


@every_kind
def test_a_search_goes_on_bit_exactly_from_any_state(kind):
    searcher, states, lived = build(kind), [], []
    for _ in range(7):
        states.append(searcher.state())
        lived += live(kind, searcher, rastrigin, 1)
    for generation, state in enumerate(states):
        shake(generation)
        other = build(kind, seed=99)
        other.restore(state)
        rest = live(kind, other, rastrigin, 7 - generation)
        assert all(torch.equal(a, b) for a, b in zip(lived[generation:], rest, strict=True))


@every_kind
def test_a_search_goes_on_bit_exactly_from_between_ask_and_tell(kind):
    searcher = build(kind)
    live(kind, searcher, sphere, 2)
    asked = searcher.ask()
    other = build(kind, seed=99)
    other.restore(searcher.state())
    assert torch.equal(other.ask(), asked)
    assert torch.equal(live(kind, other, sphere, 3)[-1], live(kind, searcher, sphere, 3)[-1])


def test_every_search_goes_on_bit_exactly_in_a_fresh_process_in_silence_and_without_ray(tmp_path):
    wanted = {}
    for kind in KINDS:
        searcher = build(kind)
        live(kind, searcher, sphere, 3)
        (tmp_path / kind).write_bytes(searcher.state())
        wanted[kind] = live(kind, searcher, sphere, 2)[-1]
    program = (
        "import random, sys, ray, torch; from searching import *; folder = sys.argv[1]\n"
        "for kind in KINDS: build(kind)\n"
        "torch.manual_seed(1); random.seed(2); before = random.getstate()\n"
        "for kind in KINDS:\n"
        "    searcher = build(kind, seed=99); searcher.restore(open(f'{folder}/{kind}', 'rb').read())\n"
        "    torch.save(live(kind, searcher, sphere, 2)[-1], f'{folder}/{kind}.pt')\n"
        "assert random.getstate() == before and not ray.is_initialized()\n"
    )
    paths = [p for p in sys.path if p]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}\n{program}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    for kind in KINDS:
        assert torch.equal(torch.load(tmp_path / f"{kind}.pt"), wanted[kind]), kind


@every_kind
def test_global_generators_are_left_alone(kind):
    shake(11)
    before = global_generators()
    searcher = build(kind)
    live(kind, searcher, sphere, 3)
    searcher.restore(searcher.state())
    searcher.ask()
    assert global_generators() == before


@every_kind
def test_what_ask_gave_is_given_again_and_belongs_to_the_asker(kind):
    searcher, twin = build(kind), build(kind)
    genomes = searcher.ask()
    genomes.zero_()
    assert torch.equal(searcher.ask(), twin.ask())
    searcher.tell(sphere(twin.ask()), behaviour(kind, twin.ask()))
    twin.tell(sphere(twin.ask()), behaviour(kind, twin.ask()))
    assert torch.equal(searcher.ask(), twin.ask())


@every_kind
def test_a_refused_tell_changes_nothing(kind):
    searcher, twin = build(kind), build(kind)
    with pytest.raises(ValueError, match="tell came before ask"):
        searcher.tell(torch.zeros(POPULATION, 1), behaviour(kind, torch.zeros(POPULATION, GENES)))
    live(kind, searcher, sphere, 2)
    live(kind, twin, sphere, 2)
    genomes = searcher.ask()
    fitness, measures = sphere(genomes), behaviour(kind, genomes)
    broken = fitness.clone()
    broken[3] = torch.nan
    with pytest.raises(ValueError, match=r"1 of 14 rows of fitness are not finite; tell settle"):
        searcher.tell(broken, measures)
    with pytest.raises(ValueError, match=r"fitness has shape \(14, 2\), wanted \(14, 1\)"):
        searcher.tell(fitness.expand(-1, 2), measures)
    searcher.tell(fitness, measures)
    twin.tell(sphere(twin.ask()), behaviour(kind, twin.ask()))
    assert torch.equal(searcher.ask(), twin.ask())


@every_kind
def test_fitness_of_any_precision_will_do(kind):
    searcher, twin = build(kind), build(kind)
    genomes = searcher.ask()
    fitness = sphere(genomes).to(torch.float32)
    searcher.tell(fitness, behaviour(kind, genomes))
    twin.ask()
    twin.tell(fitness.double(), behaviour(kind, genomes))
    assert torch.equal(searcher.ask(), twin.ask())


@every_kind
def test_a_generation_of_failures_does_not_end_the_search(kind):
    searcher = build(kind)
    for _ in range(3):
        genomes = searcher.ask()
        settled = settle(torch.full((POPULATION, 1), torch.nan))
        axes = {"first": genomes[:, 0], "second": genomes[:, 1]}
        searcher.tell(settled.fitness, settings(kind).behaviour(axes, settled.failed))
    assert searcher.ask().isfinite().all()
    start = float(sphere(searcher.ask()).max())
    assert max(float(sphere(genomes).max()) for genomes in live(kind, searcher, sphere, 25)) > start


@cache
def median_best(kind, landscape):
    """The best of 40 generations of 24; median of three searches."""
    searches = (live(kind, build(kind, seed, population=24), landscape, 40) for seed in (1, 2, 3))
    return float(np.median([float(landscape(torch.cat(lived)).max()) for lived in searches]))


@pytest.mark.parametrize("landscape", [sphere, rastrigin])
@every_learner
def test_it_beats_random_search_with_as_many_lives(kind, landscape):
    assert median_best(kind, landscape) > median_best("random", landscape)


@every_learner
def test_failed_lives_do_not_lead_the_search(kind):
    def deadly(genomes):
        return sphere(genomes).masked_fill((genomes[:, :1] - 0.3).abs() > 0.25, torch.nan)

    searcher, died = build(kind, population=24), []
    for _ in range(30):
        genomes = searcher.ask()
        settled = settle(deadly(genomes))
        axes = {"first": genomes[:, 0], "second": genomes[:, 1]}
        searcher.tell(settled.fitness, settings(kind).behaviour(axes, settled.failed))
        died.append(int(settled.failed.sum()))
    assert sum(died[-5:]) < sum(died[:5])


@every_kind
def test_settings_survive_being_written(kind):
    written = settings(kind).model_dump()
    assert written["kind"] == kind
    assert SEARCHERS[kind].model_validate(written) == settings(kind)


@every_kind
def test_a_search_is_not_resumed_with_other_settings(kind):
    state = build(kind).state()
    with pytest.raises(ValueError, match=r"the saved search has settings .* resume with the experiment that began it"):
        build(kind, population=18).restore(state)
    with pytest.raises(ValueError, match="the saved search has genes 6 and this one 5"):
        build(kind, genes=5).restore(state)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("random", "nsga2")])
def test_one_objective_is_all_that_most_can_maximise(kind):
    with pytest.raises(ConfigError, match=f"{kind} maximises one objective and fitness has 2; use kind: nsga2"):
        build(kind, objectives=2)


@pytest.mark.parametrize("kind", ["cmaes", "genetic", "cosyne"])
def test_a_single_gene_is_refused_by_those_that_need_two(kind):
    with pytest.raises(ConfigError, match=f"{kind} needs at least 2 genes and the experiment has 1"):
        build(kind, genes=1)


@pytest.mark.parametrize("kind", ["snes", "xnes", "pgpe", "cem", "nsga2", "random"])
def test_a_single_gene_is_enough_for_the_others(kind):
    assert float(live(kind, build(kind, genes=1), sphere, 20)[-1].std()) < 0.5


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "pgpe",
            {"population": 15},
            "population is 15, wanted an even number, because pgpe samples mirrored pairs; use 16",
        ),
        ("snes", {"population": 3}, r"is 3, wanted a whole number in \[4, 1e\+06\]"),
        ("snes", {"population": "many"}, r"is 'many', wanted a whole number in \[4, 1e\+06\] "),
        ("snes", {"sigma": float("nan")}, r"is nan, wanted a number in \(0, 1\]"),
        ("snes", {"sigma": {"gene": [0.1, 0.2]}}, "the settings of a search do not evolve"),
        ("snes", {"sigma": 0.3}, r"sigma is 0.3, wanted a number between narrowest \(1e-06\) and widest \(0.2\)"),
        ("cem", {"population": 8, "elite": 0.1}, "elite is 0.1 of a population of 8, wanted at least 2 genomes"),
        ("genetic", {"population": 15}, "leaves 13 children; wanted an even number of at least 2"),
        ("cosyne", {"elites": 9}, "elites is 9, wanted at most a quarter of the population of 14"),
        ("map_elites", {"measures": ()}, "measures is empty, wanted at least one"),
        ("map_elites", {"emitters": 4}, "emitters is 4 of a population of 14, wanted equal shares of at least 4"),
        ("nsga2", {"popsize": 7}, "popsize"),
    ],
)
def test_wrong_settings_say_what_is_wrong(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        settings(kind, **changes)


def test_a_start_outside_the_cube_is_refused():
    with pytest.raises(ConfigError, match=r"wanted 6 numbers in \[0, 1\], one a gene"):
        build("snes", start=1.5)


@pytest.mark.parametrize("kind", ["genetic", "cosyne", "nsga2", "map_elites", "random"])
def test_searchers_without_a_centre_live_the_start_first(kind):
    assert torch.equal(build(kind).ask()[0], torch.full((GENES,), 0.45).double())


@pytest.mark.parametrize("kind", ["genetic", "cosyne"])
def test_elites_live_again_unchanged(kind):
    first, second = live(kind, build(kind, elites=2), sphere, 2)
    best = first[sphere(first)[:, 0].argsort(descending=True)[:2]]
    assert all((second == elite).all(dim=1).any() for elite in best)


def test_mirrored_pairs_stay_mirrored():
    genomes = build("pgpe", sigma=0.05).ask()
    torch.testing.assert_close((genomes[0::2] + genomes[1::2]) / 2, torch.full((POPULATION // 2, GENES), 0.45).double())


def test_a_searcher_that_failed_in_the_middle_is_not_used_again(monkeypatch):
    searcher = build("cmaes")
    state = searcher.state()
    genomes = searcher.ask()
    monkeypatch.setattr(searcher.engine, "update_sigma", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        searcher.tell(sphere(genomes))
    for act in (lambda: searcher.tell(sphere(genomes)), searcher.state):
        with pytest.raises(RuntimeError, match="failed in the middle of an update; restore its last state"):
            act()
    searcher.restore(state)
    assert torch.equal(searcher.ask(), genomes)


@pytest.mark.parametrize("kind", ["snes", "xnes", "pgpe", "cem", "cmaes"])
def test_a_gaussian_stays_within_its_widths(kind):
    searcher = build(kind, widest=0.16, narrowest=0.1)
    spreads = [float(genomes.std(dim=0).mean()) for genomes in live(kind, searcher, outwards, 15)]
    assert max(spreads) < 0.25
    searcher = build(kind, widest=0.16, narrowest=0.1, population=24)
    spreads = [float(genomes.std(dim=0).max()) for genomes in live(kind, searcher, sphere, 40)]
    assert spreads[-1] > 0.06


def test_learning_runs_on_one_thread_and_gives_the_others_back(monkeypatch):
    searcher, threads, seen = build("snes"), torch.get_num_threads(), []
    propose = searcher.propose
    monkeypatch.setattr(searcher, "propose", lambda: seen.append(torch.get_num_threads()) or propose())
    searcher.ask()
    assert seen == [1]
    assert torch.get_num_threads() == threads


def test_reflection_by_hand():
    points = torch.tensor([[-0.25, 0.0, 0.3, 1.0, 1.25, 2.0, 2.5, -1.75, 3.75]], dtype=torch.float64)
    folded = torch.tensor([[0.25, 0.0, 0.3, 1.0, 0.75, 0.0, 0.5, 0.25, 0.25]], dtype=torch.float64)
    assert torch.equal(reflect(points), folded)


def test_reflection_leaves_the_cube_as_it_is_and_never_leaves_it():
    generator = torch.Generator().manual_seed(1)
    inside = torch.rand(5, 700, generator=generator, dtype=torch.float64)
    assert torch.equal(reflect(inside), inside)
    far = 1e6 * torch.randn(5, 700, generator=generator, dtype=torch.float64)
    assert ((reflect(far) >= 0) & (reflect(far) <= 1)).all()
    assert float(reflect(torch.tensor([[-1e-320]], dtype=torch.float64))) <= 1


def test_failures_are_below_the_worst_in_every_objective():
    fitness = torch.tensor([[1.0, 5.0], [torch.nan, 9.0], [3.0, -2.0], [4.0, torch.inf], [-torch.inf, 0.0]])
    settled = settle(fitness)
    assert settled.failed.tolist() == [False, True, False, True, True]
    assert torch.equal(settled.fitness[~settled.failed], fitness[[0, 2]].double())
    assert settled.fitness[settled.failed].tolist() == [[0.0, -3.0]] * 3


def test_failures_are_strictly_worse_at_any_magnitude():
    settled = settle(torch.tensor([[1e30], [torch.nan], [-3e38]], dtype=torch.float32))
    assert settled.fitness[1] < settled.fitness[2]
    assert settled.fitness.isfinite().all()


def test_a_generation_of_failures_is_constant():
    settled = settle(torch.full((5, 2), torch.nan))
    assert settled.failed.all()
    assert torch.equal(settled.fitness, torch.full((5, 2), LOWEST, dtype=torch.float64))
