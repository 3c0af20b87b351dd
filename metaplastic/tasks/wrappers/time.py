"""Wrappers of time: a blank before every trial, and frames that last longer. Blocks stay possible.

    InterTrial    nothing is seen, and no answer counts, for some ms before each trial (the first one too); the blank
                  is an epoch `intertrial` of the trial, and the task inside stands still in it
    RepeatFrame   every frame is seen for k steps, and the answer of the last of them is the one that counts

Around one-step decisions a trial comes to have several steps, so the response is then `act`.
"""

from __future__ import annotations

from abc import ABC
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, TrialBatch, wrong
from metaplastic.tasks.base import Info, TimeStep, choose
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.wrappers.wrapper import Wrapped, Wrapper


class Pausing(Wrapper, ABC):
    """A wrapper under which the task inside stands still at some steps."""

    def paused(self, state: Wrapped) -> Bool[Tensor, "*B"]:
        """Whether it stands still now, so that no answer counts."""
        raise NotImplementedError

    def timed(self, **changes: Any) -> TaskSpec:
        """The spec with other times; one-step decisions become a closed loop."""
        facts = self.task.facts
        is_each = facts.response == "each"
        changes["response"] = "act" if is_each else facts.response
        return self.described(open_loop=facts.open_loop and not is_each, **changes)

    def quiet(self, info: Info, still: Bool[Tensor, "*B"]) -> Info:
        """What is told of a step at which the task inside stands still: nothing happened."""
        moves = ~still
        return info._replace(
            trial_end=info.trial_end & moves,
            responded=info.responded & moves,
            correct=torch.where(still, -1, info.correct),
            score=info.score * moves,
            best=info.best * moves,
            weight=info.weight * moves,
        )

    def advanced(self, state: Wrapped, action: Tensor) -> tuple[Any, TimeStep]:
        """A step of the task inside where it does not stand still."""
        still = self.paused(state)
        inner, seen = self.task.step(state.inner, action)
        reward = torch.where(still, 0.0, seen.reward)
        info = self.quiet(seen.info, still)
        inner = choose(still, state.inner, inner)
        return inner, seen._replace(reward=reward, terminated=~inner.alive, info=info)


class Waited(NamedTuple):
    """What a trial with a blank before it has drawn."""

    wait: Int[Tensor, "*B"]
    """steps of the blank"""
    inner: Any
    """what the trial inside has drawn"""


