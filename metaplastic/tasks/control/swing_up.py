"""A pole that hangs from a cart, to be swung up and kept upright by a force on the cart; the cart's track is short.

Cart and pole are those of CartPole-v1 (`cart_pole.py`, Euler's method, 20 ms). The output in [-1, 1] is a force of up
to 10 N. An episode begins hanging, U(-.05, .05)^4 around (0, 0, pi, 0), and lasts 500 steps, or until |x| > 2.4 m.

    reward = (1 + cos th) / 2 cos(pi x / 4.8),     score = sum of rewards / 500                                   (1)

th from upright, after the step. The task is older than its many versions (Furuta et al. 1992; the reward has the form
of Ha 2017, A visual guide to evolution strategies); equations and limits are chosen to be those of CartPole-v1, and
no publication's numbers apply. The oracle gives the cart an acceleration that pumps energy into the pole (Astrom &
Furuta 2000) and holds the cart near the middle; the force for it follows from the equations, solved for x'':

    l 4/3 th'' = g sin th - cos th x'',     F = M (x'' + m l th'' cos th / M) - m l th'^2 sin th                  (2)

and near upright it is the regulator of `cart_pole.lqr`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.tasks.control.base import PRESETS, ControlTask, Physics, factors, scores, start
from metaplastic.tasks.control.cart_pole import FORCE, GRAVITY, LIMIT, STEPS, TAU, Body, Cart, body, feedback, moved
from metaplastic.tasks.control.pendulum import wrapped
from metaplastic.tasks.control.world_values import Measured
from metaplastic.tasks.worlds import Happening

PUMP, CENTRE, DAMP, CATCH = 0.5, 2.0, 2.0, 0.35
"""the oracle's gains (acceleration per energy and spin; 1/s^2; 1/s) and the angle below which it only holds"""


class Trip(NamedTuple):
    """A cart, and what the episode has earned so far."""

    cart: Cart
    total: Float[Tensor, "*B"]


class CartPoleSwingUp(ControlTask):
    """Swing the pole up and keep it there."""

    answered_by = "control"
    references = (
        "Furuta, Yamakita & Kobayashi 1992, Swing-up control of inverted pendulum using pseudo-state feedback",
        "Astrom & Furuta 2000, Swinging up a pendulum by energy control, Automatica 36:287",
    )
    tags = ("control", "continuous", "reward")
    threshold = 0.7
    measured = scores(fixed=Measured(0.0223, 0.8335), drawn=Measured(0.0231, 0.8260))
    presets = MappingProxyType({"fixed": PRESETS["gymnasium"], "meta": PRESETS["meta"]})

    kind: Literal["CartPoleSwingUp-v0"] = "CartPoleSwingUp-v0"

    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """The angle by its cosine and sine."""
        widths = {"position": 1, "cosine": 1, "sine": 1, "velocity": 1, "angular_velocity": 1}
        more = {"dt": TAU * 1000, "trial_steps": STEPS, "differentiable": True, "action_names": ("force",)}
        return widths, 1, more

    def begin(self, key: Int[Tensor, "*B"], life: Physics | None, trial: Int[Tensor, "*B"], before: Any) -> Trip:
        """Hanging, nearly at rest."""
        del life, trial, before
        x, v, angle, spin = start(key, 4, 0.05)
        return Trip(Cart(x, v, angle + math.pi, spin), torch.zeros_like(x))

    def advance(
        self,
        key: Int[Tensor, "*B"],
        life: Physics | None,
        world: Trip,
        action: Float[Tensor, "*B 1"],
        step: Int[Tensor, "*B"],
    ) -> Happening:
        """Push; paid by (1) while the cart is on its track."""
        del key, step
        mass, length, push = factors(life)
        cart = moved(world.cart, body(mass, length), action[..., 0].clamp(-1, 1) * FORCE * push)
        leaves = cart.x.abs() > LIMIT
        upright = (1 + cart.angle.cos()) / 2
        reward = torch.where(leaves, 0.0, upright * torch.cos(cart.x * (math.pi / (2 * LIMIT))))
        total = world.total + reward
        score = (total / STEPS).clamp(0, 1)
        return Happening(Trip(cart, total), reward, leaves, score, self.judged(score))

    def look(self, life: Physics | None, world: Trip, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """The cart's place, the pole's angle, and how fast they change."""
        del life, step
        x, v, angle, spin = world.cart
        return self.seen((x, angle.cos(), angle.sin()), (v, spin))

    def target(self, life: Physics | None, world: Trip) -> Float[Tensor, "*B 1"]:
        """Pump by (2); near upright, hold."""
        mass, length, push = factors(life)
        force = controlled(world.cart, body(mass, length))
        return (force / (FORCE * push)).clamp(-1, 1)[..., None]


def controlled(cart: Cart, body: Body) -> Float[Tensor, "*B"]:
    """Force of the controller, N."""
    angle = wrapped(cart.angle)
    cos, sin = angle.cos(), angle.sin()
    lever = body.half * (4 / 3)
    energy = 0.5 * lever * cart.spin.square() + GRAVITY * (cos - 1)  # over m l; 0 at rest upright
    push = PUMP * energy * cart.spin * cos - CENTRE * cart.x - DAMP * cart.v
    turning = (GRAVITY * sin - cos * push) / lever  # (2)
    force = body.total * push + body.m * body.half * (turning * cos - cart.spin.square() * sin)
    near = (angle.abs() < CATCH) & (energy.abs() < 2)
    return torch.where(near, feedback(cart._replace(angle=angle)), force)
