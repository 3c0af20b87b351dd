"""The water maze as a grid: a round pool of cells, four moves, one input for each cell, and a hidden platform in one.

The pool is a disc of `size` cells across; the walls stop who runs into them. Trials start in the middle of its
northern, eastern, southern and western side. The platform may be in any other cell. When it moves, the score and the
presets are those of `hidden_platform` and `water_maze`; chance (`grid_maze_values`) and oracle are exact. The form is
ours.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.navigation.grid_maze_tables import MOVE_NAMES, Grid, at, grid, marked
from metaplastic.tasks.navigation.grid_maze_values import first_passages
from metaplastic.tasks.navigation.hidden_platform import STARTS, HiddenPlatform, Setting
from metaplastic.tasks.navigation.water_maze import WaterMaze
from metaplastic.tasks.worlds import Happening


class Pool(NamedTuple):
    """A pool as text, and its cells."""

    rows: tuple[str, ...]
    starts: tuple[int, ...]
    """north, east, south, west"""
    platforms: tuple[int, ...]
    """where the platform may be"""


_POOLS: dict[int, Pool] = {}
"""size -> pool, made once a process. A plain dict: torch.compile sees through it"""


class Swim(NamedTuple):
    """Where a swimmer is, and what it looks for."""

    cell: Int[Tensor, "*B"]
    setting: Setting


def pool(size: int) -> Pool:
    """The pool with a wall around, the starts marked 0 north, 1 east, 2 south, 3 west."""
    if size not in _POOLS:
        middle = (size + 1) // 2
        every, end = range(size + 2), 2 * middle - 1
        sides = {(1, middle): "0", (middle, end): "1", (end, middle): "2", (middle, 1): "3"}
        inside = {(r, c) for r in every for c in every if 4 * ((r - middle) ** 2 + (c - middle) ** 2) <= size**2}
        rows = tuple("".join(sides.get((r, c), "." if (r, c) in inside else "#") for c in every) for r in every)
        _POOLS[size] = Pool(rows, tuple(marked(rows, letter)[0] for letter in "0123"), marked(rows, "."))
    return _POOLS[size]


class WaterMazeGrid(HiddenPlatform):
    """Find a hidden platform in a round pool of cells."""

    references = WaterMaze.references
    tags = WaterMaze.tags
    presets = MappingProxyType({"rmw": MappingProxyType({}), "dmp": MappingProxyType({"every": 4})})

    kind: Literal["WaterMazeGrid-v0"] = "WaterMazeGrid-v0"
    size: int = Field(default=11, ge=3, le=31)
    """cells across the pool; odd"""
    limit: int = Field(default=200, ge=1, le=10_000)
    """T, steps in which the platform must be found"""

    @model_validator(mode="after")
    def _is_odd(self) -> WaterMazeGrid:
        if self.size % 2 == 0:
            raise wrong(f"size is {self.size}, wanted an odd number, so that there is a middle: use {self.size + 1}")
        if self.limit < 2 * self.size:
            raise wrong(f"limit is {self.limit} steps, wanted at least twice the size of the pool, {2 * self.size}")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Criterion: nine tenths of the way from chance to ceiling."""
        chance, oracle = mean_scores(self.size, self.limit)
        places = len(pool(self.size).platforms)
        ceiling = self.ceiling((torch.arange(1, self.limit + 1) / places).clamp(max=1), oracle)
        return self.describe(
            {"cell": places + STARTS},
            4,
            trial_steps=self.limit,
            chance=chance,
            ceiling=ceiling,
            oracle=oracle,
            criterion=chance + 0.9 * (ceiling - chance),
            action_names=MOVE_NAMES,
        )

    def maze(self, device: torch.device) -> Grid:
        """The tables."""
        return grid(pool(self.size).rows, device)

    def anywhere(self, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Any cell in which no trial starts."""
        places = pool(self.size).platforms
        return look_up(places, rng.below(rng.word(key, 0), len(places)), torch.int64)

    def begin(self, key: Int[Tensor, "*B"], life: None, trial: Int[Tensor, "*B"], before: Swim | None) -> Swim:
        """At one of the four sides."""
        del life
        setting = self.arranged(key, trial, None if before is None else before.setting)
        return Swim(look_up(pool(self.size).starts, setting.start, torch.int64), setting)

    def advance(
        self, key: Int[Tensor, "*B"], life: None, world: Swim, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Move; the trial ends on the platform."""
        del key, life
        cell = at(self.maze(step.device).after, world.cell * 4 + action)
        return self.told(Swim(cell, world.setting), cell == world.setting.platform, step, self.limit)

    def look(self, life: None, world: Swim, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B F"]:
        """The cell, one-hot."""
        del life, step
        return one_hot(world.cell, len(pool(self.size).platforms) + STARTS)

    def target(self, life: None, world: Swim) -> Int[Tensor, "*B"]:
        """The shortest way."""
        del life
        maze = self.maze(world.cell.device)
        return at(maze.way, world.setting.platform * len(maze.view) + world.cell)


@lru_cache
def mean_scores(size: int, limit: int) -> tuple[float, float]:
    """Expected scores of the random walk and of the oracle."""
    rows, begins, ends = pool(size)
    maze = grid(rows, "cpu")
    arrived = first_passages(maze, begins, ends, limit)
    score = 1 - torch.arange(1, limit + 1, dtype=torch.float64) / limit
    shortest = maze.distance[list(begins)][:, list(ends)].double()
    return (arrived @ score).mean().item(), (1 - shortest / limit).mean().item()
