"""Parity: is the number of ones so far odd?

A trial shows `length` bits, one a step as 1 or 0, each by a coin, and beside them a constant 1 that says that there is
one. Two outputs say even and odd, the larger one answers. With `judged: last` the last step is judged, and no part of
the bits tells anything about it; with `judged: all` every step is, by (1) of `class_readout.py`. Random outputs score
1/2, and so does whoever does not know the parity one step before. One bit of memory is enough, at any length: train on
short trials, test on long ones.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.class_readout import REWARDS, ClassReadout
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

Judged = Literal["last", "all"]


class Bits(NamedTuple):
    """What a trial draws."""

    shown: Float[Tensor, "*B T 2"]
    """bit and constant of each step"""
    answer: Float[Tensor, "*B T 2"]
    """even or odd, one-hot"""


class Parity(ClassReadout):
    """Say whether the number of ones so far is odd."""

    references = ("Minsky & Papert 1969, Perceptrons, MIT Press",)
    tags = ("memory", "sequences", "trials", "readout")
    epochs = ("bits",)

    kind: Literal["Parity-v0"] = "Parity-v0"
    length: int = Field(default=10, ge=1)
    """bits of a trial"""
    judged: Annotated[Judged, BeforeValidator(one_of(Judged))] = "all"
    """the last step, or all"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is a coin."""
        return step_spec(
            self,
            {"bit": 1, "shown": 1},
            2,
            self.length,
            chance=0.5,
            criterion=0.95,
            action_names=("even", "odd"),
            reward_range=REWARDS,
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """The bits."""
        del life
        own = rng.condition_keys(rng.trial_keys(key, trial))
        bit = rng.coin(rng.words(own, self.length), 0.5).to(torch.int64)
        shown = torch.stack((bit.to(torch.float32), torch.ones_like(bit, dtype=torch.float32)), -1)
        answer = one_hot(bit.cumsum(-1) % 2, 2)
        return Drawn(torch.zeros_like(trial), torch.full_like(trial, self.length), Bits(shown, answer))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A bit, and the parity with it."""
        place = t.clamp(max=self.length - 1)
        judged = t >= (self.length - 1 if self.judged == "last" else 0)
        x, y = row(drawn.values.shown, place), row(drawn.values.answer, place)
        return Frame(x, y, judged.to(torch.float32), torch.zeros_like(t, dtype=torch.int8))
