"""Multisensory integration: were the events, seen or heard or both, more or less frequent than the boundary?

    s = (f - 2) / 21,   u+ = (1 + s) / 2,   u- = (1 - s) / 2   on the channels of each modality that is present   (1)

Raposo, Kaufman & Churchland 2014; `song17` is Song, Yang & Wang 2017 and its code. Two modalities bring sqrt(2) of the
evidence of one: their benefit is what the task is about. The ceiling is the ideal observer's, `ideal.py` (3).
With `conflict` the two modalities of a bimodal trial differ by that many events a second, around f.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.perception import ideal


class Events(NamedTuple):
    """Conditions of a trial."""

    modality: Int[Tensor, "*B"]
    """0 visual, 1 auditory, 2 both"""
    rate: Float[Tensor, "*B"]
    """f, events a second"""
    offset: Float[Tensor, "*B"]
    """what the visual rate is above f, and the auditory below, in a bimodal trial"""


class MultiSensoryIntegration(ChoiceTask):
    """Judge the rate of events that are seen, heard or both."""

    references = (
        "Raposo et al. 2014, A category-free neural population supports evolving demands, Nat Neurosci 17:1784",
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
    )
    tags = ("perceptual", "decision", "multisensory", "trials")
    epochs = ("fixation", "stimulus", "decision")
    responses = ("decision",)
    noisy = ("visual", "auditory")
    presets = MappingProxyType({"song17": MappingProxyType({})})

    kind: Literal["MultiSensoryIntegration-v0"] = "MultiSensoryIntegration-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=750, stimulus=1000, decision=500)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=math.sqrt(2 * 100 * 0.021), ge=0)
    """noise of all four sensory channels in sqrt(ms), in the stimulus"""
    rates: tuple[float, ...] = Field(default=(9, 10, 11, 12, 13, 14, 15, 16), min_length=2)
    """f, events a second, each alike"""
    boundary: float = 12.5
    """a rate above it is high, one below it low"""
    slowest: float = 2.0
    """rate at which s is 0"""
    fastest: float = 23.0
    """rate at which s is 1"""
    conflict: float = Field(default=0.0, ge=0, le=2)
    """how much the rates of the two modalities differ in bimodal trials, events a second"""

    @model_validator(mode="after")
    def _ordered(self) -> MultiSensoryIntegration:
        low, high = min(self.rates), max(self.rates)
        if not self.slowest < self.fastest:
            raise wrong(f"slowest is {self.slowest:g}, wanted less than fastest = {self.fastest:g}")
        if low - self.conflict / 2 < self.slowest or high + self.conflict / 2 > self.fastest:
            raise wrong(
                f"rates with conflict {self.conflict:g} reach from {low - self.conflict / 2:g} to "
                f"{high + self.conflict / 2:g}, wanted them in [slowest, fastest] = "
                f"[{self.slowest:g}, {self.fastest:g}]"
            )
        if self.boundary in self.rates or not low < self.boundary < high:
            raise wrong(f"boundary is {self.boundary:g}, wanted a number between two of the rates {self.rates}")
        return self

    def noisy_in(self) -> tuple[str, ...]:
        """Where events are shown."""
        return ("stimulus",)

    @property
    def spec(self) -> TaskSpec:
        """Ceiling: mean over the modalities; the published criterion is .99 answered, .82 right."""
        one, _, both = self.ideal_accuracies()
        ceiling = (2 * one + both) / 3
        chance = 0.5
        return self.describe_choice(
            {"fixation": 1, "visual": 2, "auditory": 2},
            ("fixate", "low", "high"),
            trial_types=3 * len(self.rates),
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
            criteria=(("p_answered", 0.99), ("p_correct", 0.82)),
        )

    def ideal_accuracies(self) -> tuple[float, float, float]:
        """What an ideal observer gets right with visual, auditory and both."""
        seen = (self.rates, self.boundary, self.fastest - self.slowest, self.timing["stimulus"], self.dt, self.sigma)
        one, both = accuracy(*seen, 1), accuracy(*seen, 2)
        return one, one, both

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Events]:
        """Modality and rate, each alike; which modality is the faster in a conflict, too."""
        del life, trial
        words = rng.each_word(key, 3)
        modality, which = rng.below(words[..., 0], 3), rng.below(words[..., 1], len(self.rates))
        faster = rng.below(words[..., 2], 2).to(torch.float32) - 0.5
        offset = faster * self.conflict * (modality == 2)
        return modality * len(self.rates) + which, Events(modality, look_up(self.rates, which), offset)

    def mean_input(self, conditions: Events, when: When) -> Float[Tensor, "*T 5"]:
        """Fixation until the decision; (1) in the stimulus."""
        waits = (~self.within(when.epoch, self.responses)).to(torch.float32)
        shown = self.within(when.epoch, ("stimulus",)).to(torch.float32)
        seen, heard = shown * (conditions.modality != 1), shown * (conditions.modality != 0)
        scale = 0.5 / (self.fastest - self.slowest)
        level = (conditions.rate - self.slowest) * scale
        tilt = conditions.offset * scale
        plus, minus = 0.5 + level, 0.5 - level
        columns = (waits, seen * (plus + tilt), seen * (minus - tilt), heard * (plus - tilt), heard * (minus + tilt))
        return torch.stack(columns, -1)

    def label(self, conditions: Events) -> Int[Tensor, "*B"]:
        """1 low, 2 high."""
        return (conditions.rate > self.boundary).to(torch.int64) + 1


@lru_cache
def accuracy(
    rates: tuple[float, ...], boundary: float, span: float, shown: Duration, dt: float, sigma: float, modalities: int
) -> float:
    """What an ideal observer of this many modalities gets right."""
    rate = torch.tensor(rates, dtype=torch.float64)
    high = (rate > boundary).double()
    prizes, chances = torch.stack((1 - high, high), -1), torch.full_like(rate, 1 / len(rates))
    table, total = shown.table(dt), 0.0
    for steps, chance in zip(table.support.tolist(), table.probabilities.tolist(), strict=True):
        means = ideal.evidence((rate - boundary) / span, steps * dt * modalities, sigma)
        total += chance * ideal.expected(ideal.frequencies(means, chances, prizes), chances, prizes)
    return total
