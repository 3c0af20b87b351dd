"""Homing by path integration: a rat is led through a box on a random run, and must then go straight back in the dark.

The run (`foraging_walk`) takes `outbound` steps, in which what the agent does counts nothing; then its two outputs are
its velocity, as parts of `speed` (longer vectors are cut to it), and walls stop it. All it ever sees is how it moves,
and whether it is its turn.

    reward 1 and the trial's end within `radius` of the start;   score 1 if that happened in `inbound` steps

The task is ours, after the homing of desert ants and rats (Mueller & Wehner 1988; Mittelstaedt & Mittelstaedt 1980).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.navigation.foraging_walk import anywhere, stride
from metaplastic.tasks.navigation.lived_scores import mean_score
from metaplastic.tasks.worlds import Happening, WorldTask


class Outing(NamedTuple):
    """Where the agent is."""

    place: Float[Tensor, "*B 3"]
    """x, y (m) and heading"""
    home: Float[Tensor, "*B 2"]
    velocity: Float[Tensor, "*B 2"]
    """how it moved in the last step, m/s"""


class PathHoming(WorldTask):
    """Go back to where a random run began, from how you moved alone."""

    references = (
        "Mueller & Wehner 1988, Path integration in desert ants, Cataglyphis fortis, PNAS 85:5287",
        "Mittelstaedt & Mittelstaedt 1980, Homing by path integration in a mammal, Naturwissenschaften 67:566",
    )
    tags = ("navigation", "memory", "reward")
    answered_by = "control"

    kind: Literal["PathHoming-v0"] = "PathHoming-v0"
    outbound: int = Field(default=200, ge=1, le=10_000)
    """steps of the run"""
    inbound: int = Field(default=120, ge=1, le=10_000)
    """steps in which the agent must be home"""
    dt: float = Field(default=20.0, gt=0)
    """ms a step"""
    box: float = Field(default=2.2, gt=0.1)
    """m, width of the box"""
    speed: float = Field(default=1.5, gt=0)
    """greatest speed of the agent, m/s"""
    radius: float = Field(default=0.2, gt=0)
    """m from the start that count as home"""

    @model_validator(mode="after")
    def _can_be_done(self) -> PathHoming:
        reach, wide = self.inbound * self.speed * self.dt / 1000, self.box * math.sqrt(2)
        if reach < wide:
            raise wrong(
                f"inbound is {self.inbound} steps of at most {self.speed * self.dt / 1000:g} m, so {reach:g} m; wanted "
                f"at least the box's diagonal, {wide:g} m: use {math.ceil(wide * 1000 / (self.speed * self.dt))} steps"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance: other trials with outputs from U(-1, 1); the way home is known exactly: ceiling 1."""
        chance = random_score(self.model_dump_json(exclude={"preset", "trials", "test_trials"}))
        return self.describe(
            {"velocity": 2, "go": 1},
            2,
            dt=self.dt,
            trial_steps=self.outbound + self.inbound,
            chance=chance,
            ceiling=1.0,
            criterion=max(0.9, (1 + chance) / 2),
        )

    def begin(self, key: Int[Tensor, "*B"], life: None, trial: Int[Tensor, "*B"], before: Outing | None) -> Outing:
        """Anywhere in the box, at rest."""
        del life, trial, before
        place = anywhere(key, self.box)
        return Outing(place, place[..., :2].clone(), torch.zeros_like(place[..., :2]))

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: None,
        world: Outing,
        action: Float[Tensor, "*B 2"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Be led, or go."""
        del life
        seconds, half = self.dt / 1000, self.box / 2
        led, run = stride(world.place, rng.words(key, 2), seconds=seconds, box=self.box, periodic=False)
        wish = action * self.speed / _length(action).clamp(min=1)[..., None]
        gone = (world.place[..., :2] + wish * seconds).clamp(-half, half)
        steered = (gone - world.place[..., :2]) / seconds
        own_turn = step >= self.outbound
        place = torch.where(own_turn[..., None], torch.cat((gone, world.place[..., 2:]), -1), led)
        velocity = torch.where(own_turn[..., None], steered, run)
        reached = own_turn & (_length(place[..., :2] - world.home) <= self.radius)
        reward = reached.to(torch.float32)
        return Happening(Outing(place, world.home, velocity), reward, reached, reward, reached.to(torch.int64))

    def look(self, life: None, world: Outing, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 3"]:
        """How it moved (m/s), and whether its outputs count."""
        del life
        return torch.cat((world.velocity, (step >= self.outbound)[..., None].to(world.velocity.dtype)), -1)

    def target(self, life: None, world: Outing) -> Float[Tensor, "*B 2"]:
        """Straight home, as fast as possible without passing it."""
        del life
        away = (world.home - world.place[..., :2]) / (self.speed * self.dt / 1000)
        return away / _length(away).clamp(min=1)[..., None]


def _length(vector: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B"]:
    return (vector[..., 0].square() + vector[..., 1].square()).sqrt()


@lru_cache
def random_score(settings: str) -> float:
    """Mean score of outputs from U(-1, 1); settings as JSON."""
    task = PathHoming.model_validate_json(settings)
    return mean_score(task, "random", task.outbound + task.inbound, 2)
