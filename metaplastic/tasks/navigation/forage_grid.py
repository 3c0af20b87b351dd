"""Foraging on a grid: two kinds of items, one nutritious and one toxic; which is which must be tasted.

An agent with a heading lives on a torus of size x size cells, among `items` items of each kind. It goes forward, or it
turns left or right. Who steps on an item eats it: +1 for a nutritious one, -1 for a toxic one; another of its kind
grows at once in a random empty cell. What is seen are the items in view x view cells around the agent, turned so that
it looks up, one map for each kind, and with `feedback` the last action and its reward. A coin decides for every
lifetime which kind is nutritious; with `reversals` the kinds change roles so often in the learning trials, at even
distances. A trial is `steps` steps in a fresh layout.

    score = (1 + net / most) / 2 in [0, 1],   net = eaten nutritious - eaten toxic                               (1)
    most  = steps / D,   D the mean number of moves to the nearest of `items` random cells, turns not counted     (2)

Chance is 1/2 exactly, since a random policy meets both kinds alike. The ceiling is what the oracle scores in simulated
trials: it knows the roles, sees all items and takes the one that costs least, in steps and `TOXIC` steps for each toxic
item on the way. Its ways have one corner at most, and it does not plan beyond the next item: it is what can be reached,
not a proven best.

The task is ours, after the dangerous foraging of Stanley, Bryant & Miikkulainen 2003, where food or poison is drawn for
every life.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.navigation.lived_scores import mean_score
from metaplastic.tasks.worlds import Happening, WorldTask

FORWARD, LEFT, RIGHT = range(3)
TOXIC = 5
"""steps that the oracle would walk to avoid a toxic item"""
DOWN, ACROSS = (-1, 0, 1, 0), (0, 1, 0, -1)
"""rows and columns that a step leads to, heading up, right, down, left"""
LIVES = 256
"""trials from which the ceiling is computed"""


class Roles(NamedTuple):
    """What a lifetime draws."""

    good: Int[Tensor, "*B"]
    """the kind that is nutritious first, 0 or 1"""
    most: Float[Tensor, "*B"]
    """(2)"""


class Ground(NamedTuple):
    """Where everything is."""

    cell: Int[Tensor, "*B"]
    """of the agent, row by row"""
    heading: Int[Tensor, "*B"]
    """0 up, 1 right, 2 down, 3 left"""
    items: Int[Tensor, "*B 2 N"]
    """cells of the items of both kinds; all differ"""
    good: Int[Tensor, "*B"]
    """the kind that is nutritious in this trial"""
    net: Float[Tensor, "*B"]
    """of (1), so far"""


class ForageGrid(WorldTask):
    """Find out which items are nutritious, and collect them."""

    references = (
        "Stanley, Bryant & Miikkulainen 2003, Evolving adaptive neural networks with and without adaptive synapses, "
        "CEC",
    )
    tags = ("foraging", "navigation", "reward", "meta-learning")
    presets = MappingProxyType({"fixed": MappingProxyType({}), "reversal": MappingProxyType({"reversals": 1})})

    kind: Literal["ForageGrid-v0"] = "ForageGrid-v0"
    trials: int = Field(default=10, ge=1)
    """layouts of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    steps: int = Field(default=200, ge=1, le=10_000)
    """of a trial"""
    size: int = Field(default=15, ge=5, le=63)
    """cells of a side; odd"""
    view: int = Field(default=5, ge=3)
    """cells of a side that are seen; odd"""
    items: int = Field(default=10, ge=1)
    """items of each kind"""
    reversals: int = Field(default=0, ge=0)
    """how often the kinds change roles in a lifetime"""

    @model_validator(mode="after")
    def _is_possible(self) -> ForageGrid:
        for name, value in (("size", self.size), ("view", self.view)):
            if value % 2 == 0:
                raise wrong(f"{name} is {value}, wanted an odd number; use {value + 1}")
        if self.view > self.size:
            raise wrong(f"view is {self.view} cells, wanted at most size = {self.size}")
        if 4 * self.items > self.size**2:
            raise wrong(
                f"items is {self.items} of each kind, wanted at most {self.size**2 // 4}, so that half of the "
                f"{self.size**2} cells stay empty"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Criterion: three quarters of the way from chance to ceiling, which nobody reaches who eats both kinds."""
        ceiling = simulated(self.size, self.items, self.steps)
        return self.describe(
            {"first_kind": self.view**2, "second_kind": self.view**2},
            3,
            trial_steps=self.steps,
            chance=0.5,
            ceiling=ceiling,
            criterion=0.5 + 0.75 * (ceiling - 0.5),
            reward_range=(-1.0, 1.0),
            action_names=("forward", "left", "right"),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Roles:
        """Which kind is nutritious, by a coin."""
        most = self.steps / nearest(self.size, self.items)
        return Roles(rng.below(rng.word(key, 0), 2), torch.full_like(key, most, dtype=torch.float32))

    def begin(self, key: Int[Tensor, "*B"], life: Roles, trial: Int[Tensor, "*B"], before: Any) -> Ground:
        """The agent and all items in different random cells."""
        del before
        cells = rng.choose(rng.fold(key, 0), self.size**2, 2 * self.items + 1)
        heading = rng.below(rng.word(rng.fold(key, 1), 0), 4)
        turn = (trial * (self.reversals + 1) // self.trials).clamp(max=self.reversals)
        items = cells[..., 1:].reshape(*key.shape, 2, self.items)
        nothing = torch.zeros_like(trial, dtype=torch.float32)
        return Ground(cells[..., 0].clone(), heading, items.clone(), (life.good + turn) % 2, nothing)

    def advance(
        self, key: Int[Tensor, "*B"], life: Roles, world: Ground, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Turn, or go and eat; what was eaten grows elsewhere."""
        del step
        goes = action == FORWARD
        heading = (world.heading + (action == RIGHT) + 3 * (action == LEFT)) % 4
        row, column = world.cell // self.size, world.cell % self.size
        row = (row + goes * look_up(DOWN, heading, torch.int64)) % self.size
        column = (column + goes * look_up(ACROSS, heading, torch.int64)) % self.size
        cell = row * self.size + column
        eaten = world.items == cell[..., None, None]
        first, second = eaten.any(-1).unbind(-1)
        reward = ((1 - 2 * world.good) * (first.to(torch.int64) - second.to(torch.int64))).to(torch.float32)
        fresh = self.empty(rng.word(key, 0), world.items)
        items = torch.where(eaten, fresh[..., None, None], world.items)
        net = world.net + reward
        score = ((1 + net / life.most) / 2).clamp(0, 1)
        after = Ground(cell, heading, items, world.good, net)
        return Happening(after, reward, torch.zeros_like(goes), score, torch.full_like(cell, -1))

    def empty(self, word: Int[Tensor, "*B"], items: Int[Tensor, "*B 2 N"]) -> Int[Tensor, "*B"]:
        """A random cell without an item; that of an item just eaten, where the agent is, is none either."""
        taken = items.flatten(-2).sort(-1).values
        count = taken.shape[-1]
        rank = rng.below(word, self.size**2 - count)  # among the empty cells; i of them lie before taken[i] - i
        before = taken - torch.arange(count, device=taken.device) <= rank[..., None]
        return rank + before.sum(-1)

    def around(self, world: Ground) -> tuple[Int[Tensor, "*B 2 N"], Int[Tensor, "*B 2 N"]]:
        """How many cells ahead and to the right of the agent every item is, the short way round the torus."""
        cell, half = world.cell[..., None, None], self.size // 2
        down = (world.items // self.size - cell // self.size + half) % self.size - half
        across = (world.items % self.size - cell % self.size + half) % self.size - half
        dy, dx = (look_up(way, world.heading, torch.int64)[..., None, None] for way in (DOWN, ACROSS))
        return down * dy + across * dx, across * -dy + down * dx

    def look(self, life: Roles, world: Ground, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """A map of each kind, row by row from ahead, the agent in the middle."""
        del life, step
        ahead, right = self.around(world)
        half = self.view // 2
        is_near = (ahead.abs() <= half) & (right.abs() <= half)
        place = torch.where(is_near, (half - ahead) * self.view + right + half, -1)
        places = torch.arange(self.view**2, device=place.device)
        return (place[..., None] == places).any(-2).flatten(-2).to(torch.float32)

    def target(self, life: Roles, world: Ground) -> Int[Tensor, "*B"]:
        """Towards the nutritious item that costs least."""
        del life
        ahead, right = self.around(world)
        is_first = (world.good == 0)[..., None]
        y, x = (torch.where(is_first, both[..., 0, :], both[..., 1, :]) for both in (ahead, right))
        bad_y, bad_x = (torch.where(is_first, both[..., 1, :], both[..., 0, :]) for both in (ahead, right))
        cost, turns_first = _routes(y, x, bad_y[..., None, :], bad_x[..., None, :])
        best = cost.argmin(-1, keepdim=True)
        to_right = torch.cat((x, x), -1).gather(-1, best).squeeze(-1) > 0
        turn = torch.where(to_right, RIGHT, LEFT)
        return torch.where(turns_first.gather(-1, best).squeeze(-1), turn, FORWARD)


def _routes(
    y: Int[Tensor, "*B N"], x: Int[Tensor, "*B N"], bad_y: Int[Tensor, "*B 1 N"], bad_x: Int[Tensor, "*B 1 N"]
) -> tuple[Int[Tensor, "*B M"], Bool[Tensor, "*B M"]]:
    """Steps to items y ahead and x to the right, with their toll of toxic ones, and if a turn comes first; M = 2 N
    routes: to each item straight first, then to each to the side first."""
    far_y, far_x = y[..., None], x[..., None]
    straight = ((bad_x == 0) & _between(bad_y, far_y)) | ((bad_y == far_y) & _between(bad_x, far_x))
    aside = ((bad_y == 0) & _between(bad_x, far_x)) | ((bad_x == far_x) & _between(bad_y, far_y))
    tolls = TOXIC * torch.cat((straight.sum(-1), aside.sum(-1)), -1)
    is_aside, is_behind = (x != 0).to(torch.int64), (y < 0).to(torch.int64)
    about_turn = 2 * is_behind + torch.where(y == 0, 1, is_aside)
    sideways = torch.where(x == 0, about_turn, 1 + (y != 0))
    turns = torch.cat((about_turn, sideways), -1)
    moves = y.abs() + x.abs()
    return torch.cat((moves, moves), -1) + turns + tolls, torch.cat((y <= 0, (y <= 0) | (x != 0)), -1)


def _between(place: Int[Tensor, "*B 1 N"], end: Int[Tensor, "*B N 1"]) -> Bool[Tensor, "*B N N"]:
    """On the way from 0 to the end, which counts, 0 does not."""
    return (place * end > 0) & (place.abs() <= end.abs())


@lru_cache
def nearest(size: int, items: int) -> float:
    """D of (2): E = sum over d of P(nearest > d), none of the cells within d moves being drawn."""
    half, others = size // 2, size**2 - 1
    ways = [abs(r) + abs(c) for r in range(-half, half + 1) for c in range(-half, half + 1)]
    within = (sum(0 < way <= d for way in ways) for d in range(2 * half))
    return sum(math.comb(others - near, items) for near in within) / math.comb(others, items)


@lru_cache
def simulated(size: int, items: int, steps: int) -> float:
    """Mean score of the oracle."""
    task = ForageGrid(size=size, items=items, steps=steps, view=3)
    return mean_score(task, "oracle", steps, 3, lives=LIVES)
