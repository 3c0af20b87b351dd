"""A pendulum to be swung up and kept upright by a torque too weak to lift it at once. Gymnasium's Pendulum-v1.

    th'' = 3 g / (2 l) sin th + 3 u / (m l^2),     |th'| <= 8,     u in [-2, 2] N m                              (1)
    cost = th^2 + .1 th'^2 + .001 u^2,    th wrapped to [-pi, pi], before the step                               (2)

g 10, m 1, l 1, semi-implicit Euler, 50 ms, 200 steps; th in U(-pi, pi) from upright, th' in U(-1, 1). The output in
[-1, 1] is multiplied by 2 N m.

    score = 1 - mean cost / (pi^2 + .1 8^2 + .001 2^2),    so return = 200 16.274 (score - 1)                     (3)

Nobody has said from where it counts as solved; here it is a mean return of -200.
The oracle pumps energy towards that of rest upright and catches by linear feedback.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.tasks.control.base import GYMNASIUM, PRESETS, ControlTask, Factor, Physics, factors, scores, start
from metaplastic.tasks.control.world_values import Measured
from metaplastic.tasks.worlds import Happening

GRAVITY, TAU, FASTEST, TORQUE, STEPS = 10.0, 0.05, 8.0, 2.0, 200
"""m/s^2, s, rad/s, N m, steps of an episode"""
WORST = math.pi**2 + 0.1 * FASTEST**2 + 0.001 * TORQUE**2
"""the largest cost of a step (2)"""


class Swing(NamedTuple):
    """Angle from upright, angular velocity, and the episode's cost so far."""

    angle: Float[Tensor, "*B"]
    spin: Float[Tensor, "*B"]
    cost: Float[Tensor, "*B"]


def wrapped(angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """The angle in [-pi, pi)."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


class Pendulum(ControlTask):
    """Swing up and stay."""

    answered_by = "control"
    references = (GYMNASIUM,)
    tags = ("control", "continuous", "reward")
    threshold = 1 - 200 / (STEPS * WORST)
    measured = scores(fixed=Measured(0.6223, 0.9534), drawn=Measured(0.6178, 0.9495))
    presets = PRESETS

    kind: Literal["Pendulum-v1"] = "Pendulum-v1"

    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """Channels in Gymnasium's order."""
        widths = {"cosine": 1, "sine": 1, "angular_velocity": 1}
        more = {"dt": TAU * 1000, "trial_steps": STEPS, "reward_range": (-WORST, 0.0), "differentiable": True}
        return widths, 1, {**more, "action_names": ("torque",)}

    def begin(self, key: Int[Tensor, "*B"], life: Physics | None, trial: Int[Tensor, "*B"], before: Any) -> Swing:
        """Any angle, slowly moving."""
        del life, trial, before
        angle, spin = start(key, 2, 1.0)
        return Swing(angle * math.pi, spin, torch.zeros_like(spin))

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Physics | None,
        world: Swing,
        action: Float[Tensor, "*B 1"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Turn (1); pay for where it was (2)."""
        del key, step
        mass, length, force = factors(life)
        torque = action[..., 0].clamp(-1, 1) * TORQUE
        cost = wrapped(world.angle).square() + 0.1 * world.spin.square() + 0.001 * torque.square()
        turning = (3 * GRAVITY / 2) / length * world.angle.sin() + 3.0 * force / (mass * length**2) * torque
        spin = (world.spin + turning * TAU).clamp(-FASTEST, FASTEST)
        swing = Swing(world.angle + spin * TAU, spin, world.cost + cost)
        score = 1 - swing.cost / (STEPS * WORST)
        return Happening(swing, -cost, torch.zeros_like(cost, dtype=torch.bool), score, self.judged(score))

    def look(self, life: Physics | None, world: Swing, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """Cosine, sine and angular velocity."""
        del life, step
        return self.seen((world.angle.cos(), world.angle.sin()), (world.spin,))

    def target(self, life: Physics | None, world: Swing) -> Float[Tensor, "*B 1"]:
        """Pump energy; near upright, linear feedback."""
        mass, length, force = factors(life)
        return controlled(world, mass, length, force)[..., None]


def controlled(swing: Swing, mass: Factor, length: Factor, force: Factor) -> Float[Tensor, "*B"]:
    """The controller's output in [-1, 1]."""
    angle = wrapped(swing.angle)
    gravity = (3 * GRAVITY / 2) / length
    energy = 0.5 * swing.spin.square() + gravity * (angle.cos() - 1)  # per inertia; 0 at rest upright
    unit = (mass * length**2) / (3.0 * force * TORQUE)  # output per angular acceleration
    pump = -energy * swing.spin * 10.0
    catch = -(gravity + 12.0) * angle - 6.0 * swing.spin
    liftable = 0.9 * abs(1 / unit)  # rad/s^2
    near = (angle.abs() * gravity < liftable) & (energy.abs() < 3)
    return (torch.where(near, catch, pump) * unit).clamp(-1, 1)
