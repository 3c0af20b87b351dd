"""Finding out by reward which of four cues is the target (the cue-reward task of Miconi et al. 2019, Backpropamine).

In every life there are four different random cues of 20 numbers +1 or -1; one of them is the target. A trial shows two
of the cues, one a step, with blanks between in random order, then GO; to answer 1 is right if the target was shown, 0
if not: +1 right, -1 wrong, which is told on the blank step after GO. Only at GO does an action count.

    step 0 blank,   steps 1 .. n - 3 the two cues and n - 5 blanks,   step n - 2 GO,   step n - 1 blank
    n = ni // 2 + 3 + U{0 .. ni - 1} = 5 .. 8 steps,   ni = 4 cues                                                (1)

An ideal observer holds m possible targets. If j of them are shown, it is right with probability max(j, m - j) / m and
then knows among which of the two groups the target is:

    A_t(m) = sum_j H(j; m) [ max(j, m - j) / m;  then A_{t+1}(j) with probability j / m, else A_{t+1}(m - j) ]     (2)

H is hypergeometric: j of the two shown, of four. From trial 1 on, 1/2, 2/3, 8/9, 26/27, …

Departures from the published code: a life is 18 trials instead of 120 steps, which hold 18.5 on average; the inputs
that tell the time, a constant and nothing are left out; reward is never flipped; cues are different for certain.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandits.object_choice import codes, distinct
from metaplastic.tasks.worlds import Happening, WorldTask

SHOWN = 2
"""cues of a trial"""


class Cues(NamedTuple):
    """What a lifetime draws once; cue 0 is the target."""

    codes: Float[Tensor, "*B K W"]


class Showing(NamedTuple):
    """What a trial draws, and how it went."""

    first: Int[Tensor, "*B"]
    """cue that is shown first"""
    second: Int[Tensor, "*B"]
    first_step: Int[Tensor, "*B"]
    """when"""
    second_step: Int[Tensor, "*B"]
    go: Int[Tensor, "*B"]
    """step of the answer"""
    right: Bool[Tensor, "*B"]
    """the answer was right"""


class TargetDiscovery(WorldTask):
    """Was the target among the cues of this trial? Which cue that is, reward alone tells."""

    references = (
        "Miconi, Rawal, Clune & Stanley 2019, Backpropamine: training self-modifying neural networks with "
        "differentiable neuromodulated plasticity, ICLR, arXiv:2002.10585",
    )
    tags = ("meta-learning", "reward", "memory")
    presets = MappingProxyType(
        {"backpropamine": MappingProxyType({}), "small": MappingProxyType({"bits": 8, "trials": 9})}
    )

    kind: Literal["TargetDiscovery-v0"] = "TargetDiscovery-v0"
    trials: int = Field(default=18, ge=1)
    """trials of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    cues: int = Field(default=4, ge=2, le=32)
    """ni, cues of a lifetime"""
    bits: int = Field(default=20, ge=1, le=30)
    """numbers of +1 and -1 of a cue"""

    @model_validator(mode="after")
    def _has_codes(self) -> TargetDiscovery:
        if 2**self.bits < self.cues:
            raise wrong(f"bits is {self.bits}, wanted enough for cues = {self.cues} different codes")
        return self

    @property
    def shortest(self) -> int:
        """Steps of the shortest trial: two cues at least have to find a place."""
        return max(self.cues // 2, SHOWN) + 3

    @property
    def spec(self) -> TaskSpec:
        """Chance: the answer is a coin. The ceiling by (2)."""
        ceiling = sum(discovery(self.cues, self.trials)) / self.trials
        return self.describe(
            {"cue": self.bits, "go": 1},
            2,
            trial_steps=self.shortest + self.cues - 1,
            chance=0.5,
            ceiling=ceiling,
            oracle=1.0,
            criterion=0.5 + (ceiling - 0.5) * 5 / 6,
            reward_range=(-1.0, 1.0),
            action_names=("absent", "present"),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Cues:
        """Different cues; any of them is the first, which is the target."""
        number = distinct(rng.fold(key, 0), 2**self.bits, self.cues)
        order = rng.permutation(rng.fold(key, 1), self.cues)
        return Cues(codes(number.gather(-1, order), self.bits))

    def begin(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"], before: Any) -> Showing:
        """Two cues, the steps that show them, and the length of the trial."""
        del life, trial, before
        words = rng.words(key, 5)
        length = self.shortest + rng.below(words[..., 0], self.cues)
        first, second = _two(words[..., 1:3], self.cues)
        one, other = _two(words[..., 3:5], length - 3)
        return Showing(first, second, one + 1, other + 1, length - 2, torch.zeros_like(key, dtype=torch.bool))

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Showing, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """The answer at GO is paid; the trial ends one step later."""
        del key, life
        answers = step == world.go
        hits = action == self.target(None, world)
        right = torch.where(answers, hits, world.right)
        reward = torch.where(answers, torch.where(hits, 1.0, -1.0), 0.0)
        best = answers.to(torch.float32)
        return Happening(
            world._replace(right=right), reward, step > world.go, right.to(torch.float32), right.to(torch.int64), best
        )

    def look(self, life: Cues, world: Showing, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """A cue or nothing, and GO."""
        is_first, is_second = step == world.first_step, step == world.second_step
        cue = torch.where(is_first, world.first, world.second)
        lane = torch.arange(step.numel(), device=step.device).reshape(step.shape)
        rows = life.codes.reshape(-1, self.bits).index_select(0, (lane * self.cues + cue).reshape(-1))
        shown = rows.reshape(*step.shape, self.bits) * (is_first | is_second)[..., None]
        return torch.cat((shown, (step == world.go)[..., None]), -1)

    def target(self, life: Any, world: Showing) -> Int[Tensor, "*B"]:
        """1 if the target is among the cues of the trial."""
        del life
        return ((world.first == 0) | (world.second == 0)).to(torch.int64)


def _two(words: Int[Tensor, "*B 2"], n: int | Int[Tensor, "*B"]) -> tuple[Int[Tensor, "*B"], Int[Tensor, "*B"]]:
    """Two different numbers of [0, n), each ordered pair alike."""
    first = rng.below(words[..., 0], n)
    second = rng.below(words[..., 1], n - 1)
    return first, second + (second >= first)


@lru_cache
def discovery(cues: int, trials: int) -> tuple[float, ...]:
    """(2): probability that an ideal observer is right in each trial."""
    chance_of = {cues: 1.0}  # m -> its probability
    right = []
    for _ in range(trials):
        total, after = 0.0, {}
        for m, chance in chance_of.items():
            for j in range(max(0, SHOWN - cues + m), min(m, SHOWN) + 1):
                here = chance * comb(m, j) * comb(cues - m, SHOWN - j) / comb(cues, SHOWN)
                total += here * max(j, m - j) / m
                for group in (j, m - j):
                    if group:
                        after[group] = after.get(group, 0.0) + here * group / m
        chance_of = after
        right.append(total)
    return tuple(right)
