"""Keep two samples and match each when its turn comes (dual delayed match to sample; Rose et al. 2016).

Two samples are shown at once, each one of two directions on two lines of its own. After a delay a cue says which of
them is tested first, and its test follows on the same lines: the sample again or the other direction, each alike; then
cue and test of the other sample. The two outputs should say match or no match in each test (`class_readout.py`).

With noise an ideal observer who has seen a stimulus for T ms knows its direction with p(T) = Phi(sqrt(T / 2) / sigma),
the distance between the directions being sqrt(2), and is right after T ms of a test with

    p(sample) p(T) + (1 - p(sample)) (1 - p(T)),   the ceiling is its mean over the steps of a test               (1)

Preset `neurogym`: times and noise of NeuroGym's task (Molano-Mazon et al. 2022; checked with its code, which takes an
action for each test).
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.class_readout import REWARDS, ClassReadout
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When

SHOWN = ("sample", "test1", "test2")


class Items(NamedTuple):
    """Conditions of a trial."""

    samples: Int[Tensor, "*B 2"]
    """directions, 0 or 1"""
    match: Bool[Tensor, "*B 2"]
    """whether each one's test is the same"""
    tested_first: Int[Tensor, "*B"]
    """which one, 0 or 1"""


class DualDelayMatchSample(EpochTask, ClassReadout):
    """Match two samples, in the order that cues give."""

    references = (
        "Rose et al. 2016, Reactivation of latent working memories with transcranial magnetic stimulation, Science "
        "354:1136",
    )
    tags = ("memory", "trials", "readout")
    epochs = ("fixation", "sample", "delay1", "cue1", "test1", "delay2", "cue2", "test2")
    responses = ("test1", "test2")
    noisy = ("first", "second")
    presets = MappingProxyType({"neurogym": MappingProxyType({"dt": 100.0})})

    kind: Literal["DualDelayMatchSample-v0"] = "DualDelayMatchSample-v0"
    timing: dict[str, Duration] = times(**dict.fromkeys(epochs, 500))
    """epoch -> ms, or how it is drawn; sample and tests are fixed"""
    sigma: float = Field(default=1.0, ge=0)
    """noise of sample and tests in sqrt(ms)"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "decision"
    """decision: the tests are judged, and nothing else"""

    @model_validator(mode="after")
    def _is_judged(self) -> DualDelayMatchSample:
        if self.weights != "decision":
            raise wrong(f"weights is {self.weights!r}, wanted 'decision': outputs are judged in the tests alone")
        for name in SHOWN:
            if not self.timing[name].is_fixed or not self.steps(name):
                raise wrong(f"timing.{name} is {self.timing[name].written()}, wanted a fixed time above 0")
        return self

    def noisy_in(self) -> tuple[str, ...]:
        """Where there is a stimulus."""
        return SHOWN

    @property
    def spec(self) -> TaskSpec:
        """Ceiling by (1); nine tenths of the way to it count as learned."""
        ceiling = self._ceiling()
        return self.describe(
            {"fixation": 1, "first": 2, "second": 2, "cue": 2},
            2,
            response="readout",
            trial_types=8,
            chance=0.5,
            ceiling=ceiling,
            oracle=1.0,
            criterion=0.5 + 0.9 * (ceiling - 0.5),
            reward_range=REWARDS,
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Items]:
        """Samples, matches and order, each alike; the type is order and matches."""
        del life, trial
        words = rng.each_word(key, 5)
        samples, match = rng.below(words[..., :2], 2), rng.coin(words[..., 2:4], 0.5)
        order = rng.below(words[..., 4], 2)
        return order * 4 + match[..., 0] * 2 + match[..., 1], Items(samples, match, order)

    def mean_input(self, conditions: Items, when: When) -> Float[Tensor, "*T I"]:
        """Fixation but for the tests; samples, tests and cues on their lines."""
        at = {name: self.within(when.epoch, (name,)) for name in self.epochs}
        rows, cues = [~(at["test1"] | at["test2"])], []
        for item in (0, 1):
            is_first = conditions.tested_first == item
            tested = at["test1"] & is_first | at["test2"] & ~is_first
            changed = tested & ~conditions.match[..., item]
            direction = (conditions.samples[..., item] == 1) ^ changed
            shown = at["sample"] | tested
            rows += [shown & ~direction, shown & direction]
            cues.append(at["cue1"] & is_first | at["cue2"] & ~is_first)
        return torch.stack((*rows, *cues), -1).to(torch.float32)

    def wanted(self, conditions: Items, when: When) -> Float[Tensor, "*T 2"]:
        """Match or no match in a test, one-hot."""
        first, second = self.within(when.epoch, ("test1",)), self.within(when.epoch, ("test2",))
        other = torch.where(first, conditions.tested_first, 1 - conditions.tested_first) == 1
        match = torch.where(other, conditions.match[..., 1], conditions.match[..., 0])
        return one_hot((~match).to(torch.int64), 2) * (first | second)[..., None]

    def _ceiling(self) -> float:
        """(1), over both tests."""
        lengths = [self.steps(name) for name in self.responses]
        steps = [step for length in lengths for step in range(1, length + 1)]
        known = self._known(self.steps("sample"))
        right = [known * self._known(step) + (1 - known) * (1 - self._known(step)) for step in steps]
        return min(1.0, sum(right) / len(right))

    def _known(self, steps: int) -> float:
        """p(T)."""
        if not self.sigma:
            return 1.0
        return 0.5 + 0.5 * math.erf(math.sqrt(steps * self.dt / 2) / self.sigma / math.sqrt(2))
