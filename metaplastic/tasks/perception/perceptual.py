"""Perceptual decisions: which of K directions do the dots move in? (Britten et al. 1992; Roitman & Shadlen 2002.)

    two directions   u+ = (1 + c) / 2 on the shown side, u- = (1 - c) / 2 on the other, c the coherence        (1)
    a ring of K > 2  u_i = 1/2 + c/2 cos(theta_i - theta)                                                      (2)
    `added`          u = 1 in both directions, 1 + c in the shown one                                          (3)

The ceiling is the ideal observer's of `ideal.py`, (1) for two directions and (2) for a ring.

Presets: `song17` and `rt` (Song, Yang & Wang 2017, and its code), `neurogym` (Molano-Mazon et al. 2022; here the
fixation channel stays on until the decision, so that there is a go cue), `delay` (Inagaki et al. 2019), `psychrnn`
(Ehrlich et al. 2021, its PerceptualDiscrimination with T = 2,000 ms, as a choice: fixation channel and go cue are ours,
the decision lasts as long as the shortest there, and the noise, which grows with dt there, is that of dt = 10; it is
there all the time).
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
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.choices import SCHEMES, ChoiceTask
from metaplastic.tasks.constants import look_up, ring
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.perception import ideal


class Dots(NamedTuple):
    """Conditions of a trial."""

    side: Int[Tensor, "*B"]
    """the direction, in [0, K)"""
    coherence: Float[Tensor, "*B"]


class PerceptualDecisionMaking(ChoiceTask):
    """Random dots: choose the direction that they move in."""

    references = (
        "Britten et al. 1992, The analysis of visual motion, J Neurosci 12:4745",
        "Roitman & Shadlen 2002, Response of neurons in the lateral intraparietal area, J Neurosci 22:9475",
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
    )
    tags = ("perceptual", "decision", "trials")
    epochs = ("fixation", "stimulus", "delay", "decision")
    responses = ("decision",)
    noisy = ("evidence",)
    presets = MappingProxyType(
        {
            "song17": MappingProxyType({}),
            "rt": MappingProxyType(
                {
                    "timing": {"stimulus": 0, "decision": 2000},
                    "coherences": (0.0, 0.032, 0.064, 0.128, 0.256, 0.512),
                    "sigma": math.sqrt(3),
                    "reward_decay": 10_000.0,
                }
            ),
            "neurogym": MappingProxyType(
                {
                    "dt": 100.0,
                    "timing": {"fixation": 100, "stimulus": 2000, "decision": 100},
                    "sigma": 1.0,
                    "rewards": SCHEMES["neurogym"],
                    "early": "penalise",
                }
            ),
            "delay": MappingProxyType(
                {
                    "timing": {
                        "fixation": 0,
                        "stimulus": 1150,
                        "delay": {"choice": [300, 500, 700, 900, 1200, 2000, 3200, 4000]},
                        "decision": 1500,
                    },
                    "sigma": 1.0,
                }
            ),
            "psychrnn": MappingProxyType(
                {
                    "timing": {
                        "fixation": {"uniform": [0, 1000]},
                        "stimulus": {"uniform": [0, 500], "plus": 250},
                        "delay": 20,
                        "decision": 230,
                    },
                    "coherences": (0.1, 0.3, 0.5, 0.7),
                    "sigma": math.sqrt(0.02),
                    "added": True,
                    "always_noisy": True,
                }
            ),
        }
    )

    kind: Literal["PerceptualDecisionMaking-v0"] = "PerceptualDecisionMaking-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(
        fixation=750, stimulus={"exponential": 330, "within": [80, 1500]}, delay=0, decision=500
    )
    """epoch -> ms, or how it is drawn; a stimulus of 0 is shown in the decision instead, which is then a reaction"""
    sigma: float = Field(default=math.sqrt(2), ge=0)
    """noise of the evidence in sqrt(ms)"""
    directions: int = Field(default=2, ge=2, le=1000)
    """K"""
    coherences: tuple[float, ...] = Field(default=(0.0, 0.064, 0.128, 0.256, 0.512), min_length=1)
    """c, each alike"""
    added: bool = False
    """two directions: the coherence is added to one of two equal inputs, (3), instead of (1)"""
    always_noisy: bool = False
    """there is noise in the whole trial and not in the stimulus alone"""
    reward_decay: float | None = Field(default=None, gt=0)
    """ms; rewards of an answer t ms after the stimulus began are multiplied by exp(-t / reward_decay)"""

    @model_validator(mode="after")
    def _coherent(self) -> PerceptualDecisionMaking:
        if not all(0 <= c <= 1 for c in self.coherences):
            raise wrong(f"coherences are {self.coherences}, wanted numbers in [0, 1]")
        if self.added and self.directions != 2:
            raise wrong(f"added is true with directions {self.directions}, wanted 2: a ring has its own code")
        return self

    @property
    def is_reaction(self) -> bool:
        """The stimulus is shown while an answer counts."""
        return self.timing["stimulus"].is_none

    @property
    def shown_in(self) -> tuple[str, ...]:
        """The epoch with the stimulus."""
        return ("decision",) if self.is_reaction else ("stimulus",)

    def noisy_in(self) -> tuple[str, ...] | None:
        """Where the stimulus is shown, or all the time."""
        return None if self.always_noisy else self.shown_in

    def tags_of_settings(self) -> tuple[str, ...]:
        """A reaction-time task has no cue but the stimulus."""
        return (*self.tags, "reaction time") if self.is_reaction else self.tags

    @property
    def spec(self) -> TaskSpec:
        """Ceiling over coherences and durations; the published criterion is .99 answered, .80 right."""
        names = ("fixate", *(("left", "right") if self.directions == 2 else map(str, range(self.directions))))
        shown = self.timing[self.shown_in[0]]
        seen = (self.coherences, shown, self.dt, self.sigma)
        ceiling = ideal.two_channels(*seen) if self.directions == 2 else ideal.ring(*seen, self.directions)
        chance = 1 / self.directions
        return self.describe_choice(
            {"fixation": 1, "evidence": self.directions},
            names,
            trial_types=self.directions * len(self.coherences),
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
            criteria=(("p_answered", 0.99), ("p_correct", 0.8)),
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Dots]:
        """Direction and coherence, each alike."""
        del life, trial
        side = rng.below(rng.word(key, 0), self.directions)
        which = rng.below(rng.word(key, 1), len(self.coherences))
        return side * len(self.coherences) + which, Dots(side, look_up(self.coherences, which))

    def mean_input(self, conditions: Dots, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until the decision (a reaction: until the stimulus); evidence (1) or (2) in the stimulus."""
        shown = self.within(when.epoch, self.shown_in)
        fixate = ~self.within(when.epoch, ("decision",))
        shown = shown.to(torch.float32)
        if self.directions == 2:
            tilt = shown * conditions.coherence * (0.5 - conditions.side)
            level = shown + tilt.abs() if self.added else 0.5 * shown
            return torch.stack((fixate.to(torch.float32), level + tilt, level - tilt), -1)
        angles = ring(self.directions, when.epoch.device)
        towards = torch.cos(angles - (2 * math.pi / self.directions) * conditions.side[..., None])
        evidence = (0.5 + 0.5 * conditions.coherence[..., None] * towards) * shown[..., None]
        return torch.cat((fixate[..., None].to(evidence.dtype), evidence), -1)

    def label(self, conditions: Dots) -> Int[Tensor, "*B"]:
        """The direction."""
        return conditions.side + 1

    def answer(self, conditions: Dots, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """Right or wrong, worth less the later it comes."""
        verdict = super().answer(conditions, action, when)
        if self.reward_decay is None:
            return verdict
        return verdict._replace(reward=verdict.reward * torch.exp(when.since * (-self.dt / self.reward_decay)))
