"""Trials of many steps: frames that do not depend on what is answered, and a judgement.

An author states what a trial draws once (`draw`: a few numbers a lifetime) and what is shown and wanted at step t
(`frame`, by arithmetic on t); `render` then gives whole trials at once and `step` one frame after the other, with equal
numbers. How answers are judged is one of two kinds: continuous outputs at the trial's end (`readouts.py`), or discrete
actions (`choices.py`). Epochs with names and durations are in `epochs.py`.

A trial's draws are kept until it ends, and made anew from the lifetime's key for the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TrialBatch
from metaplastic.tasks.base import Info, TensorTask, TimeStep, renew, settled

_AT_ONCE = 1 << 15
"""frames that `render` makes at once on a CPU, so that what lies between stays in the cache"""


class Frame(NamedTuple):
    """What is shown and wanted at a step."""

    x: Float[Tensor, "*B I"]
    y: Tensor
    """target outputs [*B, A] (readout), or the wanted action [*B] (choice)"""
    w: Float[Tensor, "*B"]
    """weight of the step in the judgement (readout), and in supervised learning"""
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
    tally: Tensor
    """what the judgement keeps of this trial so far [*B, M]"""
    life: Any
    """what `birth` gave"""
    drawn: Drawn
    now: Frame


class Count(NamedTuple):
    """What an answer led to."""

    tally: Tensor
    """the judgement's memory after it"""
    ends: Bool[Tensor, "*B"]
    """the trial is over"""
    judged: Bool[Tensor, "*B"]
    """the answer decided how the trial went; never without `ends`"""
    reward: Float[Tensor, "*B"]
    score: Float[Tensor, "*B"]
    """read where `judged`"""
    correct: Tensor
    """1 right, 0 wrong; read where `judged`"""


