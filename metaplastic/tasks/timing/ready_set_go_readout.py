"""Ready, set, go as full-FORCE learns it: after a second pulse, an output bump when as much time has passed again.

A 50-ms pulse on line 1, an interval, a 50-ms pulse on line 2, the same interval, a 500-ms bump; between trials the
output stays at its baseline. With b(x) = x^3 (1 - x)^3 / (1/2)^6, the density of Beta(4, 4) over its peak,

    z* = -0.5 + 1.5 b(t / 500 ms) in the bump, -0.5 elsewhere                                                     (1)

and the score is (1) of `trace_readout.py`. `hints` is what the target-generating network of full-FORCE is given beside:
a ramp that rises from 0 at the end of ready to the interval in s in the middle of set, and falls to 0 at the bump.

Preset `fullforce` (DePasquale et al. 2018, and its code: intervals U(100, 2100) ms, half of 400 + Exp(2000) ms before
and after). Departures: exponentials are cut at 4,000 ms (2 % of them are longer), and every time is floored to steps,
where the code rounds. `short`: intervals of 200 to 600 ms in steps of 10 ms, for evolution.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_of
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.trace_readout import TRACE, TraceReadout

BASELINE = -0.5
HEIGHT = 1.5
"""of the bump over its baseline"""
REPEATS = {"wait": "measure", "after": "before"}
"""epochs that last as long as another, and that other"""


class ReadySetGoReadout(EpochTask, TraceReadout):
    """After ready and set, a bump of the output when the interval has passed again."""

    references = (
        "DePasquale et al. 2018, full-FORCE: a target-based method for training recurrent networks, PLoS ONE",
    )
    tags = ("timing", "trials", "readout")
    epochs = ("before", "ready", "measure", "set", "wait", "go", "after")
    responses = ("go",)
    presets = MappingProxyType(
        {
            "fullforce": MappingProxyType({}),
            "short": MappingProxyType(
                {"dt": 10.0, "timing": {"before": {"uniform": [100, 200]}, "measure": {"uniform": [200, 600]}}}
            ),
        }
    )

    kind: Literal["ReadySetGoReadout-v0"] = "ReadySetGoReadout-v0"
    dt: float = Field(default=1.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(
        before={"exponential": 1000, "within": [0, 4000], "plus": 200},
        ready=50,
        measure={"uniform": [100, 2100]},
        set=50,
        go=500,
    )
    """epoch -> ms, or how it is drawn; `wait` lasts as long as `measure`, `after` as `before`"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "flat"
    """how much each step counts in the judgement"""

    @property
    def spec(self) -> TaskSpec:
        """Random outputs explain nothing; whoever follows the trace earns all."""
        return self.describe(
            {"ready": 1, "set": 1},
            1,
            **TRACE,
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, None]:
        """Nothing but durations is drawn."""
        del life, trial
        return torch.zeros_like(key), None

    def durations(self, key: Int[Tensor, "*B"]) -> list[Int[Tensor, "*B"]]:
        """From `timing`, and twice those of `REPEATS`."""
        lasts = dict(zip(self.epochs, super().durations(key), strict=True))
        return [lasts[REPEATS.get(name, name)] for name in self.epochs]

    def trial_length(self) -> tuple[int, int, float]:
        """With the epochs that are repeated."""
        sums = [0.0, 0.0, 0.0]
        for name in self.epochs:
            ends = self.timing[REPEATS.get(name, name)].ends(self.dt)
            sums = [total + end for total, end in zip(sums, ends, strict=True)]
        return int(sums[0]), int(sums[1]), sums[2]

    def mean_input(self, conditions: None, when: When) -> Float[Tensor, "*T I"]:
        """The pulses."""
        del conditions
        pulses = [self.within(when.epoch, (name,)) for name in ("ready", "set")]
        return torch.stack(pulses, -1).to(torch.float32)

    def wanted(self, conditions: None, when: When) -> Float[Tensor, "*T 1"]:
        """(1)."""
        del conditions
        x = when.since * (self.dt / (self.steps("go") * self.dt))
        bump = (4 * x * (1 - x)).clamp(min=0).pow(3) * self.within(when.epoch, ("go",))
        return (BASELINE + HEIGHT * bump)[..., None]

    def hints(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> Float[Tensor, "T *B"]:
        """The ramp in s; 0 after the trial's end."""
        bounds = self.epoch_bounds(lifetime, trial, seed)
        start, peak_from, peak_to, end = bounds[..., 2, 0], bounds[..., 3, 0], bounds[..., 3, 1], bounds[..., 5, 0]
        t = torch.arange(self.facts.trial_steps, device=lifetime.device).reshape(-1, *(1,) * lifetime.ndim)
        peak = (peak_from + peak_to) / 2
        up, down = (t - start) / (peak - start), (end - t) / (end - peak)
        return torch.minimum(up, down).clamp(min=0) * ((peak_from - start) * (self.dt / 1000))
