"""Reaching on a circle by steps: turn your angle until it is the target's. NeuroGym's Reaching1D and its variant.

    angle <- angle + stride (left) or - stride (right), from pi at a trial's start                                (1)
    reward of a step = max(1 - d, -.1) in the reach, d = |angle - target| on the circle; 0 in fixation            (2)
    score = mean over the reach of (reward + .1) / 1.1                                                            (3)

The target is uniform and shown in the reach. `Reaching1D-v0` has two rings of units, unit i of n with cos(2 pi i / n -
angle): one for the target and one for the own angle. `Reaching1DWithSelfDistraction-v0` has one ring, on which the own
angle is shown by 1 and the target by .3: what one does oneself must be told apart from what is there.

Preset `neurogym`: the times of Molano-Mazon et al. 2022, in which five steps of .05 rad are not enough for most
targets; ours by default are. Departure: NeuroGym 2.3.1 judges by the target's whole radians, although it shows the
target as it is, and its trials begin with their second frame.

Chance: d is U(0, pi) for whoever ignores the target, wherever the own angle is, so (3) is 1.1 / (2 pi). Ceiling: the
mean of (3) over d in U(0, pi), from which every step of the reach takes `stride`.                                (4)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.constants import ring
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epoch_times import EpochTimes
from metaplastic.tasks.navigation.foraging_walk import wrapped
from metaplastic.tasks.worlds import Happening, WorldState, WorldTask

FLOOR = -0.1
"""least reward of a step"""
SPAN = 1 - FLOOR
CHANCE = SPAN / (2 * math.pi)
"""(4)"""
FAINT = 0.3
"""strength of the target beside the own angle's 1"""


class Turning(NamedTuple):
    """A trial."""

    edges: tuple[Int[Tensor, "*B"], Int[Tensor, "*B"]]
    """first step after fixation and after the reach"""
    angle: Float[Tensor, "*B"]
    """rad, in [0, 2 pi)"""
    target: Float[Tensor, "*B"]
    """rad, in [0, 2 pi)"""
    gained: Float[Tensor, "*B"]
    """the rewards of the reach so far"""


