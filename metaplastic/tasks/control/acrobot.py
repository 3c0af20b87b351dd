"""Two links hanging from a pivot, driven at the joint between them, to be swung above a line. Gymnasium's Acrobot-v1.

    d1 = m1 c1^2 + m2 (l1^2 + c2^2 + 2 l1 c2 cos th2) + I1 + I2,    d2 = m2 (c2^2 + l1 c2 cos th2) + I2          (1)
    phi2 = m2 c2 g sin(th1 + th2),    phi1 = -m2 l1 c2 (th2'^2 + 2 th2' th1') sin th2 + (m1 c1 + m2 l1) g sin th1 + phi2
    th2'' = (u + d2/d1 phi1 - m2 l1 c2 th1'^2 sin th2 - phi2) / (m2 c2^2 + I2 - d2^2/d1),
    th1'' = -(d2 th2'' + phi1) / d1                                                                              (2)

Sutton & Barto (1998), chapter 11, with l = m = I = 1, c = l/2, g 9.8, u in {-1, 0, 1} N m; one Runge-Kutta step of
fourth order every 200 ms, |th1'| <= 4 pi, |th2'| <= 9 pi. It begins in U(-.1, .1)^4 and ends where the tip is higher
than one link above the pivot, -cos th1 - cos(th1 + th2) > 1, or after 500 steps; -1 for every step but the last one
that arrives. Solved from a mean return of -100.

    score = 1 + return / 500                                                                                     (3)

`mass` and `length` multiply those of both links (I with m l^2). The oracle pumps energy: the joint's torque follows
the sign of the difference of the two angular velocities.
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

GRAVITY, TAU, STEPS = 9.8, 0.2, 500
FASTEST = (4 * math.pi, 9 * math.pi)
"""rad/s, of the two joints"""


class Links(NamedTuple):
    """Angle of the first link from hanging, of the second from the first, and their angular velocities."""

    first: Float[Tensor, "*B"]
    second: Float[Tensor, "*B"]
    first_spin: Float[Tensor, "*B"]
    second_spin: Float[Tensor, "*B"]


def rates(links: Links, torque: Float[Tensor, "*B"], mass: Factor = 1.0, length: Factor = 1.0) -> Links:
    """Time derivatives (2)."""
    one, two, spin1, spin2 = links
    inertia = mass * length**2  # of a link, and m l1 c2 = inertia / 2
    weight = 0.5 * mass * length * GRAVITY
    cos, sin = two.cos(), two.sin()
    d1 = inertia * (3.5 + cos)
    d2 = inertia * (1.25 + 0.5 * cos)
    phi2 = weight * (one + two).sin()
    swirl = 0.5 * inertia * sin
    phi1 = -swirl * spin2 * (spin2 + 2 * spin1) + 3 * weight * one.sin() + phi2
    ratio = d2 / d1
    turning2 = (torque + ratio * phi1 - swirl * spin1.square() - phi2) / (1.25 * inertia - d2 * ratio)
    return Links(spin1, spin2, -(d2 * turning2 + phi1) / d1, turning2)


def moved(links: Links, torque: Float[Tensor, "*B"], mass: Factor = 1.0, length: Factor = 1.0) -> Links:
    """One Runge-Kutta step of fourth order, angles wrapped, velocities bounded."""
    k1 = rates(links, torque, mass, length)
    k2 = rates(_along(links, k1, TAU / 2), torque, mass, length)
    k3 = rates(_along(links, k2, TAU / 2), torque, mass, length)
    k4 = rates(_along(links, k3, TAU), torque, mass, length)
    slope = Links(*(a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)))
    one, two, spin1, spin2 = _along(links, slope, TAU / 6)
    bounded = (spin.clamp(-most, most) for spin, most in zip((spin1, spin2), FASTEST, strict=True))
    return Links(_wrapped(one), _wrapped(two), *bounded)


def _along(links: Links, slope: Links, time: float) -> Links:
    return Links(*(value + time * rate for value, rate in zip(links, slope, strict=True)))


def _wrapped(angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """The angle in [-pi, pi]; no angle moves by two turns in a step."""
    turns = (angle > math.pi).to(angle.dtype) - (angle < -math.pi).to(angle.dtype)
    return angle - 2 * math.pi * turns


class Acrobot(ControlTask):
    """Swing the tip above the line."""

    references = (
        "Sutton 1996, Generalization in reinforcement learning: successful examples using sparse coarse coding, NIPS 8",
        GYMNASIUM,
    )
    tags = ("control", "reward")
    threshold = 1 - 100 / STEPS
    measured = scores(fixed=Measured(0.0022, 0.8317), drawn=Measured(0.0584, 0.8035))
    presets = PRESETS

    kind: Literal["Acrobot-v1"] = "Acrobot-v1"

    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """Channels in Gymnasium's order."""
        angles = {"first_cosine": 1, "first_sine": 1, "second_cosine": 1, "second_sine": 1}
        more = {"dt": TAU * 1000, "trial_steps": STEPS, "reward_range": (-1.0, 0.0)}
        names = ("backward", "nothing", "forward")
        return {**angles, "first_velocity": 1, "second_velocity": 1}, 3, {**more, "action_names": names}

    def begin(self, key: Int[Tensor, "*B"], life: Physics | None, trial: Int[Tensor, "*B"], before: Any) -> Links:
        """Hanging, nearly at rest."""
        del life, trial, before
        return Links(*start(key, 4, 0.1))

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Physics | None,
        world: Links,
        action: Int[Tensor, "*B"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Turn the joint; -1 unless the tip is above the line."""
        del key
        mass, length, force = factors(life)
        links = moved(world, (action - 1) * force, mass, length)
        arrives = -links.first.cos() - (links.first + links.second).cos() > 1.0
        reward = arrives.to(links.first.dtype) - 1.0
        score = 1 + (reward - step) / STEPS
        return Happening(links, reward, arrives, score, self.judged(score))

    def look(self, life: Physics | None, world: Links, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """Cosines and sines of both angles, and the angular velocities."""
        del life, step
        one, two, spin1, spin2 = world
        return self.seen((one.cos(), one.sin(), two.cos(), two.sin()), (spin1, spin2))

    def target(self, life: Physics | None, world: Links) -> Int[Tensor, "*B"]:
        """The torque that adds energy."""
        push = pumped(world)
        if life is not None:
            push = push * life.force
        return (push > 0).to(torch.int64) * 2


def pumped(links: Links) -> Float[Tensor, "*B"]:
    """Its sign is the torque's."""
    return links.second_spin - links.first_spin
