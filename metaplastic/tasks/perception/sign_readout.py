"""One output whose sign is the answer: the judgement of Miconi's (2017) and Kim's (2019) tasks.

    error = sum of w |z - z*| / sum of w,   reward = -error,   score = 1 - error / (2 |z*|), in [0, 1]            (1)

A trial is correct if the weighted mean output has the sign of z*. Outputs from U(-1, 1) score, by
E|z - z*| = (1 + z*^2) / 2, on average 1 - (1 + z*^2) / (4 |z*|).                                                 (2)
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Judgement
from metaplastic.tasks.readouts import ReadoutTask


class SignReadout(ReadoutTask, ABC):
    """A task of whole trials that is answered by the sign of one output."""

    level: ClassVar[float]
    """|z*|"""
    best_reward = 0.0

    @property
    def random_score(self) -> float:
        """(2)."""
        return 1 - (1 + self.level**2) / (4 * self.level)

    def tally(self, output: Float[Tensor, "*B 1"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums of w |z - z*|, w z sign(z*) and w."""
        distance = (output - y).abs()[..., 0].double() * w
        towards = (output * y.sign())[..., 0].double() * w
        return torch.stack((distance, towards, w.double().expand_as(distance)), -1)

    def verdict(self, tally: Float[Tensor, "*B 3"]) -> Judgement:
        """(1)."""
        error = (tally[..., 0] / tally[..., 2].clamp(min=1)).to(torch.float32)
        score = (1 - error / (2 * self.level)).clamp(0, 1)
        return Judgement(-error, score, (tally[..., 1] > 0).to(torch.float32))
