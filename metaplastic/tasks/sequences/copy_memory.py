"""Copy memory: see some symbols, wait, and say them again in order (after Hochreiter & Schmidhuber 1997).

A trial of T + 2 n steps, for n symbols out of K and a delay of T:

    n symbols | T - 1 blanks, a delimiter | n blanks,   to be answered by   T + n blanks | the n symbols           (1)

Inputs are one-hot: K symbols, blank, delimiter; of the outputs, K symbols and blank, the largest names one, scored by
(1) of `class_readout.py`. With `judged: recall` the last n steps are judged: random outputs score 1 / (K + 1), a symbol
named throughout 1 / K. With `judged: all` every step counts, as in the publication; who names blanks and then guesses,
without memory, has

    score (T + n + n / K) / (T + 2 n),   cross-entropy n ln K / (T + 2 n) a step                                    (2)

`arjovsky16` (Arjovsky, Shah & Bengio 2016, recalled): K = 8, n = 10, T = 100, and 500 in `arjovsky16_500`, all judged.
"""

from __future__ import annotations

import math
from types import MappingProxyType
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

Judged = Literal["recall", "all"]


class Message(NamedTuple):
    """What a trial draws."""

    rows: Float[Tensor, "*B R I"]
    """inputs: each symbol, blank, delimiter"""


class CopyMemory(ClassReadout):
    """Say a row of symbols again after a long delay."""

    references = (
        "Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9:1735",
        "Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks, ICML, arXiv:1511.06464",
    )
    tags = ("memory", "sequences", "trials", "readout")
    epochs = ("symbols", "delay", "recall")
    presets = MappingProxyType(
        {
            "arjovsky16": MappingProxyType({"delay": 100, "judged": "all"}),
            "arjovsky16_500": MappingProxyType({"delay": 500, "judged": "all"}),
        }
    )

    kind: Literal["CopyMemory-v0"] = "CopyMemory-v0"
    symbols: int = Field(default=8, ge=2, le=1000)
    """K, symbols there are"""
    length: int = Field(default=10, ge=1)
    """n, symbols of a trial"""
    delay: int = Field(default=20, ge=1)
    """T, steps between the last symbol and the first answer; the last shows the delimiter"""
    judged: Annotated[Judged, BeforeValidator(one_of(Judged))] = "recall"
    """recall: the last n steps; all: every step"""

    @property
    def memoryless(self) -> float:
        """Score of who guesses and remembers nothing, (2)."""
        if self.judged == "recall":
            return 1 / self.symbols
        return (self.delay + self.length + self.length / self.symbols) / (self.delay + 2 * self.length)

    @property
    def memoryless_loss(self) -> float:
        """Least mean cross-entropy over all steps without memory, (2), in nats."""
        return self.length * math.log(self.symbols) / (self.delay + 2 * self.length)

    @property
    def spec(self) -> TaskSpec:
        """It counts as learned where nine tenths of what needs memory are right."""
        return step_spec(
            self,
            {"symbol": self.symbols, "blank": 1, "delimiter": 1},
            self.symbols + 1,
            self.delay + 2 * self.length,
            chance=1 / (self.symbols + 1),
            criterion=self.memoryless + 0.9 * (1 - self.memoryless),
            reward_range=REWARDS,
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """The symbols."""
        del life
        own = rng.condition_keys(rng.trial_keys(key, trial))
        symbol = rng.below(rng.words(own, self.length), self.symbols)
        blank = torch.full_like(symbol[..., :1], self.symbols)
        number = torch.cat((symbol, blank, blank + 1), -1)
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Message(one_hot(number, self.symbols + 2)))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """(1)."""
        recall = self.length + self.delay
        blank = torch.full_like(t, self.length)
        seen = torch.where(t < self.length, t, blank) + (t == recall - 1)
        said = torch.where(t >= recall, (t - recall).clamp(max=self.length - 1), blank)
        epoch = (t >= self.length).to(torch.int8) + (t >= recall)
        weight = (t >= (0 if self.judged == "all" else recall)).to(torch.float32)
        rows = drawn.values.rows
        return Frame(row(rows, seen), row(rows, said)[..., : self.symbols + 1], weight, epoch)
