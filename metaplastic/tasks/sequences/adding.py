"""The adding problem: add two marked numbers of a long sequence (after Hochreiter & Schmidhuber 1997).

At each of T steps one input is drawn from U(0, 1); another is 1 at one step of the first half and at one of the second,
drawn alike, and 0 elsewhere. The output of the last step should be z* = s (u + v), s the `scale`, u and v what was
marked.

    score = 1 - |z - z*| / s, at least 0,   reward = -(z - z*)^2                                                  (1)

Without memory the best output is s: a squared error of s^2 / 6 (0.167 s^2), a score of 2/3. The score of random
outputs is, with S4 the sum of four uniform numbers,

    chance = s / 2 P(1 - 1 / s < S4 < 1 + 1 / s),   1/4 for s = 1                                                 (2)

because 1 - |d| is the density of a sum of two uniform numbers. A trial is right if |z - z*| < 0.08 s, the 0.04 of
Hochreiter & Schmidhuber, who ask for half the sum (recalled; their numbers are from U(-1, 1) and their sequences vary
in length). `arjovsky16` (Arjovsky, Shah & Bengio 2016, recalled) has T = 100, and 750 in `arjovsky16_750`. Outputs of
tanh units want a scale of 0.5 or less.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.readouts import ReadoutTask
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

CLOSE = 0.92
"""score from which a sum is right"""


class Sum(NamedTuple):
    """What a trial draws."""

    shown: Float[Tensor, "*B T 2"]
    """number and mark of each step"""
    total: Float[Tensor, "*B"]
    """z*"""


class Adding(ReadoutTask):
    """Add two marked numbers of a long sequence."""

    references = (
        "Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9:1735",
        "Arjovsky, Shah & Bengio 2016, Unitary evolution recurrent neural networks, ICML, arXiv:1511.06464",
    )
    tags = ("memory", "sequences", "trials", "readout")
    epochs = ("sequence", "answer")
    best_reward = 0.0
    presets = MappingProxyType(
        {"arjovsky16": MappingProxyType({"steps": 100}), "arjovsky16_750": MappingProxyType({"steps": 750})}
    )

    kind: Literal["Adding-v0"] = "Adding-v0"
    steps: int = Field(default=30, ge=2)
    """T, numbers of a sequence"""
    scale: float = Field(default=1.0, gt=0)
    """s, what the sum is multiplied with"""

    @property
    def spec(self) -> TaskSpec:
        """Chance (2)."""
        chance = self.scale / 2 * (_sum_of_four(1 + 1 / self.scale) - _sum_of_four(1 - 1 / self.scale))
        return step_spec(
            self,
            {"number": 1, "mark": 1},
            1,
            self.steps,
            chance=chance,
            criterion=CLOSE,
            reward_range=(-((1 + 2 * self.scale) ** 2), 0.0),
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """The numbers, and which two are marked."""
        del life
        own = rng.condition_keys(rng.trial_keys(key, trial))
        words, half = rng.words(rng.fold(own, 0), 2), self.steps // 2
        first = rng.below(words[..., 0], half)
        second = half + rng.below(words[..., 1], self.steps - half)
        number = rng.uniforms(rng.fold(own, 1), self.steps)
        place = torch.arange(self.steps, device=key.device)
        mark = (place == first[..., None]) | (place == second[..., None])
        u, v = (number.gather(-1, one[..., None]).squeeze(-1) for one in (first, second))
        length = torch.full_like(trial, self.steps)
        return Drawn(torch.zeros_like(trial), length, Sum(torch.stack((number, mark), -1), (u + v) * self.scale))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A number and its mark; the sum counts in the last step."""
        last = t == self.steps - 1
        x = row(drawn.values.shown, t.clamp(max=self.steps - 1))
        y = drawn.values.total.expand(t.shape)[..., None]
        return Frame(x, y, last.to(torch.float32), last.to(torch.int8))

    def tally(self, output: Float[Tensor, "*B 1"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """(1) of the last step."""
        error = (output - y).double().squeeze(-1)
        return torch.stack((error.abs(), error.square()), -1) * w.double()[..., None]

    def verdict(self, tally: Float[Tensor, "*B 2"]) -> Judgement:
        """(1)."""
        distance, square = tally.unbind(-1)
        score = (1 - distance / self.scale).clamp(min=0).to(torch.float32)
        return Judgement(-square.to(torch.float32), score, (score > CLOSE).to(torch.float32))


def _sum_of_four(x: float) -> float:
    """P(S4 < x) (Irwin 1927; Hall 1927)."""
    if x >= 4:
        return 1.0
    return sum((-1) ** k * math.comb(4, k) * max(0.0, x - k) ** 4 for k in range(5)) / 24
