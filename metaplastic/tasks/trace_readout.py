"""Outputs that should follow a trace: judged by the share of its variance that they explain.

    error = sum w (z - z*)^2 / sum w (z* - mean z*)^2,   score = 1 - error, in [0, 1],   reward = score - 1      (1)

over steps and outputs, the mean weighted by w. A constant output at the mean scores 0, and so do outputs from U(-1, 1):
they err by 1/3 + z*^2 on average, more than the variance of any trace. A trial is correct from a score of .9 on.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Judgement
from metaplastic.tasks.readouts import ReadoutTask

FOLLOWED = 0.9
"""score from which a trace counts as followed"""
TRACE: Mapping[str, Any] = MappingProxyType(
    {
        "response": "readout",
        "chance": 0.0,
        "ceiling": 1.0,
        "oracle": 1.0,
        "criterion": FOLLOWED,
        "reward_range": (-1.0, 0.0),
    }
)
"""facts of a task whose trace can be followed exactly, and of which random outputs explain nothing"""


class TraceReadout(ReadoutTask, ABC):
    """A task of whole trials whose outputs should follow the targets."""

    best_reward = 0.0

    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums of w (z - z*)^2, w z*, w z*^2 and w."""
        distance, y = (output - y).double(), y.double()
        parts = (distance.square(), y, y.square(), torch.ones_like(y))
        weight = w.double()
        sums = [(part.sum(-1) * weight).expand(distance.shape[:-1]) for part in parts]
        return torch.stack(sums, -1)

    def verdict(self, tally: Float[Tensor, "*B 4"]) -> Judgement:
        """(1)."""
        distance, total, square, count = tally.unbind(-1)
        variance = square - total.square() / count.clamp(min=1)
        score = (1 - distance / variance.clamp(min=1e-12)).clamp(0, 1).to(torch.float32)
        return Judgement(score - 1, score, (score >= FOLLOWED).to(torch.float32))
