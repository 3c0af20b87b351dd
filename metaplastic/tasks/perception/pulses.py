"""Accumulation of pulses: on which side were there more of them? (Brunton, Botvinick & Brody 2013; Scott et al. 2015.)

Time is cut into bins; each begins with a moment in which each side shows a pulse (1) or not (0), and ends with a gap.
A pulse comes with probability p on one side, drawn for the trial, and q on the other. The label is the side with more
pulses, a coin's if there are as many on both:

    ceiling = 1 - P(as many) / 2,   P(as many) = sum_k Binomial(k; n, p) Binomial(k; n, q)                      (1)

`neurogym` is PulseDecisionMaking of Molano-Mazon et al. 2022: six bins of 10 + 240 ms, .7 and .3.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.choices import SCHEMES, ChoiceTask
from metaplastic.tasks.constants import constant
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When

MOST_BINS = 60
"""bins whose pulses fit into the bits of a whole number"""


class Pulses(NamedTuple):
    """Conditions of a trial."""

    left: Int[Tensor, "*B"]
    """bit k is 1 if there is a pulse in bin k"""
    right: Int[Tensor, "*B"]
    side: Int[Tensor, "*B"]
    """that of the label: 0 left, 1 right"""


class PulseDecisionMaking(ChoiceTask):
    """Choose the side with more pulses."""

    references = (
        "Brunton, Botvinick & Brody 2013, Rats and humans can optimally accumulate evidence, Science 340:95",
        "Scott et al. 2015, Sources of noise during accumulation of evidence, eLife 4:e11308",
        "Molano-Mazon et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks",
    )
    tags = ("perceptual", "decision", "accumulation", "trials")
    epochs = ("fixation", "pulses", "decision")
    responses = ("decision",)
    presets = MappingProxyType({"neurogym": MappingProxyType({"rewards": SCHEMES["neurogym"], "early": "penalise"})})

    kind: Literal["PulseDecisionMaking-v0"] = "PulseDecisionMaking-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=500, pulses=1500, decision=500)
    """epoch -> ms, or how it is drawn; `pulses` is fixed and a multiple of pulse + gap"""
    sigma: float = Field(default=0.0, ge=0, le=0)
    """pulses carry no noise"""
    pulse: float = Field(default=10.0, gt=0)
    """ms at a bin's start in which its pulses are shown"""
    gap: float = Field(default=240.0, ge=0)
    """ms after them"""
    chances: tuple[float, float] = (0.7, 0.3)
    """probability of a pulse in a bin, on the favoured side and on the other"""

    @model_validator(mode="after")
    def _regular(self) -> PulseDecisionMaking:
        shown, bin_ms = self.timing["pulses"], self.pulse + self.gap
        for name in ("pulse", "gap"):
            why = Duration.read(getattr(self, name)).complaint(self.dt)
            if why:
                raise wrong(f"{name} {why}")
        if not shown.is_fixed or abs(self.bins * bin_ms - shown.values[0] - shown.plus) > 1e-6:
            raise wrong(f"timing.pulses is {shown}, wanted a fixed multiple of pulse + gap = {bin_ms:g} ms")
        if not 1 <= self.bins <= MOST_BINS:
            raise wrong(f"timing.pulses holds {self.bins} bins of {bin_ms:g} ms, wanted 1 to {MOST_BINS}")
        if not all(0 <= p <= 1 for p in self.chances):
            raise wrong(f"chances are {self.chances}, wanted two probabilities")
        return self

    @property
    def bins(self) -> int:
        """n."""
        shown = self.timing["pulses"]
        return round((shown.values[0] + shown.plus) / (self.pulse + self.gap))

    @property
    def spec(self) -> TaskSpec:
        """Ceiling by (1)."""
        ceiling = 1 - as_many(self.bins, *self.chances) / 2
        return self.describe_choice(
            {"fixation": 1, "pulses": 2},
            ("fixate", "left", "right"),
            trial_types=2,
            chance=0.5,
            ceiling=ceiling,
            criterion=0.5 + 0.9 * (ceiling - 0.5),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Pulses]:
        """Which side is favoured, its pulses and the other's, and a coin for as many on both."""
        del life, trial
        n = self.bins
        words = rng.words(key, 2 * n + 2)
        favoured, coin = rng.below(words[..., 0], 2), rng.below(words[..., 1], 2)
        more = rng.coin(words[..., 2 : 2 + n], self.chances[0]).to(torch.int64)
        fewer = rng.coin(words[..., 2 + n :], self.chances[1]).to(torch.int64)
        ahead = more.sum(-1) - fewer.sum(-1)
        leads = torch.where(ahead == 0, coin, (ahead < 0).to(torch.int64))
        places = constant(tuple(range(n)), key.device, torch.int64)
        strong, weak = (more << places).sum(-1), (fewer << places).sum(-1)
        left, right = torch.where(favoured == 0, strong, weak), torch.where(favoured == 0, weak, strong)
        return favoured, Pulses(left, right, favoured ^ leads)

    def mean_input(self, conditions: Pulses, when: When) -> Float[Tensor, "*T 3"]:
        """Fixation until the decision; the pulses at the start of their bins."""
        waits = ~self.within(when.epoch, self.responses)
        pulse, every = (round(ms / self.dt) for ms in (self.pulse, self.pulse + self.gap))
        place = (when.since // every).clamp(max=self.bins - 1)
        shown = self.within(when.epoch, ("pulses",)) & (when.since % every < pulse)
        left, right = ((side >> place) & shown for side in (conditions.left, conditions.right))
        return torch.stack((waits.to(torch.int64), left, right), -1).to(torch.float32)

    def label(self, conditions: Pulses) -> Int[Tensor, "*B"]:
        """The side with more pulses."""
        return conditions.side + 1


def as_many(bins: int, p: float, q: float) -> float:
    """P(as many) in (1)."""

    def binomial(k: int, chance: float) -> float:
        return math.comb(bins, k) * chance**k * (1 - chance) ** (bins - k)

    return sum(binomial(k, p) * binomial(k, q) for k in range(bins + 1))