class TrialTask(TensorTask, ABC):
    """A task of whole trials."""

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
    def fresh_tally(self, now: Frame) -> Tensor:
        """The judgement's memory at a trial's start [*B, M]."""

    @abstractmethod
    def count(self, state: TrialState, action: Tensor) -> Count:
        """What an answer to the frame of this state leads to."""

    @abstractmethod
    def best(self, drawn: Drawn) -> Tensor | float:
        """Expected reward of the best answer to a trial."""

    def outputs(self, y: Tensor) -> Float[Tensor, "*B A"]:
        """The targets of a frame as outputs."""
        return y

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial, time first.

        Raises:
            ValueError: if the trial is not in [0, trials + test_trials).
        """
        drawn = self.drawn(lifetime, trial, seed)
        steps = torch.arange(self.facts.trial_steps, device=lifetime.device)
        whole = lifetime.device.type != "cpu" or torch.compiler.is_compiling()
        at_once = len(steps) if whole else max(1, _AT_ONCE // max(1, lifetime.numel()))
        blocks = []
        for some in steps.split(at_once):
            t = some.reshape(-1, *(1,) * lifetime.ndim).expand(-1, *lifetime.shape).contiguous()
            x, y, w, epoch = self._cut(self.frame(drawn, t), t < drawn.length)
            blocks.append((x, self.outputs(y), w, epoch))
        x, y, w, epoch = blocks[0] if len(blocks) == 1 else map(torch.cat, zip(*blocks, strict=True))
        return TrialBatch(x, y, w, epoch, drawn.kind, drawn.length, drawn)

    def drawn(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> Drawn:
        """What one trial of these lifetimes draws.

        Raises:
            ValueError: if the trial is not in [0, trials + test_trials).
        """
        if not 0 <= trial < self.lifetime_trials:
            raise ValueError(
                f"trial is {trial}, wanted one in [0, {self.lifetime_trials}): {self.kind} has {self.trials} of "
                f"learning and {self.test_trials} of test"
            )
        key = rng.lifetime_keys(seed, lifetime)
        return self.draw(key, self.birth(rng.parameter_keys(key)), torch.full_like(key, trial))

    def conditions(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> dict[str, Tensor]:
        """What one trial has drawn, by name, for analysis; tensors [*B, ...]."""
        drawn = self.drawn(lifetime, trial, seed)
        values = drawn.values._asdict() if drawn.values is not None else {}
        return {"kind": drawn.kind, "length": drawn.length, **values}

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[TrialState, TimeStep]:
        """The start of every lifetime, with frame 0 of trial 0."""
        key = rng.lifetime_keys(seed, lifetime)
        zero, yes = torch.zeros_like(key), torch.ones_like(key, dtype=torch.bool)
        life = self.birth(rng.parameter_keys(key))
        drawn = self.draw(key, life, zero)
        now = self._cut(self.frame(drawn, zero), zero < drawn.length)
        state = TrialState(key, zero, zero, yes, self.fresh_tally(now), life, drawn, now)
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
        state = settled(state, fresh=True)
        return state, settled(TimeStep(self.observe(state), nothing, ~yes, ~yes, info), fresh=True)

    def step(self, state: TrialState, action: Tensor) -> tuple[TrialState, TimeStep]:
        """Judge or remember the answer, show the next frame; the next trial's first one where this trial ends."""
        now, alive = state.now, state.alive
        counted = self.count(state, action)
        ends, judged = counted.ends, alive & counted.judged
        reward = torch.where(alive, counted.reward, 0.0)
        info = Info(
            epoch=now.epoch,
            step=state.step,
            trial=state.trial,
            kind=state.drawn.kind,
            trial_end=alive & ends,
            responded=judged,
            correct=torch.where(judged, counted.correct.to(torch.int8), -1),
            score=torch.where(judged, counted.score, 0.0),
            best=torch.where(judged, self.best(state.drawn), 0.0).to(reward.dtype),
            target=now.y,
            weight=now.w * alive,
        )
        alive = alive & (state.trial + ends < self.lifetime_trials)
        trial = (state.trial + ends).clamp(max=self.lifetime_trials - 1)
        t = torch.where(ends, 0, state.step + 1)
        drawn = renew(self.draw, (state.key, state.life, trial), state.drawn, ends)
        now = self._cut(self.frame(drawn, t), t < drawn.length)
        tally = torch.where(ends[..., None], self.fresh_tally(now), counted.tally)
        state = TrialState(state.key, trial, t, alive, tally, state.life, drawn, now)
        state = settled(state)
        return state, TimeStep(self.observe(state), reward, ~alive, torch.zeros_like(alive), info)

    def observe(self, state: TrialState) -> Float[Tensor, "*B I"]:
        """What is shown now."""
        return state.now.x * state.alive[..., None]

    def oracle(self, state: TrialState) -> Tensor:
        """The target."""
        return state.now.y

    def epoch_of(self, state: TrialState) -> Int[Tensor, "*B"]:
        """The epoch of the frame that is shown."""
        return state.now.epoch

    def random_outputs(
        self, lifetime: Int[Tensor, "*B"], trial: int, batch: TrialBatch, seed: int | Tensor = 0
    ) -> Tensor:
        """What the random policy gives to a rendered trial, as outputs [T, *B, A]."""
        key = rng.lifetime_keys(seed, lifetime, rng.POLICY)
        steps = torch.arange(len(batch.w), device=key.device).reshape(-1, *(1,) * key.ndim)
        number = torch.full_like(key, trial)
        return self.outputs(self.random_answer(key, number, steps.expand_as(batch.epoch), batch.epoch))

    def _cut(self, frame: Frame, within: Tensor) -> Frame:
        """Nothing is shown, wanted or judged after a trial's end."""
        there = within.to(torch.float32)
        shown = there[..., None]
        y = frame.y * (within if frame.y.ndim == within.ndim else shown)
        return Frame(frame.x * shown, y, frame.w * there, frame.epoch)
