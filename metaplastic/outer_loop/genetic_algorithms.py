"""Genetic algorithms: a population that is selected, crossed and mutated. Settings; the engines are EvoTorch's.

Every generation is lived afresh, parents that stay included: under common random numbers a genome that was lucky in one
generation's lifetimes must prove itself in the next ones.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from metaplastic.core import Searcher, wrong
from metaplastic.outer_loop.searcher_settings import Fixed, SearcherSettings


class Genetic(SearcherSettings):
    """Generational genetic algorithm: the elites live again, the rest are children of tournaments among all."""

    references: ClassVar[tuple[str, ...]] = (
        "Deb & Agrawal 1995, Simulated binary crossover for continuous search space",
        "Luke 2013, Essentials of metaheuristics",
    )
    fewest_genes: ClassVar[int] = 2
    kind: Literal["genetic"] = "genetic"
    sigma: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.05
    """standard deviation of a mutation"""
    mutation_probability: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.25
    """chance of a gene to mutate"""
    crossover: Literal["sbx", "one_point"] = "sbx"
    """simulated binary (blends each gene of two parents) or one cut (keeps linked genes together)"""
    tournament: Annotated[int, Fixed(2, 1000, integer=True)] = 3
    """how many compete to become a parent"""
    elites: Annotated[int, Fixed(0, integer=True)] = 2
    """the best of a generation, which live again unchanged"""

    @model_validator(mode="after")
    def _children_come_in_pairs(self) -> Genetic:
        children = self.population - self.elites
        if children < 2 or children % 2:
            raise wrong(
                f"elites is {self.elites} of a population of {self.population}, which leaves {children} children; "
                "wanted an even number of at least 2, because two parents have two children"
            )
        return self

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher; `start` is one of the first generation."""
        from metaplastic.outer_loop.evotorch_searchers import genetic

        return genetic(self, start, seed)


class Cosyne(SearcherSettings):
    """Cooperative synapse neuroevolution: every gene is a subpopulation, permuted against the others."""

    references: ClassVar[tuple[str, ...]] = (
        "Gomez, Schmidhuber & Miikkulainen 2008, Accelerated neural evolution through cooperatively coevolved synapses",
    )
    fewest_genes: ClassVar[int] = 2
    kind: Literal["cosyne"] = "cosyne"
    population: Annotated[int, Fixed(10, 1_000_000, integer=True)] = 64
    """genomes a generation: elites, children, and the permuted pool"""
    sigma: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.1
    """standard deviation of a mutation"""
    mutation_probability: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.25
    """chance of a gene to mutate"""
    tournament: Annotated[int, Fixed(2, 1000, integer=True)] = 3
    """how many compete to become a parent"""
    elites: Annotated[int, Fixed(0, integer=True)] = 1
    """the best of a generation, which live again unchanged"""

    @model_validator(mode="after")
    def _pool_is_large_enough(self) -> Cosyne:
        if self.elites > self.population // 4:
            raise wrong(f"elites is {self.elites}, wanted at most a quarter of the population of {self.population}")
        return self

    @property
    def children(self) -> int:
        """Children of a generation: half the pool, as Gomez et al. recombine, in pairs."""
        return 2 * ((self.population - self.elites) // 6)

    @property
    def pool(self) -> int:
        """Genomes that are kept, and permuted to give most of the next generation."""
        return self.population - self.elites - self.children

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher; `start` is one of the first generation."""
        from metaplastic.outer_loop.evotorch_searchers import cosyne

        return cosyne(self, start, seed)
