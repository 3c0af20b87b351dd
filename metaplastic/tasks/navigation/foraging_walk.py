"""How a rat runs in a square box: a random walk whose heading turns and whose speed jumps, slowed and turned by walls.

    v_t ~ Rayleigh(b),   x_{t+1} = x_t + v_t dt (cos h_t, sin h_t),   h_{t+1} = h_t + dt N(0, s^2) + turn          (1)

Within `BORDER` of the nearest wall, and heading to it at an angle a from its normal, |a| < pi / 2, the speed is a
quarter and turn = sign(a) (pi / 2 - |a|), so that the rat runs along the wall (published code of Sorscher et al. 2019;
after Raudies & Hasselmo 2012). In a periodic box there are no walls, and positions wrap round.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng

BORDER = 0.03
"""m from a wall at which it is felt"""
SPEED = 0.13 * 2 * math.pi
"""b, m/s"""
TURNING = 5.76 * 2
"""s, rad/s"""


class Walked(NamedTuple):
    """A trajectory of T steps."""

    position: Float[Tensor, "*B N 2"]
    """m from the middle, at the start and after each step: N = T + 1"""
    velocity: Float[Tensor, "*B T 2"]
    """m/s"""


def walk(key: Int[Tensor, "*B"], steps: int, *, seconds: float, box: float, periodic: bool) -> Walked:
    """(1) from a random place and heading; `seconds` a step, `box` m wide."""
    place = anywhere(rng.fold(key, 0), box)
    words = rng.words(rng.fold(key, 1), 2 * steps)
    places, velocities = [place], []
    for t in range(steps):
        place, velocity = stride(place, words[..., 2 * t : 2 * t + 2], seconds=seconds, box=box, periodic=periodic)
        places.append(place)
        velocities.append(velocity)
    return Walked(torch.stack([place[..., :2] for place in places], -2), torch.stack(velocities, -2))


def anywhere(key: Int[Tensor, "*B"], box: float) -> Float[Tensor, "*B 3"]:
    """A random place in the box (x, y) and heading."""
    begin = rng.uniforms(key, 3)
    return torch.cat(((begin[..., :2] - 0.5) * box, begin[..., 2:] * (2 * math.pi)), -1)


def stride(
    place: Float[Tensor, "*B 3"], words: Int[Tensor, "*B 2"], *, seconds: float, box: float, periodic: bool
) -> tuple[Float[Tensor, "*B 3"], Float[Tensor, "*B 2"]]:
    """One step of (1), with two words of randomness: x, y and heading after it, and the velocity."""
    x, y, heading = place.unbind(-1)
    speed, turn = rng.rayleigh(words[..., 0], SPEED), rng.normal(words[..., 1]) * (TURNING * seconds)
    if not periodic:
        slow, away = _wall(x, y, heading, box / 2)
        speed, turn = speed * slow, turn + away
    vx, vy = speed * heading.cos(), speed * heading.sin()
    x, y, heading = x + vx * seconds, y + vy * seconds, heading + turn
    if periodic:
        x, y = wrapped(x, box), wrapped(y, box)
    return torch.stack((x, y, heading), -1), torch.stack((vx, vy), -1)


def wrapped(x: Tensor, period: float) -> Tensor:
    """x modulo the period, in [-period / 2, period / 2)."""
    return (x + period / 2).remainder(period) - period / 2


def _wall(
    x: Float[Tensor, "*B"], y: Float[Tensor, "*B"], heading: Float[Tensor, "*B"], half: float
) -> tuple[Tensor, Tensor]:
    """The factor of the speed and the turn that the nearest wall makes."""
    distance, number = torch.stack((half - x, half - y, half + x, half + y)).min(0)
    angle = wrapped(heading - number * (math.pi / 2), 2 * math.pi)
    near = (distance < BORDER) & (angle.abs() < math.pi / 2)
    away = torch.where(near, angle.sign() * (math.pi / 2 - angle.abs()), 0.0)
    return torch.where(near, 0.25, 1.0), away
