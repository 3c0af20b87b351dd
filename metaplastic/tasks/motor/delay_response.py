"""Reaching from memory by two outputs: one says when, the other where. NeuroGym's ReachingDelayResponse.

A place g in U(low, high) is shown in the stimulus, -.5 in its stead afterwards; the go channel is on in the decision.
The first step of the decision in which the first output is above 0 is the answer: its second output y is judged, and
the trial ends.

    reward = score = 1 / (1 + |y - g|)^2                                                                            (1)

No answer costs `omission` and scores 0; every step before the decision in which the first output is above 0 costs
`early`. The targets are (-1, -.5) before the decision and (1, g) in it. A trial is correct if y is at most `tolerance`
from g.

Preset `neurogym`: steps of 100 ms (Molano-Mazon et al. 2022). Departure: there a first output of 0 is early too, and
none is early in the delay.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, TrialBatch, wrong
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, When
from metaplastic.tasks.readouts import uniform_outputs
from metaplastic.tasks.trials import Count, Drawn, Frame, TrialState

REST = -0.5
"""what is shown and wanted in the place's stead"""
LEARNED = 0.8
"""score from which it counts as learned: a mean error of about .12"""
GRID = 2000
"""points of the numeric integral of chance"""


class Place(NamedTuple):
    """Conditions of a trial."""

    place: Float[Tensor, "*B"]


class ReachingDelayResponse(EpochTask):
    """Say where something was, when asked."""

    references = (
        "Molano-Mazon et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks, PsyArXiv",
    )
    tags = ("motor", "memory", "trials", "readout")
    epochs = ("stimulus", "delay", "decision")
    responses = ("decision",)
    noisy = ("stimulus",)
    presets = MappingProxyType({"neurogym": MappingProxyType({"dt": 100.0})})

    kind: Literal["ReachingDelayResponse-v0"] = "ReachingDelayResponse-v0"
    timing: dict[str, Duration] = times(stimulus=500, delay={"choice": [0, 1000, 2000]}, decision=500)
    """epoch -> ms, or how it is drawn"""
    low: float = Field(default=0.0, ge=-1)
    """least place"""
    high: float = Field(default=1.0, le=1)
    """largest place"""
    tolerance: float = Field(default=0.1, gt=0)
    """distance up to which an answer is correct"""
    early: float = Field(default=-0.1, le=0)
    """reward of a step in which the first output is above 0 too early"""
    omission: float = Field(default=-0.5, le=0)
    """reward of a trial without an answer"""

    @model_validator(mode="after")
    def _can_be_answered(self) -> ReachingDelayResponse:
        if self.low >= self.high:
            raise wrong(f"low is {self.low:g} and high {self.high:g}, wanted low below high")
        for name in ("stimulus", "decision"):
            if not self.timing[name].ends(self.dt)[0]:
                raise wrong(f"timing.{name} may last 0 ms, wanted at least one step")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance: each step of the decision is answered or not, both alike, with y in U(-1, 1)."""
        table = self.timing["decision"].table(self.dt)
        answered = 1 - (table.probabilities * 0.5 ** table.support.double()).sum().item()
        return self.describe(
            {"go": 1, "stimulus": 1},
            2,
            response="readout",
            chance=answered * guessed(self.low, self.high),
            ceiling=1.0,
            oracle=1.0,
            criterion=LEARNED,
            action_names=("go", "place"),
            reward_range=(min(self.early, self.omission), 1.0),
        )

    def noisy_in(self) -> tuple[str, ...]:
        """Where the place is shown."""
        return ("stimulus",)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Place]:
        """Any place."""
        del life, trial
        place = self.low + (self.high - self.low) * rng.uniform(rng.word(key, 0))
        return torch.zeros_like(key), Place(place)

    def mean_input(self, conditions: Place, when: When) -> Float[Tensor, "*T 2"]:
        """Go, and the place or its rest."""
        shown = torch.where(self.within(when.epoch, ("stimulus",)), conditions.place, REST)
        return torch.stack((self.within(when.epoch, self.responses).to(shown.dtype), shown), -1)

    def wanted(self, conditions: Place, when: When) -> Float[Tensor, "*T 2"]:
        """Wait, then answer."""
        due = self.within(when.epoch, self.responses)
        return torch.stack((torch.where(due, 1.0, -1.0), torch.where(due, conditions.place, REST)), -1)

    def fresh_tally(self, now: Frame) -> Tensor:
        """Nothing need be remembered."""
        return now.w.new_zeros(*now.w.shape, 0)

    def best(self, drawn: Drawn) -> float:
        """Reward of the exact place."""
        del drawn
        return 1.0

    def verdict(self, y: Float[Tensor, "*B"], place: Float[Tensor, "..."], answered: Bool[Tensor, "*B"]) -> Judgement:
        """(1), or that of none."""
        away = (y - place).abs()
        score = torch.where(answered, 1 / (1 + away).square(), 0.0)
        right = (answered & (away <= self.tolerance)).to(score.dtype)
        return Judgement(torch.where(answered, score, self.omission), score, right)

    def count(self, state: TrialState, action: Float[Tensor, "*B 2"]) -> Count:
        """Judge an answer, or none at the trial's end."""
        due = self.within(self.when(state.drawn, state.step).epoch, self.responses)
        go, y = action[..., 0] > 0, action[..., 1]
        answered = go & due
        verdict = self.verdict(y, state.drawn.values.conditions.place, answered)
        ends = answered | (state.step + 1 >= state.drawn.length)
        reward = torch.where(ends, verdict.reward, 0.0) + self.early * (go & ~due)
        return Count(state.tally, ends, ends, reward, verdict.score, verdict.correct)

    def judge(self, output: Float[Tensor, "T *B 2"], batch: TrialBatch) -> Judgement:
        """Reward (summed over the trial) and score of a rendered trial."""
        drawn: Drawn = batch.drawn
        go, y = output[..., 0] > 0, output[..., 1]
        t = torch.arange(len(go), device=go.device).reshape(-1, *(1,) * (go.ndim - 1))
        epoch = batch.epoch.reshape(len(go), *(1,) * (go.ndim - batch.epoch.ndim), *batch.epoch.shape[1:])
        go = go & (t < drawn.length)
        due = self.within(epoch, self.responses)
        answers = go & due
        first = answers.to(torch.int8).argmax(0, keepdim=True)
        verdict = self.verdict(y.gather(0, first)[0], drawn.values.conditions.place, answers.any(0))
        return verdict._replace(reward=verdict.reward + self.early * (go & ~due).sum(0))

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Float[Tensor, "..."]:
        """Outputs from U(-1, 1), fresh at every step."""
        del epoch
        return uniform_outputs(key, trial, step, self.facts.actions)


@lru_cache
def guessed(low: float, high: float) -> float:
    """The mean of (1) for y in U(-1, 1)."""
    middle = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
    away = (low + (high - low) * middle[:, None] - (2 * middle - 1)).abs()
    return (1 / (1 + away).square()).mean().item()
