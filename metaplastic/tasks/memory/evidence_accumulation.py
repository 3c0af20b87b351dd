"""Evidence accumulation: count cues on the left and right, keep the result, answer when asked (T-maze of the e-prop
paper, Bellec et al. 2020, after Morcos & Harvey 2016).

A trial shows cues on one of two lines, one in every `period` ms, in its last `cue` ms. A trial favours a side, each
alike: its cues come with probability `bias` on that side. After a delay a third line asks for the side with more cues.
`neurons` makes each line a group of spiking neurons (`spiking_lines.py`), with a fourth group that fires all the time
at a quarter of their rate and tells nothing. With several `counts` each trial draws its number of cues, each alike.

`EvidenceAccumulation-v0` is answered by two outputs, `EvidenceAccumulationChoice-v0` by an action. The first scores 1
if the mean outputs while it is asked are largest for the right side (`class_readout.py`), 0 if not.

Presets: `eprop` (checked with the code: 40 neurons, 40 Hz, steps of 1 ms, 7 cues, 2,250 ms; it counts as learned from
an error of .07), `rate` (lines of 0 and 1 in steps of 10 ms, the default), `varied` (delays U(500, 1500) ms, recalled,
and 1, 3, 5 or 7 cues).
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.class_readout import REWARDS, MeanClassReadout
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.memory import spiking_lines

LEARNED = 0.93
"""score of an error of .07"""
BACKGROUND = 0.25
"""level of the line that tells nothing"""


class Cues(NamedTuple):
    """Conditions of a trial."""

    right: Bool[Tensor, "*B N"]
    """the side of each cue; those from `total` on never come"""
    total: Int[Tensor, "*B"]
    label: Int[Tensor, "*B"]
    """0 if there are more on the left, 1 on the right"""
    key: Int[Tensor, "*B"]
    """of the spikes"""


class CueTask(EpochTask, ABC):
    """What both tasks are: the trials."""

    references = (
        "Morcos & Harvey 2016, History-dependent variability in population dynamics during evidence accumulation in "
        "cortex, Nat Neurosci 19:1672",
        "Bellec et al. 2020, A solution to the learning dilemma for recurrent networks of spiking neurons, Nat Commun",
    )
    epochs = ("cues", "delay", "recall")
    responses = ("recall",)
    presets = MappingProxyType(
        {
            "rate": MappingProxyType({}),
            "eprop": MappingProxyType({"neurons": 10, "dt": 1.0}),
            "varied": MappingProxyType({"counts": (1, 3, 5, 7), "timing": {"delay": {"uniform": [500, 1500]}}}),
        }
    )

    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(delay=1050, recall=150)
    """ms of delay and recall, or how they are drawn; the cues take `period` each"""
    counts: tuple[int, ...] = Field(default=(7,), min_length=1)
    """how many cues a trial may have: odd, so that one side has more"""
    period: float = Field(default=150.0, gt=0)
    """ms from cue to cue"""
    cue: float = Field(default=100.0, gt=0)
    """ms of a cue, at the period's end"""
    bias: float = Field(default=0.7, ge=0.5, le=1)
    """probability of a cue on the side that the trial favours"""
    neurons: int = Field(default=0, ge=0, le=2500)
    """spiking neurons of each line; 0: the line itself"""
    rate: float = Field(default=40.0, gt=0)
    """Hz of a neuron whose line is on"""

    @model_validator(mode="after")
    def _can_be_counted(self) -> CueTask:
        if not all(count > 0 and count % 2 for count in self.counts):
            raise wrong(f"counts are {self.counts}, wanted odd numbers from 1 on: else neither side may have more")
        for name in ("period", "cue"):
            why = Duration.read(getattr(self, name)).complaint(self.dt)
            if why:
                raise wrong(f"{name} {why}")
        if self.cue > self.period:
            raise wrong(f"cue is {self.cue:g} ms, wanted at most period = {self.period:g}")
        if "cues" in self.timing:
            raise wrong("timing.cues follows from counts and period; leave it out")
        if not self.timing["recall"].ends(self.dt)[0]:
            raise wrong("timing.recall may last 0 ms, wanted at least one step: it is what is judged")
        why = spiking_lines.complaint(self.neurons, self.rate, self.dt, self.cue)
        if why:
            raise wrong(why)
        return self

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Cues]:
        """The favoured side and the number of cues, each alike; the side of every cue."""
        del life, trial
        favours = rng.coin(rng.word(key, 0), 0.5)
        total = look_up(tuple(map(float, self.counts)), rng.below(rng.word(key, 1), len(self.counts)), torch.int64)
        most = max(self.counts)
        right = rng.coin(rng.each_word(rng.fold(key, 2), most), self.bias) == favours[..., None]
        comes = torch.arange(most, device=key.device) < total[..., None]
        label = (2 * (right & comes).sum(-1) > total).to(torch.int64)
        return label, Cues(right, total, label, rng.fold(key, 3))

    def edges(self, key: Int[Tensor, "*B"], conditions: Cues) -> Sequence[Int[Tensor, "*B"]]:
        """The cues, then delay and recall as drawn."""
        _, delay, recall = self.durations(key)
        cues = conditions.total * self._period
        return cues, cues + delay, cues + delay + recall

    def trial_length(self) -> tuple[int, int, float]:
        """With the time of the cues."""
        low, high, mean = super().trial_length()
        cues = [count * self._period for count in self.counts]
        return low + min(cues), high + max(cues), mean + sum(cues) / len(cues)

    def mean_input(self, conditions: Cues, when: When) -> Float[Tensor, "*T I"]:
        """The cue that is on, the question; or the spikes of their neurons, and the background's."""
        number = (when.since // self._period).clamp(max=max(self.counts) - 1)
        sides = conditions.right.expand(*when.since.shape, conditions.right.shape[-1])
        right = sides.gather(-1, number[..., None])[..., 0]
        since = when.since % self._period
        on = self.within(when.epoch, ("cues",)) & (since >= self._period - round(self.cue / self.dt))
        asked = self.within(when.epoch, ("recall",))
        lines = torch.stack((on & ~right, on & right, asked), -1).to(torch.float32)
        if not self.neurons:
            return lines
        lines = torch.cat((lines, torch.full_like(lines[..., :1], BACKGROUND)), -1)
        return spiking_lines.fired(lines, conditions.key, when.t, self.neurons, self.rate * self.dt / 1000)

    def _widths(self) -> dict[str, int]:
        width = max(1, self.neurons)
        background = {"background": width} if self.neurons else {}
        return {"left": width, "right": width, "recall": width, **background}

    @property
    def _period(self) -> int:
        """In steps."""
        return round(self.period / self.dt)


class EvidenceAccumulation(CueTask, MeanClassReadout):
    """Which side had more cues? Answered by two outputs."""

    tags = ("memory", "decision", "trials", "readout")

    kind: Literal["EvidenceAccumulation-v0"] = "EvidenceAccumulation-v0"
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "decision"
    """decision: the recall is judged, and nothing else"""

    @model_validator(mode="after")
    def _is_judged(self) -> EvidenceAccumulation:
        if self.weights != "decision":
            raise wrong(f"weights is {self.weights!r}, wanted 'decision': outputs are judged in the recall alone")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Random outputs name either side; whoever counts is always right."""
        return self.describe(
            self._widths(),
            2,
            response="readout",
            trial_types=2,
            chance=0.5,
            ceiling=1.0,
            oracle=1.0,
            criterion=LEARNED,
            reward_range=REWARDS,
        )

    def wanted(self, conditions: Cues, when: When) -> Float[Tensor, "*T 2"]:
        """The side with more cues, one-hot, while it is asked for."""
        asked = self.within(when.epoch, self.responses)[..., None]
        return one_hot(conditions.label.expand(when.epoch.shape), 2) * asked


class EvidenceAccumulationChoice(CueTask, ChoiceTask):
    """Which side had more cues? Answered by an action, 1 left, 2 right."""

    tags = ("memory", "decision", "trials")

    kind: Literal["EvidenceAccumulationChoice-v0"] = "EvidenceAccumulationChoice-v0"

    def tags_of_settings(self) -> tuple[str, ...]:
        """Spiking neurons do not say in the first step that an answer is due: it is a reaction to their spikes."""
        return (*self.tags, "reaction time") if self.neurons else self.tags

    @property
    def spec(self) -> TaskSpec:
        """A guess is right in half of the trials; whoever counts is always right."""
        scores = {"trial_types": 2, "chance": 0.5, "ceiling": 1.0, "criterion": LEARNED}
        return self.describe_choice(self._widths(), ("wait", "left", "right"), **scores)

    def label(self, conditions: Cues) -> Int[Tensor, "*B"]:
        """The side with more cues."""
        return conditions.label + 1
