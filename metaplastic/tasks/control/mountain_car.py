"""A car too weak to drive up its hill at once (Moore 1990). Gymnasium's MountainCar-v0 and MountainCarContinuous-v0.

    v <- clip(v + power a - .0025 cos 3 x, -.07, .07),    x <- clip(x + v, -1.2, .6);    v = 0 at the left wall    (1)

It begins at rest in U(-.6, -.4) and ends at the goal. A step has no unit of time; it counts as one ms here.

    MountainCar              power .001,  a in {-1, 0, 1},  goal .5,   200 steps, -1 each; solved from -110
    MountainCarContinuous    power .0015, a in [-1, 1],     goal .45,  999 steps, -.1 a^2 each and 100 at the goal;
                             solved from 90

    scores: 1 + return / 200;    return / 100, but not below 0                                                    (2)

`force` and 1 / `mass` multiply the power; `length` is not used. The oracles push with the motion: the first by a rule
whose border (3) is a parabola found by random search, the second in proportion to the velocity, which costs little.

    a = sign(v - .0030 - .0016 x + .0098 x^2)                                                                     (3)

The random policy never arrived in 16 384 episodes of MountainCar (with drawn bodies it scored .00001) and scored .0011
+- .0002 in MountainCarContinuous, where one in 600 arrives: `chance` says 0 for what no life of a few hundred shows.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.tasks.control.base import GYMNASIUM, PRESETS, ControlTask, Physics, factors, scores, start
from metaplastic.tasks.control.world_values import Measured
from metaplastic.tasks.worlds import Happening

FASTEST, LEFT, RIGHT = 0.07, -1.2, 0.6
STEPS, LONG_STEPS = 200, 999
POWER, STRONG_POWER = 0.001, 0.0015
GOAL, NEAR_GOAL = 0.5, 0.45


class Car(NamedTuple):
    """Where it is, how fast, and the episode's return so far."""

    x: Float[Tensor, "*B"]
    v: Float[Tensor, "*B"]
    total: Float[Tensor, "*B"]


def moved(car: Car, push: Float[Tensor, "*B"]) -> Car:
    """The car after a step (1); `push` is power times action."""
    v = (car.v + push - 0.0025 * torch.cos(3 * car.x)).clamp(-FASTEST, FASTEST)
    x = car.x + v
    return Car(x.clamp(LEFT, RIGHT), torch.where((x <= LEFT) & (v < 0), 0.0, v), car.total)


class _HillTask(ControlTask, ABC):
    """What both cars share."""

    references: ClassVar[tuple[str, ...]] = (
        "Moore 1990, Efficient memory-based learning for robot control, PhD thesis, University of Cambridge",
        GYMNASIUM,
    )
    presets = PRESETS

    def begin(self, key: Int[Tensor, "*B"], life: Physics | None, trial: Int[Tensor, "*B"], before: Any) -> Car:
        """At rest in the valley."""
        del life, trial, before
        (x,) = start(key, 1, 0.1, -0.5)
        return Car(x, torch.zeros_like(x), torch.zeros_like(x))

    def look(self, life: Physics | None, world: Car, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """Position and velocity."""
        del life, step
        return self.seen((world.x,), (world.v,))


class MountainCar(_HillTask):
    """Three actions, every step costs."""

    tags = ("control", "reward", "exploration")
    threshold = 1 - 110 / STEPS
    measured = scores(fixed=Measured(0.0, 0.4737), drawn=Measured(0.0, 0.3812))

    kind: Literal["MountainCar-v0"] = "MountainCar-v0"

    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """Channels in Gymnasium's order."""
        more = {"trial_steps": STEPS, "reward_range": (-1.0, -1.0), "action_names": ("left", "nothing", "right")}
        return {"position": 1, "velocity": 1}, 3, more

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Physics | None,
        world: Car,
        action: Int[Tensor, "*B"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Drive; -1, also at the goal."""
        del key
        mass, _, force = factors(life)
        car = moved(world, (action - 1) * (POWER * force / mass))
        arrives = (car.x >= GOAL) & (car.v >= 0)
        score = 1 - (step + 1) / STEPS
        return Happening(car, torch.full_like(car.x, -1.0), arrives, score, self.judged(score))

    def target(self, life: Physics | None, world: Car) -> Int[Tensor, "*B"]:
        """The rule (3)."""
        side = world.v - 0.0030 - 0.0016 * world.x + 0.0098 * world.x.square()
        right = (side > 0) if life is None else (side * life.force > 0)
        return right.to(torch.int64) * 2


class MountainCarContinuous(_HillTask):
    """One output, effort costs, the goal pays."""

    answered_by = "control"
    tags = ("control", "continuous", "reward", "exploration")
    threshold = 0.9
    measured = scores(fixed=Measured(0.0, 0.9855), drawn=Measured(0.0390, 0.9789))

    kind: Literal["MountainCarContinuous-v0"] = "MountainCarContinuous-v0"

    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """Channels in Gymnasium's order."""
        more = {"trial_steps": LONG_STEPS, "reward_range": (-0.1, 100.0), "differentiable": True}
        return {"position": 1, "velocity": 1}, 1, {**more, "action_names": ("force",)}

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Physics | None,
        world: Car,
        action: Float[Tensor, "*B 1"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Drive; effort costs, arriving pays."""
        del key, step
        mass, _, force = factors(life)
        push = action[..., 0].clamp(-1, 1)
        car = moved(world, push * (STRONG_POWER * force / mass))
        arrives = (car.x >= NEAR_GOAL) & (car.v >= 0)
        reward = 100.0 * arrives - 0.1 * push.square()
        car = car._replace(total=car.total + reward)
        score = (car.total / 100).clamp(min=0)
        return Happening(car, reward, arrives, score, self.judged(score))

    def target(self, life: Physics | None, world: Car) -> Float[Tensor, "*B 1"]:
        """In proportion to the velocity, and a little to set off."""
        mass, _, force = factors(life)
        push = world.v * GAIN + torch.where(world.v < 0, -SET_OFF, SET_OFF)
        return (push * (mass / force)).clamp(-1, 1)[..., None]


GAIN, SET_OFF = 8.0, 0.02
"""output per velocity, and at rest, of the second oracle"""
