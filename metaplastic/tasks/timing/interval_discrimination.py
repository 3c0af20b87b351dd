"""Interval discrimination: which of two stimuli lasted longer? (Genovesio, Tsujimoto & Wise 2009)

Two stimuli on two lines, each of U(300, 600) ms, with a delay of U(800, 1500) ms between and one of 500 ms after them;
then the fixation line goes off, and the answer is 1 if the first was longer, else 2. An ideal observer counts steps and
is always right. Who knows one of the durations alone is right in 3/4 of the trials, so the criterion is above it.

Preset `genovesio09`: times and rewards of NeuroGym's task (Molano-Mazon et al. 2022; checked with its code, where one
version takes gaps of 800 or 1,500 ms alone).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.choices import SCHEMES, ChoiceTask, Paid
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When

LEARNED = 0.9
"""above the 3/4 of who compares with a fixed duration"""


class Intervals(NamedTuple):
    """Conditions of a trial; in steps."""

    first: Int[Tensor, "*B"]
    second: Int[Tensor, "*B"]


class IntervalDiscrimination(ChoiceTask):
    """Say which of two stimuli lasted longer."""

    references = (
        "Genovesio, Tsujimoto & Wise 2009, Feature- and order-based timing representations in the frontal cortex, "
        "Neuron 63:254",
    )
    tags = ("timing", "memory", "decision", "trials")
    epochs = ("fixation", "first", "gap", "second", "delay", "decision")
    responses = ("decision",)
    presets = MappingProxyType({"genovesio09": MappingProxyType({})})

    kind: Literal["IntervalDiscrimination-v0"] = "IntervalDiscrimination-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(
        fixation=300,
        first={"uniform": [300, 600]},
        gap={"uniform": [800, 1500]},
        second={"uniform": [300, 600]},
        delay=500,
        decision=300,
    )
    """epoch -> ms, or how it is drawn"""
    rewards: Paid = SCHEMES["neurogym"]
    """song17, neurogym, signed, shaped, or {correct, error, early, omission}"""

    @model_validator(mode="after")
    def _can_differ(self) -> IntervalDiscrimination:
        if self.timing["first"].is_fixed and self.timing["second"].is_fixed:
            raise wrong("timing.first and timing.second are fixed, wanted one of them drawn: the answer never changes")
        if not self.timing["decision"].ends(self.dt)[0]:
            raise wrong("timing.decision may last 0 ms, wanted at least one step: it is when to answer")
        return self

    @property
    def spec(self) -> TaskSpec:
        """A guess is right in half of the trials; whoever counts is always right."""
        return self.describe_choice(
            {"fixation": 1, "first": 1, "second": 1},
            ("fixate", "first", "second"),
            trial_types=2,
            chance=0.5,
            ceiling=1.0,
            criterion=LEARNED,
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Intervals]:
        """The durations that `edges` draws; the type is 0 if the first is longer."""
        del life, trial
        lasts = dict(zip(self.epochs, self.durations(key), strict=True))
        drawn = Intervals(lasts["first"], lasts["second"])
        return self.label(drawn) - 1, drawn

    def mean_input(self, conditions: Intervals, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision; a stimulus while it lasts."""
        del conditions
        rows = [~self.within(when.epoch, ("decision",))]
        rows += [self.within(when.epoch, (name,)) for name in ("first", "second")]
        return torch.stack(rows, -1).to(torch.float32)

    def label(self, conditions: Intervals) -> Int[Tensor, "*B"]:
        """1 if the first was longer, else 2."""
        return 2 - (conditions.first > conditions.second).to(torch.int64)
