"""Trials of many steps that are judged at their end: open-loop frames, continuous outputs.

An author writes `birth` (what a lifetime draws once), `draw` (what a trial draws once: a few numbers a lifetime),
`frame` (what is shown and wanted at step t, by arithmetic on t) and the judgement, as sums over the steps (`tally`)
and what follows from them (`verdict`). `render` and `judge` do whole trials, `step` one frame after the other.

The sums are kept in float64. Differences of float32 outputs and targets near 1 are multiples of 2^-25, so such a sum
is exact and the same bits in whatever order it is taken: `judge` and `step` agree exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TrialBatch
from metaplastic.tasks.base import Info, TensorTask, TimeStep

_BLOCK = 64
"""steps that `judge` sums at once, so that a long trial of a large population needs no second copy of its outputs"""


class Frame(NamedTuple):
    """What is shown and wanted at a step."""

    x: Float[Tensor, "*B I"]
    y: Float[Tensor, "*B A"]
    w: Float[Tensor, "*B"]
    """weight of the step in the judgement"""
    epoch: Int[Tensor, "*B"]


class Drawn(NamedTuple):
    """What a trial has drawn."""

    kind: Int[Tensor, "*B"]
    """trial type"""
    length: Int[Tensor, "*B"]
    """steps of the trial, at most `spec.trial_steps`"""
    values: Any
    """tensors [*B] of the task's own"""


class TrialState(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    tally: Float[Tensor, "*B M"]
    """the judgement's sums over this trial so far"""
    life: Any
    """what `birth` gave"""
    drawn: Drawn
    now: Frame


class TrialTask(TensorTask, ABC):
    """A task of whole trials with continuous outputs."""

    epochs: ClassVar[tuple[str, ...]]
    """names of the parts of a trial, in order"""
    best_reward: ClassVar[float]
    """reward of a perfect trial"""

    def birth(self, key: Int[Tensor, "*B"]) -> Any:
        """Parameters of lifetimes, tensors [*B, ...], from their parameter keys; none here."""
        del key

    @abstractmethod
    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """What trial number `trial` of lifetimes with these keys draws (and the key of its noise, if it has any)."""

    @abstractmethod
    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """Step t ([*B], or [T, *B]) of trials [*B]; the fields have the shape of `t`."""

    @abstractmethod
    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """What one step adds to the judgement's sums, float64 [*B, M]; y and w broadcast against the output."""

    @abstractmethod
    def verdict(self, tally: Float[Tensor, "*B M"]) -> Judgement:
        """The judgement that follows from the sums over a trial, float32."""

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial, time first.

        Raises:
            ValueError: if the trial is not in [0, trials + test_trials).
        """
        if not 0 <= trial < self.lifetime_trials:
            raise ValueError(
                f"trial is {trial}, wanted one in [0, {self.lifetime_trials}): {self.kind} has {self.trials} of "
                f"learning and {self.test_trials} of test"
            )
        key = rng.lifetime_keys(seed, lifetime)
        number = torch.full_like(key, trial)
        steps = torch.arange(self.spec.trial_steps, device=key.device)
        t = steps.reshape(-1, *(1,) * key.ndim).expand(-1, *key.shape)
        drawn = self.draw(key, self.birth(rng.parameter_keys(key)), number)
        x, y, w, epoch = self._cut(self.frame(drawn, t), t < drawn.length)
        return TrialBatch(x, y, w, epoch, drawn.kind)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward and score of the outputs to a rendered trial; the batch's lifetimes are the last axes of B."""
        extra = (1,) * (output.ndim - batch.y.ndim)
        y = batch.y.reshape(len(batch.y), *extra, *batch.y.shape[1:])
        w = batch.w.reshape(len(batch.w), *extra, *batch.w.shape[1:])
        blocks = zip(output.split(_BLOCK), y.split(_BLOCK), w.split(_BLOCK), strict=True)
        return self.verdict(torch.stack([self.tally(*block).sum(0) for block in blocks]).sum(0))

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[TrialState, TimeStep]:
        """The start of every lifetime, with frame 0 of trial 0."""
        key = rng.lifetime_keys(seed, lifetime)
        zero, yes = torch.zeros_like(key), torch.ones_like(key, dtype=torch.bool)
        life = self.birth(rng.parameter_keys(key))
        drawn, now = self._look(key, life, zero, zero)
        tally = torch.zeros_like(self.tally(now.y, now.y, now.w))
        state = TrialState(key, zero, zero, yes, tally, life, drawn, now)
        nothing = torch.zeros_like(now.w)
        info = Info(
            epoch=now.epoch,
            step=zero,
            trial=zero,
            kind=drawn.kind,
            trial_end=~yes,
            responded=~yes,
            correct=(zero - 1).to(torch.int8),
            score=nothing,
            best=nothing,
            target=now.y,
            weight=nothing,
        )
        return state, TimeStep(self.observe(state), nothing, ~yes, ~yes, info)

    def step(self, state: TrialState, action: Float[Tensor, "*B A"]) -> tuple[TrialState, TimeStep]:
        """Count the outputs, judge them if the trial ends, show the next frame."""
        now, alive = state.now, state.alive
        tally = state.tally + self.tally(action, now.y, now.w)
        verdict = self.verdict(tally)
        ends = state.step + 1 >= state.drawn.length
        judged = alive & ends
        reward = torch.where(judged, verdict.reward, 0.0)
        info = Info(
            epoch=now.epoch,
            step=state.step,
            trial=state.trial,
            kind=state.drawn.kind,
            trial_end=judged,
            responded=judged,
            correct=torch.where(judged, verdict.correct.to(torch.int8), -1),
            score=torch.where(judged, verdict.score, 0.0),
            best=torch.where(judged, self.best_reward, 0.0).to(reward.dtype),
            target=now.y,
            weight=now.w * alive,
        )
        alive = alive & (state.trial + ends < self.lifetime_trials)
        trial = (state.trial + ends).clamp(max=self.lifetime_trials - 1)
        t = torch.where(ends, 0, state.step + 1)
        drawn, now = self._look(state.key, state.life, trial, t)
        tally = torch.where(ends[..., None], 0.0, tally)
        state = TrialState(state.key, trial, t, alive, tally, state.life, drawn, now)
        return state, TimeStep(self.observe(state), reward, ~alive, torch.zeros_like(alive), info)

    def observe(self, state: TrialState) -> Float[Tensor, "*B I"]:
        """What is shown now."""
        return state.now.x * state.alive[..., None]

    def oracle(self, state: TrialState) -> Float[Tensor, "*B A"]:
        """The target outputs."""
        return state.now.y

    def random_answer(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B A"]:
        """Outputs from U(-1, 1)."""
        return rng.uniforms(key, self.spec.actions) * 2 - 1

    def _look(self, key: Tensor, life: Any, trial: Tensor, t: Tensor) -> tuple[Drawn, Frame]:
        """The draws of a trial and its frame t."""
        drawn = self.draw(key, life, trial)
        return drawn, self._cut(self.frame(drawn, t), t < drawn.length)

    @staticmethod
    def _cut(frame: Frame, within: Tensor) -> Frame:
        """Nothing is shown, wanted or judged after a trial's end."""
        shown = within[..., None]
        return Frame(frame.x * shown, frame.y * shown, frame.w * within, frame.epoch)
