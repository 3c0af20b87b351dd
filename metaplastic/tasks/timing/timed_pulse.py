"""A timed pulse: after a brief input, an output bump at a given time (Laje & Buonomano 2013).

    z* = exp(-(t - t_bump)^2 / (2 width^2)),   t from the onset of a 50-ms input pulse                            (1)

The score is (1) of `trace_readout.py`; nothing is drawn, so a network's own noise is what makes it hard. Preset
`laje13` (recalled): width 30 ms, bumps at 250 to 8,000 ms of which the usual one here is 1,000.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.trace_readout import TRACE, TraceReadout


class TimedPulse(EpochTask, TraceReadout):
    """One bump of the output, at a time after a brief input."""

    references = ("Laje & Buonomano 2013, Robust timing and motor patterns by taming chaos, Nat Neurosci 16:925",)
    tags = ("timing", "trials", "readout")
    epochs = ("before", "pulse", "after")
    responses = ("after",)
    presets = MappingProxyType({"laje13": MappingProxyType({})})

    kind: Literal["TimedPulse-v0"] = "TimedPulse-v0"
    dt: float = Field(default=1.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(before=0, pulse=50, after=1150)
    """epoch -> ms, or how it is drawn"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "flat"
    """how much each step counts in the judgement"""
    bump: float = Field(default=1000.0, gt=0)
    """ms from the pulse's onset to the bump"""
    width: float = Field(default=30.0, gt=0)
    """ms; the bump's standard deviation"""

    @model_validator(mode="after")
    def _within(self) -> TimedPulse:
        lasts = (self.timing["pulse"].ends(self.dt)[0] + self.timing["after"].ends(self.dt)[0]) * self.dt
        if self.bump + 3 * self.width > lasts:
            raise wrong(
                f"bump is {self.bump:g} ms, wanted at most {lasts - 3 * self.width:g}: three widths of "
                f"{self.width:g} before the trial's end; make timing.after longer"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Random outputs explain nothing; whoever follows the trace earns all."""
        return self.describe(
            {"pulse": 1},
            1,
            **TRACE,
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, None]:
        """Nothing is drawn."""
        del life, trial
        return torch.zeros_like(key), None

    def mean_input(self, conditions: None, when: When) -> Float[Tensor, "*T I"]:
        """The pulse."""
        del conditions
        return self.within(when.epoch, ("pulse",))[..., None].to(torch.float32)

    def wanted(self, conditions: None, when: When) -> Float[Tensor, "*T 1"]:
        """(1)."""
        del conditions
        away = ((when.t - when.edges[0]) * self.dt - self.bump) * (1 / self.width)
        return torch.exp(away.square() * -0.5)[..., None]
