"""EvoTorch's searchers behind ask and tell. The only file that knows EvoTorch, and imported only when one is built.

EvoTorch calls the fitness function from inside `step()`; here lifetimes are lived elsewhere. So the problem's
`_evaluate_all` computes nothing, and each family is opened where its step allows it, without threads, copies or actors:

    Gaussian  step() = learn from the population's fitness, then sample: tell writes that fitness, ask steps
    CMA-ES    step() = sample, rank, update: ask samples, tell steps with that sample and its fitness waiting
    genetic   step() = evaluate parents, make children: ask shows the population, tell steps with its fitness waiting
    CoSyNE    step() = make the generation, evaluate it, keep the best: ask steps and catches it, tell keeps the best

Each engine has a generator of its own, seeded by us and pickled with it; the global one is neither read nor set.
Fitness is always maximised ("max"), float64, and finite (`ask_tell.py`): in EvoTorch a NaN would rank as the best.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.outer_loop.ask_tell import AskTell
from metaplastic.outer_loop.searcher_settings import SearcherSettings, engine_seed, first_generation
from metaplastic.outer_loop.unit_cube import reflect

os.environ.setdefault("EVOTORCH_VERBOSE_LEVEL", "0")  # read by the import below: warnings only
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
    from evotorch import Problem, SolutionBatch
    from evotorch.algorithms import CEM, CMAES, PGPE, SNES, XNES, Cosyne, GeneticAlgorithm
    from evotorch.operators import GaussianMutation, OnePointCrossOver, SimulatedBinaryCrossOver

if TYPE_CHECKING:
    from metaplastic.outer_loop import evolution_strategies as strategies
    from metaplastic.outer_loop import genetic_algorithms as genetics


class Told(Problem):
    """A problem whose fitness is told from outside: `waiting`, if there is one, is what the next evaluation gives."""

    def __init__(self, genes: int, seed: int, fold: bool = False) -> None:
        super().__init__(
            "max",
            solution_length=genes,
            initial_bounds=(0.0, 1.0),
            dtype=torch.float64,
            eval_dtype=torch.float64,
            seed=engine_seed(seed),
            num_actors=0,
            store_solution_stats=False,  # they break on the first NaN (B4) and nobody reads them
        )
        self.fold = fold
        self.waiting: Tensor | None = None
        self.seen: SolutionBatch | None = None

    def _evaluate_all(self, batch: SolutionBatch) -> None:
        if self.fold:
            values_of(batch).copy_(reflect(values_of(batch)))
        if self.waiting is not None:
            batch.set_evals(self.waiting)
            self.waiting = None
        self.seen = batch


def values_of(batch: SolutionBatch) -> Float[Tensor, "N G"]:
    """The numbers of a batch themselves, not a read-only view of them; its fitness stays."""
    values = batch.access_values(keep_evals=True)
    assert isinstance(values, Tensor)
    return values


class EvotorchSearcher(AskTell):
    """An engine of EvoTorch, pickled whole."""

    def __init__(self, settings: SearcherSettings, start: Float[Tensor, " G"], seed: int, engine: Any) -> None:
        super().__init__(settings, start, 1, seed)
        self.engine = engine
        self.problem: Told = engine.problem

    def memory(self) -> Any:
        """The engine, and in it its problem and their generator."""
        return self.engine

    def recall(self, memory: Any) -> None:
        """Go on with that engine."""
        self.engine, self.problem = memory, memory.problem


class GaussianSearcher(EvotorchSearcher):
    """SNES, XNES, PGPE, CEM."""

    def propose(self) -> Float[Tensor, "P G"]:
        """Learn from the last generation, if there was one, and sample; folded for the world, unfolded inside."""
        self.engine.step()
        return reflect(values_of(self.engine.population))

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:  # noqa: ARG002
        """Write the fitness; the next step reads it."""
        self.engine.population.set_evals(fitness)


def into(limits: tuple[float, float], width: Tensor) -> float:
    """By what the largest standard deviation has to be multiplied to be within limits."""
    return float(width.clamp(*limits) / width)


class LimitedXNES(XNES):
    """XNES whose widest gene stays within limits; EvoTorch has such limits for the diagonal searchers only."""

    limits: tuple[float, float]

    def _update_distribution(self, gradients: dict) -> None:
        super()._update_distribution(gradients)
        old: Any = self._distribution  # its sigma is A, the covariance A Aᵀ
        factor = into(self.limits, old.sigma.norm(dim=1).max())
        if factor != 1.0:
            self._distribution = old.modified_copy(sigma=old.sigma * factor, sigma_inv=old.sigma_inv / factor)


class SampledCMAES(CMAES):
    """CMA-ES whose sample is drawn once, by whoever comes first, and used up by the step; its widest gene is limited.

    EvoTorch's own limits overwrite the diagonal of C, which then need not be a covariance any more.
    """

    limits: tuple[float, float]
    sample: tuple[Tensor, Tensor, Tensor] | None = None

    def sample_distribution(self, num_samples: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The sample of this generation: z ~ N(0, I), y ~ N(0, C), x ~ N(m, sigma² C)."""
        if self.sample is None:
            self.sample = super().sample_distribution(num_samples)
        return self.sample

    def _step(self) -> None:
        super()._step()
        self.sample = None
        variance = self.C if self.separable else self.C.diagonal()
        self.sigma = self.sigma * into(self.limits, self.sigma * variance.max().sqrt())


