"""Delayed exclusive or: do two signs, shown one after the other on a line each, agree? (Kim, Li & Sejnowski 2019.)

Line 0 is +1 or -1 for a while, then line 1. During the response the one output z should be z* = +1 if the signs agree
and -1 if they do not; before and after it 0. Judged by (1) of `sign_readout.py`, in the response alone.

Preset `kim19`: 300 steps of 5 ms; signs in steps 50 to 99 and 110 to 159, response in steps 170 to 269. Departure: the
publication counts a trial as right once the output passes .7 on the right side from step 200 on; here the mean output
of the response must have the right sign, and the criterion is the score of an output that stands at .7.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_of
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.perception.sign_readout import SignReadout

LEARNED = 0.7
"""output from which Kim et al. (2019) count a trial as right"""


class Signs(NamedTuple):
    """Conditions of a trial, -1 or 1."""

    first: Int[Tensor, "*B"]
    second: Int[Tensor, "*B"]


class DelayedXOR(EpochTask, SignReadout):
    """Two signs, a delay apart: +1 if they agree, -1 if not."""

    references = (
        "Kim, Li & Sejnowski 2019, Simple framework for constructing functional spiking recurrent neural networks, "
        "PNAS 116:22811",
    )
    tags = ("memory", "trials", "readout")
    epochs = ("onset", "first", "delay", "second", "wait", "response", "rest")
    responses = ("response",)
    level = 1.0
    presets = MappingProxyType({"kim19": MappingProxyType({})})

    kind: Literal["DelayedXOR-v0"] = "DelayedXOR-v0"
    dt: float = Field(default=5.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(onset=250, first=250, delay=50, second=250, wait=50, response=500, rest=150)
    """epoch -> ms, or how it is drawn"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "decision"
    """how much each step counts in the judgement"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is exact: the score of random outputs in the response."""
        return self.describe(
            {"first": 1, "second": 1},
            1,
            response="readout",
            trial_types=4,
            chance=self.random_score,
            ceiling=1.0,
            oracle=1.0,
            criterion=1 - (1 - LEARNED) / 2,
            reward_range=(-2.0, 0.0),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Signs]:
        """Both signs, each alike; types 0 to 3 are --, -+, +-, ++."""
        del life, trial
        kind = rng.below(rng.word(key, 0), 4)
        return kind, Signs(2 * (kind // 2) - 1, 2 * (kind % 2) - 1)

    def mean_input(self, conditions: Signs, when: When) -> Float[Tensor, "*T I"]:
        """Each sign on its line, in its time."""
        first = conditions.first * self.within(when.epoch, ("first",))
        second = conditions.second * self.within(when.epoch, ("second",))
        return torch.stack((first, second), -1).to(torch.float32)

    def wanted(self, conditions: Signs, when: When) -> Float[Tensor, "*T 1"]:
        """Whether they agree, in the response."""
        agree = conditions.first * conditions.second * self.within(when.epoch, self.responses)
        return agree[..., None].to(torch.float32)
