"""MAP-Elites: not one champion but the best brain of every kind. Settings and the searcher, on pyribs.

Behaviour space is cut into cells by measures (metrics of a lifetime such as activity or learning speed); each cell
keeps the fittest genome that fell into it (Mouret & Clune 2015). Cells are a grid, or the Voronoi regions of `niches`
points (Vassiliades, Chatzilygeroudis & Mouret 2018). The points are a Sobol sequence and not k-means centroids: nearly
as even, made at once, and the same on every machine (Mouret 2023, Fast generation of centroids for MAP-Elites).

Parents come from the archive, by one of two emitters:

    iso_line   child = x + sigma N(0, I) + line_sigma (x' - x) N(0, 1), x and x' elites (Vassiliades & Mouret 2018)
    cma        CMA-ES that climbs towards improvements of the archive (Fontaine et al. 2020, CMA-ME)

Failed lives have no behaviour: rows with a measure that is not finite never enter the archive. Measures beyond a range
count for the cell at its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import model_validator
from torch import Tensor

from metaplastic.core import ConfigError, Searcher, Value, near_miss, wrong
from metaplastic.outer_loop.ask_tell import AskTell
from metaplastic.outer_loop.searcher_settings import Fixed, SearcherSettings, engine_seed, first_generation
from metaplastic.outer_loop.unit_cube import reflect


class Measure(Value):
    """One axis of behaviour."""

    metric: str
    """a metric of the evaluation, averaged over what it holds beside the individuals"""
    low: Annotated[float, Fixed()]
    """where the axis begins, in the metric's unit"""
    high: Annotated[float, Fixed()]
    """where it ends"""
    cells: Annotated[int, Fixed(1, 10_000, integer=True)] = 16
    """cells along it (a grid only)"""

    @model_validator(mode="after")
    def _is_a_range(self) -> Measure:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise wrong(
                f"measure {self.metric} is in [{self.low:g}, {self.high:g}], wanted finite ends, the smaller first"
            )
        return self


class MapElites(SearcherSettings):
    """MAP-Elites, and with emitter: cma CMA-ME."""

    references: ClassVar[tuple[str, ...]] = (
        "Mouret & Clune 2015, Illuminating search spaces by mapping elites",
        "Vassiliades & Mouret 2018, Discovering the elite hypervolume by leveraging interspecies correlation",
        "Fontaine, Togelius, Nikolaidis & Hoover 2020, Covariance matrix adaptation for the rapid illumination of "
        "behavior space",
        "Tjanaka et al. 2023, pyribs: a bare-bones Python library for quality diversity optimization",
    )
    kind: Literal["map_elites"] = "map_elites"
    measures: tuple[Measure, ...]
    """the axes of behaviour, at least one"""
    niches: Annotated[int, Fixed(0, 1_000_000, integer=True)] = 0
    """Voronoi regions in the place of the grid, for three measures and more; 0 keeps the grid"""
    emitter: Literal["iso_line", "cma"] = "iso_line"
    """how children come from the archive"""
    emitters: Annotated[int, Fixed(1, 1000, integer=True)] = 1
    """independent emitters that share the population; CMA-ME wants several"""
    sigma: Annotated[float, Fixed(0.0, 1.0, above=True)] = 0.05
    """standard deviation of a mutation, or the initial one of CMA-ES"""
    line_sigma: Annotated[float, Fixed(0.0, 10.0)] = 0.2
    """step along the line between two elites (iso_line)"""

    @model_validator(mode="after")
    def _fits(self) -> MapElites:
        if not self.measures:
            raise wrong("measures is empty, wanted at least one: {metric: activity, low: 0, high: 1}")
        cells = self.niches or math.prod(m.cells for m in self.measures)
        if cells > 10_000_000:
            raise wrong(
                f"the grid has {cells} cells, wanted at most 10 million; use niches: 1024 in the place of a grid"
            )
        if self.population % self.emitters or self.population // self.emitters < 4:
            raise wrong(
                f"emitters is {self.emitters} of a population of {self.population}, wanted equal shares of at least 4"
            )
        return self

    def behaviour(self, metrics: Mapping[str, Tensor], failed: Bool[Tensor, " P"]) -> Float[Tensor, "P M"]:
        """The measures of a generation, NaN for failed lives.

        Raises:
            ConfigError: if a metric is not among those of the evaluation.
        """
        columns = []
        for measure in self.measures:
            if measure.metric not in metrics:
                known = list(metrics)
                raise ConfigError(
                    f"search.measures: no metric {measure.metric!r}{near_miss(measure.metric, known)}; "
                    f"there are {', '.join(known)}"
                )
            values = metrics[measure.metric].to(torch.float64)
            columns.append(values.reshape(len(values), -1).mean(dim=1))
        return torch.stack(columns, dim=1).masked_fill(failed[:, None], torch.nan)

    def build(self, start: Float[Tensor, " G"], objectives: int, seed: int) -> Searcher:  # noqa: ARG002
        """The searcher; `start` is one of the first generation, the others are uniform in the cube."""
        return MapElitesSearcher(self, start, seed)