class CmaesSearcher(EvotorchSearcher):
    """CMA-ES."""

    def propose(self) -> Float[Tensor, "P G"]:
        """Sample; folded for the world, unfolded inside."""
        return reflect(self.engine.sample_distribution()[2])

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:  # noqa: ARG002
        """One step on that sample."""
        self.problem.waiting = fitness
        self.engine.step()


class GeneticSearcher(EvotorchSearcher):
    """The non-elitist genetic algorithm with fewer children than genomes: the best fill up, and all are lived again.

    Its step evaluates the population (that is told) and then the children; that second evaluation does nothing, because
    the children are part of the next population.
    """

    def propose(self) -> Float[Tensor, "P G"]:
        """The population as it is."""
        return values_of(self.engine.population).clone()

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:  # noqa: ARG002
        """Select, cross and mutate."""
        self.problem.waiting = fitness
        self.engine.step()


class CosyneSearcher(EvotorchSearcher):
    """CoSyNE: the batch of a generation is caught at its evaluation; `pool` of it are kept."""

    def __init__(self, settings: genetics.Cosyne, start: Float[Tensor, " G"], seed: int, engine: Any) -> None:
        super().__init__(settings, start, seed, engine)
        self.pool = settings.pool
        self.batch = SolutionBatch(self.problem, popsize=settings.population, empty=True)
        self.batch.set_values(first_generation(start, settings.population, seed))

    def propose(self) -> Float[Tensor, "P G"]:
        """Elites, children and the permuted pool; at first `start` and uniform genomes."""
        if self.generation:
            self.engine.step()
            assert self.problem.seen is not None
            self.batch = self.problem.seen
        return values_of(self.batch).clone()

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:  # noqa: ARG002
        """Keep the best, in the place of what the step kept without knowing their fitness."""
        self.batch.set_evals(fitness)
        self.engine._population = self.batch.take_best(self.pool)
        self.engine._first_generation = False

    def memory(self) -> Any:
        """The engine, and the generation that waits for its fitness."""
        return self.engine, self.batch

    def recall(self, memory: Any) -> None:
        """Go on with that engine."""
        self.engine, self.batch = memory
        self.problem = self.engine.problem


