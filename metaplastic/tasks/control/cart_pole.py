"""A pole on a cart, to be kept upright by pushing left or right (Barto, Sutton & Anderson 1983).

With x the cart's place, th the pole's angle from upright, l half its length, m its mass, M that of both:

    temp = (F + m l th'^2 sin th) / M                                                                            (1)
    th'' = (g sin th - cos th temp) / (l (4/3 - m cos^2 th / M)),    x'' = temp - m l th'' cos th / M             (2)

g 9.8, cart 1, pole .1, l .5, F = -10 or 10 N; Euler's method with the old velocities, 20 ms. An episode begins in
U(-.05, .05)^4, pays 1 a step and ends where |x| > 2.4 or |th| > 12 degrees, or after 500 steps. It is Gymnasium's
CartPole-v1, solved from a mean return of 475.

    score = steps / 500                                                                                          (3)

The oracle pushes to the side that linear feedback of the state asks for; its gains are those of a linear-quadratic
regulator (`lqr`), of the usual body in all lives.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.control.base import GYMNASIUM, PRESETS, ControlTask, Factor, Physics, factors, scores
from metaplastic.tasks.control.world_values import Measured
from metaplastic.tasks.worlds import Happening

GRAVITY, CART, POLE, HALF, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
"""m/s^2, kg, kg, m, N, s"""
LIMIT, ANGLE, STEPS = 2.4, 12 * 2 * math.pi / 360, 500
GAINS = (2.84881, 4.12563, 39.65178, 9.88680)
"""what `lqr` gives, N per m, m/s, rad and rad/s"""


class Cart(NamedTuple):
    """Where cart and pole are, and how they move."""

    x: Float[Tensor, "*B"]
    v: Float[Tensor, "*B"]
    angle: Float[Tensor, "*B"]
    spin: Float[Tensor, "*B"]


class Body(NamedTuple):
    """A cart and its pole in the equations' letters; tensors where lives differ."""

    m: Factor
    half: Factor
    total: Factor


def body(mass: Factor, length: Factor) -> Body:
    """The body with these factors of the pole's mass and length."""
    return Body(POLE * mass, HALF * length, CART + POLE * mass)


def accelerations(
    body: Body, force: Float[Tensor, "*B"], angle: Float[Tensor, "*B"], spin: Float[Tensor, "*B"]
) -> tuple[Tensor, Tensor]:
    """x'' and th'' (1, 2)."""
    cos, sin = angle.cos(), angle.sin()
    lever = body.m * body.half
    temp = (force + lever * spin.square() * sin) / body.total
    turning = (GRAVITY * sin - cos * temp) / (body.half * (4.0 / 3.0 - body.m * cos.square() / body.total))
    return temp - lever * turning * cos / body.total, turning


def moved(cart: Cart, body: Body, force: Float[Tensor, "*B"]) -> Cart:
    """The cart after a step of Euler's method."""
    push, turning = accelerations(body, force, cart.angle, cart.spin)
    return Cart(cart.x + TAU * cart.v, cart.v + TAU * push, cart.angle + TAU * cart.spin, cart.spin + TAU * turning)


class CartPole(ControlTask):
    """Keep the pole upright."""

    references = (
        "Barto, Sutton & Anderson 1983, Neuronlike elements that can solve difficult control problems, IEEE SMC 13:834",
        GYMNASIUM,
    )
    tags = ("control", "reward")
    threshold = 475 / STEPS
    measured = scores(fixed=Measured(0.0450, 1.0), drawn=Measured(0.0451, 1.0))
    presets = PRESETS

    kind: Literal["CartPole-v1"] = "CartPole-v1"

    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """Channels in Gymnasium's order."""
        widths = {"position": 1, "velocity": 1, "angle": 1, "angular_velocity": 1}
        return widths, 2, {"dt": TAU * 1000, "trial_steps": STEPS, "action_names": ("left", "right")}

    def begin(self, key: Int[Tensor, "*B"], life: Physics | None, trial: Int[Tensor, "*B"], before: Any) -> Cart:
        """Nearly upright, nearly at rest; each half of a word is a number, for a compiled step draws in every lane."""
        del life, trial, before
        halves = [half for word in (rng.word(key, 0), rng.word(key, 1)) for half in (word, word << 32)]
        return Cart(*(rng.uniform(half) * 0.1 - 0.05 for half in halves))

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Physics | None,
        world: Cart,
        action: Int[Tensor, "*B"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Push; 1 for every step, also the one in which the pole falls."""
        del key
        mass, length, push = factors(life)
        cart = moved(world, body(mass, length), (action * (2 * FORCE) - FORCE) * push)
        falls = (cart.x.abs() > LIMIT) | (cart.angle.abs() > ANGLE)
        score = (step + 1) / STEPS
        return Happening(cart, torch.ones_like(cart.x), falls, score, self.judged(score))

    def look(self, life: Physics | None, world: Cart, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """The state, or its positions."""
        del life, step
        return torch.stack((world.x, world.angle) if self.no_velocity else world, -1)

    def target(self, life: Physics | None, world: Cart) -> Int[Tensor, "*B"]:
        """The side that linear feedback asks for."""
        push = feedback(world)
        if life is not None:
            push = push * life.force
        return (push > 0).to(torch.int64)


def feedback(cart: Cart) -> Float[Tensor, "*B"]:
    """Force that the regulator of `lqr` asks for, N."""
    x, v, angle, spin = GAINS
    return x * cart.x + v * cart.v + angle * cart.angle + spin * cart.spin


def lqr(position: float = 1.0, angle: float = 10.0, effort: float = 0.1) -> tuple[float, ...]:
    """Gains (x, v, th, th') of the linear-quadratic regulator of (1, 2) around upright, N per unit; F = gains . state.

    Costs are position x^2 + angle th^2 + effort F^2 at every step; the Riccati equation is iterated in float64.
    """
    total, lever = CART + POLE, POLE * HALF
    inertia = HALF * (4 / 3 - POLE / total)
    th_th, th_f = GRAVITY / inertia, -1 / (total * inertia)
    rates = np.array(
        [[0, 1, 0, 0], [0, 0, -lever * th_th / total, 0], [0, 0, 0, 1], [0, 0, th_th, 0]], dtype=np.float64
    )
    pushed = np.array([[0], [1 / total - lever * th_f / total], [0], [th_f]])
    a, b = np.eye(4) + TAU * rates, TAU * pushed
    q = np.diag([position, 0.0, angle, 0.0])
    p, gain = q, np.zeros((1, 4))
    for _ in range(2000):
        gain = np.linalg.solve(effort + b.T @ p @ b, b.T @ p @ a)
        p = q + a.T @ p @ (a - b @ gain)
    return tuple((-gain[0]).tolist())
