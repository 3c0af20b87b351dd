"""A planar arm of two segments, moved by the torques at shoulder and elbow; no gravity.

    M(q) q'' + C(q, q') + B q' = tau + J(q)^T F                                                                  (1)
    M = [[a1 + 2 a2 cos q2, a3 + a2 cos q2], [a3 + a2 cos q2, a3]]                                               (2)
    C = a2 sin q2 [-q2' (2 q1' + q2'), q1'^2]                                                                    (3)
    a1 = I1 + I2 + m1 s1^2 + m2 (l1^2 + s2^2),   a2 = m2 l1 s2,   a3 = I2 + m2 s2^2                              (4)
    hand = [l1 cos q1 + l2 cos(q1 + q2), l1 sin q1 + l2 sin(q1 + q2)],   J = d hand / d q                        (5)

q1 is the shoulder's angle from the x axis and q2 the elbow's from the upper arm, rad; F a force on the hand, N. m mass,
I moment of inertia about the centre of mass, which lies s along a segment of length l; SI units. Semi-implicit Euler.
At a joint's limit the angle stays there and its velocity is 0.

Bodies: `motornet`, that of MotorNet (Codol et al. 2024) without its muscles; `todorov`, the one of Li & Todorov 2004,
recalled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LIMITS = (math.radians(140), math.radians(160))
"""largest angles of shoulder and elbow; the least are 0"""


class Segments(NamedTuple):
    """A body; upper arm first, forearm second."""

    mass: tuple[float, float]
    """kg"""
    inertia: tuple[float, float]
    """about the centre of mass, kg m^2"""
    length: tuple[float, float]
    """m"""
    centre: tuple[float, float]
    """from the joint to the centre of mass, m"""
    friction: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0))
    """B, N m s / rad"""

    @property
    def constants(self) -> tuple[float, float, float]:
        """a1, a2, a3 of (4)."""
        (m1, m2), (i1, i2), (l1, _), (s1, s2) = self.mass, self.inertia, self.length, self.centre
        return i1 + i2 + m1 * s1**2 + m2 * (l1**2 + s2**2), m2 * l1 * s2, i2 + m2 * s2**2


BODIES: Mapping[str, Segments] = MappingProxyType(
    {
        "motornet": Segments((1.864572, 1.534315), (0.013193, 0.020062), (0.309, 0.26), (0.180496, 0.181479)),
        "todorov": Segments((1.4, 1.0), (0.025, 0.045), (0.3, 0.33), (0.11, 0.16), ((0.05, 0.025), (0.025, 0.05))),
    }
)


def mass_matrix(body: Segments, angles: Float[Tensor, "*B 2"]) -> tuple[Tensor, Tensor, float]:
    """M11, M12 = M21 and M22 of (2)."""
    a1, a2, a3 = body.constants
    cosine = a2 * angles[..., 1].cos()
    return a1 + 2 * cosine, a3 + cosine, a3


def coriolis(body: Segments, angles: Float[Tensor, "*B 2"], spins: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """(3)."""
    first, second = spins.unbind(-1)
    sine = body.constants[1] * angles[..., 1].sin()
    return torch.stack((-sine * second * (2 * first + second), sine * first.square()), -1)


def friction(body: Segments, spins: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """B q'."""
    first, second = spins.unbind(-1)
    (b11, b12), (b21, b22) = body.friction
    return torch.stack((b11 * first + b12 * second, b21 * first + b22 * second), -1)


