"""Paired associates: study pairs of a key and a value once, then give the value of each key.

A trial shows `pairs` pairs, one after the other, then nothing for `delay` steps, then every key alone, in another
random order. Values are drawn each for itself, so two keys may have the same one. `code` says how both are shown:

    one_hot   one of `items`; the largest output names the value, and a query is right or wrong (class_readout.py)
    bits      +1 and -1; every bit should have its sign, a query scores the part that has (an output of 0: half)   (1)

The last step of each query is judged. Random outputs score 1 / items, or 1/2; who remembers all pairs scores 1, since
no key comes twice. With `fresh: false` the pairs are those of the lifetime, the same in every trial.

A paradigm as old as Calkins 1894 in the form that networks with fast weights are given; all numbers are our own choice.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandits.object_choice import codes, distinct
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.class_readout import REWARDS, ClassReadout
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

Code = Literal["one_hot", "bits"]


class Pairs(NamedTuple):
    """What a trial draws; M pairs."""

    shown: Float[Tensor, "*B R I"]
    """each pair, then each key alone in the order of the queries, then nothing"""
    wanted: Float[Tensor, "*B R A"]
    """the value that belongs to each"""


class PairedAssociates(ClassReadout):
    """Study pairs of keys and values once, then give the value of each key."""

    references = ("Calkins 1894, Association, Psychol Rev 1:476",)
    tags = ("memory", "association", "trials", "readout")
    epochs = ("study", "blank", "query")

    kind: Literal["PairedAssociates-v0"] = "PairedAssociates-v0"
    pairs: int = Field(default=4, ge=1, le=100)
    """M, pairs of a trial"""
    code: Annotated[Code, BeforeValidator(one_of(Code))] = "one_hot"
    """how keys and values are shown"""
    items: int = Field(default=8, ge=2, le=1000)
    """one_hot: keys there are, and values"""
    bits: int = Field(default=8, ge=1, le=30)
    """bits: numbers of +1 and -1 of a key, and of a value"""
    show: int = Field(default=1, ge=1)
    """steps of a pair, and of a query"""
    blank: int = Field(default=0, ge=0)
    """steps of nothing after each"""
    delay: int = Field(default=0, ge=0)
    """steps of nothing between study and queries, beside the blank"""
    fresh: bool = True
    """new pairs in every trial; false: those of the lifetime"""
    gain: float = Field(default=1.0, gt=0)
    """what inputs are multiplied with"""

    @model_validator(mode="after")
    def _has_keys(self) -> PairedAssociates:
        if self.pairs > self.keys:
            setting = "items" if self.code == "one_hot" else "bits"
            raise wrong(f"pairs is {self.pairs}, wanted at most {self.keys}, the keys there are; raise {setting}")
        return self

    @property
    def keys(self) -> int:
        """Keys there are, and values."""
        return self.items if self.code == "one_hot" else 2**self.bits

    @property
    def width(self) -> int:
        """Numbers that show a key, or a value."""
        return self.items if self.code == "one_hot" else self.bits

    @property
    def spec(self) -> TaskSpec:
        """Chance is a guess; who remembers all pairs is always right."""
        chance = 1 / self.items if self.code == "one_hot" else 0.5
        return step_spec(
            self,
            {"key": self.width, "value": self.width},
            self.width,
            2 * self.pairs * (self.show + self.blank) + self.delay - self.blank,
            chance=chance,
            criterion=chance + 0.9 * (1 - chance),
            reward_range=REWARDS,
        )

    def birth(self, key: Int[Tensor, "*B"]) -> tuple[Tensor]:
        """The key of the pairs of a life."""
        return (rng.fold(key, 0),)

    def draw(self, key: Int[Tensor, "*B"], life: tuple[Tensor], trial: Int[Tensor, "*B"]) -> Drawn:
        """The pairs in the order of study, then the keys in that of the queries."""
        own = rng.condition_keys(rng.trial_keys(key, trial))
        source = own if self.fresh else life[0]
        drawn = torch.stack(
            (
                distinct(rng.fold(source, 0), self.keys, self.pairs),
                rng.below(rng.words(rng.fold(source, 1), self.pairs), self.keys),
            ),
            -2,
        )
        places = [rng.permutation(rng.fold(own, 2 + part), self.pairs) for part in range(2)]
        study, asked = (self._coded(drawn.gather(-1, place[..., None, :].expand_as(drawn))) for place in places)
        nothing = torch.zeros_like(study[0])
        key_rows = torch.cat((study[0], asked[0], nothing[..., :1, :]), -2)
        told = torch.cat((study[1], nothing, nothing[..., :1, :]), -2)
        shown = torch.cat((key_rows, told), -1) * self.gain
        wanted = torch.cat((study[1], asked[1], nothing[..., :1, :]), -2)
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Pairs(shown, wanted))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A pair, a key or nothing; the value is wanted while its key is shown, and counts in a query's last step."""
        shown, wanted = drawn.values
        period = self.show + self.blank
        begin = self.pairs * period + self.delay
        asks = t >= begin
        since = torch.where(asks, t - begin, t)
        is_blank = (since % period >= self.show) | (~asks & (t >= self.pairs * period))
        place = since // period + self.pairs * asks
        place = torch.where(is_blank, 2 * self.pairs, place.clamp(max=2 * self.pairs))
        epoch = torch.where(is_blank, 1, 2 * asks).to(torch.int8)
        weight = asks & ~is_blank & (since % period == self.show - 1)
        return Frame(row(shown, place), row(wanted, place), weight.to(torch.float32), epoch)

    def right(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."]) -> Tensor:
        """Whether the value is named, or (1)."""
        if self.code == "one_hot":
            return super().right(output, y)
        return ((output * y).sign().double().mean(-1) + 1) / 2

    def _coded(self, number: Int[Tensor, "*B 2 M"]) -> tuple[Tensor, Tensor]:
        """How keys and values look, [*B, M, width] each."""
        seen = one_hot(number, self.items) if self.code == "one_hot" else codes(number, self.bits)
        first, second = seen.unbind(-3)
        return first, second
