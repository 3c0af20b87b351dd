"""Evolution strategies: a Gaussian over genomes that moves towards what was fit. Settings; the engines are EvoTorch's.

The Gaussian lives in R^G and its samples are folded into the unit cube (`unit_cube.py`). `sigma` is its initial
standard deviation along every gene, in units of the cube: 0.1 is a tenth of a gene's range.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from metaplastic.core import Searcher, wrong
from metaplastic.outer_loop.searcher_settings import Fixed, SearcherSettings

Step = Annotated[float, Fixed(0.0, 1.0, above=True)]


class GaussianSettings(SearcherSettings):
    """What the evolution strategies share."""

    sigma: Step = 0.15
    """initial standard deviation of each gene"""
    narrowest: Step = 1e-6
    """smallest standard deviation: there is no finer difference worth searching for"""
    widest: Step = 0.2
    """largest standard deviation: a wider Gaussian, once folded, is nearly uniform and its samples tell no direction.
    CMA-ES in 20 dimensions reached -0.006 on the sphere in 30 generations of 64 with it, -0.28 without"""

    @model_validator(mode="after")
    def _steps_in_order(self) -> GaussianSettings:
        if not self.narrowest <= self.sigma <= self.widest:
            raise wrong(
                f"sigma is {self.sigma:g}, wanted a number between narrowest ({self.narrowest:g}) "
                f"and widest ({self.widest:g})"
            )
        return self


class Snes(GaussianSettings):
    """Separable natural evolution strategy: one standard deviation a gene. A good first choice for many genes."""

    references: ClassVar[tuple[str, ...]] = (
        "Schaul, Glasmachers & Schmidhuber 2011, High dimensions and heavy tails for natural evolution strategies",
        "Wierstra et al. 2014, Natural evolution strategies",
    )
    kind: Literal["snes"] = "snes"
    center_rate: Annotated[float, Fixed(0.0, 10.0, above=True)] = 1.0
    """learning rate of the mean (Wierstra et al. 2014, table 1)"""
    sigma_rate: Annotated[float, Fixed(0.0, 10.0, above=True)] = 1.0
    """learning rate of the standard deviations, as a multiple of the published (3 + ln G) / (5 sqrt G)"""

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher, round `start`."""
        from metaplastic.outer_loop.evotorch_searchers import snes

        return snes(self, start, seed)


class Xnes(GaussianSettings):
    """Exponential natural evolution strategy: a full covariance; for up to some hundred genes."""

    references: ClassVar[tuple[str, ...]] = ("Glasmachers et al. 2010, Exponential natural evolution strategies",)
    kind: Literal["xnes"] = "xnes"
    center_rate: Annotated[float, Fixed(0.0, 10.0, above=True)] = 1.0
    """learning rate of the mean (Glasmachers et al. 2010, table 1)"""
    sigma_rate: Annotated[float, Fixed(0.0, 10.0, above=True)] = 3.0
    """learning rate of the covariance, as a multiple of the published (9 + 3 ln G) / (5 G sqrt G). That is for
    populations of 4 + 3 ln G; with 32 in 8 dimensions and 64 in 20, three times it was better on nearly every function
    tried (sphere, rotated ellipsoid, Rastrigin)"""

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher, round `start`."""
        from metaplastic.outer_loop.evotorch_searchers import xnes

        return xnes(self, start, seed)


class Pgpe(GaussianSettings):
    """Parameter-exploring policy gradients with mirrored pairs and ClipUp: robust on long, noisy searches."""

    references: ClassVar[tuple[str, ...]] = (
        "Sehnke et al. 2010, Parameter-exploring policy gradients",
        "Toklu, Liskowski & Srivastava 2020, ClipUp",
    )
    kind: Literal["pgpe"] = "pgpe"
    optimizer: Literal["clipup", "adam"] = "clipup"
    """how the mean follows its gradient"""
    center_rate: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.1
    """step of the mean, in standard deviations: ClipUp's step is center_rate · sigma · sqrt(G) long and its largest
    speed twice that; Adam's is center_rate · sigma a gene. Toklu et al. 2020 have 1/30 for long searches; ours is
    larger because a search here has tens of generations, not thousands"""
    sigma_rate: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.2
    """learning rate of the standard deviations; one update changes them by at most a fifth (Ha 2017)"""

    @model_validator(mode="after")
    def _pairs(self) -> Pgpe:
        if self.population % 2:
            raise wrong(
                f"population is {self.population}, wanted an even number, because pgpe samples mirrored pairs; "
                f"use {self.population + 1}"
            )
        return self

    def step_length(self, genes: int) -> float:
        """The optimizer's step size in the cube."""
        return self.center_rate * self.sigma * (math.sqrt(genes) if self.optimizer == "clipup" else 1.0)

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher, round `start`."""
        from metaplastic.outer_loop.evotorch_searchers import pgpe

        return pgpe(self, start, seed)


class Cem(GaussianSettings):
    """Cross-entropy method: the Gaussian is refitted to the best part of each generation."""

    references: ClassVar[tuple[str, ...]] = (
        "Rubinstein 1999, The cross-entropy method for combinatorial and continuous optimization",
        "Duan et al. 2016, Benchmarking deep reinforcement learning for continuous control",
    )
    kind: Literal["cem"] = "cem"
    elite: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.25
    """part of the generation that the Gaussian is fitted to"""
    shrink: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.2
    """largest relative change of a standard deviation in one generation, against shrinking too early"""

    @model_validator(mode="after")
    def _enough_elites(self) -> Cem:
        if int(self.elite * self.population) < 2:
            raise wrong(
                f"elite is {self.elite:g} of a population of {self.population}, wanted at least 2 genomes to fit a "
                f"Gaussian to; use elite: {2 / self.population:g} or more"
            )
        return self

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher, round `start`."""
        from metaplastic.outer_loop.evotorch_searchers import cem

        return cem(self, start, seed)


class Cmaes(GaussianSettings):
    """Covariance matrix adaptation: the strongest for up to some hundred genes that depend on one another."""

    references: ClassVar[tuple[str, ...]] = (
        "Hansen & Ostermeier 2001, Completely derandomized self-adaptation in evolution strategies",
        "Hansen 2016, The CMA evolution strategy: a tutorial",
    )
    fewest_genes: ClassVar[int] = 2
    kind: Literal["cmaes"] = "cmaes"
    separable: bool = False
    """keep a diagonal covariance only (Ros & Hansen 2008): time linear in the genes"""

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher, round `start`."""
        from metaplastic.outer_loop.evotorch_searchers import cmaes

        return cmaes(self, start, seed)