class InterTrial(Pausing):
    """A blank before every trial."""

    kind: Literal["InterTrial"] = "InterTrial"
    ms: Duration = Duration("constant", (500.0,))
    """how long, or how it is drawn for every trial"""

    @model_validator(mode="after")
    def _fits(self) -> InterTrial:
        dt = self.task.facts.dt
        why = self.ms.complaint(dt)
        if why or self.ms.ends(dt)[1] == 0:
            raise wrong(f"ms {why or 'is never as long as a step'}")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Longer trials, with an epoch more."""
        facts = self.task.facts
        epochs = ("intertrial", *(facts.epochs or ("trial",)))
        return self.timed(trial_steps=facts.trial_steps + self._longest, epochs=epochs)

    @property
    def _longest(self) -> int:
        return self.ms.ends(self.task.facts.dt)[1]

    def _waits(self, key: Int[Tensor, "*B"], trial: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Steps of the blank before these trials."""
        word = rng.words(rng.condition_keys(rng.trial_keys(key, trial)), 1)[..., 0]
        return self.ms.draw(word, self.task.facts.dt)

    def paused(self, state: Wrapped) -> Bool[Tensor, "*B"]:
        """In the blank."""
        return state.kept.since < state.kept.wait

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> _Blank:
        """The first blank."""
        return _Blank(torch.zeros_like(key), self._waits(key, inner.trial))

    def enclosed(self, key: Int[Tensor, "*B"], inner: Any, kept: _Blank, *, fresh: bool = False) -> Wrapped:
        """Steps count from the blank's beginning."""
        state = super().enclosed(key, inner, kept, fresh=fresh)
        return state._replace(step=kept.since + inner.step)

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[Wrapped, TimeStep]:
        """The start of every lifetime."""
        state, first = super().reset(lifetime, seed)
        return state, first._replace(info=self._told(first.info, self.paused(state)))

    def step(self, state: Wrapped, action: Tensor) -> tuple[Wrapped, TimeStep]:
        """Wait, or act inside."""
        still = self.paused(state)
        inner, seen = self.advanced(state, action)
        begins, blank = seen.info.trial_end, state.kept
        waits = torch.where(begins, self._waits(state.key, inner.trial), blank.wait)
        kept = _Blank(torch.where(begins, 0, blank.since + still), waits)
        after = self.enclosed(state.key, inner, kept)
        info = self._told(seen.info, still)._replace(step=state.step)
        return after, seen._replace(observation=self.observe(after), info=info)

    def _told(self, info: Info, still: Bool[Tensor, "*B"]) -> Info:
        """Epochs count from the blank; nothing is wanted in it."""
        moves = (~still).reshape(*still.shape, *(1,) * (info.target.ndim - still.ndim))
        epoch = torch.where(still, 0, info.epoch + 1).to(info.epoch.dtype)
        return info._replace(epoch=epoch, target=info.target * moves)

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B I"]:
        """Nothing in the blank."""
        return x * ~self.paused(state)[..., None]

    def oracle(self, state: Wrapped) -> Tensor:
        """The best answer inside; 0 in the blank."""
        answer, moves = self.task.oracle(state.inner), ~self.paused(state)
        return answer * moves.reshape(*moves.shape, *(1,) * (answer.ndim - moves.ndim))

    def epoch_of(self, state: Wrapped) -> Int[Tensor, "*B"]:
        """0 is the blank."""
        return torch.where(self.paused(state), 0, self.task.epoch_of(state.inner) + 1)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """The random answer inside; what it is in the blank does not count."""
        return self.task.random_answer(key, trial, step, epoch - 1)

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial, the blank first."""
        inner = self.task.render(lifetime, trial, seed)
        wait = self._waits(self.own_key(lifetime, seed), torch.full_like(lifetime, trial))
        steps = len(inner.w) + self._longest
        x, y, w = (_moved(field, -wait, steps) for field in inner[:3])
        if self.task.facts.response == "choice":  # what is wanted where there is no trial is to wait
            y[..., 0] += 1 - _moved(torch.ones_like(inner.w), -wait, steps)
        length = torch.full_like(wait, len(inner.w)) if inner.length is None else inner.length
        # before its beginning the epoch is 0; after its end it stays what it was last
        epoch = _moved(inner.epoch + 1, -wait, steps, after=True)
        return TrialBatch(x, y, w, epoch, inner.kind, length + wait, Waited(wait, inner.drawn))

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """The judgement of what was given after the blank."""
        wait, drawn = batch.drawn
        steps = self.task.facts.trial_steps
        x, y, w, epoch = (_moved(field, wait, steps) for field in batch[:4])
        length = None if batch.length is None else batch.length - wait
        inner = TrialBatch(x, y, w, epoch - 1, batch.kind, length, drawn)
        return self.task.judge(_moved(output, wait, steps), inner)


class _Blank(NamedTuple):
    """Where in the blank a lifetime is."""

    since: Int[Tensor, "*B"]
    """steps of it that are over"""
    wait: Int[Tensor, "*B"]
    """steps that it has"""


def _moved(field: Tensor, by: Int[Tensor, "*B"], steps: int, *, after: bool = False) -> Tensor:
    """`field` [T, ..., *B, ...] so that its step t + by[B] comes at t of `steps`; 0 where there is none.

    Axes of B are those behind T in a batch, or behind T and the axes of individuals in outputs; `after` keeps the last
    step's value after the end.
    """
    lead = _lead(field, by)
    by = by.reshape(*(1,) * lead, *by.shape, *(1,) * (field.ndim - 1 - lead - by.ndim))
    t = torch.arange(steps, device=field.device).reshape(-1, *(1,) * (field.ndim - 1)) + by
    there = (t >= 0) if after else (t >= 0) & (t < len(field))
    place = t.clamp(0, len(field) - 1).expand(steps, *field.shape[1:])
    return field.gather(0, place) * there


def _lead(field: Tensor, by: Tensor) -> int:
    """How many axes of individuals come before the lifetimes: outputs [T, *P, *B, A] may have some."""
    return max(0, field.ndim - 2 - by.ndim)


class RepeatFrame(Pausing):
    """Every frame is seen k times."""

    kind: Literal["RepeatFrame"] = "RepeatFrame"
    k: int = Field(default=2, ge=2)
    """steps of a frame"""

    @property
    def spec(self) -> TaskSpec:
        """Trials that are k times as long."""
        return self.timed(trial_steps=self.task.facts.trial_steps * self.k)

    def paused(self, state: Wrapped) -> Bool[Tensor, "*B"]:
        """At all but the last step of a frame."""
        return state.kept < self.k - 1

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Int[Tensor, "*B"]:
        """Steps of this frame that are over."""
        del inner
        return torch.zeros_like(key)

    def enclosed(self, key: Int[Tensor, "*B"], inner: Any, kept: Tensor, *, fresh: bool = False) -> Wrapped:
        """Steps of the frames before, and of this one."""
        state = super().enclosed(key, inner, kept, fresh=fresh)
        return state._replace(step=inner.step * self.k + kept)

    def step(self, state: Wrapped, action: Tensor) -> tuple[Wrapped, TimeStep]:
        """See on, or act inside."""
        inner, seen = self.advanced(state, action)
        after = self.enclosed(state.key, inner, (state.kept + 1) % self.k)
        info = seen.info._replace(step=state.step)
        return after, seen._replace(observation=self.observe(after), info=info)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """The random answer to the frame."""
        return self.task.random_answer(key, trial, step // self.k, epoch)

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial, each k times; only the last of them weighs."""
        inner = self.task.render(lifetime, trial, seed)
        x, y, w, epoch = (field.repeat_interleave(self.k, 0) for field in inner[:4])
        last = torch.arange(len(w), device=w.device) % self.k == self.k - 1
        w = w * last.reshape(-1, *(1,) * (w.ndim - 1))
        length = None if inner.length is None else inner.length * self.k
        return TrialBatch(x, y, w, epoch, inner.kind, length, inner.drawn)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """The judgement of the last answer to each frame."""
        x, y, w, epoch = (field[self.k - 1 :: self.k] for field in batch[:4])
        length = None if batch.length is None else batch.length // self.k
        inner = TrialBatch(x, y, w, epoch, batch.kind, length, batch.drawn)
        return self.task.judge(output[self.k - 1 :: self.k], inner)
