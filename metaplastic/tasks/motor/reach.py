"""Reaching with a point mass in a viscous plane: the least effector.

    m v' = f u - b v + F,   x' = v                                                                              (1)

u outputs in [-1, 1], F the force of the field (`perturbation.py`); semi-implicit Euler. The mass, 1 kg, with 10 N s/m
and 10 N reaches 1 m/s in about .1 s. The trial is told in `reaching.py`, the presets in `reach_settings.py`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal

from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import wrong
from metaplastic.tasks.motor.perturbation import Perturbation, field
from metaplastic.tasks.motor.reaching import Body, ReachTask


class Reach(ReachTask):
    """Move a point mass to a target by a force."""

    feels = MappingProxyType({"velocity": 2})
    outputs = ("force_x", "force_y")

    kind: Literal["Reach-v0"] = "Reach-v0"
    mass: float = Field(default=1.0, gt=0)
    """kg"""
    viscosity: float = Field(default=10.0, gt=0)
    """b, N s/m"""
    force: float = Field(default=10.0, gt=0)
    """f, the greatest in each direction, N"""
    workspace: float = Field(default=0.15, gt=0)
    """half the width of the square in which start and target lie (layout anywhere), m"""

    @model_validator(mode="after")
    def _is_stable(self) -> Reach:
        if self.keeps_velocity >= 1:
            mend = 2000 * self.mass * self.viscosity / (self.viscosity**2 + self.curl**2)
            raise wrong(f"dt is {self.dt:g} ms, with which the motion grows by itself; wanted less than {mend:.3g} ms")
        return self

    @property
    def keeps_velocity(self) -> float:
        """The part of a velocity that is left after a step without force."""
        per_step = self.dt / 1000 / self.mass
        return math.hypot(1 - self.viscosity * per_step, self.curl * per_step)

    @property
    def extent(self) -> float:
        """The way at the greatest speed, and the way from one end of the workspace to the other."""
        fastest = math.sqrt(2) * self.force * self.dt / 1000 / self.mass / (1 - self.keeps_velocity)
        apart = self.distance if self.layout == "circle" else 2 * math.sqrt(2) * self.workspace
        return apart + fastest * self.trial_length()[1] * self.dt / 1000

    def pose(self, place: Float[Tensor, "*B 2"]) -> Float[Tensor, "*B 2"]:
        """The place itself."""
        return place.clone()  # a state holds no tensor twice

    def place(self, body: Body) -> Float[Tensor, "*B 2"]:
        """The position itself."""
        return body.position

    def anywhere(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B 2"]:
        """Uniform in the square."""
        return (rng.uniforms(key, 2) * 2 - 1) * self.workspace

    def felt(self, body: Body) -> Float[Tensor, "*B 2"]:
        """The velocity, m/s."""
        return body.velocity

    def moved(self, body: Body, drive: Float[Tensor, "*B 2"], laws: Perturbation | None) -> Body:
        """A step of (1)."""
        seconds = self.dt / 1000
        force = self.force * drive + self.pull(body, laws)
        velocity = body.velocity + force * (seconds / self.mass)
        return Body(body.position + velocity * seconds, velocity, body.drive)

    def drive_for(
        self, body: Body, acceleration: Float[Tensor, "*B 2"], laws: Perturbation | None
    ) -> Float[Tensor, "*B 2"]:
        """(1), solved for u."""
        return (self.mass * acceleration - self.pull(body, laws)) / self.force

    def pull(self, body: Body, laws: Perturbation | None) -> Float[Tensor, "*B 2"]:
        """The force of the plane and of the field, N."""
        drag = -self.viscosity * body.velocity
        return drag if laws is None else drag + field(body.velocity, laws)
