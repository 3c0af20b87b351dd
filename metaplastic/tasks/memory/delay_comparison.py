"""Parametric working memory: which of two vibrations, a delay apart, had the higher frequency? (Romo et al. 1999.)

    s = (f - lowest) / (highest - lowest)                                                                         (1)
    pair   u+ = (1 + s) / 2,  u- = (1 - s) / 2      wide   u+ = .4 + .8 s,  u- = .4 + .8 (1 - s)
    single u  = (1 + s) / 2                                                                                       (2)

Noise is on these channels while a vibration is felt. An ideal observer's estimate of s from T ms has

    sd(T) = sqrt(2) sigma / sqrt(T)  (pair),   / 1.6 of that (wide),   2 sigma / sqrt(T)  (single)                (3)

and `comparison_values.py` gives the ceiling. Whoever feels only one of the two is right more often than by chance,
since the lowest and highest frequencies tell: .70 for the pairs of `song17`. The criterion lies nine tenths of the way
from this shortcut to the ceiling (the published .97, for `song17`); look at f1 of 18, 22 and 26 Hz alone as well.

Presets: `song17` (Song, Yang & Wang 2017 and its code), `romo99` (recalled: f2 is f1 +- 8 Hz within 6 to 42 Hz),
`pycog` (Song, Yang & Wang 2016), `neurogym` (Molano-Mazon et al. 2022), `psychrnn` (Ehrlich et al. 2021, T = 2,000 ms).
Departures: all have a fixation channel, on until an answer is due; in a catch trial (`pycog`) nothing is felt and
waiting is right; `psychrnn` decisions last at least 100 ms, and its noise, which grows with dt there, is that of
dt = 10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.choices import SCHEMES, ChoiceTask
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.memory.comparison_values import ideal_comparison

Code = Literal["pair", "wide", "single"]

SONG_PAIRS = tuple(pair for high in (18.0, 22.0, 26.0, 30.0, 34.0) for pair in ((high, high - 8), (high - 8, high)))
ROMO_PAIRS = tuple(
    (first, second)
    for first in (10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0)
    for second in (first - 8, first + 8)
    if 6 <= second <= 42
)


class Vibrations(NamedTuple):
    """Conditions of a trial."""

    first: Float[Tensor, "*B"]
    """Hz"""
    second: Float[Tensor, "*B"]
    """Hz"""
    felt: Bool[Tensor, "*B"]
    """no catch trial"""


class DelayComparison(ChoiceTask):
    """Two vibrations, a delay apart: was the first of higher frequency (1) or the second (2)?"""

    references = (
        "Romo et al. 1999, Neuronal correlates of parametric working memory, Nature 399:470",
        "Barak, Tsodyks & Romo 2010, Neuronal population coding of parametric working memory, J Neurosci 30:9424",
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
    )
    tags = ("memory", "decision", "trials")
    epochs = ("fixation", "f1", "delay", "f2", "decision")
    responses = ("decision",)
    noisy = ("frequency",)
    presets = MappingProxyType(
        {
            "song17": MappingProxyType({}),
            "romo99": MappingProxyType(
                {"pairs": ROMO_PAIRS, "lowest": 6.0, "highest": 42.0, "timing": {"delay": 3000}}
            ),
            "pycog": MappingProxyType(
                {
                    "code": "wide",
                    "sigma": math.sqrt(0.02),
                    "catch": 1 / 11,
                    "catch_duration": 2500.0,
                    "timing": {"fixation": 100, "delay": {"uniform": [2500, 3500]}, "decision": 300},
                }
            ),
            "neurogym": MappingProxyType(
                {
                    "dt": 100.0,
                    "code": "single",
                    "sigma": 1.0,
                    "rewards": SCHEMES["neurogym"],
                    "early": "penalise",
                    "timing": {"fixation": 500, "delay": 1000, "decision": 100},
                }
            ),
            "psychrnn": MappingProxyType(
                {
                    "code": "wide",
                    "sigma": math.sqrt(0.02),
                    "timing": {
                        "fixation": {"uniform": [0, 250]},
                        "f1": {"uniform": [0, 500]},
                        "delay": {"uniform": [0, 500]},
                        "f2": {"uniform": [0, 500]},
                        "decision": {"uniform": [100, 250]},
                    },
                }
            ),
        }
    )

    kind: Literal["DelayComparison-v0"] = "DelayComparison-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=750, f1=500, delay={"uniform": [2700, 3300]}, f2=500, decision=500)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=math.sqrt(0.2), ge=0)
    """noise of the vibrations in sqrt(ms)"""
    pairs: tuple[tuple[float, float], ...] = Field(default=SONG_PAIRS, min_length=1)
    """(f1, f2) in Hz, each alike"""
    lowest: float = 10.0
    """Hz where s = 0, (1)"""
    highest: float = 34.0
    """Hz where s = 1"""
    code: Annotated[Code, BeforeValidator(one_of(Code))] = "pair"
    """how a frequency is told, (2)"""
    catch: float = Field(default=0.0, ge=0, lt=1)
    """probability of a trial in which nothing is felt and nothing must be answered"""
    catch_duration: float = Field(default=0.0, ge=0)
    """ms from its start to its decision, in steps of dt, floored"""

    @model_validator(mode="after")
    def _comparable(self) -> DelayComparison:
        if self.highest <= self.lowest:
            raise wrong(f"highest is {self.highest:g} Hz, wanted more than lowest = {self.lowest:g}")
        for first, second in self.pairs:
            if first == second:
                raise wrong(f"pairs has ({first:g}, {second:g}), of which neither is higher; wanted two frequencies")
        if self.catch and self.catch_duration < self.dt:
            raise wrong(f"catch_duration is {self.catch_duration:g} ms, wanted at least dt = {self.dt:g}")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance: a guess among the answers that can be right; ceiling by (3); criterion as told above."""
        chance = 1 / len(self.answers())
        felt = 1 - self.catch
        ceiling = self.catch + felt * self._ideal()
        shortcut = self.catch + felt * self.shortcut_score()
        return self.describe_choice(
            {"fixation": 1, "frequency": 1 if self.code == "single" else 2},
            ("fixate", "first", "second"),
            trial_types=len(self.pairs) + bool(self.catch),
            chance=chance,
            ceiling=ceiling,
            criterion=max(shortcut, chance) + 0.9 * (ceiling - max(shortcut, chance)),
            criteria=(("p_answered", 0.99), ("p_correct", 0.97)),
        )

    def shortcut_score(self) -> float:
        """Share of right answers of who feels the first vibration alone, without noise."""
        return ideal_comparison(self.pairs, ((0.0, 1.0),), ((math.inf, 1.0),))

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Vibrations]:
        """The pair, each alike; whether it is felt."""
        del life, trial
        which = rng.below(rng.word(key, 0), len(self.pairs))
        felt = ~rng.coin(rng.word(key, 1), self.catch)
        first, second = zip(*self.pairs, strict=True)
        kind = torch.where(felt, which, len(self.pairs)) if self.catch else which
        return kind, Vibrations(look_up(first, which), look_up(second, which), felt)

    def edges(self, key: Int[Tensor, "*B"], conditions: Vibrations) -> Sequence[Int[Tensor, "*B"]]:
        """From `timing`; a catch trial is one long fixation and a decision."""
        edges = super().edges(key, conditions)
        if not self.catch:
            return edges
        decision = edges[-1] - edges[-2]
        caught = (*(self._catch_steps,) * 4, self._catch_steps + decision)
        return [torch.where(conditions.felt, edge, at) for edge, at in zip(edges, caught, strict=True)]

    def trial_length(self) -> tuple[int, int, float]:
        """With the catch trials."""
        fewest, most, mean = super().trial_length()
        if not self.catch:
            return fewest, most, mean
        low, high, middle = (self._catch_steps + steps for steps in self.timing["decision"].ends(self.dt))
        share = rng.grid(self.catch)
        return min(fewest, int(low)), max(most, int(high)), (1 - share) * mean + share * middle

    def mean_input(self, conditions: Vibrations, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision; (2) in f1 and f2."""
        is_first, is_second = (self.within(when.epoch, (name,)) for name in ("f1", "f2"))
        f = torch.where(is_first, conditions.first, conditions.second)
        s = (f - self.lowest) * (1 / (self.highest - self.lowest))
        codes = {
            "pair": lambda: (0.5 + 0.5 * s, 0.5 - 0.5 * s),
            "wide": lambda: (0.4 + 0.8 * s, 1.2 - 0.8 * s),
            "single": lambda: (0.5 + 0.5 * s,),
        }
        felt = is_first | is_second
        fixate = (~self.within(when.epoch, self.responses)).to(s.dtype)
        return torch.stack((fixate, *(u * felt for u in codes[self.code]())), -1)

    def noisy_in(self) -> tuple[str, ...]:
        """While something vibrates."""
        return ("f1", "f2")

    def label(self, conditions: Vibrations) -> Int[Tensor, "*B"]:
        """1 if the first is higher, 2 if the second is; 0 in a catch trial."""
        return (2 - (conditions.first > conditions.second).to(torch.int64)) * conditions.felt

    def answers(self) -> tuple[int, ...]:
        """Waiting is right in catch trials."""
        return (0, 1, 2) if self.catch else (1, 2)

    @property
    def _catch_steps(self) -> int:
        return math.floor(self.catch_duration / self.dt + 1e-9)

    def _ideal(self) -> float:
        """The ceiling of trials that are felt, over the durations of both vibrations, by (3)."""
        scale = {"pair": math.sqrt(2), "wide": math.sqrt(2) / 1.6, "single": 2.0}[self.code]
        scale *= self.sigma * (self.highest - self.lowest)
        seen = []
        for table in (self.timing[name].table(self.dt) for name in ("f1", "f2")):
            sds = [scale / math.sqrt(steps * self.dt) if steps else math.inf for steps in table.support.tolist()]
            seen.append(tuple(zip(sds, table.probabilities.tolist(), strict=True)))
        return ideal_comparison(self.pairs, *seen)