class RingReach(EpochTimes, WorldTask, ABC):
    """What both tasks are; they differ in what is seen."""

    answered_by = "act"
    epochs = ("fixation", "reach")
    responses = ("reach",)
    references = (
        "Georgopoulos, Schwartz & Kettner 1986, Neuronal population coding of movement direction, Science 233:1416",
        "Molano-Mazon et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks, PsyArXiv",
    )
    tags = ("motor", "reward")
    presets = MappingProxyType(
        {"neurogym": MappingProxyType({"dt": 100.0, "timing": MappingProxyType({"reach": 500})})}
    )

    dt: float = Field(default=20.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=500, reach=2000)
    """epoch -> ms, or how it is drawn"""
    stride: float = Field(default=0.05, gt=0, le=1)
    """rad a step"""

    @model_validator(mode="after")
    def _reaches(self) -> RingReach:
        if not self.timing["reach"].ends(self.dt)[0]:
            raise wrong("timing.reach may last 0 ms, wanted at least one step: it is what is judged")
        return self

    @property
    @abstractmethod
    def widths(self) -> dict[str, int]:
        """Channels and how many units each has."""

    @abstractmethod
    def shown(self, own: Tensor, target: Tensor) -> Float[Tensor, "*B I"]:
        """What is seen of the units' activities [*B, n] for the own angle and the target (0 in fixation)."""

    @property
    def units(self) -> int:
        """n, of a ring."""
        return max(self.widths.values())

    @property
    def spec(self) -> TaskSpec:
        """Ceiling by (4); the oracle turns in fixation already."""
        fixation, reach = (self.lasting(name) for name in self.epochs)
        ceiling, oracle = (expected(before, reach, self.stride) for before in (((0, 1.0),), fixation))
        return self.describe(
            self.widths,
            3,
            dt=self.dt,
            trial_steps=self.trial_length()[1],
            chance=CHANCE,
            ceiling=ceiling,
            oracle=oracle,
            criterion=CHANCE + 0.9 * (ceiling - CHANCE),
            epochs=self.epochs,
            action_names=("fixate", "left", "right"),
            reward_range=(FLOOR, 1.0),
        )

    def lasting(self, epoch: str) -> tuple[tuple[int, float], ...]:
        """Steps that an epoch may last, with their probabilities."""
        table = self.timing[epoch].table(self.dt)
        return tuple(zip(table.support.tolist(), table.probabilities.tolist(), strict=True))

    def epoch_of(self, state: WorldState) -> Int[Tensor, "*B"]:
        """Fixation or reach."""
        return (state.step >= state.world.edges[0]).long()

    def begin(self, key: Int[Tensor, "*B"], life: None, trial: Int[Tensor, "*B"], before: Turning | None) -> Turning:
        """From pi, to anywhere."""
        del life, trial, before
        fixation, end = accumulate(self.durations(key))
        target = rng.uniform(rng.word(key, 0)) * (2 * math.pi)
        return Turning((fixation, end), torch.full_like(target, math.pi), target, torch.zeros_like(target))

    def advance(
        self, key: Int[Tensor, "*B"], life: None, world: Turning, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Turn (1), be paid (2) and judged (3)."""
        del key, life
        turn = (action == 1).to(torch.float32) - (action == 2).to(torch.float32)
        angle = (world.angle + turn * self.stride).remainder(2 * math.pi)
        away = wrapped(world.target - angle, 2 * math.pi).abs()
        reward = (1 - away).clamp(min=FLOOR) * (step >= world.edges[0])
        gained = world.gained + reward
        score = (gained / (world.edges[1] - world.edges[0]) - FLOOR) / SPAN
        arrived = (away < math.pi / self.units).to(torch.int64)
        world = world._replace(angle=angle, gained=gained)
        return Happening(world, reward, step + 1 >= world.edges[1], score.clamp(0, 1), arrived)

    def look(self, life: None, world: Turning, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """The own angle, and in the reach the target."""
        del life
        preferred = ring(self.units, step.device)
        own = torch.cos(preferred - world.angle[..., None])
        target = torch.cos(preferred - world.target[..., None]) * (step >= world.edges[0])[..., None]
        return self.shown(own, target)

    def target(self, life: None, world: Turning) -> Int[Tensor, "*B"]:
        """The shorter way round, until a step more would lead away."""
        del life
        way = wrapped(world.target - world.angle, 2 * math.pi)
        return torch.where(way.abs() <= self.stride / 2, 0, torch.where(way > 0, 1, 2))


class Reaching1D(RingReach):
    """Turn to the target's angle."""

    kind: Literal["Reaching1D-v0"] = "Reaching1D-v0"

    @property
    def widths(self) -> dict[str, int]:
        """A ring for each."""
        return {"target": 16, "self": 16}

    def shown(self, own: Float[Tensor, "*B 16"], target: Float[Tensor, "*B 16"]) -> Float[Tensor, "*B 32"]:
        """Side by side."""
        return torch.cat((target, own), -1)


class Reaching1DWithSelfDistraction(RingReach):
    """Turn to the target's angle, which the own angle outshines."""

    kind: Literal["Reaching1DWithSelfDistraction-v0"] = "Reaching1DWithSelfDistraction-v0"

    @property
    def widths(self) -> dict[str, int]:
        """One ring for both."""
        return {"ring": 32}

    def shown(self, own: Float[Tensor, "*B 32"], target: Float[Tensor, "*B 32"]) -> Float[Tensor, "*B 32"]:
        """One upon the other."""
        return own + FAINT * target


@lru_cache
def expected(before: tuple[tuple[int, float], ...], reach: tuple[tuple[int, float], ...], stride: float) -> float:
    """The mean of (3) for who turns to the target from `before` steps before the reach on; (steps, probability)."""
    start = (torch.arange(20_000, dtype=torch.float64) + 0.5) * (math.pi / 20_000)
    useful = ((start - stride / 2) / stride).ceil().clamp(min=0)
    total = 0.0
    for early, one in before:
        for steps, other in reach:
            made = early + torch.arange(1, steps + 1, dtype=torch.float64)
            away = (start[:, None] - stride * torch.minimum(useful[:, None], made)).abs()
            total += one * other * (((1 - away).clamp(min=FLOOR) - FLOOR) / SPAN).mean().item()
    return total
