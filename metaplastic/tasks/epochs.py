"""Trials made of named epochs (fixation, stimulus, delay, decision …), whose durations are drawn for every trial.

An author writes `sample_trial` (the conditions of a trial), `mean_input` (what is shown in an epoch, without noise) and
the answer that is wanted (`choices.py`, `readouts.py`); edges, frames, noise and weights follow.

    edges_e = sum of the durations of epochs 0 .. e, in steps;   epoch of step t = number of edges <= t          (1)
    noise:  x += sigma / sqrt(dt) N(0, 1),  sigma in sqrt(ms): the information in a ms does not depend on dt      (2)

Weights of a step in supervised learning (`weights`): `yang19`, 1 before an answer is due, 0 in its first 100 ms, then 5
(Yang et al. 2019); `flat`, 1 everywhere; `decision`, 1 where an answer is due and 0 elsewhere.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of, slices_of
from metaplastic.tasks.epoch_times import EpochTimes
from metaplastic.tasks.trials import Drawn, Frame, TrialTask

GRACE = 100.0
"""ms at the start of an answer's epoch that `yang19` weights leave out"""

Weights = Literal["yang19", "flat", "decision"]


class When(NamedTuple):
    """A moment of a trial; [*T] is [*B] or [T, *B]."""

    epoch: Int[Tensor, "*T"]
    t: Int[Tensor, "*T"]
    """step within the trial"""
    since: Int[Tensor, "*T"]
    """steps since the epoch began"""
    edges: tuple[Int[Tensor, "*B"], ...]
    """first step after each epoch, (1), one tensor an epoch"""


class Timed(NamedTuple):
    """What every trial of epochs draws."""

    edges: tuple[Int[Tensor, "*B"], ...]
    noise: Int[Tensor, "*B"]
    """key of the trial's noise"""
    conditions: Any
    """the task's own"""


class EpochTask(EpochTimes, TrialTask, ABC):
    """A task whose trials consist of epochs."""

    noisy: ClassVar[tuple[str, ...]] = ()
    """the channels that carry noise; they lie side by side"""

    sigma: float = Field(default=0.0, ge=0)
    """noise in sqrt(ms): its standard deviation at a step is sigma / sqrt(dt)"""
    gaussian: Annotated[rng.Gaussian, BeforeValidator(one_of(rng.Gaussian))] = "boxmuller"
    """boxmuller, or integer: nearly normal, but the same bits on every device"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "yang19"
    """how much each step counts in supervised learning"""

    @model_validator(mode="after")
    def _noise_is_somewhere(self) -> EpochTask:
        if self.sigma and not self.noisy:
            raise wrong(f"sigma is {self.sigma:g}, wanted 0: nothing that is seen is noisy; put ObsNoise around it")
        return self

    @abstractmethod
    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Any]:
        """The trial type [*B] and conditions (a NamedTuple of tensors [*B, ...]) from the trial's condition keys."""

    @abstractmethod
    def mean_input(self, conditions: Any, when: When) -> Float[Tensor, "*T I"]:
        """What is shown, without noise; shapes follow `when.epoch`."""

    @abstractmethod
    def wanted(self, conditions: Any, when: When) -> Tensor:
        """What is wanted: an action [*T] (choice) or outputs [*T, A] (readout)."""

    def edges(self, key: Int[Tensor, "*B"], conditions: Any) -> Sequence[Int[Tensor, "*B"]]:
        """(1), from `timing`; to be replaced where the conditions set a duration. `key`: the condition keys."""
        del conditions
        return list(accumulate(self.durations(key)))

    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """Conditions, edges and the key of the noise."""
        trial_key = rng.trial_keys(key, trial)
        condition = rng.condition_keys(trial_key)
        kind, conditions = self.sample_trial(condition, life, trial)
        edges = tuple(self.edges(condition, conditions))
        return Drawn(kind, edges[-1].clone(), Timed(edges, rng.fold(trial_key, 1), conditions))

    def when(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> When:
        """Which epoch step t lies in (1)."""
        edges = drawn.values.edges
        epoch, start = torch.zeros_like(t), torch.zeros_like(t)
        for edge in edges[:-1]:
            passed = t >= edge
            epoch, start = epoch + passed, torch.where(passed, edge, start)
        return When(epoch, t, t - start, edges)

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """Mean input and noise (2); what is wanted and how much it counts."""
        when, conditions = self.when(drawn, t), drawn.values.conditions
        x = self.mean_input(conditions, when)
        if self.sigma and self.noisy:
            x = self._noise(drawn.values.noise, when).add_(x)
        return Frame(x, self.wanted(conditions, when), self._weight(when), when.epoch.to(torch.int8))

    def within(self, epoch: Int[Tensor, "*T"], names: tuple[str, ...]) -> Bool[Tensor, "*T"]:
        """Whether an epoch is one of these."""
        places = sorted(self.epochs.index(name) for name in names)
        if places == list(range(places[0], places[-1] + 1)):
            return (epoch >= places[0]) & (epoch <= places[-1]) if len(places) > 1 else epoch == places[0]
        return torch.stack([epoch == place for place in places]).any(0)

    def noisy_in(self) -> tuple[str, ...] | None:
        """The epochs with noise; None: all."""
        return None

    def epoch_bounds(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> Int[Tensor, "*B E 2"]:
        """First step of each epoch of a trial, and the first after it."""
        edges = self.drawn(lifetime, trial, seed).values.edges
        starts = (torch.zeros_like(edges[0]), *edges[:-1])
        return torch.stack((torch.stack(starts, -1), torch.stack(edges, -1)), -1)

    def conditions(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> dict[str, Tensor]:
        """What one trial has drawn, by name, for analysis; tensors [*B, ...]."""
        drawn = self.drawn(lifetime, trial, seed)
        own = drawn.values.conditions
        return {"kind": drawn.kind, "length": drawn.length, **(own._asdict() if own is not None else {})}

    def describe(self, widths: Mapping[str, int], actions: int, **more: Any) -> TaskSpec:
        """The spec, from the widths of the channels and what the scores mean (chance, ceiling, criterion, …)."""
        return TaskSpec(
            **{
                "id": self.kind,
                "channels": slices_of(widths),
                "observations": sum(widths.values()),
                "actions": actions,
                "dt": self.dt,
                "trial_steps": self.trial_length()[1],
                "trial_types": 1,
                "tags": self.tags,
                "cite": self.references,
                "epochs": self.epochs,
                **more,
            }
        )

    def _noise(self, key: Int[Tensor, "*B"], when: When) -> Float[Tensor, "*T I"]:
        channels = self.facts.channels
        first, end = channels[self.noisy[0]][0], channels[self.noisy[-1]][1]
        noise = rng.normals(rng.fold(key, when.t), end - first, gaussian=self.gaussian)
        noise = noise.mul_(self.sigma / math.sqrt(self.dt))
        epochs = self.noisy_in()
        if epochs is not None:
            noise = noise * self.within(when.epoch, epochs)[..., None]
        around = (first, self.facts.observations - end)
        return torch.nn.functional.pad(noise, around) if any(around) else noise

    def _weight(self, when: When) -> Float[Tensor, "*T"]:
        due = self.within(when.epoch, self.responses)
        if self.weights == "flat":
            return torch.ones_like(due, dtype=torch.float32)
        if self.weights == "decision":
            return due.to(torch.float32)
        late = due & (when.since * self.dt >= GRACE)
        return (~due).to(torch.float32) + 5.0 * late
