"""NSGA-II: fronts and crowding by hand, children by known laws, and a known front reached."""

import pytest
import torch
from searching import ZDT1_GENES, build, hypervolume, live, zdt1

from metaplastic import rng
from metaplastic.outer_loop.pareto import best_first, crowding, dominates, fronts
from metaplastic.outer_loop.variation import crossover, mutate


def table(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_hypervolume_by_hand():
    assert hypervolume(table([0.0, -1.0], [-1.0, 0.0])) == pytest.approx(1.1 * 0.1 + 0.1 * 1.0)


def test_dominance_by_hand():
    fitness = table([1, 1], [2, 1], [1, 2], [2, 1])
    beats = [(i, j) for i in range(4) for j in range(4) if dominates(fitness)[i, j]]
    assert beats == [(1, 0), (2, 0), (3, 0)]


def test_fronts_by_hand():
    fitness = table([1, 5], [3, 3], [5, 1], [2, 2], [1, 1], [4, 1], [0, 0])
    assert fronts(fitness).tolist() == [0, 0, 0, 1, 2, 1, 3]


def test_fronts_are_not_counts_of_dominators():
    fitness = table([3, 3], [3, 2], [2, 3], [1, 1])
    assert fronts(fitness).tolist() == [0, 1, 1, 2]
    assert dominates(fitness).sum(0).tolist() == [0, 1, 1, 3]


def test_crowding_by_hand():
    fitness = table([0, 10], [2, 6], [3, 5], [10, 0], [-1, -1])
    expected = [torch.inf, 3 / 10 + 5 / 10, 8 / 10 + 6 / 10, torch.inf, torch.inf]
    assert crowding(fitness, fronts(fitness)).tolist() == pytest.approx(expected)


def test_crowding_of_a_constant_objective_is_finite_inside():
    fitness = table([0, 7], [1, 7], [5, 7])
    assert crowding(fitness, torch.zeros(3, dtype=torch.int64)).tolist() == [torch.inf, 1.0, torch.inf]


def test_survivors_are_fronts_then_room():
    front, room = torch.tensor([1, 0, 0, 1, 0]), table(9, 1, 3, torch.inf, 2)
    assert best_first(front, room).tolist() == [2, 4, 1, 3, 0]


def test_the_ends_of_a_front_survive():
    x = table(0.0, 0.03, 0.06, 0.31, 0.4, 0.6, 0.61, 0.62, 0.8, 1.0)
    searcher = build("nsga2", population=10, genes=1, objectives=2)
    searcher.ask()
    searcher.tell(torch.stack([x, 1 - x], dim=1))
    assert {0.0, 1.0} <= set(searcher.fitness[:2, 0].tolist())


def test_a_tournament_goes_to_the_better_front_then_to_more_room():
    searcher = build("nsga2", population=4, genes=1, objectives=2)
    searcher.front, searcher.room = torch.tensor([1, 0, 0]), table(torch.inf, 0.5, 2.0)
    winners = torch.bincount(searcher._tournament(rng.root(3), 9000), minlength=3) / 9000
    torch.testing.assert_close(winners, torch.tensor([1 / 9, 3 / 9, 5 / 9]), atol=0.02, rtol=0)


def test_crossover_keeps_the_middle_of_two_parents_far_from_the_faces():
    one, other = torch.full((4000, 3), 0.49).double(), torch.full((4000, 3), 0.51).double()
    left, right = crossover(rng.root(1), one, other, 1.0, 20.0)
    torch.testing.assert_close(left + right, one + other)
    assert 0.4 < float((left != one).double().mean()) < 0.6


def test_crossover_spreads_as_published():
    """Deb & Agrawal 1995: P(spread <= 1) = 1/2, and the density inside is (eta + 1) s^eta / 2."""
    one, other = torch.full((30_000, 1), 0.499).double(), torch.full((30_000, 1), 0.501).double()
    left, right = crossover(rng.root(2), one, other, 1.0, 4.0)
    spread = ((left - right).abs() / 0.002)[(left != one) & (left != other)]
    assert float((spread <= 1).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(spread[spread <= 1].mean()) == pytest.approx(5 / 6, abs=0.01)


def test_pairs_are_crossed_with_their_probability_and_genes_never_invented():
    generator = torch.Generator().manual_seed(3)
    one, other = (torch.rand(5000, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    left, right = crossover(rng.root(4), one, other, 0.3, 20.0)
    untouched = ((left == one) & (right == other)).all(dim=1).double().mean()
    assert float(untouched) == pytest.approx(1 - 0.3 * 0.75, abs=0.02)
    never = crossover(rng.root(4), one, other, 0.0, 20.0)
    assert torch.equal(torch.cat(never), torch.cat([one, other]))
    twins = crossover(rng.root(4), one, one, 1.0, 20.0)
    assert torch.equal(torch.cat(twins), torch.cat([one, one]))


def test_children_do_not_pile_up_on_a_face():
    """With an unbounded crossover, clipped, one in seventeen of these would be 0."""
    one, other = (torch.full((4000, 1), place, dtype=torch.float64) for place in (0.1, 0.3))
    children = torch.cat(crossover(rng.root(1), one, other, 1.0, 2.0))
    assert float(children.min()) > 0
    assert float((children < 0.05).double().mean()) > 0.02


def test_children_stay_in_the_cube_and_reach_its_faces():
    generator = torch.Generator().manual_seed(5)
    one, other = (torch.rand(5000, 2, generator=generator, dtype=torch.float64) ** 8 for _ in range(2))
    children = torch.cat(crossover(rng.root(6), one, other, 1.0, 2.0))
    for genomes in (children, mutate(rng.root(7), one, 1.0, 1.0), mutate(rng.root(7), one * 0, 1.0, 20.0)):
        assert genomes.isfinite().all()
        assert ((genomes >= 0) & (genomes <= 1)).all()
    assert float(mutate(rng.root(8), one * 0, 1.0, 20.0).max()) > 0.1


def test_mutation_by_hand():
    """(4) and (5) at the middle of the cube with eta = 1."""
    genomes = torch.full((40_000, 1), 0.5, dtype=torch.float64)
    change = (mutate(rng.root(9), genomes, 1.0, 1.0) - 0.5)[:, 0]
    assert float(change.mean()) == pytest.approx(0.0, abs=0.005)
    u = 0.25
    quarter = (2 * u + (1 - 2 * u) * 0.5**2) ** 0.5 - 1
    assert float(change.quantile(0.25)) == pytest.approx(quarter, abs=0.005)


def test_mutation_hits_one_gene_in_g_by_default():
    genomes = torch.full((3000, 10), 0.5, dtype=torch.float64)
    changed = (mutate(rng.root(1), genomes, 0.1, 20.0) != 0.5).double().mean()
    assert float(changed) == pytest.approx(0.1, abs=0.01)


def test_zdt1_is_solved():
    """The ideal area is 0.877; 8 searches reached 0.858 to 0.861."""
    for seed in (1, 2):
        searcher = build("nsga2", seed, genes=ZDT1_GENES, objectives=2, start=0.5, population=40)
        live("nsga2", searcher, zdt1, 150)
        assert hypervolume(searcher.fitness) > 0.85


def test_it_beats_random_search_with_as_many_lives():
    nsga2, by_chance = (
        torch.cat(live(kind, build(kind, genes=ZDT1_GENES, objectives=2, population=40), zdt1, 40))
        for kind in ("nsga2", "random")
    )
    assert hypervolume(zdt1(nsga2)) > hypervolume(zdt1(by_chance)) + 0.3


def test_a_survivor_keeps_the_fitness_it_was_born_with():
    searcher = build("nsga2", population=6, genes=2, objectives=2)
    first = searcher.ask()
    searcher.tell(torch.stack([first[:, 0], -first[:, 0]], dim=1))
    searcher.ask()
    searcher.tell(torch.full((6, 2), -9.0))
    assert torch.equal(searcher.genomes.sort(dim=0).values, first.sort(dim=0).values)
