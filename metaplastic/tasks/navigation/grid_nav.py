"""Navigation in small mazes: one goal a lifetime, which is not seen (templates as in neuro-nav, Juliani et al. 2022).

    empty, four_rooms    the goal is any cell; every trial starts in any other
    t_maze, two_step     one start; the goal is one of two, or of four, ends
    u_maze, hairpin      one start and one goal at the ends of a bent corridor
    detour               one start, one goal; from half of the learning trials on a barrier closes the short way

Actions are up, down, left and right; a wall stops. A trial ends on the goal, with a reward of 1, or after `steps`
steps. What is seen is the cell (`place`, one input each) or the 3 x 3 walls around (`walls`), and with `feedback` the
last action and its reward.

    score = shortest way / steps taken, 0 for who has not arrived                                                (1)

(1) is success weighted by path length (Anderson et al. 2018). Chance is exact, by the Markov chain of the random walk
(`grid_nav_values`); the oracle scores 1. The ceiling counts the first trial of a lifetime as a search.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.navigation import grid_nav_values as values
from metaplastic.tasks.navigation.grid_maze_tables import MOVE_NAMES, Grid, at, grid, other
from metaplastic.tasks.navigation.grid_nav_maps import BARRIER, Map, Template, chart
from metaplastic.tasks.worlds import Happening, WorldTask

Sight = Literal["place", "walls"]


class Aim(NamedTuple):
    """What a lifetime draws."""

    goal: Int[Tensor, "*B"]


class Walk(NamedTuple):
    """Where an agent is."""

    cell: Int[Tensor, "*B"]
    start: Int[Tensor, "*B"]
    """of this trial"""
    is_shut: Bool[Tensor, "*B"]
    """the barrier is closed, where there is one"""


class GridNav(WorldTask):
    """Find a goal in a maze, and go there straight ever after."""

    references = (
        "Juliani et al. 2022, Neuro-Nav: a library for neurally-plausible reinforcement learning, arXiv:2206.03312",
        "Sutton, Precup & Singh 1999, Between MDPs and semi-MDPs, Artif Intell 112:181",
        "Tolman & Honzik 1930, Insight in rats, Univ Calif Publ Psychol 4:215",
    )
    tags = ("navigation", "maze", "reward", "meta-learning")
    presets = MappingProxyType(
        {
            "empty": MappingProxyType({"template": "empty"}),
            "four_rooms": MappingProxyType({"template": "four_rooms"}),
            "u_maze": MappingProxyType({"template": "u_maze"}),
            "t_maze": MappingProxyType({"template": "t_maze"}),
            "two_step": MappingProxyType({"template": "two_step"}),
            "detour": MappingProxyType({"template": "detour"}),
            "hairpin": MappingProxyType({"template": "hairpin"}),
        }
    )

    kind: Literal["GridNav-v0"] = "GridNav-v0"
    trials: int = Field(default=20, ge=1)
    """trials of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    template: Annotated[Template, BeforeValidator(one_of(Template))] = "four_rooms"
    """which maze"""
    inputs: Annotated[Sight, BeforeValidator(one_of(Sight))] = "place"
    """what is seen of it"""
    steps: int = Field(default=100, ge=1, le=10_000)
    """T, steps of a trial"""

    @model_validator(mode="after")
    def _can_be_done(self) -> GridNav:
        longest = values.longest_way(self.template)
        if self.steps < longest:
            raise wrong(f"steps is {self.steps}, wanted at least the longest way of {self.template}, {longest}")
        return self

    @property
    def closes(self) -> int:
        """The trial from which on the barrier is closed."""
        return self.trials // 2

    @property
    def spec(self) -> TaskSpec:
        """Criterion: nine tenths of the way from chance to ceiling."""
        shut = (self.lifetime_trials - self.closes) / self.lifetime_trials
        chance = values.random_score(self.template, self.steps, shut)
        ceiling = 1 - (1 - values.best_search(self.template)) / self.lifetime_trials
        width = {"cell": chart(self.template).cells} if self.inputs == "place" else {"walls": 9}
        return self.describe(
            width,
            4,
            trial_steps=self.steps,
            chance=chance,
            ceiling=ceiling,
            oracle=1.0,
            criterion=chance + 0.9 * (ceiling - chance),
            action_names=MOVE_NAMES,
        )

    @property
    def map(self) -> Map:
        """The template's."""
        return chart(self.template)

    def now(self, table: Callable[[Grid], Tensor], world: Walk, index: Int[Tensor, "*B"]) -> Tensor:
        """Rows of a table of the maze as it is."""
        rows, device = self.map.rows, index.device
        found = at(table(grid(rows, device)), index)
        if not self.map.has_barrier:
            return found
        shut = at(table(grid(rows, device, BARRIER)), index)
        return torch.where(world.is_shut.reshape(*index.shape, *(1,) * (found.ndim - index.ndim)), shut, found)

    def birth(self, key: Int[Tensor, "*B"]) -> Aim:
        """Any of the goals."""
        goals = self.map.goals
        return Aim(look_up(goals, rng.below(rng.word(key, 0), len(goals)), torch.int64))

    def begin(self, key: Int[Tensor, "*B"], life: Aim, trial: Int[Tensor, "*B"], before: Any) -> Walk:
        """At a start, or anywhere but on the goal."""
        del before
        known = self.map
        if known.is_open:
            start = other(rng.word(key, 0), life.goal, known.cells)
        else:
            start = look_up(known.starts, rng.below(rng.word(key, 0), len(known.starts)), torch.int64)
        return Walk(start, start.clone(), trial >= self.closes)

    def advance(
        self, key: Int[Tensor, "*B"], life: Aim, world: Walk, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Move; the trial ends on the goal."""
        del key
        cell = self.now(lambda maze: maze.after, world, world.cell * 4 + action)
        reached = cell == life.goal
        reward = reached.to(torch.float32)
        way = life.goal * self.map.cells + world.start
        score = reward * self.now(lambda maze: maze.distance.reshape(-1), world, way) / (step + 1)
        walk = Walk(cell, world.start, world.is_shut)
        return Happening(walk, reward, reached, score, reached.to(torch.int64))

    def look(self, life: Aim, world: Walk, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """The cell, or the walls around."""
        del life, step
        if self.inputs == "place":
            return one_hot(world.cell, self.map.cells)
        return self.now(lambda maze: maze.view, world, world.cell)

    def target(self, life: Aim, world: Walk) -> Int[Tensor, "*B"]:
        """The shortest way."""
        return self.now(lambda maze: maze.way, world, life.goal * self.map.cells + world.cell)
