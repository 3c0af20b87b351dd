"""Random search: what every searcher must beat at equal numbers of lifetimes. Bergstra & Bengio 2012."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Searcher
from metaplastic.outer_loop.ask_tell import AskTell
from metaplastic.outer_loop.searcher_settings import SearcherSettings, draw_key, first_generation


class RandomSearch(SearcherSettings):
    """Genomes uniform in the cube, whatever was told; the first of all is the start."""

    references: ClassVar[tuple[str, ...]] = ("Bergstra & Bengio 2012, Random search for hyper-parameter optimization",)
    several_objectives: ClassVar[bool] = True
    kind: Literal["random"] = "random"

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:
        """The searcher; `start` is the first genome of the first generation."""
        return RandomSearcher(self, start, objectives, seed)


class RandomSearcher(AskTell):
    """Random search; its draws are keyed by (seed, generation), so there is nothing to remember."""

    def propose(self) -> Float[Tensor, "P G"]:
        """Uniform genomes."""
        if not self.generation:
            return first_generation(self.start, self.population, self.seed)
        return rng.uniforms(draw_key(self.seed, self.generation), self.population, self.genes).to(torch.float64)

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:
        """Nothing."""

    def memory(self) -> Any:
        """Nothing."""
        return ()

    def recall(self, memory: Any) -> None:
        """Nothing."""