class Elites(NamedTuple):
    """What an archive holds, one row an elite, in the order of the cells."""

    genomes: Float[Tensor, "N G"]
    fitness: Float[Tensor, " N"]
    measures: Float[Tensor, "N M"]
    coverage: float
    """part of the cells that are filled"""


class MapElitesSearcher(AskTell):
    """pyribs' archive and emitters; each has a NumPy generator of its own, pickled with it."""

    def __init__(self, settings: MapElites, start: Float[Tensor, " G"], seed: int) -> None:
        super().__init__(settings, start, 1, seed)
        self.settings = settings
        self.store = _store(settings, len(start), seed)
        self.emitters = [_emitter(settings, self.store, start, seed, n) for n in range(settings.emitters)]

    def archive(self) -> Elites:
        """The elites so far."""
        data = self.store.data()
        order = np.argsort(data["index"])
        genomes, fitness, measures = (
            torch.from_numpy(data[name][order]) for name in ("solution", "objective", "measures")
        )
        return Elites(genomes, fitness, measures, float(self.store.stats.coverage))

    def propose(self) -> Float[Tensor, "P G"]:
        """Children of elites; uniform genomes as long as there are none."""
        if self.store.empty and self.settings.emitter == "iso_line":
            return first_generation(self.start, self.population, engine_seed(self.seed, self.generation))
        return reflect(torch.from_numpy(np.concatenate([emitter.ask() for emitter in self.emitters])))

    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:
        """Put those with a behaviour into the archive, then tell the emitters what became of theirs."""
        assert measures is not None
        genomes, objective, place = asked.numpy(), fitness[:, 0].numpy(), measures.to("cpu", torch.float64).numpy()
        alive = measures.isfinite().all(dim=1).numpy()
        status = np.zeros(len(alive), dtype=np.int32)
        value = np.full(len(alive), objective.min() - objective.max() - 1.0)
        if alive.any():
            added = self.store.add(genomes[alive], objective[alive], place[alive])
            status[alive], value[alive] = added["status"], added["value"]
        if self.store.empty:
            return
        place = np.where(alive[:, None], place, 0.0)
        size = len(alive) // len(self.emitters)
        for n, emitter in enumerate(self.emitters):
            own = slice(n * size, (n + 1) * size)
            emitter.tell(genomes[own], objective[own], place[own], {"status": status[own], "value": value[own]})

    def check_measures(self, measures: Tensor | None) -> None:
        """Refuse a `tell` without a row of measures a genome."""
        wanted = (self.population, len(self.settings.measures))
        came = None if measures is None else tuple(measures.shape)
        if came != wanted:
            raise ValueError(
                f"measures has shape {came}, wanted {wanted}: tell(fitness, settings.behaviour(metrics, failed))"
            )

    def memory(self) -> Any:
        """The archive and its emitters, which point at it."""
        return self.store, self.emitters

    def recall(self, memory: Any) -> None:
        """Go on with that archive."""
        self.store, self.emitters = memory


def _store(settings: MapElites, genes: int, seed: int) -> Any:
    from ribs.archives import CVTArchive, GridArchive

    ranges = [(m.low, m.high) for m in settings.measures]
    common = {"solution_dim": genes, "ranges": ranges, "seed": engine_seed(seed, 0)}
    if not settings.niches:
        return GridArchive(dims=[m.cells for m in settings.measures], **common)
    low, high = torch.tensor(ranges, dtype=torch.float64).unbind(dim=1)
    sobol = torch.quasirandom.SobolEngine(len(ranges)).fast_forward(1)  # number 0 is the corner
    points = sobol.draw(settings.niches, dtype=torch.float64)
    return CVTArchive(centroids=(low + points * (high - low)).numpy(), **common)


def _emitter(settings: MapElites, store: Any, start: Tensor, seed: int, number: int) -> Any:
    from ribs.emitters import EvolutionStrategyEmitter, IsoLineEmitter

    size, own = settings.population // settings.emitters, engine_seed(seed, number + 1)
    if settings.emitter == "cma":
        return EvolutionStrategyEmitter(store, x0=start.numpy(), sigma0=settings.sigma, batch_size=size, seed=own)
    steps: dict[str, Any] = {"iso_sigma": settings.sigma, "line_sigma": settings.line_sigma}
    return IsoLineEmitter(store, x0=start.numpy(), batch_size=size, seed=own, **steps)
