"""What the classic control tasks share: bodies that may differ from life to life, hidden velocities, scored episodes.

One trial is one episode. With `per_lifetime_physics` every lifetime draws the factors

    mass = 2^U(-1, 1),   length = 2^U(-1/2, 1/2),   force = +-2^U(-1/2, 1/2), both signs alike                     (1)

which multiply those of the equations: an agent must find out, within its life, what its actions do (a flipped sign
turns the right action into the wrong one). With `no_velocity` only positions and angles are seen.

The equations, start states, rewards and limits are those of Gymnasium's environments of the same name (Towers et al.
2024), in float32; outputs in [-1, 1] stand for its actions of [-limit, limit]. Scores are made of Gymnasium's return;
each task says how. Chance and oracle were measured by `world_values.measure`; the oracle is a controller written by
hand that knows state and body, so it is what can be reached, not a proven best.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.control.world_values import Measured
from metaplastic.tasks.worlds import WorldTask

Factor = Tensor | float

GYMNASIUM = (
    "Towers et al. 2024, Gymnasium: a standard interface for reinforcement learning environments, arXiv:2407.17032"
)
"""the reference of its environments"""

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gymnasium": MappingProxyType({}),
        "meta": MappingProxyType({"per_lifetime_physics": True, "no_velocity": True, "feedback": True}),
    }
)
"""the task as it is known, and as one for meta-learners"""


class Physics(NamedTuple):
    """Factors of a life's body (1)."""

    mass: Float[Tensor, "*B"]
    length: Float[Tensor, "*B"]
    force: Float[Tensor, "*B"]
    """with its sign"""


def scores(*, fixed: Measured, drawn: Measured) -> Mapping[bool, Measured]:
    """What was measured, by `per_lifetime_physics`."""
    return MappingProxyType({False: fixed, True: drawn})


class ControlTask(WorldTask, ABC):
    """A body to be controlled, one episode a trial."""

    measured: ClassVar[Mapping[bool, Measured]]
    """per_lifetime_physics -> what the random policy and the controller score"""
    threshold: ClassVar[float]
    """score from which the published task counts as solved"""

    trials: int = Field(default=10, ge=1)
    """episodes of a lifetime"""
    no_velocity: bool = False
    """hide velocities"""
    per_lifetime_physics: bool = False
    """every lifetime has another body (1)"""

    @property
    def spec(self) -> TaskSpec:
        """What `about` says, and the measured scores; where bodies differ, nine tenths of the way is the criterion."""
        known = self.measured[self.per_lifetime_physics]
        drawn = known.chance + 0.9 * (known.oracle - known.chance)
        widths, actions, more = self.about()
        return self.describe(
            {name: width for name, width in widths.items() if not (self.no_velocity and name.endswith("velocity"))},
            actions,
            chance=known.chance,
            ceiling=known.oracle,
            oracle=known.oracle,
            criterion=drawn if self.per_lifetime_physics else self.threshold,
            **more,
        )

    @abstractmethod
    def about(self) -> tuple[dict[str, int], int, dict[str, Any]]:
        """Widths of the channels (velocities end in `velocity`), number of actions, and more of the spec."""

    def tags_of_settings(self) -> tuple[str, ...]:
        """Where bodies differ, it is meta-learning."""
        return (*self.tags, "meta-learning") if self.per_lifetime_physics else self.tags

    def birth(self, key: Int[Tensor, "*B"]) -> Physics | None:
        """The body (1)."""
        if not self.per_lifetime_physics:
            return None
        mass, length, force, sign = rng.words(key, 4).unbind(-1)
        turned = torch.where(rng.coin(sign, 0.5), 1.0, -1.0).to(torch.float32)
        return Physics(
            torch.exp2(2 * rng.uniform(mass) - 1),
            torch.exp2(rng.uniform(length) - 0.5),
            turned * torch.exp2(rng.uniform(force) - 0.5),
        )

    def seen(self, positions: tuple[Tensor, ...], velocities: tuple[Tensor, ...]) -> Float[Tensor, "*B I"]:
        """The observation: positions, then velocities unless they are hidden."""
        return torch.stack(positions if self.no_velocity else (*positions, *velocities), -1)

    def judged(self, score: Float[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """1 where the score is at least the threshold."""
        return (score >= self.threshold).to(torch.int64)


def factors(life: Physics | None) -> tuple[Factor, Factor, Factor]:
    """Mass, length and force of a body; 1 where bodies are all alike."""
    return (1.0, 1.0, 1.0) if life is None else (life.mass, life.length, life.force)


def start(key: Int[Tensor, "*B"], count: int, reach: float, centre: float = 0.0) -> tuple[Tensor, ...]:
    """`count` numbers from U(centre - reach, centre + reach), each a tensor [*B]."""
    drawn = [rng.uniform(word) for word in rng.words(key, count).unbind(-1)]
    return tuple(u * (2 * reach) + (centre - reach) for u in drawn)
