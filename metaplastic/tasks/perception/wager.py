"""Perceptual decisions with post-decision wagering: is one sure enough to decline a small but sure reward?

    u+ = (1 + c) / 2 on the shown side, u- = (1 - c) / 2 on the other, c the coherence                         (1)

After the dots comes a delay. In half of the trials a sure target appears in it: choosing it pays `sure` (.7) of the
reward of a right answer. Where there is none, choosing it is an aborted trial. Kiani & Shadlen 2009; `song17` is Song,
Yang & Wang 2017 and its code.

The score of a trial is 1 for the right direction, `sure` for a sure target that is there, and 0 otherwise: an observer
who cannot know scores less than the oracle, who knows the direction and never needs the sure target. Only the right
direction counts as `correct`. The optimal policy, (3) of `ideal.py` on the difference that was seen in T ms, chooses
the sure target if the odds of the better direction are below `sure`; `ideal_observer` gives what comes of it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.base import Rollout
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.perception import ideal

SURE = 3
"""the action that takes the sure target"""


class Offer(NamedTuple):
    """Conditions of a trial."""

    side: Int[Tensor, "*B"]
    """the direction: 0 left, 1 right"""
    coherence: Float[Tensor, "*B"]
    wager: Int[Tensor, "*B"]
    """1 if a sure target appears"""
    sure_after: Int[Tensor, "*B"]
    """steps from the dots' end to the sure target"""


class Wagering(NamedTuple):
    """How an observer decides and wagers."""

    accuracy: float
    """share of right directions in trials without a sure target"""
    p_sure: float
    """share of trials with a sure target in which it is taken"""
    accuracy_declined: float
    """share of right directions where it is declined"""
    score: float
    """mean score of trials with a sure target"""


