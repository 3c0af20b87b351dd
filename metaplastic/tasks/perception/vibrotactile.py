"""Vibrotactile detection: was there a vibration on the skin?

    u = a / 34.6 in the stimulus, with `carrier` times 1 + sin(2 pi 20 Hz t);   u = 0 in half of the trials     (1)

de Lafuente & Romo 2005: the probe goes down, after 1.5 to 3.5 s comes a vibration or nothing, 3 s later the probe goes
up and an answer is due. The design is recalled from the paper, the scale of amplitudes and noise is ours: nine
amplitudes from 2.3 to 34.6 um, evenly spaced in their logarithm, and noise of 2 sqrt(ms) during the whole trial.

The ceiling is an ideal observer who knows when the vibration would come, (3) of `ideal.py`; not to know it costs some.
Its z has mean a / 34.6 sqrt(T) / sigma, T in ms, with `carrier` T times the mean of (1 + sin)^2. `short` is our own
preset for evolution: the same question in fewer steps.
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
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.perception import ideal

CARRIER_HZ = 20.0
"""frequency of the vibration"""


class Vibration(NamedTuple):
    """Conditions of a trial."""

    present: Int[Tensor, "*B"]
    """1 if there is one"""
    amplitude: Float[Tensor, "*B"]
    """um; 0 if there is none"""


class Detection(NamedTuple):
    """How an observer detects."""

    accuracy: float
    hits: tuple[float, ...]
    """share of yes at each amplitude"""
    false_alarms: float
    """share of yes where there is nothing"""


class VibrotactileDetection(ChoiceTask):
    """Say whether there was a vibration."""

    references = ("de Lafuente & Romo 2005, Neuronal correlates of subjective sensory experience, Nat Neurosci 8:1698",)
    tags = ("perceptual", "decision", "detection", "memory", "trials")
    epochs = ("wait", "stimulus", "delay", "decision")
    responses = ("decision",)
    noisy = ("vibration",)
    presets = MappingProxyType(
        {
            "delafuente05": MappingProxyType({}),
            "short": MappingProxyType({"timing": {"wait": {"uniform": [300, 700]}, "stimulus": 300, "delay": 500}}),
        }
    )

    kind: Literal["VibrotactileDetection-v0"] = "VibrotactileDetection-v0"
    timing: dict[str, Duration] = times(wait={"uniform": [1500, 3500]}, stimulus=500, delay=3000, decision=1000)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=2.0, ge=0)
    """noise of the vibration channel in sqrt(ms), during the whole trial"""
    amplitudes: tuple[float, ...] = Field(
        default=(2.30, 3.23, 4.53, 6.36, 8.92, 12.52, 17.57, 24.66, 34.60), min_length=1
    )
    """um, each alike"""
    full_scale: float = Field(default=34.6, gt=0)
    """um at which the input is 1"""
    carrier: bool = False
    """the input vibrates, (1); otherwise only its rate code is given"""

    @model_validator(mode="after")
    def _positive(self) -> VibrotactileDetection:
        if not all(a > 0 for a in self.amplitudes):
            raise wrong(
                f"amplitudes are {self.amplitudes}, wanted numbers above 0: half of the trials have none anyway"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Ceiling: who knows when the vibration would come; criterion .80 of the answers right, if that is possible."""
        ceiling = self.ideal_observer().accuracy
        return self.describe_choice(
            {"probe": 1, "vibration": 1},
            ("hold", "yes", "no"),
            trial_types=1 + len(self.amplitudes),
            chance=0.5,
            ceiling=ceiling,
            criterion=min(0.8, 0.5 + 0.9 * (ceiling - 0.5)),
        )

    def ideal_observer(self) -> Detection:
        """Who knows when the vibration would come, computed."""
        scaled = tuple(a / self.full_scale for a in self.amplitudes)
        return detection(scaled, self.timing["stimulus"], self.dt, self.sigma, self.carrier)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Vibration]:
        """Present or not, amplitude, each alike."""
        del life, trial
        present = rng.below(rng.word(key, 0), 2)
        which = rng.below(rng.word(key, 1), len(self.amplitudes))
        return present * (which + 1), Vibration(present, look_up(self.amplitudes, which) * present)

    def mean_input(self, conditions: Vibration, when: When) -> Float[Tensor, "*T 2"]:
        """The probe until the decision; the vibration (1)."""
        waits = (~self.within(when.epoch, self.responses)).to(torch.float32)
        shown = self.within(when.epoch, ("stimulus",)).to(torch.float32)
        vibration = shown * (conditions.amplitude / self.full_scale)
        if self.carrier:
            vibration = vibration * (1 + torch.sin(when.since * (2 * math.pi * CARRIER_HZ * self.dt / 1000)))
        return torch.stack((waits, vibration), -1)

    def label(self, conditions: Vibration) -> Int[Tensor, "*B"]:
        """1 yes, 2 no."""
        return 2 - conditions.present


@lru_cache
def detection(amplitudes: tuple[float, ...], shown: Duration, dt: float, sigma: float, carrier: bool) -> Detection:
    """The ideal observer of scaled amplitudes who knows when the stimulus would come."""
    levels = torch.tensor([0.0, *amplitudes], dtype=torch.float64)
    chances = torch.tensor([0.5, *(0.5 / len(amplitudes) for _ in amplitudes)], dtype=torch.float64)
    prizes = torch.stack(((levels > 0).double(), (levels == 0).double()), -1)
    table, frequency = shown.table(dt), torch.zeros_like(prizes)
    for steps, chance in zip(table.support.tolist(), table.probabilities.tolist(), strict=True):
        phase = torch.arange(steps, dtype=torch.float64) * (2 * math.pi * CARRIER_HZ * dt / 1000)
        energy = float(((1 + phase.sin()) ** 2).sum() if carrier else steps) * dt
        # one channel instead of two, whose difference has twice the noise
        means = ideal.evidence(levels, 2 * energy, sigma)
        frequency += chance * ideal.frequencies(means, chances, prizes)
    yes = frequency[:, 0].tolist()
    return Detection(ideal.expected(frequency, chances, prizes), tuple(yes[1:]), yes[0])
