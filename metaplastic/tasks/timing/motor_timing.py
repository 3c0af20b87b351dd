"""Motor timing: a cue says which of several intervals to produce, a flash says when to begin (Wang et al. 2018).

The cue, one line for each interval, is on from the end of fixation to the trial's end; set is a flash of `pulse` ms.
The produced time runs from the onset of set to the answer and is rewarded by (1) of `interval_values.py`; the trial
ends 2.5 times the interval and 300 ms after set. The ideal observer knows the interval and earns 1. Criterion: (3)
there, halfway from the best fixed time for all intervals.

Preset `wang18`: 800 or 1,500 ms, a cue of U(1, 3) s, a flash of 50 ms (recalled; also the times of NeuroGym's task).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.timing.interval_values import expected_scores
from metaplastic.tasks.timing.production import ProductionTask


class Cued(NamedTuple):
    """Conditions of a trial."""

    interval: Int[Tensor, "*B"]
    """which one"""
    goal: Int[Tensor, "*B"]
    """in steps"""


class MotorTiming(ProductionTask):
    """Wait (0), and go (1) when the cued interval has passed since set."""

    references = ("Wang et al. 2018, Flexible timing by temporal scaling of cortical responses, Nat Neurosci 21:102",)
    epochs = ("fixation", "cue", "produce")
    presets = MappingProxyType({"wang18": MappingProxyType({})})

    kind: Literal["MotorTiming-v0"] = "MotorTiming-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=500, cue={"uniform": [1000, 3000]})
    """fixation and cue before set in ms, or how they are drawn"""
    intervals: tuple[float, ...] = Field(default=(800.0, 1500.0), min_length=1)
    """ms, each alike; multiples of dt"""
    pulse: float = Field(default=50.0, gt=0)
    """ms of set"""

    @model_validator(mode="after")
    def _can_be_produced(self) -> MotorTiming:
        for interval in self.intervals:
            why = Duration.read(interval).complaint(self.dt)
            if interval <= 0:
                why = f"is {interval:g} ms, wanted more than 0"
            if why:
                raise wrong(f"one of intervals {why}")
        if not self.timing["cue"].ends(self.dt)[0]:
            raise wrong("timing.cue may last 0 ms, wanted at least one step: set would come unannounced")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance is going at set; criterion (3) of `interval_values.py`."""
        together = Duration("choice", self.intervals)
        mean = expected_scores((together,), (1.0,), 0.0, self.dt, self.margin, self.slack)
        return self.describe_choice(
            {"fixation": 1, "interval": len(self.intervals), "set": 1},
            ("wait", "go"),
            trial_types=len(self.intervals),
            chance=mean.chance,
            ceiling=1.0,
            criterion=(mean.fixed + 1) / 2,
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Cued]:
        """The interval, each alike."""
        del life, trial
        which = rng.below(rng.word(key, 0), len(self.intervals))
        return which, Cued(which, look_up(self._steps, which, torch.int64))

    def edges(self, key: Int[Tensor, "*B"], conditions: Cued) -> Sequence[Int[Tensor, "*B"]]:
        """Fixation and cue as drawn, then the time to answer."""
        fixation, cue, _ = self.durations(key)
        return fixation, fixation + cue, fixation + cue + self.time_to_answer(conditions.goal)

    def trial_length(self) -> tuple[int, int, float]:
        """With the time to answer."""
        low, high, mean = super().trial_length()
        spans = self.time_to_answer(torch.tensor(self._steps, dtype=torch.int64))
        return low + int(spans.min()), high + int(spans.max()), mean + float(spans.double().mean())

    def mean_input(self, conditions: Cued, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until set, the cue from its end on, the flash."""
        fixate, produce = when.epoch < 2, self.within(when.epoch, ("produce",))
        cue = one_hot(conditions.interval.expand(when.epoch.shape), len(self.intervals)) * (when.epoch > 0)[..., None]
        flash = produce & (when.since * self.dt < self.pulse)
        return torch.cat((fixate[..., None].to(cue.dtype), cue, flash[..., None].to(cue.dtype)), -1)

    def goal(self, conditions: Cued) -> Int[Tensor, "*B"]:
        """The interval."""
        return conditions.goal

    @property
    def _steps(self) -> tuple[float, ...]:
        return tuple(float(round(interval / self.dt)) for interval in self.intervals)
