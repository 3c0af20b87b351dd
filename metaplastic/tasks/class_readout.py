"""Outputs that name a class: the largest one does (the first of equals).

    score = part of the judged steps at which it is the right one                                                (1)
    reward = - mean squared error of the outputs there, against 1 for the right class and 0 for the others       (2)

or, where an answer takes some time (`MeanClassReadout`), 1 if the mean output of the judged steps names the right class
and 0 if not. Steps count by their weights. Outputs from U(-1, 1) name each of A classes alike, which scores 1 / A. A
trial is correct if its score is 1. The targets are one-hot, so that a cross-entropy can be taken from a rendered trial
as well.
"""

from __future__ import annotations

from abc import ABC

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Judgement
from metaplastic.tasks.readouts import ReadoutTask

REWARDS = (-4.0, 0.0)
"""least and largest reward (2) of outputs in [-1, 1]"""


class ClassReadout(ReadoutTask, ABC):
    """A task of whole trials whose outputs name a class at every judged step."""

    best_reward = 0.0

    def right(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."]) -> Tensor:
        """How right outputs are, 0 to 1 [*B]: whether they name the wanted class."""
        return (output.argmax(-1) == y.argmax(-1)).double()

    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums of w right, w error and w."""
        right = self.right(output, y)
        error = (output - y).square().mean(-1).double()
        return torch.stack((right, error, torch.ones_like(right)), -1) * w.double()[..., None]

    def verdict(self, tally: Float[Tensor, "*B 3"]) -> Judgement:
        """(1) and (2)."""
        right, error, count = tally.unbind(-1)
        count = count.clamp(min=1e-12)
        score = (right / count).to(torch.float32)
        return Judgement(-(error / count).to(torch.float32), score, (score >= 1).to(torch.float32))


class MeanClassReadout(ReadoutTask, ABC):
    """A task of whole trials whose mean output over the judged steps names one class."""

    best_reward = 0.0

    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums of w error, w, w z and w z*."""
        error = (output - y).square().mean(-1, keepdim=True).double()
        parts = (error, torch.ones_like(error), output.double(), y.double().expand(output.shape))
        return torch.cat(parts, -1) * w.double()[..., None]

    def verdict(self, tally: Float[Tensor, "*B M"]) -> Judgement:
        """Whether the mean output names the wanted class, and (2)."""
        error, count = tally[..., 0], tally[..., 1].clamp(min=1e-12)
        named, wanted = tally[..., 2:].unflatten(-1, (2, -1)).argmax(-1).unbind(-1)
        right = (named == wanted).to(torch.float32)
        return Judgement(-(error / count).to(torch.float32), right, right)
