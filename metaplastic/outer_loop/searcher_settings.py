"""What the settings of every searcher share: they are frozen components that can build their searcher.

settings = Snes(population=64, sigma=0.1)
searcher = settings.searcher(genes=20, start=torch.full((20,), 0.5), objectives=1, seed=7)
genomes = searcher.ask();  settled = settle(fitness_of(genomes));  searcher.tell(settled.fitness)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Array, Component, ConfigError, Gene, Searcher, wrong
from metaplastic.fields import Evolves


class Fixed:
    """Field annotation: a number in [low, high], or above low; not a gene, since it is evolution's own.

    Its limits are attributes named as in annotated_types (`ge`, `gt`, `le`), for whoever describes a field.
    """

    def __init__(
        self, low: float = -math.inf, high: float = math.inf, *, integer: bool = False, above: bool = False
    ) -> None:
        self._number = Evolves(low, high, integer=integer, above=above)
        limits = {"gt" if above else "ge": low, "le": high}
        self.__dict__.update({name: limit for name, limit in limits.items() if math.isfinite(limit)})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return self._number.__get_pydantic_json_schema__(schema, handler)["anyOf"][0]

    def validate(self, value: Any) -> Any:
        """A number in range, or an error that says what was wanted."""
        if isinstance(value, dict | Gene | Array):
            raise wrong(f"is {value!r}, wanted {self._number.wanted()}; the settings of a search do not evolve")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(f"is {value!r}, wanted {self._number.wanted()}")
        return self._number.validate(value)


class SearcherSettings(Component, ABC):
    """How evolution proposes genomes."""

    several_objectives: ClassVar[bool] = False
    """whether it can maximise more than one"""
    fewest_genes: ClassVar[int] = 1
    """the shortest genome it can work on"""

    population: Annotated[int, Fixed(4, 1_000_000, integer=True)] = 64
    """genomes a generation"""

    def searcher(self, genes: int, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:
        """A searcher over the unit cube of `genes` dimensions that begins round `start`.

        Raises:
            ConfigError: if it cannot maximise so many objectives, or cannot work on so few genes.
        """
        if objectives > 1 and not self.several_objectives:
            raise ConfigError(
                f"search: {self.kind} maximises one objective and fitness has {objectives}; "
                "use kind: nsga2, or keep one"
            )
        if genes < self.fewest_genes:
            raise ConfigError(
                f"search: {self.kind} needs at least {self.fewest_genes} genes and the experiment has {genes}; "
                "put a gene in the experiment ({gene: [low, high]}), or use kind: snes for a single one"
            )
        if start.shape != (genes,) or not ((start >= 0) & (start <= 1)).all():
            raise ConfigError(f"start is {start.tolist()}, wanted {genes} numbers in [0, 1], one a gene")
        with torch.random.fork_rng(devices=[]):  # the global generator is left as it was
            return self.build(start.to(torch.float64), objectives, seed)

    @abstractmethod
    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:
        """The searcher, once its arguments are known to fit."""

    def behaviour(self, metrics: Mapping[str, Tensor], failed: Bool[Tensor, " P"]) -> Float[Tensor, "P M"] | None:  # noqa: ARG002
        """What `tell` wants as `measures` beside fitness; None for searchers that look at fitness alone."""
        return None


def draw_key(seed: int, generation: int) -> Tensor:
    """The key of everything that a searcher draws for one generation (rng.py, stream MUTATION)."""
    return rng.fold(rng.fold(rng.root(seed), rng.MUTATION), generation)


def engine_seed(seed: int, number: int = 0) -> int:
    """A seed in [0, 2^63) for a library's own generator."""
    return int(draw_key(seed, number)) & (2**63 - 1)


def first_generation(start: Float[Tensor, " G"], population: int, seed: int) -> Float[Tensor, "P G"]:
    """`start` itself, the rest uniform in the cube: how searchers that recombine begin."""
    genomes = rng.uniforms(draw_key(seed, 0), population, len(start)).to(torch.float64)
    genomes[0] = start
    return genomes
