"""Context-dependent decisions: the dots have a motion and a colour, and the context says which of the two counts.

    u+ = (1 + c) / 2 on the shown side, u- = (1 - c) / 2 on the other, for motion and colour each             (1)

Mante et al. 2013. Sides and coherences of motion and colour are independent, so an observer who ignores the context
is right at most in 3 of 4 trials. The ceiling is `ideal.py` (1) for the attended modality.

`song17` (Song, Yang & Wang 2017, and its code) has no fixation channel: the context goes off when an answer is due.
`neurogym` (Molano-Mazon et al. 2022) has one. There it goes off with the stimulus and the context stays, so that
nothing says when an answer is due; here both go off at the decision. Its dt of 100 ms does not divide 750 ms: 50 here.
`pycog` (Song, Yang & Wang 2016 and its code) shows the context with the stimulus alone and has catch trials
(`catch.py`, 2,000 ms of them in all); its two outputs are a choice here, and the fixation channel is ours. The same
task answered by the sign of one output, as in Miconi 2017 and Kim et al. 2019, is `context_readout.py`.

With `implicit` the context is not shown and stays the same for a lifetime: it is to be found out from the rewards
(the ceiling is that of an observer who has).
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.choices import SCHEMES
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.perception import ideal
from metaplastic.tasks.perception.catch import CatchTask


class Rule(NamedTuple):
    """What a lifetime draws."""

    context: Int[Tensor, "*B"]
    """which modality counts in an implicit task: 0 motion, 1 colour"""


class Shown(NamedTuple):
    """Conditions of a trial."""

    context: Int[Tensor, "*B"]
    """which modality counts: 0 motion, 1 colour"""
    motion: Int[Tensor, "*B"]
    """side of the motion: 0 left, 1 right"""
    colour: Int[Tensor, "*B"]
    motion_coherence: Float[Tensor, "*B"]
    colour_coherence: Float[Tensor, "*B"]
    caught: Bool[Tensor, "*B"]
    """nothing is shown: a catch trial"""


class ContextDecisionMaking(CatchTask):
    """Choose the side of the motion or of the colour, as the context says."""

    references = (
        "Mante et al. 2013, Context-dependent computation by recurrent dynamics in prefrontal cortex, Nature 503:78",
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
        "Molano-Mazon et al. 2022, NeuroGym: an open resource for developing and sharing neuroscience tasks",
    )
    tags = ("perceptual", "decision", "context", "trials")
    epochs = ("fixation", "stimulus", "delay", "decision")
    responses = ("decision",)
    noisy = ("motion", "colour")
    presets = MappingProxyType(
        {
            "song17": MappingProxyType({}),
            "neurogym": MappingProxyType(
                {
                    "dt": 50.0,
                    "timing": {
                        "fixation": 300,
                        "stimulus": 750,
                        "delay": {"exponential": 600, "within": [300, 3000]},
                        "decision": 100,
                    },
                    "sigma": 1.0,
                    "fixation": True,
                    "rewards": SCHEMES["neurogym"],
                    "early": "penalise",
                }
            ),
            "pycog": MappingProxyType(
                {
                    "timing": {"fixation": 100, "stimulus": 800, "delay": 0, "decision": 300},
                    "sigma": math.sqrt(0.02),
                    "fixation": True,
                    "brief_context": True,
                    "catch": 1 / 73,
                    "catch_duration": 1700.0,
                }
            ),
        }
    )

    kind: Literal["ContextDecisionMaking-v0"] = "ContextDecisionMaking-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(
        fixation=750, stimulus=750, delay={"exponential": 300, "within": [0, 1200], "plus": 300}, decision=500
    )
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=2.0, ge=0)
    """noise of motion and colour in sqrt(ms), while they are shown"""
    coherences: tuple[float, ...] = Field(default=(0.05, 0.15, 0.5), min_length=1)
    """c of motion and of colour, each alike"""
    fixation: bool = False
    """a channel of its own goes off when an answer is due, beside the context's"""
    brief_context: bool = False
    """the context is shown with the stimulus, not from the trial's start to the decision"""
    implicit: bool = False
    """the context is not shown and belongs to the lifetime; there is a fixation channel then"""

    @model_validator(mode="after")
    def _coherent(self) -> ContextDecisionMaking:
        if not all(0 <= c <= 1 for c in self.coherences):
            raise wrong(f"coherences are {self.coherences}, wanted numbers in [0, 1]")
        cued = self.fixation or self.implicit
        if not cued and (self.catch or (self.brief_context and not self.timing["delay"].is_none)):
            raise wrong(
                "fixation is false, wanted true: without it nothing says when an answer is due in a catch trial, or "
                "after a delay without context"
            )
        return self

    def noisy_in(self) -> tuple[str, ...]:
        """Where motion and colour are shown."""
        return ("stimulus",)

    def tags_of_settings(self) -> tuple[str, ...]:
        """A hidden context has to be learned."""
        return (*self.tags, "meta-learning") if self.implicit else self.tags

    @property
    def spec(self) -> TaskSpec:
        """Ceiling over coherences; the published criterion is .99 answered, .85 right."""
        ceiling = self.with_catch(ideal.two_channels(self.coherences, self.timing["stimulus"], self.dt, self.sigma))
        chance = 1 / (2 + bool(self.catch))
        widths = {"fixation": 1} if self.fixation or self.implicit else {}
        widths |= {} if self.implicit else {"context": 2}
        return self.describe_choice(
            {**widths, "motion": 2, "colour": 2},
            ("fixate", "left", "right"),
            trial_types=8 * len(self.coherences) ** 2 + bool(self.catch),
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
            criteria=(("p_answered", 0.99), ("p_correct", 0.85)),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Rule | None:
        """The context of an implicit task."""
        return Rule(rng.below(rng.word(key, 0), 2)) if self.implicit else None

    def sample_trial(self, key: Int[Tensor, "*B"], life: Rule | None, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Shown]:
        """Context, sides and coherences, each alike."""
        del trial
        count = len(self.coherences)
        words = rng.each_word(key, 5)
        context = rng.below(words[..., 0], 2) if life is None else life.context
        motion, colour = rng.below(words[..., 1], 2), rng.below(words[..., 2], 2)
        fast, vivid = rng.below(words[..., 3], count), rng.below(words[..., 4], count)
        kind = ((context * 2 + motion) * 2 + colour) * count**2 + fast * count + vivid
        caught = self.caught(key)
        kind = torch.where(caught, 8 * count**2, kind) if self.catch else kind
        coherences = look_up(self.coherences, fast), look_up(self.coherences, vivid)
        return kind, Shown(context, motion, colour, *coherences, caught)

    def mean_input(self, conditions: Shown, when: When) -> Float[Tensor, "*T I"]:
        """Fixation and context until the decision; evidence (1) in the stimulus, which a catch trial lacks."""
        waits = (~self.within(when.epoch, self.responses)).to(torch.float32)
        shown = self.within(when.epoch, ("stimulus",)).to(torch.float32)
        rows = [waits] if self.fixation or self.implicit else []
        if not self.implicit:
            told = shown if self.brief_context else waits
            colour_counts = told * conditions.context
            rows += [told - colour_counts, colour_counts]
        half = 0.5 * shown
        motion = shown * (conditions.motion_coherence * (0.5 - conditions.motion))
        colour = shown * (conditions.colour_coherence * (0.5 - conditions.colour))
        return torch.stack((*rows, half + motion, half - motion, half + colour, half - colour), -1)

    def label(self, conditions: Shown) -> Int[Tensor, "*B"]:
        """The side of what counts; 0 in a catch trial."""
        side = torch.where(conditions.context == 0, conditions.motion, conditions.colour)
        return (side + 1) * ~conditions.caught
