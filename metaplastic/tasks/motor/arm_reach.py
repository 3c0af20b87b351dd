"""Reaching with a planar arm of two segments, driven by torques at shoulder and elbow (`arm.py`).

An output of 1 is 20 N m at the shoulder and 10 N m at the elbow. A step is made in two halves, the torques and the
field's force held. The middle of the workspace is where the hand is at 45 degrees of the shoulder and 90 of the elbow.
With `layout` anywhere both angles are uniform, at least 10 degrees within their limits. The trial is told in
`reaching.py`, the presets in `reach_settings.py`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.constants import constant
from metaplastic.tasks.motor.arm import (
    BODIES,
    LIMITS,
    Segments,
    angles_at,
    hand,
    hand_velocity,
    moved,
    torque_for,
    torque_of,
)
from metaplastic.tasks.motor.perturbation import Perturbation, field
from metaplastic.tasks.motor.reaching import Body, ReachTask

SUBSTEPS = 2
MIDDLE = (math.radians(45), math.radians(90))
MARGIN = math.radians(10)

Arm = Literal["motornet", "todorov"]


class ArmReach(ReachTask):
    """Move the hand of an arm to a target by torques."""

    feels = MappingProxyType({"angles": 2, "angular_velocity": 2})
    outputs = ("shoulder_torque", "elbow_torque")

    kind: Literal["ArmReach-v0"] = "ArmReach-v0"
    arm: Annotated[Arm, BeforeValidator(one_of(Arm))] = "motornet"
    """masses, lengths and friction: motornet or todorov"""
    torque: tuple[float, float] = (20.0, 10.0)
    """greatest at shoulder and elbow, N m"""

    @model_validator(mode="after")
    def _is_in_reach(self) -> ArmReach:
        if min(self.torque) <= 0:
            raise wrong(f"torque is {list(self.torque)} N m, wanted both above 0")
        if self.layout == "circle":
            angle = torch.arange(64) * (math.pi / 32)
            place = torch.stack((angle.cos(), angle.sin()), -1) * self.distance
            pose = self.pose(place)
            inside = bool(((pose >= 0) & (pose <= torch.tensor(LIMITS))).all())
            if not inside or (self.place(Body(pose, pose, None)) - place).abs().max() > 1e-4:
                raise wrong(f"distance is {self.distance:g} m, farther than this arm reaches on all sides; use 0.1")
        return self

    @property
    def segments(self) -> Segments:
        """The arm's numbers."""
        return BODIES[self.arm]

    @property
    def middle(self) -> tuple[float, float]:
        """Of the workspace, m from the shoulder."""
        (l1, l2), (shoulder, elbow) = self.segments.length, MIDDLE
        both = shoulder + elbow
        return l1 * math.cos(shoulder) + l2 * math.cos(both), l1 * math.sin(shoulder) + l2 * math.sin(both)

    @property
    def extent(self) -> float:
        """From end to end of all that the arm reaches."""
        return 2 * sum(self.segments.length)

    def pose(self, place: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
        """The joint angles."""
        return angles_at(self.segments, place + constant(self.middle, place.device))

    def place(self, body: Body) -> Float[Tensor, "*B 2"]:
        """The hand, from the joint angles."""
        return hand(self.segments, body.position) - constant(self.middle, body.position.device)

    def anywhere(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B 2"]:
        """Where the hand is at uniform angles."""
        spread = constant((LIMITS[0] - 2 * MARGIN, LIMITS[1] - 2 * MARGIN), key.device)
        angles = rng.uniforms(key, 2) * spread + MARGIN
        return self.place(Body(angles, angles, None))

    def felt(self, body: Body) -> Float[Tensor, "*B 4"]:
        """Angles less those at the middle of the workspace, rad, and their velocities, rad/s."""
        return torch.cat((body.position - constant(MIDDLE, body.position.device), body.velocity), -1)

    def moved(self, body: Body, drive: Float[Tensor, "*B 2"], laws: Perturbation | None) -> Body:
        """Two half steps."""
        torque = drive * constant(self.torque, drive.device)
        pull = self.pull(body, laws)
        torque = torque if pull is None else torque + pull
        angles, spins = body.position, body.velocity
        for _ in range(SUBSTEPS):
            angles, spins = moved(self.segments, angles, spins, torque, self.dt / 1000 / SUBSTEPS)
        return Body(angles, spins, body.drive)

    def drive_for(
        self, body: Body, acceleration: Float[Tensor, "*B 2"], laws: Perturbation | None
    ) -> Float[Tensor, "*B 2"]:
        """The computed torque, in parts of the greatest."""
        torque = torque_for(self.segments, body.position, body.velocity, acceleration)
        pull = self.pull(body, laws)
        return (torque if pull is None else torque - pull) / constant(self.torque, torque.device)

    def pull(self, body: Body, laws: Perturbation | None) -> Float[Tensor, "*B 2"] | None:
        """The torques that the field's force on the hand makes, N m."""
        if laws is None:
            return None
        force = field(hand_velocity(self.segments, body.position, body.velocity), laws)
        return torque_of(self.segments, body.position, force)
