"""What EvoTorch 0.6.1 does that would hurt a search, and that it does not happen here.

Where a test fails because EvoTorch has changed for the better, the guard that it names may go.
"""

import pytest
import torch
from searching import KINDS, ZDT1_GENES, build, hypervolume, live, sphere, zdt1

from metaplastic.outer_loop import evotorch_searchers  # silences the import of EvoTorch itself
from metaplastic.outer_loop.failed_fitness import settle
from metaplastic.outer_loop.pareto import best_first, crowding, fronts

evotorch = pytest.importorskip("evotorch")


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def plain_problem(evaluate, **changes):
    class Plain(evotorch.Problem):
        def _evaluate_all(self, batch):
            batch.set_evals(evaluate(batch.access_values(keep_evals=True)))

    options = {"objective_sense": "max", "solution_length": 3, "initial_bounds": (0, 1), "seed": 1, **changes}
    return Plain(dtype=torch.float64, **options)


@pytest.mark.parametrize("method", ["nes", "centered", "linear"])
def test_a_nan_would_rank_as_the_best_and_is_settled_before(method):
    from evotorch.tools.ranking import rankers

    fitness = column(1.0, torch.nan, 3.0, 2.0)
    assert rankers[method](fitness[:, 0], higher_is_better=True).argmax() == 1
    utilities = rankers[method](settle(fitness).fitness[:, 0], higher_is_better=True)
    assert utilities[1] == utilities.min()
    assert utilities.argmax() == 2


def test_a_nan_in_the_first_generation_would_stop_the_search_and_does_not():
    from evotorch.algorithms import SNES

    problem = plain_problem(lambda genomes: torch.full((len(genomes),), torch.nan))
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'evals'"):
        SNES(problem, stdev_init=0.1, popsize=6).step()
    searcher = build("snes")
    searcher.tell(settle(torch.full_like(sphere(searcher.ask()), torch.nan)).fitness)
    assert searcher.ask().isfinite().all()


@pytest.mark.parametrize("name", ["SNES", "XNES"])
def test_a_failed_step_would_move_the_gaussian_and_a_refused_tell_does_not(name):
    outcome = [True]

    def evaluate(genomes):
        if outcome[0]:
            raise OSError("worker lost")
        return sphere(genomes)

    algorithm = getattr(evotorch.algorithms, name)
    problem = plain_problem(evaluate, store_solution_stats=False)
    engine = algorithm(problem, stdev_init=0.1, popsize=6, center_init=torch.full((3,), 0.5, dtype=torch.float64))
    with pytest.raises(OSError, match="worker lost"):
        engine.step()
    outcome[0] = False
    engine._first_iter = False
    engine.step()
    assert not torch.equal(torch.as_tensor(engine.status["center"]), torch.full((3,), 0.5).double())

    searcher = build(name.lower())
    genomes = searcher.ask()
    center = torch.as_tensor(searcher.engine.status["center"]).clone()
    with pytest.raises(ValueError, match="not finite"):
        searcher.tell(torch.full((len(genomes), 1), torch.nan))
    assert torch.equal(searcher.ask(), genomes)
    assert torch.equal(torch.as_tensor(searcher.engine.status["center"]), center)


def test_the_ends_of_a_front_would_be_dropped_and_are_not():
    x = torch.tensor([0.0, 0.03, 0.05, 0.31, 0.4, 0.6, 0.61, 0.62, 0.8, 1.0], dtype=torch.float64)
    fitness = torch.stack([x, 1 - x], dim=1)
    problem = plain_problem(lambda _: fitness, objective_sense=["max", "max"], store_solution_stats=False)
    batch = problem.generate_batch(10)
    problem.evaluate(batch)
    assert not {0.0, 1.0} <= set(batch.take_best(5).evals[:, 0].tolist())
    front = fronts(fitness)
    kept = x[best_first(front, crowding(fitness, front))[:5]]
    assert {0.0, 1.0} <= set(kept.tolist())


def test_those_survivors_would_cover_less_of_a_front(monkeypatch):
    """Eight searches each: 0.818 to 0.848 with EvoTorch's survivors, 0.858 to 0.861 with ours; ideal 0.877."""
    ours, theirs = (build("nsga2", 1, genes=ZDT1_GENES, objectives=2, start=0.5, population=40) for _ in range(2))
    live("nsga2", ours, zdt1, 150)
    senses = ["max", "max"]
    problem = plain_problem(zdt1, objective_sense=senses, solution_length=ZDT1_GENES, store_solution_stats=False)

    def learn(asked, fitness, measures):
        batch = evotorch.SolutionBatch(problem, popsize=len(theirs.genomes) + len(asked), empty=True)
        batch.set_values(torch.cat([theirs.genomes, asked]))
        batch.set_evals(torch.cat([theirs.fitness, fitness]))
        kept = batch.take_best(40)
        theirs.genomes, theirs.fitness = evotorch_searchers.values_of(kept), kept.access_evals()
        theirs.front = fronts(theirs.fitness)
        theirs.room = crowding(theirs.fitness, theirs.front)

    monkeypatch.setattr(theirs, "learn", learn)
    live("nsga2", theirs, zdt1, 150)
    assert hypervolume(ours.fitness) > hypervolume(theirs.fitness) + 0.005


def test_limits_of_a_full_covariance_would_break_it_and_ours_do_not():
    from evotorch.algorithms.cmaes import _limit_stdev

    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    limited = _limit_stdev(torch.tensor(1.0).double(), covariance, None, 0.5)
    assert torch.linalg.eigvalsh(limited).min() < 0
    searcher = build("cmaes", sigma=0.15, widest=0.15)
    live("cmaes", searcher, sphere, 10)
    assert torch.linalg.eigvalsh(searcher.engine.C).min() > 0
    assert float(searcher.engine.sigma * searcher.engine.C.diagonal().max().sqrt()) <= 0.15 * (1 + 1e-12)


def test_the_global_generator_would_be_drawn_from_and_is_put_back():
    problem = plain_problem(sphere)
    before = torch.get_rng_state()
    problem.make_gaussian(2, 3)
    assert not torch.equal(torch.get_rng_state(), before)
    before = torch.get_rng_state()
    live("cmaes", build("cmaes"), sphere, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_values_would_be_read_only_and_what_is_asked_is_a_plain_tensor():
    problem = plain_problem(sphere)
    assert type(problem.generate_batch(3).values) is not torch.Tensor
    for kind in KINDS:
        assert type(build(kind).ask()) is torch.Tensor


def test_our_searchers_evaluate_nothing_themselves():
    problem = evotorch_searchers.Told(3, 1)
    batch = problem.generate_batch(4)
    problem.evaluate(batch)
    assert batch.evals.isnan().all()
    problem.waiting = column(1.0, 2.0, 3.0, 4.0)
    problem.evaluate(batch)
    assert torch.equal(torch.as_tensor(batch.evals), column(1.0, 2.0, 3.0, 4.0))
    assert problem.waiting is None
