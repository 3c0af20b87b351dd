"""What the twenty tasks of Yang et al. 2019 share: fixation, two rings of units, a rule, and an answer on a ring.

    unit i of n prefers 2 pi i / n and shows  0.8 s exp(-(d / w)^2 / 2):  w = pi / 8, d its distance, s strength    (1)
    an answer 1 + i goes to unit i; it is right within `tolerance` of the wanted direction, published 36 degrees    (2)

Source: Yang, Joglekar, Song, Newsome & Wang 2019, Nat Neurosci 22:297, and its code. There the networks have outputs
and a loss (`yang19_readout.py`); this is the form for agents that act.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.constants import constant, ring
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.epochs import GRACE, When
from metaplastic.tasks.trials import Drawn, Frame
from metaplastic.tasks.yang19.rules import EPOCHS, NAMES, Row

PEAK, WIDTH = 0.8, math.pi / 8
TURN = 2 * math.pi

Places = Literal["circle", "units"]
NoiseIn = Literal["always", "stimuli"]


class Shown(NamedTuple):
    """One stimulus at a moment."""

    angle: Float[Tensor, "*B"]
    strength1: Float[Tensor, "*T"]
    """in modality 1; 0 where it is not shown"""
    strength2: Float[Tensor, "*T"]


def apart(one: Tensor, other: Tensor) -> Tensor:
    """The distance on the circle of two angles in [0, 2 pi)."""
    return math.pi - ((one - other).abs() - math.pi).abs()


def bump(angle: Float[Tensor, "*B"], units: int) -> Float[Tensor, "*B n"]:
    """(1) at strength 1, for an angle in [0, 2 pi)."""
    distance = apart(ring(units, angle.device), angle[..., None])
    return PEAK * torch.exp(distance.square() * (-0.5 / WIDTH**2))


class Yang19(ChoiceTask, ABC):
    """One of the twenty tasks."""

    references = (
        "Yang, Joglekar, Song, Newsome & Wang 2019, Task representations in neural networks trained to perform many "
        "cognitive tasks, Nat Neurosci 22:297",
    )
    epochs = EPOCHS
    responses = ("decision",)
    row: ClassVar[Row]
    rules: ClassVar[tuple[str, ...]] = NAMES
    """names of the tasks that a rule tells apart"""

    units: int = Field(default=32, ge=4, le=1024)
    """n, units of a ring"""
    tolerance: float = Field(default=36.0, gt=0, lt=180)
    """degrees from the wanted direction within which an answer is right"""
    rule: bool = True
    """show which of the twenty tasks it is, one unit each"""
    places: Annotated[Places, BeforeValidator(one_of(Places))] = "circle"
    """stimuli lie anywhere on the circle, or at the units' preferred angles"""
    noise_in: Annotated[NoiseIn, BeforeValidator(one_of(NoiseIn))] = "always"
    """noise all the time, or while stimuli are shown"""
    stays: bool = False
    """the last stimulus stays on until the trial's end"""
    sigma: float = Field(default=math.sqrt(0.02), ge=0)
    """noise of all inputs in sqrt(ms): published as 0.01 sqrt(2 tau / dt), tau 100 ms"""

    @model_validator(mode="after")
    def _every_place_has_an_answer(self) -> Yang19:
        if self.tolerance * self.units < 180 - 1e-9:
            least = 180 / self.units
            raise wrong(f"tolerance is {self.tolerance:g} degrees, wanted at least {least:g} with {self.units} units")
        return self

    @abstractmethod
    def stimuli(self, conditions: Any, when: When) -> list[Shown]:
        """What the rings show."""

    @abstractmethod
    def last_stimulus(self) -> str:
        """The epoch of the last stimulus."""

    def goes(self, conditions: Any) -> Bool[Tensor, "*B"] | None:
        """Whether the trial wants an answer; None: always."""
        del conditions

    @property
    def noisy(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All channels."""
        return tuple(self.widths())

    def place(self, word: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """A place on the circle, in [0, 2 pi)."""
        if self.places == "units":
            return rng.below(word, self.units).to(torch.float32) * (TURN / self.units)
        return rng.uniform(word) * TURN

    def other_place(self, place: Float[Tensor, "*B"], word: Int[Tensor, "*B"], least: float) -> Float[Tensor, "*B"]:
        """Another one, at least `least` degrees away; at the units, any other one."""
        if self.places == "units":
            unit = (place * (self.units / TURN)).round().to(torch.int64)
            return ((unit + 1 + rng.below(word, self.units - 1)) % self.units).to(torch.float32) * (TURN / self.units)
        away = math.radians(least)
        return (place + away + rng.uniform(word) * (TURN - 2 * away)) % TURN

    def opposite(self, place: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The place at the other end of the circle; at the units, exactly one of theirs."""
        if self.places == "circle":
            return (place + math.pi) % TURN
        unit = (place * (self.units / TURN)).round().to(torch.int64)
        return ((unit + self.units // 2) % self.units).to(torch.float32) * (TURN / self.units)

    def widths(self) -> dict[str, int]:
        """Units of every channel."""
        return {
            "fixation": 1,
            "ring1": self.units,
            "ring2": self.units,
            **({"rule": len(self.rules)} if self.rule else {}),
        }

    @property
    def is_reaction(self) -> bool:
        """The last stimulus is shown in the decision alone, so it is itself the cue."""
        return self.timing.get(self.last_stimulus(), Duration("constant", (0.0,))).is_none

    def seen_in(self, epoch: str) -> tuple[str, ...]:
        """The epochs in which the stimulus of an epoch is shown."""
        if epoch != self.last_stimulus():
            return (epoch,)
        return ("decision",) if self.is_reaction else (epoch, "decision") if self.stays else (epoch,)

    def noisy_in(self) -> tuple[str, ...] | None:
        """All epochs, or those with stimuli."""
        if self.noise_in == "always":
            return None
        return tuple({*self.seen_in("stimulus"), *self.seen_in(self.last_stimulus())})

    def tags_of_settings(self) -> tuple[str, ...]:
        """Where fixation never goes off, the stimulus is the cue."""
        return (*self.tags, "reaction time") if self.is_reaction else self.tags

    def described(self, *, trial_types: int, chance: float, ceiling: float) -> TaskSpec:
        """The spec; an answer counts as learned at 95 % of the ceiling."""
        names = ("fixate", *map(str, range(self.units)))
        values = {"chance": chance, "ceiling": ceiling, "criterion": 0.95 * ceiling}
        return self.describe_choice(self.widths(), names, trial_types=trial_types, **values)

    def mean_input(self, conditions: Any, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision (a reaction: throughout), bumps (1), and the rule throughout."""
        waits = ~self.within(when.epoch, ("decision",))
        fixation = (torch.ones_like(waits) if self.is_reaction else waits).to(torch.float32)[..., None]
        rings: list[Any] = [0.0, 0.0]
        for shown in self.stimuli(conditions, when):
            shape = bump(shown.angle, self.units)
            for modality, strength in enumerate((shown.strength1, shown.strength2)):
                rings[modality] = strength[..., None] * shape + rings[modality]
        parts = [fixation, *rings]
        if self.rule:
            number = self.rules.index(self.row.name)
            code = tuple(float(place == number) for place in range(len(self.rules)))
            parts.append(constant(code, fixation.device).expand(*fixation.shape[:-1], -1))
        return torch.cat(parts, -1)

    def label(self, conditions: Any) -> Int[Tensor, "*B"]:
        """The unit nearest to where to go; 0 to keep fixating."""
        nearest = (conditions.goal * (self.units / TURN)).round().to(torch.int64) % self.units + 1
        goes = self.goes(conditions)
        return nearest if goes is None else nearest * goes

    def answer(self, conditions: Any, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """(2); wrong where none is wanted."""
        del when
        place = (action - 1).to(torch.float32) * (TURN / self.units)
        near = apart(place.clamp(min=0), conditions.goal) <= math.radians(self.tolerance) + 1e-6
        goes = self.goes(conditions)
        right = near & (action > 0) if goes is None else near & (action > 0) & goes
        right = right.to(torch.float32)
        return Judgement(right * (self.rewards.correct - self.rewards.error) + self.rewards.error, right, right)

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """Nothing counts in the first 100 ms of a trial with the published weights."""
        frame = super().frame(drawn, t)
        return frame._replace(w=frame.w * (t * self.dt >= GRACE)) if self.weights == "yang19" else frame
