"""The water maze: find a platform under the surface of a round pool from where you are (Morris 1981).

What is seen are N place cells on a lattice of the pool, as evenly spread as the seeds of a sunflower (Vogel 1979):

    a_i = exp(-|x - c_i|^2 / 2 field^2),   c_i at radius R sqrt((i + 1/2) / N), angle i pi (3 - sqrt 5)              (1)

and, with `feedback`, the last action and reward. The swimmer covers speed x dt a step, in one of eight directions (0
east, 2 north), and is thrown back by the wall as light by a mirror: radius r > R becomes 2 R - r. It starts a step away
from the wall. The platform's middle is at least `margin` away from the wall, all places alike. Whether it is met is
asked at the end of a step. Starts, platforms and the score are those of `hidden_platform`.

Presets: `rmw` one platform a lifetime, `dmp` a new one every four trials; `foster00` is `dmp` with the 493 place cells
of Foster, Morris & Dayan 2000. Its pool of 2 m, platform of 10 cm, .3 m/s, 120 s and .16 m are the default; all of it
is recalled. Departure: their swimmers carry some of the last direction over into the next step, ours turn at once.

`WaterMazeSteering-v0` is answered by one output, the turn to the left as a part of `turning`; the swimmer starts facing
the wall, sees its heading (cosine, sine), and bounces with its heading.

Chance and oracle are means over simulated trials (`lived_scores`); the oracle swims in the direction nearest to that
of the platform.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.navigation.foraging_walk import wrapped
from metaplastic.tasks.navigation.hidden_platform import STARTS, HiddenPlatform, Setting
from metaplastic.tasks.navigation.lived_scores import mean_score
from metaplastic.tasks.worlds import Happening

HEADINGS = 8

_CENTRES: dict[tuple[int, float, str], Tensor] = {}
"""(cells, pool, device) -> places [N, 2]: made once a process. A plain dict: torch.compile sees through it"""


class Swim(NamedTuple):
    """Where a swimmer is, and what it looks for."""

    place: Float[Tensor, "*B 2"]
    """x, y, m from the middle"""
    heading: Float[Tensor, "*B"]
    """of the last step, rad from east"""
    setting: Setting


class _Pool(HiddenPlatform):
    """What both pools are; they differ in how a swimmer says where it goes."""

    references = (
        "Morris 1981, Spatial localization does not require the presence of local cues, Learn Motiv 12:239",
        "Steele & Morris 1999, Delay-dependent impairment of a matching-to-place task with chronic and "
        "intrahippocampal infusion of the NMDA-antagonist D-AP5, Hippocampus 9:118",
        "Foster, Morris & Dayan 2000, A model of hippocampally dependent navigation, using the temporal difference "
        "learning rule, Hippocampus 10:1",
    )
    tags = ("navigation", "maze", "reward", "meta-learning")

    dt: float = Field(default=100.0, gt=0)
    """ms a step"""
    limit: float = Field(default=120_000.0, gt=0)
    """ms in which the platform must be found"""
    pool: float = Field(default=1.0, gt=0)
    """R, m"""
    radius: float = Field(default=0.05, gt=0)
    """of the platform, m"""
    margin: float = Field(default=0.2, ge=0)
    """m from the wall to the platform's middle, at least"""
    speed: float = Field(default=0.3, gt=0)
    """m/s"""
    cells: int = Field(default=100, ge=3, le=4096)
    """N, place cells"""
    field: float = Field(default=0.16, gt=0)
    """m"""

    @model_validator(mode="after")
    def _can_be_done(self) -> _Pool:
        if (self.limit / self.dt) % 1:
            raise wrong(f"limit is {self.limit:g} ms, wanted a multiple of dt = {self.dt:g} ms")
        if self.stride > self.radius:
            raise wrong(
                f"speed is {self.speed:g} m/s, so a step of {self.stride:g} m passes the platform; wanted at most its "
                f"radius, {self.radius:g} m: use dt {1000 * self.radius / self.speed:.4g} or less"
            )
        if self.margin + self.radius >= self.pool:
            raise wrong(f"margin is {self.margin:g} m, wanted less than pool - radius = {self.pool - self.radius:g} m")
        if self.steps * self.stride < 2.5 * self.pool:
            raise wrong(
                f"limit is {self.limit:g} ms, in which {self.steps * self.stride:g} m are swum; wanted at least 2.5 "
                f"times the pool's radius: use {math.ceil(2.5 * self.pool / self.stride) * self.dt:g} ms"
            )
        return self

    @property
    def stride(self) -> float:
        """m a step."""
        return self.speed * self.dt / 1000

    @property
    def steps(self) -> int:
        """T, steps of a trial."""
        return round(self.limit / self.dt)

    @abstractmethod
    def turned(self, world: Swim, action: Tensor) -> Float[Tensor, "*B"]:
        """The heading of this step."""

    @property
    def answers(self) -> int:
        """Actions, or outputs."""
        return HEADINGS if self.answered_by == "act" else 1

    @property
    def spec(self) -> TaskSpec:
        """Criterion: nine tenths of the way from chance to ceiling."""
        unseen = {"preset", "trials", "test_trials", "feedback", "every", "cells", "field"}
        chance, oracle = simulated(type(self), self.model_dump_json(exclude=unseen))
        covered = math.pi * self.radius**2 + 2 * self.radius * self.stride * torch.arange(self.steps)
        ceiling = self.ceiling((covered / (math.pi * (self.pool - self.margin) ** 2)).clamp(max=1), oracle)
        return self.describe(
            {"place_cells": self.cells, **({"heading": 2} if self.answered_by == "control" else {})},
            self.answers,
            dt=self.dt,
            trial_steps=self.steps,
            chance=chance,
            ceiling=ceiling,
            oracle=oracle,
            criterion=chance + 0.9 * (ceiling - chance),
        )

    def anywhere(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B 2"]:
        """Anywhere at least `margin` from the wall, evenly."""
        u = rng.uniforms(key, 2)
        return _polar((self.pool - self.margin) * u[..., 0].sqrt(), 2 * math.pi * u[..., 1])

    def begin(self, key: Int[Tensor, "*B"], life: None, trial: Int[Tensor, "*B"], before: Swim | None) -> Swim:
        """At one of four places near the wall, which it faces."""
        del life
        setting = self.arranged(key, trial, None if before is None else before.setting)
        heading = ((1 - setting.start) % STARTS).to(torch.float32) * (math.pi / 2)
        return Swim(_polar(torch.full_like(heading, self.pool - self.stride), heading), heading, setting)

    def advance(
        self, key: Int[Tensor, "*B"], life: None, world: Swim, action: Tensor, step: Int[Tensor, "*B"]
    ) -> Happening:
        """Swim; the trial ends on the platform."""
        del key, life
        heading = self.turned(world, action)
        place = world.place + _polar(torch.full_like(heading, self.stride), heading)
        away = _length(place)
        out = away > self.pool
        normal = torch.atan2(place[..., 1], place[..., 0])
        place = torch.where(out[..., None], place * ((2 * self.pool - away) / away.clamp(min=1e-9))[..., None], place)
        heading = wrapped(torch.where(out, 2 * normal + math.pi - heading, heading), 2 * math.pi)
        swim = Swim(place, heading, world.setting)
        return self.told(swim, self.is_there(swim), step, self.steps)

    def is_there(self, world: Swim) -> Bool[Tensor, "*B"]:
        """On the platform."""
        return _length(world.place - world.setting.platform) <= self.radius

    def look(self, life: None, world: Swim, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B N"]:
        """The place cells (1)."""
        del life, step
        away = world.place[..., None, :] - centres(self.cells, self.pool, world.place.device)
        return (away.square().sum(-1) / (-2 * self.field**2)).exp()

    def bearing(self, world: Swim) -> Float[Tensor, "*B"]:
        """Direction of the platform, rad from east."""
        away = world.setting.platform - world.place
        return torch.atan2(away[..., 1], away[..., 0])


class WaterMaze(_Pool):
    """Swim in one of eight directions a step."""

    presets = MappingProxyType(
        {
            "rmw": MappingProxyType({}),
            "dmp": MappingProxyType({"every": 4}),
            "foster00": MappingProxyType({"every": 4, "cells": 493}),
        }
    )

    kind: Literal["WaterMaze-v0"] = "WaterMaze-v0"

    @property
    def spec(self) -> TaskSpec:
        """With the names of the actions."""
        names = ("east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast")
        return super().spec._replace(action_names=names)

    def turned(self, world: Swim, action: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The direction that was asked for."""
        del world
        return action.to(torch.float32) * (2 * math.pi / HEADINGS)

    def target(self, life: None, world: Swim) -> Int[Tensor, "*B"]:
        """The direction nearest to the platform's."""
        del life
        return (self.bearing(world) * (HEADINGS / (2 * math.pi))).round().to(torch.int64) % HEADINGS


class WaterMazeSteering(_Pool):
    """Swim on and on, and steer by one output."""

    answered_by = "control"
    presets = MappingProxyType({"rmw": MappingProxyType({}), "dmp": MappingProxyType({"every": 4})})

    kind: Literal["WaterMazeSteering-v0"] = "WaterMazeSteering-v0"
    turning: float = Field(default=360.0, gt=0)
    """degrees a second, at an output of 1"""

    @model_validator(mode="after")
    def _can_turn(self) -> WaterMazeSteering:
        least = math.degrees(self.speed / self.radius)
        if self.turning < least:
            raise wrong(
                f"turning is {self.turning:g} degrees a second, wanted at least speed / radius = {math.ceil(least)}: "
                "a swimmer could circle round the platform without end"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """With the name of the output."""
        return super().spec._replace(action_names=("turn_left",))

    @property
    def sharpest(self) -> float:
        """rad a step."""
        return math.radians(self.turning) * self.dt / 1000

    def turned(self, world: Swim, action: Float[Tensor, "*B 1"]) -> Float[Tensor, "*B"]:
        """The last heading, and the turn."""
        return world.heading + action[..., 0].clamp(-1, 1) * self.sharpest

    def look(self, life: None, world: Swim, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """The place cells and the heading."""
        seen = super().look(life, world, step)
        return torch.cat((seen, _polar(torch.ones_like(world.heading), world.heading)), -1)

    def target(self, life: None, world: Swim) -> Float[Tensor, "*B 1"]:
        """Turn to the platform."""
        del life
        turn = wrapped(self.bearing(world) - world.heading, 2 * math.pi)
        return (turn / self.sharpest).clamp(-1, 1)[..., None]


def _polar(radius: Float[Tensor, "*B"], angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B 2"]:
    return torch.stack((radius * angle.cos(), radius * angle.sin()), -1)


def _length(vector: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B"]:
    return (vector[..., 0].square() + vector[..., 1].square()).sqrt()


def centres(cells: int, pool: float, device: torch.device | str) -> Float[Tensor, "N 2"]:
    """Where the place cells of (1) are, m."""
    key = (cells, pool, str(device))
    if key not in _CENTRES:
        i = torch.arange(cells, dtype=torch.float64)
        places = _polar(pool * ((i + 0.5) / cells).sqrt(), i * (math.pi * (3 - math.sqrt(5))))
        _CENTRES[key] = places.to(torch.float32).to(device)
    return _CENTRES[key]


@lru_cache
def simulated(cls: type[Any], settings: str) -> tuple[float, float]:
    """Mean scores of the random policy and of the oracle; settings as JSON."""
    task = cls.model_validate_json(settings)
    chance, oracle = (mean_score(task, who, task.steps, task.answers) for who in ("random", "oracle"))
    return chance, oracle
