"""(mu + lambda) with point mutations: the search that writes formulas.

    lambda children are made of the mu parents in turn; each gene mutates with a chance, at least one does        (1)
    the mu best of parents and children live on; of equals a child, so that what is not read can drift            (2)

Miller & Thomson 2000; Jordan et al. 2021 search with it. A gene that mutates is drawn anew in its whole range, which
for the whole numbers of a wiring (rules/evolved_formula.py) is the point mutation of Cartesian genetic programming; the
others move by a small step, for coefficients. Parents live again in every generation, since its lifetimes are others.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Searcher, wrong
from metaplastic.outer_loop.ask_tell import AskTell
from metaplastic.outer_loop.searcher_settings import Fixed, SearcherSettings, draw_key, first_generation
from metaplastic.outer_loop.unit_cube import reflect


class MuPlusLambda(SearcherSettings):
    """Parents and mutated children compete; made for rules of kind evolved_formula (Miller & Thomson 2000)."""

    references: ClassVar[tuple[str, ...]] = (
        "Miller & Thomson 2000, Cartesian genetic programming, EuroGP",
        "Jordan, Schmidt, Senn & Petrovici 2021, Evolving interpretable plasticity for spiking networks, "
        "eLife 10:e66273",
    )
    kind: Literal["mu_plus_lambda"] = "mu_plus_lambda"
    population: Annotated[int, Fixed(4, 1_000_000, integer=True)] = 9
    """genomes a generation, parents and children"""
    parents: Annotated[int, Fixed(1, integer=True)] = 1
    """mu; lambda is the rest of the population"""
    mutations: Annotated[float, Fixed(0.0, above=True)] = 3.0
    """genes of a child that mutate, on average; at least one does"""
    redrawn: Annotated[float, Fixed(0.0, 1.0)] = 0.8
    """fraction of the mutations that draw a gene anew in its whole range; the others move it a little"""
    sigma: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.05
    """deviation of those moves"""

    @model_validator(mode="after")
    def _has_children(self) -> MuPlusLambda:
        if self.parents >= self.population:
            raise wrong(f"parents is {self.parents} of a population of {self.population}, which leaves no children")
        return self

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:
        """The searcher; `start` is one of the first generation, the others are uniform in the cube."""
        return MuPlusLambdaSearcher(self, start, objectives, seed)


class MuPlusLambdaSearcher(AskTell):
    """(mu + lambda); its draws are keyed by (seed, generation), so its memory is the parents alone."""

    def __init__(self, settings: MuPlusLambda, start: Float[Tensor, " G"], objectives: int, seed: int) -> None:
        super().__init__(settings, start, objectives, seed)
        self.settings = settings
        self.genomes = start.new_zeros(0, len(start))

    def propose(self) -> Float[Tensor, "P G"]:
        """(1): the parents, then their children."""
        if not self.generation:
            return first_generation(self.start, self.population, self.seed)
        children = torch.arange(self.population - len(self.genomes)) % len(self.genomes)
        return torch.cat([self.genomes, self._mutated(self.genomes[children])])

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:  # noqa: ARG002
        """(2)."""
        latest = torch.arange(len(asked) - 1, -1, -1)  # the last of equals comes first
        best = fitness[latest, 0].argsort(descending=True, stable=True)[: self.settings.parents]
        self.genomes = asked[latest[best]]

    def memory(self) -> Any:
        """The parents."""
        return self.genomes

    def recall(self, memory: Any) -> None:
        """Go on with those parents."""
        self.genomes = memory

    def _mutated(self, genomes: Float[Tensor, "N G"]) -> Float[Tensor, "N G"]:
        key, s = draw_key(self.seed, self.generation), self.settings
        chance, anew, which = (rng.uniforms(rng.fold(key, n), *genomes.shape).to(genomes) for n in range(3))
        hit = chance < s.mutations / self.genes
        hit.scatter_(1, chance.argmin(1, keepdim=True), True)
        moved = reflect(genomes + s.sigma * rng.normals(rng.fold(key, 3), *genomes.shape).to(genomes))
        return anew.where(which < s.redrawn, moved).where(hit, genomes)
