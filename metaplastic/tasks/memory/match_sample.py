"""Delayed match to sample: is the test, a delay later, what the sample was? (Miller, Erickson & Desimone 1996.)

Stimuli are `cosine_bump`s of `ring_stimuli.py` on K channels; its (3) and (5) are the ceilings, at mean durations.

`DelayMatchSample-v0`: one test, the same as the sample or opposite to it, each alike; then match (1) or non-match (2).
`DelayMatchSampleDistractor1D-v0`: three tests, exactly one of which is the sample; the others lie anywhere on the
circle. Go (1) during the match; going during another test is a false alarm and ends the trial (`distractors`: costs 1).

Presets `neurogym` and `distractors` are the tasks of NeuroGym (Molano-Mazon et al. 2022). Departures: in the distractor
task any answer between the tests is early, and the fixation channel stays on until the first test. The noise that the
published distractor task takes as an argument and never adds is `sigma`, 0 unless set.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec
from metaplastic.tasks.choices import SCHEMES, ChoiceTask, Rewards
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.memory.ring_stimuli import cosine_bump, one_of_tests, opposite, sharpness

TESTS = ("test1", "test2", "test3")


class Pair(NamedTuple):
    """Conditions of a trial."""

    sample: Int[Tensor, "*B"]
    """the unit whose preferred angle is shown"""
    match: Bool[Tensor, "*B"]


class DelayMatchSample(ChoiceTask):
    """Same as the sample (1) or opposite to it (2)?"""

    references = (
        "Miller, Erickson & Desimone 1996, Neural mechanisms of visual working memory, J Neurosci 16:5154",
        "Molano-Mazon et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks",
    )
    tags = ("memory", "decision", "trials")
    epochs = ("fixation", "sample", "delay", "test", "decision")
    responses = ("decision",)
    noisy = ("stimulus",)
    presets = MappingProxyType(
        {"neurogym": MappingProxyType({"dt": 100.0, "rewards": SCHEMES["neurogym"], "early": "penalise"})}
    )

    kind: Literal["DelayMatchSample-v0"] = "DelayMatchSample-v0"
    timing: dict[str, Duration] = times(fixation=300, sample=500, delay=1000, test=500, decision=900)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=1.0, ge=0)
    """noise of the stimuli in sqrt(ms)"""
    units: int = Field(default=2, ge=2, le=1000, multiple_of=2)
    """K, even: every angle has an opposite"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is a guess; ceiling by (3) of `ring_stimuli.py`."""
        lasts = (self.timing[name].ends(self.dt)[2] * self.dt for name in ("sample", "test"))
        ceiling = opposite(self.units, *(sharpness(self.units, 0.5, ms, self.sigma) for ms in lasts))
        return self.describe_choice(
            {"fixation": 1, "stimulus": self.units},
            ("fixate", "match", "non-match"),
            trial_types=2 * self.units,
            chance=0.5,
            ceiling=ceiling,
            criterion=0.5 + 0.9 * (ceiling - 0.5),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Pair]:
        """Sample and match, each alike."""
        del life, trial
        sample = rng.below(rng.word(key, 0), self.units)
        match = rng.below(rng.word(key, 1), 2)
        return 2 * sample + match, Pair(sample, match == 1)

    def mean_input(self, conditions: Pair, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision; the sample, and later the same or its opposite."""
        is_test = self.within(when.epoch, ("test",))
        shown = is_test | self.within(when.epoch, ("sample",))
        turned = conditions.sample * (2 * math.pi / self.units) + math.pi * (is_test & ~conditions.match)
        stimulus = cosine_bump(turned, self.units, 0.5, 0.5) * shown[..., None]
        fixate = ~self.within(when.epoch, self.responses)
        return torch.cat((fixate[..., None].to(stimulus.dtype), stimulus), -1)

    def noisy_in(self) -> tuple[str, ...]:
        """While something is shown."""
        return ("sample", "test")

    def label(self, conditions: Pair) -> Int[Tensor, "*B"]:
        """1 match, 2 non-match."""
        return 2 - conditions.match.to(torch.int64)


class Tests(NamedTuple):
    """Conditions of a trial with distractors."""

    angles: Float[Tensor, "*B 4"]
    """of the sample and the three tests, radians"""
    match: Int[Tensor, "*B"]
    """the test that equals the sample, in [0, 3)"""


class DelayMatchSampleDistractor1D(ChoiceTask):
    """Three tests: go during the one that equals the sample."""

    references = DelayMatchSample.references
    tags = DelayMatchSample.tags
    epochs = ("fixation", "sample", "delay1", "test1", "delay2", "test2", "delay3", "test3")
    responses = TESTS
    noisy = ("stimulus",)
    presets = MappingProxyType(
        {
            "distractors": MappingProxyType(
                {"dt": 100.0, "rewards": Rewards(error=-1.0, early=-0.1, omission=0.0), "early": "penalise"}
            )
        }
    )

    kind: Literal["DelayMatchSampleDistractor1D-v0"] = "DelayMatchSampleDistractor1D-v0"
    timing: dict[str, Duration] = times(
        fixation=300, sample=500, delay1=1000, test1=500, delay2=1000, test2=500, delay3=1000, test3=500
    )
    """epoch -> ms, or how it is drawn"""
    units: int = Field(default=32, ge=3, le=1000)
    """K"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is going at the first test; ceiling by (5) of `ring_stimuli.py`."""
        sample, *tests = (self.timing[name].ends(self.dt)[2] * self.dt for name in ("sample", *TESTS))
        clear = [sharpness(self.units, 1.0, ms, self.sigma) for ms in (sample, sum(tests) / 3)]
        ceiling = one_of_tests(3, *clear)
        return self.describe_choice(
            {"fixation": 1, "stimulus": self.units},
            ("fixate", "match"),
            trial_types=3,
            chance=1 / 3,
            ceiling=ceiling,
            criterion=1 / 3 + 0.9 * (ceiling - 1 / 3),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Tests]:
        """Which test matches, each alike; angles from the whole circle."""
        del life, trial
        match = rng.below(rng.word(key, 0), 3)
        angles = rng.uniform(rng.words(key, 4, 1)) * (2 * math.pi)
        is_match = match[..., None] == torch.arange(-1, 3, device=key.device)
        return match, Tests(torch.where(is_match, angles[..., :1], angles), match)

    def mean_input(self, conditions: Tests, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the first test; the sample, and the tests one after the other."""
        place = when.epoch.clamp(min=1) - 1
        shown = (when.epoch % 2 == 1)[..., None]
        angle = conditions.angles.expand(*place.shape, 4).gather(-1, (place // 2)[..., None])[..., 0]
        stimulus = cosine_bump(angle, self.units, 0.0, 1.0) * shown
        fixate = (when.epoch < self.epochs.index("test1"))[..., None]
        return torch.cat((fixate.to(stimulus.dtype), stimulus), -1)

    def noisy_in(self) -> tuple[str, ...]:
        """While something is shown."""
        return ("sample", *TESTS)

    def label(self, conditions: Tests) -> Int[Tensor, "*B"]:
        """Going is always right once."""
        return torch.ones_like(conditions.match)

    def answer(self, conditions: Tests, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """Right during the match, else a false alarm."""
        return super().answer(conditions, torch.where(self._is_match(conditions, when), action, -1), when)

    def wanted(self, conditions: Tests, when: When) -> Int[Tensor, "*T"]:
        """Go during the match."""
        return self._is_match(conditions, when).to(torch.int64)

    def _is_match(self, conditions: Tests, when: When) -> Bool[Tensor, "*T"]:
        return when.epoch == 2 * conditions.match + self.epochs.index("test1")