def hand(body: Segments, angles: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """Where the hand is (5), m from the shoulder."""
    l1, l2 = body.length
    shoulder, both = angles[..., 0], angles.sum(-1)
    return torch.stack((l1 * shoulder.cos() + l2 * both.cos(), l1 * shoulder.sin() + l2 * both.sin()), -1)


def angles_at(body: Segments, place: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """The joint angles with the hand at a place and the elbow bent to the left; the nearest, where it is too far."""
    l1, l2 = body.length
    x, y = place.unbind(-1)
    cosine = ((x.square() + y.square() - (l1**2 + l2**2)) / (2 * l1 * l2)).clamp(-1, 1)
    elbow = cosine.acos()
    shoulder = torch.atan2(y, x) - torch.atan2(l2 * elbow.sin(), l1 + l2 * cosine)
    shoulder = torch.where(shoulder < LIMITS[0] / 2 - math.pi, shoulder + 2 * math.pi, shoulder)  # nearest the limits
    return torch.stack((shoulder, elbow), -1)


def jacobian(body: Segments, angles: Float[Tensor, "*B 2"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """J11, J12, J21, J22 of (5)."""
    l1, l2 = body.length
    shoulder, both = angles[..., 0], angles.sum(-1)
    j12, j22 = -l2 * both.sin(), l2 * both.cos()
    return j12 - l1 * shoulder.sin(), j12, j22 + l1 * shoulder.cos(), j22


def hand_velocity(body: Segments, angles: Float[Tensor, "*B 2"], spins: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """J q', m/s."""
    j11, j12, j21, j22 = jacobian(body, angles)
    first, second = spins.unbind(-1)
    return torch.stack((j11 * first + j12 * second, j21 * first + j22 * second), -1)


def torque_of(body: Segments, angles: Float[Tensor, "*B 2"], force: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
    """J^T F, N m."""
    j11, j12, j21, j22 = jacobian(body, angles)
    x, y = force.unbind(-1)
    return torch.stack((j11 * x + j21 * y, j12 * x + j22 * y), -1)


def torque_for(
    body: Segments,
    angles: Float[Tensor, "*B 2"],
    spins: Float[Tensor, "*B 2"],
    acceleration: Float[Tensor, "*B 2"],
) -> Float[Tensor, "*B 2"]:
    """The left side of (1): the torque that gives an acceleration, where nothing else pulls."""
    m11, m12, m22 = mass_matrix(body, angles)
    first, second = acceleration.unbind(-1)
    pull = torch.stack((m11 * first + m12 * second, m12 * first + m22 * second), -1)
    return pull + coriolis(body, angles, spins) + friction(body, spins)


def acceleration(
    body: Segments, angles: Float[Tensor, "*B 2"], spins: Float[Tensor, "*B 2"], torque: Float[Tensor, "*B 2"]
) -> Float[Tensor, "*B 2"]:
    """q'' of (1); `torque` is its right side."""
    m11, m12, m22 = mass_matrix(body, angles)
    first, second = (torque - coriolis(body, angles, spins) - friction(body, spins)).unbind(-1)
    determinant = m11 * m22 - m12.square()
    return torch.stack((m22 * first - m12 * second, m11 * second - m12 * first), -1) / determinant[..., None]


def energy(body: Segments, angles: Float[Tensor, "*B 2"], spins: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B"]:
    """q'^T M q' / 2, J."""
    m11, m12, m22 = mass_matrix(body, angles)
    first, second = spins.unbind(-1)
    return (m11 * first.square() + 2 * m12 * first * second + m22 * second.square()) / 2


def moved(
    body: Segments,
    angles: Float[Tensor, "*B 2"],
    spins: Float[Tensor, "*B 2"],
    torque: Float[Tensor, "*B 2"],
    seconds: float,
) -> tuple[Float[Tensor, "*B 2"], Float[Tensor, "*B 2"]]:
    """Angles and their velocities after one step of semi-implicit Euler, within `LIMITS`."""
    spins = spins + acceleration(body, angles, spins, torque) * seconds
    free = [(angles[..., joint] + spins[..., joint] * seconds) for joint in (0, 1)]
    kept = [angle.clamp(0, limit) for angle, limit in zip(free, LIMITS, strict=True)]
    stopped = [torch.where(a == b, spins[..., joint], 0.0) for joint, (a, b) in enumerate(zip(free, kept, strict=True))]
    return torch.stack(kept, -1), torch.stack(stopped, -1)
