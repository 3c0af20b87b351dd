"""N-back: in a stream of symbols, is each one the same as that of n before (Kirchner 1958)?

A trial shows `length` symbols out of K. From the one of number n on, each is with probability `match` the one of n
before, and else one of the K - 1 others, all alike. Two outputs say no and yes, the larger one answers; the last step
of every symbol from number n on is judged by (1) of `class_readout.py`.

Random outputs score 1/2, the same answer throughout max(match, 1 - match); it counts as learned where nine tenths of
the way from there to 1 are gone. `jaeggi08` is the visual stream of the dual task of Jaeggi et al. 2008, recalled: 8
places, 20 + n of them, 6 of 20 match; theirs has exactly 6 matches, here each is drawn.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.class_readout import REWARDS, ClassReadout
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame


class Stream(NamedTuple):
    """What a trial draws."""

    shown: Float[Tensor, "*B R K"]
    """each symbol, and nothing"""
    answer: Float[Tensor, "*B R 2"]
    """no or yes, for each"""


class NBack(ClassReadout):
    """Say of every symbol whether it is that of n before."""

    references = (
        "Kirchner 1958, Age differences in short-term retention of rapidly changing information, J Exp Psychol 55:352",
        "Jaeggi, Buschkuehl, Jonides & Perrig 2008, Improving fluid intelligence with training on working memory, "
        "PNAS 105:6829",
    )
    tags = ("memory", "sequences", "trials", "readout")
    epochs = ("symbol", "blank")
    presets = MappingProxyType({"jaeggi08": MappingProxyType({"symbols": 8, "length": 22, "match": 0.3})})

    kind: Literal["NBack-v0"] = "NBack-v0"
    back: int = Field(default=2, ge=1, le=20)
    """n, how far back the symbol to compare with is"""
    symbols: int = Field(default=8, ge=2, le=1000)
    """K, symbols there are"""
    length: int = Field(default=20, ge=2)
    """symbols of a trial"""
    match: float = Field(default=0.5, gt=0, lt=1)
    """probability of a match"""
    show: int = Field(default=1, ge=1)
    """steps of a symbol; the last one is judged"""
    blank: int = Field(default=0, ge=0)
    """steps of nothing between symbols"""

    @model_validator(mode="after")
    def _has_answers(self) -> NBack:
        if self.length <= self.back:
            raise wrong(f"length is {self.length}, wanted more than back = {self.back}: the first n have no answer")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance is a coin; who remembers n symbols is always right."""
        same = max(self.match, 1 - self.match)
        return step_spec(
            self,
            {"symbol": self.symbols},
            2,
            self.length * (self.show + self.blank) - self.blank,
            chance=0.5,
            criterion=same + 0.9 * (1 - same),
            action_names=("no", "yes"),
            reward_range=REWARDS,
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """The symbols: each is that of n before plus a step, which is 0 for a match, around a ring of K."""
        del life
        own, groups = rng.condition_keys(rng.trial_keys(key, trial)), -(-self.length // self.back)
        words = rng.words(own, 2 * groups * self.back).unflatten(-1, (2, groups, self.back))
        match = rng.coin(words[..., 0, :, :], self.match)
        step = torch.where(match, 0, 1 + rng.below(words[..., 1, :, :], self.symbols - 1))
        begin = rng.below(words[..., 1, :1, :], self.symbols)
        symbol = torch.cat((begin, step[..., 1:, :]), -2).cumsum(-2).remainder(self.symbols).flatten(-2)
        answer = one_hot(match.flatten(-2)[..., : self.length].to(torch.int64), 2)
        shown = one_hot(symbol[..., : self.length], self.symbols)
        shown = torch.cat((shown, torch.zeros_like(shown[..., :1, :])), -2)
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Stream(shown, answer))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A symbol or nothing; the answer to it counts in its last step."""
        place, since = t // (self.show + self.blank), t % (self.show + self.blank)
        place = place.clamp(max=self.length - 1)
        is_blank = since >= self.show
        judged = (place >= self.back) & (since == self.show - 1)
        x = row(drawn.values.shown, torch.where(is_blank, self.length, place))
        return Frame(x, row(drawn.values.answer, place), judged.to(torch.float32), is_blank.to(torch.int8))