def snes(settings: strategies.Snes, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """SNES as Schaul et al. 2011."""
    problem = Told(len(start), seed)
    engine = SNES(
        problem,
        popsize=settings.population,
        center_init=start,
        stdev_init=settings.sigma,
        center_learning_rate=settings.center_rate,
        stdev_learning_rate=settings.sigma_rate,
        stdev_min=settings.narrowest,
        stdev_max=settings.widest,
    )
    return GaussianSearcher(settings, start, seed, engine)


def xnes(settings: strategies.Xnes, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """XNES as Glasmachers et al. 2010."""
    problem = Told(len(start), seed)
    engine = LimitedXNES(
        problem,
        popsize=settings.population,
        center_init=start,
        stdev_init=settings.sigma,
        center_learning_rate=settings.center_rate,
        stdev_learning_rate=settings.sigma_rate,
    )
    engine.limits = (settings.narrowest, settings.widest)
    return GaussianSearcher(settings, start, seed, engine)


def pgpe(settings: strategies.Pgpe, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """PGPE with mirrored pairs and centered ranks."""
    problem = Told(len(start), seed)
    engine = PGPE(
        problem,
        popsize=settings.population,
        center_init=start,
        stdev_init=settings.sigma,
        center_learning_rate=settings.step_length(len(start)),
        stdev_learning_rate=settings.sigma_rate,
        optimizer=settings.optimizer,
        ranking_method="centered",
        stdev_max_change=0.2,
        stdev_min=settings.narrowest,
        stdev_max=settings.widest,
    )
    return GaussianSearcher(settings, start, seed, engine)


def cem(settings: strategies.Cem, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """CEM as Duan et al. 2016."""
    problem = Told(len(start), seed)
    engine = CEM(
        problem,
        popsize=settings.population,
        center_init=start,
        stdev_init=settings.sigma,
        parenthood_ratio=settings.elite,
        stdev_max_change=settings.shrink,
        stdev_min=settings.narrowest,
        stdev_max=settings.widest,
    )
    return GaussianSearcher(settings, start, seed, engine)


def cmaes(settings: strategies.Cmaes, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """CMA-ES with active covariance updates, as Hansen 2016."""
    problem = Told(len(start), seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="To copy construct from a tensor", category=UserWarning)
        warnings.filterwarnings("ignore", message="__array_wrap__", category=DeprecationWarning)
        engine = SampledCMAES(
            problem,
            popsize=settings.population,
            center_init=start,
            stdev_init=settings.sigma,  # pyright: ignore[reportArgumentType] (a float is no numbers.Real to pyright)
            separable=settings.separable,
        )
    engine.limits = (settings.narrowest, settings.widest)
    return CmaesSearcher(settings, start, seed, engine)


def genetic(settings: genetics.Genetic, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """Tournament, crossover and Gaussian mutation; children are folded into the cube."""
    problem = Told(len(start), seed, fold=True)
    children = {"tournament_size": settings.tournament, "num_children": settings.population - settings.elites}
    if settings.crossover == "sbx":
        crossover = SimulatedBinaryCrossOver(problem, eta=10.0, **children)
    else:
        crossover = OnePointCrossOver(problem, **children)
    mutation = GaussianMutation(problem, stdev=settings.sigma, mutation_probability=settings.mutation_probability)
    engine = GeneticAlgorithm(
        problem, operators=[crossover, mutation], popsize=settings.population, elitist=False, re_evaluate=True
    )
    engine.population.set_values(first_generation(start, settings.population, seed))
    return GeneticSearcher(settings, start, seed, engine)


def cosyne(settings: genetics.Cosyne, start: Float[Tensor, " G"], seed: int) -> AskTell:
    """CoSyNE with EvoTorch's selective permutation."""
    problem = Told(len(start), seed, fold=True)
    engine = Cosyne(
        problem,
        popsize=settings.pool,
        tournament_size=settings.tournament,
        mutation_stdev=settings.sigma,
        mutation_probability=settings.mutation_probability,
        num_elites=settings.elites,
        num_children=settings.children,
    )
    return CosyneSearcher(settings, start, seed, engine)
