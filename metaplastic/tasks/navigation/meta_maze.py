"""The pillar maze with a hidden reward (Miconi, Clune & Stanley 2018; Miconi et al. 2019).

An agent starts in the middle of a maze of pillars and moves up, down, left or right; a wall stops it. One free cell
holds a reward that is not seen. Who steps on it is paid and put into a random free cell, and may come back; the cell
stays the same for a lifetime, so the first visit should teach the agent where to go from anywhere.

    inputs   the 3 x 3 walls around, a constant 1, time t / T, and (`feedback`) the last action and its reward
    score    visits / V, at most 1;  V = T / mean shortest way from anywhere to the cell, over all cells           (1)

Chance and oracle are the exact means of (1): of a random walk, and of who goes the shortest way to a known cell
(`meta_maze_values`). The ceiling is the oracle's, which no learner reaches: the first visit must be searched for.
A lifetime is one trial of `steps` steps by default; later trials start from the middle again.

Here a visit pays 1 where the published program pays 10 (`reward`), and an input that is always 0 there is left out,
so that there are 16 inputs, not 17. `miconi18` and `miconi19` pay 10; their sizes, 9 and 11, are recalled.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.navigation.grid_maze_tables import MOVE_NAMES, Grid, at, grid, other, pillar_rows
from metaplastic.tasks.navigation.meta_maze_values import mean_scores, standard
from metaplastic.tasks.worlds import Happening, WorldTask


class Hidden(NamedTuple):
    """What a lifetime draws."""

    goal: Int[Tensor, "*B"]
    """the free cell of the reward"""


class Search(NamedTuple):
    """Where an agent is."""

    cell: Int[Tensor, "*B"]
    visits: Int[Tensor, "*B"]
    """how often it was paid in this trial"""


class MetaMaze(WorldTask):
    """Find a hidden reward, and go back to it from anywhere."""

    references = (
        "Miconi, Clune & Stanley 2018, Differentiable plasticity, ICML, arXiv:1804.02464",
        "Miconi, Rawal, Clune & Stanley 2019, Backpropamine, ICLR, arXiv:2002.10585",
    )
    tags = ("navigation", "maze", "reward", "meta-learning")
    presets = MappingProxyType(
        {
            "miconi18": MappingProxyType({"size": 9, "reward": 10.0}),
            "miconi19": MappingProxyType({"size": 11, "reward": 10.0}),
        }
    )

    kind: Literal["MetaMaze-v0"] = "MetaMaze-v0"
    trials: int = Field(default=1, ge=1)
    """trials of a lifetime"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    size: int = Field(default=11, ge=5, le=31)
    """cells of a side with its walls; odd"""
    steps: int = Field(default=200, ge=1, le=10_000)
    """T, steps of a trial"""
    reward: float = Field(default=1.0, gt=0)
    """for a visit"""
    wall_penalty: float = Field(default=0.0, ge=0)
    """taken for walking into a wall"""

    @model_validator(mode="after")
    def _is_odd(self) -> MetaMaze:
        if self.size % 2 == 0:
            raise wrong(f"size is {self.size}, wanted an odd number: pillars stand between corridors; use 9, 11 or 13")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance and oracle: `meta_maze_values`; criterion half-way between them."""
        chance, oracle = mean_scores(self.size, self.steps)
        return self.describe(
            {"walls": 9, "constant": 1, "time": 1},
            4,
            trial_steps=self.steps,
            chance=chance,
            ceiling=oracle,
            oracle=oracle,
            criterion=(chance + oracle) / 2,
            action_names=MOVE_NAMES,
            reward_range=(-self.wall_penalty, self.reward),
        )

    def maze(self, device: torch.device) -> Grid:
        """The tables."""
        return grid(pillar_rows(self.size), device)

    def birth(self, key: Int[Tensor, "*B"]) -> Hidden:
        """The reward is anywhere but in the middle."""
        maze = self.maze(key.device)
        return Hidden(other(rng.words(key, 1)[..., 0], maze.centre, len(maze.view)))

    def begin(self, key: Int[Tensor, "*B"], life: Hidden, trial: Int[Tensor, "*B"], before: Search | None) -> Search:
        """In the middle."""
        del key, life, before
        return Search(torch.full_like(trial, self.maze(trial.device).centre), torch.zeros_like(trial))

    def advance(
        self, key: Int[Tensor, "*B"], life: Hidden, world: Search, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Move; on the reward, be paid and put elsewhere."""
        maze = self.maze(step.device)
        cell = at(maze.after, world.cell * 4 + action)
        found = cell == life.goal
        elsewhere = other(rng.words(key, 1)[..., 0], life.goal, len(maze.view))
        visits = world.visits + found
        reward = found.to(torch.float32) * self.reward
        if self.wall_penalty:
            reward = reward - self.wall_penalty * (cell == world.cell)
        score = (visits / standard(maze, self.steps)).clamp(max=1)
        ends = torch.zeros_like(found)
        return Happening(
            Search(torch.where(found, elsewhere, cell), visits), reward, ends, score, (visits > 0).to(torch.int64)
        )

    def look(self, life: Hidden, world: Search, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 11"]:
        """The walls around, 1, and the time."""
        del life
        walls = at(self.maze(step.device).view, world.cell)
        return torch.cat((walls, torch.ones_like(walls[..., :1]), (step / self.steps)[..., None]), -1)

    def target(self, life: Hidden, world: Search) -> Int[Tensor, "*B"]:
        """The shortest way."""
        maze = self.maze(world.cell.device)
        return at(maze.way, life.goal * len(maze.view) + world.cell)