class PostDecisionWager(ChoiceTask):
    """Choose the direction of the dots, or the sure target if there is one."""

    references = (
        "Kiani & Shadlen 2009, Representation of confidence associated with a decision, Science 324:759",
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
    )
    tags = ("perceptual", "decision", "confidence", "trials")
    epochs = ("fixation", "stimulus", "delay", "decision")
    responses = ("decision",)
    noisy = ("evidence",)
    presets = MappingProxyType({"song17": MappingProxyType({})})

    kind: Literal["PostDecisionWager-v0"] = "PostDecisionWager-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(
        fixation=750,
        stimulus={"exponential": 180, "within": [0, 800], "plus": 100},
        delay={"exponential": 1350, "within": [1200, 1800]},
        decision=500,
    )
    """epoch -> ms, or how it is drawn"""
    sure_after: Duration = Duration.read({"exponential": 575, "within": [500, 750]})
    """ms from the dots' end to the sure target; not longer than the delay"""
    sigma: float = Field(default=math.sqrt(2), ge=0)
    """noise of the evidence in sqrt(ms), in the stimulus"""
    coherences: tuple[float, ...] = Field(default=(0.0, 0.032, 0.064, 0.128, 0.256, 0.512), min_length=1)
    """c, each alike"""
    wagers: float = Field(default=0.5, ge=0, le=1)
    """share of trials with a sure target"""
    sure: float = Field(default=0.7, ge=0, le=1)
    """what the sure target pays, of the reward of a right answer"""

    @model_validator(mode="after")
    def _possible(self) -> PostDecisionWager:
        if not all(0 <= c <= 1 for c in self.coherences):
            raise wrong(f"coherences are {self.coherences}, wanted numbers in [0, 1]")
        why = self.sure_after.complaint(self.dt)
        if why:
            raise wrong(f"sure_after {why}")
        latest, shortest = self.sure_after.ends(self.dt)[1], self.timing["delay"].ends(self.dt)[0]
        if latest > shortest:
            raise wrong(
                f"sure_after reaches {latest * self.dt:g} ms, wanted at most the shortest delay, "
                f"{shortest * self.dt:g} ms: the sure target must be there when an answer is due"
            )
        return self

    def noisy_in(self) -> tuple[str, ...]:
        """Where the dots are shown."""
        return ("stimulus",)

    @property
    def spec(self) -> TaskSpec:
        """Ceiling: the optimal policy; chance: left, right and sure, each alike."""
        ideal_observer = self.ideal_observer()
        ceiling = (1 - self.wagers) * ideal_observer.accuracy + self.wagers * ideal_observer.score
        chance = (1 + self.sure * self.wagers) / 3
        return self.describe_choice(
            {"fixation": 1, "evidence": 2, "sure": 1},
            ("fixate", "left", "right", "sure"),
            trial_types=4 * len(self.coherences),
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
            criteria=(("p_answered", 0.99),),
        )

    def ideal_observer(self) -> Wagering:
        """The optimal policy, computed."""
        return optimal(self.coherences, self.timing["stimulus"], self.dt, self.sigma, self.sure)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Offer]:
        """Direction and coherence, each alike; whether and when a sure target appears."""
        del life, trial
        words = rng.each_word(key, 4)
        side, which = rng.below(words[..., 0], 2), rng.below(words[..., 1], len(self.coherences))
        wager = rng.coin(words[..., 2], self.wagers).to(torch.int64)
        after = self.sure_after.draw(words[..., 3], self.dt)
        kind = (wager * 2 + side) * len(self.coherences) + which
        return kind, Offer(side, look_up(self.coherences, which), wager, after)

    def mean_input(self, conditions: Offer, when: When) -> Float[Tensor, "*T 4"]:
        """Fixation until the decision, dots (1) in the stimulus, the sure target from its onset on."""
        waits = (~self.within(when.epoch, self.responses)).to(torch.float32)
        shown = self.within(when.epoch, ("stimulus",)).to(torch.float32)
        half, tilt = 0.5 * shown, shown * (conditions.coherence * (0.5 - conditions.side))
        sure = (when.t >= when.edges[1] + conditions.sure_after) * conditions.wager
        return torch.stack((waits, half + tilt, half - tilt, sure.to(torch.float32)), -1)

    def label(self, conditions: Offer) -> Int[Tensor, "*B"]:
        """The direction."""
        return conditions.side + 1

    def answer(self, conditions: Offer, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """A direction is right or wrong; the sure target pays where it is, and aborts where it is not."""
        direction = super().answer(conditions, action, when)
        sure, offered = action == SURE, conditions.wager == 1
        pay = torch.where(offered, self.sure * self.rewards.correct, self.rewards.early)
        score = torch.where(sure, self.sure * offered, direction.score)
        return Judgement(torch.where(sure, pay, direction.reward), score, direction.correct)


@lru_cache
def optimal(coherences: tuple[float, ...], shown: Duration, dt: float, sigma: float, sure: float) -> Wagering:
    """What the policy that earns most does with and without a sure target."""
    signed = torch.tensor([*coherences, *(-c for c in coherences)], dtype=torch.float64)
    left = (torch.arange(len(signed)) < len(coherences)).double()
    prizes = torch.stack((left, 1 - left, torch.full_like(left, sure)), -1)
    chances = torch.full_like(signed, 1 / len(signed))
    table = shown.table(dt)
    with_sure, without = torch.zeros_like(prizes), torch.zeros_like(prizes[:, :2])
    for steps, chance in zip(table.support.tolist(), table.probabilities.tolist(), strict=True):
        means = ideal.evidence(signed, steps * dt, sigma)
        with_sure += chance * ideal.frequencies(means, chances, prizes)
        without += chance * ideal.frequencies(means, chances, prizes[:, :2])
    p_sure = float(with_sure[:, 2].mean())
    right = ideal.expected(with_sure[:, :2], chances, prizes[:, :2])
    return Wagering(
        accuracy=ideal.expected(without, chances, prizes[:, :2]),
        p_sure=p_sure,
        accuracy_declined=right / (1 - p_sure) if p_sure < 1 else math.nan,
        score=ideal.expected(with_sure, chances, prizes),
    )


def wagering(task: PostDecisionWager, seen: Rollout) -> Wagering:
    """How the policy of a rollout decided and wagered, over all trials that it answered in time."""
    info = seen.info
    answered = info.responded & (info.epoch == task.epochs.index("decision")) & (seen.action > 0)
    offered = info.kind >= 2 * len(task.coherences)
    sure, right = seen.action == SURE, info.correct == 1

    def share(what: Tensor, of: Tensor) -> float:
        return float((what & of).sum() / of.sum())

    score = info.score[answered & offered]
    plain, declined = answered & ~offered & ~sure, answered & offered & ~sure
    return Wagering(share(right, plain), share(sure, answered & offered), share(right, declined), float(score.mean()))
