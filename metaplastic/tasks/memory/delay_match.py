"""Delayed non-match to sample: were two stimuli, a silent delay apart, different?

A trial shows A or B, waits, shows A or B, waits, and is judged in its last `response` ms: the one output z should be
z* = -0.98 after two equal stimuli and +0.98 after two different ones (an exclusive or across time).

    error = mean |z - z*| over the response,   reward = -error,   score = 1 - error / 1.96, in [0, 1]      (1)

A trial is correct if the mean output of its response has the sign of z*. Miconi 2017 (eLife 6:e20899) and its code:
`miconi17` is the task of the main text, `miconi17_long` and `miconi17_var` those of the additional experiments.
Its inputs are a go signal that is never used, A and B, 1 while shown; the tonic +1 and -1 are neurons of its network.
Steps count from 0, and the first stimulus is on in steps 1 .. 200 as it is there, so the published delay of "200" is
199 steps.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.perception.sign_readout import SignReadout
from metaplastic.tasks.trials import Drawn, Frame

TARGET = 0.98
"""|z*|: what a tanh unit reaches with a finite input"""
LEARNED_ERROR = 0.5
"""error below which Miconi (2017) counts a trial as right"""

Order = Literal["cyclic", "random"]


class Onset(NamedTuple):
    """What a trial draws beside its type."""

    second: Int[Tensor, "*B"]
    """first step of the second stimulus"""


class DelayNonMatchSample(SignReadout):
    """Delayed non-match to sample (delayed exclusive or), answered by one output at the end of the trial."""

    references = ("Miconi 2017, Biologically plausible learning in recurrent neural networks, eLife 6:e20899",)
    tags = ("memory", "trials", "readout")
    epochs = ("onset", "first", "delay", "second", "wait", "response")
    level = TARGET
    presets = MappingProxyType(
        {
            "miconi17": MappingProxyType({}),
            "miconi17_long": MappingProxyType({"trial": 2000.0, "stimulus": 400.0, "delay": 999.0}),
            "miconi17_var": MappingProxyType(
                {"trial": 1600.0, "stimulus": 300.0, "delay": 300.0, "longest_delay": 798.0}
            ),
        }
    )

    kind: Literal["DelayNonMatchSample-v0"] = "DelayNonMatchSample-v0"
    trials: int = Field(default=2000, ge=1)
    """trials of learning in a lifetime; 95 % correct comes after about 1000, the code goes on to 20 407"""
    test_trials: int = Field(default=100, ge=1)
    """trials of test after learning, plasticity off"""
    dt: float = Field(default=1.0, gt=0)
    """ms a step; must divide every duration"""
    trial: float = Field(default=1000.0, gt=0)
    """ms from a trial's start to its end"""
    onset: float = Field(default=1.0, ge=0)
    """ms before the first stimulus"""
    stimulus: float = Field(default=200.0, gt=0)
    """ms of each stimulus"""
    delay: float = Field(default=199.0, ge=0)
    """ms between the stimuli; the shortest, if `longest_delay` is given"""
    longest_delay: float | None = Field(default=None, ge=0)
    """ms; the delay is then drawn from [delay, longest_delay] in steps of dt, each alike"""
    response: float = Field(default=200.0, gt=0)
    """ms at the trial's end that are judged"""
    order: Annotated[Order, BeforeValidator(one_of(Order))] = "cyclic"
    """trial types one after the other (AA, AB, BA, BB), as published, or drawn, each alike"""

    @model_validator(mode="after")
    def _fits(self) -> DelayNonMatchSample:
        for name in ("trial", "onset", "stimulus", "delay", "longest_delay", "response"):
            steps = (getattr(self, name) or 0.0) / self.dt
            if abs(steps - round(steps)) > 1e-6:
                low, high = (self.dt * (int(steps) + extra) for extra in (0, 1))
                raise wrong(
                    f"{name} is {getattr(self, name):g} ms, which is not a multiple of dt = {self.dt:g} ms; "
                    f"use {low:g} or {high:g}, or another dt"
                )
        longest = self._longest_delay
        if longest < self.delay:
            raise wrong(f"longest_delay is {longest:g} ms, wanted at least delay = {self.delay:g}")
        needed = self.onset + 2 * self.stimulus + longest + self.response
        if needed > self.trial + 1e-6:
            raise wrong(
                f"trial is {self.trial:g} ms, wanted at least {needed:g}: onset {self.onset:g} + 2 x stimulus "
                f"{self.stimulus:g} + delay {longest:g} + response {self.response:g}"
            )
        return self

    @property
    def _longest_delay(self) -> float:
        return self.delay if self.longest_delay is None else self.longest_delay

    def steps(self, ms: float) -> int:
        """A duration in steps."""
        return round(ms / self.dt)

    @property
    def spec(self) -> TaskSpec:
        """Chance is exact: the score of random outputs."""
        return TaskSpec(
            id=self.kind,
            channels={"go": (0, 1), "A": (1, 2), "B": (2, 3)},
            observations=3,
            actions=1,
            response="readout",
            dt=self.dt,
            trial_steps=self.steps(self.trial),
            trial_types=4,
            chance=self.random_score,
            ceiling=1.0,
            criterion=1 - LEARNED_ERROR / (2 * TARGET),
            tags=self.tags,
            cite=self.references,
            epochs=self.epochs,
            oracle=1.0,
            reward_range=(-2 * TARGET, 0.0),
        )

    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """Trial type (0 AA, 1 AB, 2 BA, 3 BB) and delay."""
        del life
        shortest, longest = (self.steps(delay) for delay in (self.delay, self._longest_delay))
        kind = trial % 4
        second = torch.full_like(kind, self.steps(self.onset + self.stimulus) + shortest)
        if self.order == "random" or longest > shortest:
            words = rng.words(rng.condition_keys(rng.trial_keys(key, trial)), 2)
            kind = rng.below(words[..., 0], 4) if self.order == "random" else kind
            second = second + rng.below(words[..., 1], longest - shortest + 1)
        return Drawn(kind, torch.full_like(kind, self.steps(self.trial)), Onset(second))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A and B are 1 while shown; the target stands all the time and counts in the response."""
        second, kind = drawn.values.second, drawn.kind
        start, stimulus = self.steps(self.onset), self.steps(self.stimulus)
        judged = self.steps(self.trial) - self.steps(self.response)
        edges = (start <= t, start + stimulus <= t, second <= t, second + stimulus <= t, judged <= t)
        epoch = torch.stack(edges).sum(0)
        is_a = torch.where(epoch == 1, kind < 2, kind % 2 == 0)
        shown = (epoch == 1) | (epoch == 3)
        x = torch.stack((torch.zeros_like(shown), shown & is_a, shown & ~is_a), -1).to(torch.float32)
        differ = (kind == 1) | (kind == 2)
        y = torch.where(differ, TARGET, -TARGET).to(torch.float32).expand(t.shape)[..., None]
        return Frame(x, y, (epoch == 5).to(torch.float32), epoch.to(torch.int8))
