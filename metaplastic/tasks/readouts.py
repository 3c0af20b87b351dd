"""Trials that are answered by continuous outputs and judged at their end.

The judgement is made of sums over the steps (`tally`) and what follows from them (`verdict`). The sums are kept in
float64. Differences of float32 outputs and targets near 1 are multiples of 2^-25, so such a sum is exact and the same
bits in whatever order it is taken: `judge` and `step` agree exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TrialBatch
from metaplastic.tasks.trials import Count, Drawn, Frame, TrialState, TrialTask

_BLOCK = 64
"""steps that `judge` sums at once, so that a long trial of a large population needs no second copy of its outputs"""


class ReadoutTask(TrialTask, ABC):
    """A task of whole trials with continuous outputs."""

    best_reward: ClassVar[float]
    """reward of a perfect trial"""

    @abstractmethod
    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """What one step adds to the judgement's sums, float64 [*B, M]; y and w broadcast against the output."""

    @abstractmethod
    def verdict(self, tally: Float[Tensor, "*B M"]) -> Judgement:
        """The judgement that follows from the sums over a trial, float32."""

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward and score of the outputs to a rendered trial; the batch's lifetimes are the last axes of B."""
        extra = (1,) * (output.ndim - batch.y.ndim)
        y = batch.y.reshape(len(batch.y), *extra, *batch.y.shape[1:])
        w = batch.w.reshape(len(batch.w), *extra, *batch.w.shape[1:])
        blocks = zip(output.split(_BLOCK), y.split(_BLOCK), w.split(_BLOCK), strict=True)
        return self.verdict(torch.stack([self.tally(*block).sum(0) for block in blocks]).sum(0))

    def fresh_tally(self, now: Frame) -> Tensor:
        """Sums of nothing."""
        return torch.zeros_like(self.tally(now.y, now.y, now.w))

    def count(self, state: TrialState, action: Float[Tensor, "*B A"]) -> Count:
        """Add the outputs to the sums; judge where the trial ends."""
        tally = state.tally + self.tally(action, state.now.y, state.now.w)
        verdict = self.verdict(tally)
        ends = state.step + 1 >= state.drawn.length
        return Count(tally, ends, ends, torch.where(ends, verdict.reward, 0.0), verdict.score, verdict.correct)

    def best(self, drawn: Drawn) -> Tensor | float:
        """The reward of a perfect trial."""
        del drawn
        return self.best_reward

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Float[Tensor, "..."]:
        """Outputs from U(-1, 1), fresh at every step."""
        del epoch
        return uniform_outputs(key, trial, step, self.facts.actions)


def uniform_outputs(key: Int[Tensor, "*B"], trial: Any, step: Any, count: int) -> Float[Tensor, "..."]:
    """`count` outputs from U(-1, 1) of lifetimes with these POLICY keys at this trial and step (broadcast)."""
    return rng.uniforms(rng.noise_keys(rng.trial_keys(key, trial), step), count) * 2 - 1
