"""Categories of directions: which half of the circle, and is it the same as before? (Freedman & Assad 2006.)

`DelayMatchCategory-v0`: a sample, a delay, a test; does the test lie in the sample's half of the circle, [0, pi) or
[pi, 2 pi)? Match (1) or non-match (2), answered during the test. Stimuli are `cosine_bump`s of `ring_stimuli.py`; its
(2) and (4) give the ceiling of who looks to the end of the test, at mean durations. Preset `neurogym` (Molano-Mazon et
al. 2022). Departures: 16 channels, since on the two that are usual there, at 0 and pi, both categories look alike; and
dt is 50 ms, since 650 ms are no multiple of the usual 100.

`MatchToCategory-v0`: one direction, after which its category of n is told. Preset `psychrnn` (Ehrlich et al. 2021):

    u_i = exp(-(theta_i - theta)^2 / 2) / sqrt(2 pi),   the angles' distance within (-pi, pi]                     (1)

The noise is that of dt = 10 there (it falls as 1 / dt). Near a boundary an ideal observer errs as if it saw the
distance x from it with deviation s = sigma / (sqrt(T) |du/dtheta|), so with 2 n sides of boundaries, s small,

    P(right) = 1 - 2 n / (2 pi) int_0^inf Phi(-x / s) dx = 1 - n s / (pi sqrt(2 pi))                               (2)

Departure: the preferred angles divide the circle, where the published ones count 0 and 2 pi as two. Both tasks have a
fixation channel, which goes off when an answer is due.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.choices import SCHEMES, ChoiceTask
from metaplastic.tasks.constants import ring
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.memory.ring_stimuli import agreement, cosine_bump, half_circle, sharpness


class Halves(NamedTuple):
    """Conditions of a trial; angles in radians."""

    sample: Float[Tensor, "*B"]
    test: Float[Tensor, "*B"]
    label: Int[Tensor, "*B"]
    """1 match, 2 non-match"""


class DelayMatchCategory(ChoiceTask):
    """Is the test of the sample's category (1) or not (2)?"""

    references = (
        "Freedman & Assad 2006, Experience-dependent representation of visual categories in parietal cortex, "
        "Nature 443:85",
        "Molano-Mazon et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks",
    )
    tags = ("memory", "decision", "categories", "trials")
    epochs = ("fixation", "sample", "delay", "test")
    responses = ("test",)
    noisy = ("stimulus",)
    presets = MappingProxyType(
        {"neurogym": MappingProxyType({"dt": 50.0, "rewards": SCHEMES["neurogym"], "early": "penalise"})}
    )

    kind: Literal["DelayMatchCategory-v0"] = "DelayMatchCategory-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=500, sample=650, delay=1000, test=650)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=1.0, ge=0)
    """noise of the stimuli in sqrt(ms)"""
    units: int = Field(default=16, ge=3, le=1000)
    """K"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is a guess; ceiling by (2) and (4) of `ring_stimuli.py`."""
        lasts = (self.timing[name].ends(self.dt)[2] * self.dt for name in ("sample", "test"))
        ceiling = agreement(*(half_circle(sharpness(self.units, 0.5, ms, self.sigma)) for ms in lasts))
        return self.describe_choice(
            {"fixation": 1, "stimulus": self.units},
            ("fixate", "match", "non-match"),
            trial_types=4,
            chance=0.5,
            ceiling=ceiling,
            criterion=0.5 + 0.9 * (ceiling - 0.5),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Halves]:
        """The sample's category and a match, each alike; angles anywhere in their halves."""
        del life, trial
        kind = rng.below(rng.word(key, 0), 4)
        category, differs = kind // 2, kind % 2
        sample = (category + rng.uniform(rng.word(key, 1))) * math.pi
        test = ((category ^ differs) + rng.uniform(rng.word(key, 2))) * math.pi
        return kind, Halves(sample, test, 1 + differs)

    def mean_input(self, conditions: Halves, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the test; sample and test in their times."""
        is_test = self.within(when.epoch, ("test",))
        shown = is_test | self.within(when.epoch, ("sample",))
        stimulus = cosine_bump(torch.where(is_test, conditions.test, conditions.sample), self.units, 0.5, 0.5)
        return torch.cat(((~is_test)[..., None].to(stimulus.dtype), stimulus * shown[..., None]), -1)

    def noisy_in(self) -> tuple[str, ...]:
        """While something is shown."""
        return ("sample", "test")

    def label(self, conditions: Halves) -> Int[Tensor, "*B"]:
        """1 match, 2 non-match."""
        return conditions.label.clone()


class Direction(NamedTuple):
    """Conditions of a trial."""

    category: Int[Tensor, "*B"]
    """in [0, n)"""
    angle: Float[Tensor, "*B"]
    """radians"""


class MatchToCategory(ChoiceTask):
    """Which part of the circle was the direction in?"""

    references = (
        *DelayMatchCategory.references[:1],
        "Ehrlich et al. 2021, PsychRNN: an accessible and flexible Python package, eNeuro 8:ENEURO.0427-20.2020",
    )
    tags = ("memory", "decision", "categories", "trials")
    epochs = ("fixation", "stimulus", "decision")
    responses = ("decision",)
    noisy = ("stimulus",)
    presets = MappingProxyType({"psychrnn": MappingProxyType({})})

    kind: Literal["MatchToCategory-v0"] = "MatchToCategory-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=200, stimulus=1000, decision=800)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=0.1 / 20 * math.sqrt(10), ge=0)
    """noise of the stimulus in sqrt(ms)"""
    units: int = Field(default=16, ge=8, le=1000)
    """K"""
    categories: int = Field(default=2, ge=2, le=1000)
    """n parts of the circle"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is a guess; ceiling by (2)."""
        chance = 1 / self.categories
        angles = torch.arange(self.units, dtype=torch.float64) * (2 * math.pi / self.units) - math.pi
        slope = float((angles * torch.exp(-(angles**2) / 2)).square().sum().sqrt()) / math.sqrt(2 * math.pi)
        spread = self.sigma / (math.sqrt(self.timing["stimulus"].ends(self.dt)[2] * self.dt) * slope)
        ceiling = max(chance + 1e-3, 1 - self.categories * spread / (math.pi * math.sqrt(2 * math.pi)))
        return self.describe_choice(
            {"fixation": 1, "stimulus": self.units},
            ("fixate", *map(str, range(self.categories))),
            trial_types=self.categories,
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Direction]:
        """The category, each alike, and an angle anywhere in it."""
        del life, trial
        category = rng.below(rng.word(key, 0), self.categories)
        angle = (category + rng.uniform(rng.word(key, 1))) * (2 * math.pi / self.categories)
        return category, Direction(category.clone(), angle)

    def mean_input(self, conditions: Direction, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision; (1) in the stimulus."""
        away = ring(self.units, when.epoch.device) - conditions.angle[..., None]
        away = torch.remainder(away + math.pi, 2 * math.pi) - math.pi
        bump = torch.exp(away.square() * -0.5) * (1 / math.sqrt(2 * math.pi))
        bump = bump * self.within(when.epoch, ("stimulus",))[..., None]
        fixate = ~self.within(when.epoch, self.responses)
        return torch.cat((fixate[..., None].to(bump.dtype), bump), -1)

    def noisy_in(self) -> tuple[str, ...]:
        """While something is shown."""
        return ("stimulus",)

    def label(self, conditions: Direction) -> Int[Tensor, "*B"]:
        """The category."""
        return conditions.category + 1
