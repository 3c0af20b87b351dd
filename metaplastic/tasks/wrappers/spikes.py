"""Observations as spikes: 0 or 1 at every step, `group` neurons for every number x of the task inside.

    bernoulli   P(spike) = rate x dt / 1000, rate in Hz, within [0, 1]; every neuron draws for itself               (1)
    latency     one spike in every `window` ms, at floor((1 - x) window) of it: the larger x, the sooner; none at 0 (2)
    threshold   neuron i of `group` stands at the level (i + 1/2) / group; it has an up cell, which fires when x comes
                to or over the level, and a down cell, for when x falls below it again                              (3)

x is cut to [0, 1] first. (3) with 40 levels is the code of sequential images of Bellec et al. 2018 (80 cells); before
a trial x is 0. A threshold code is order up 0 .. group - 1, then down 0 .. group - 1, of each number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import TimeStep, one_of
from metaplastic.tasks.wrappers.wrapper import Lens, Wrapped

Code = Literal["bernoulli", "latency", "threshold"]


class SpikeEncode(Lens):
    """Every number of the observation is told by spikes of a group of neurons."""

    references = ("Bellec et al. 2018, Long short-term memory and learning-to-learn in networks of spiking neurons",)
    kind: Literal["SpikeEncode"] = "SpikeEncode"
    code: Annotated[Code, BeforeValidator(one_of(Code))] = "bernoulli"
    """bernoulli (1), latency (2) or threshold (3)"""
    group: int = Field(default=1, ge=1)
    """neurons, or levels, of each number"""
    rate: float = Field(default=100.0, gt=0)
    """Hz where x is 1 (bernoulli)"""
    window: float = Field(default=100.0, gt=0)
    """ms in which each neuron fires once (latency); must be a multiple of dt"""

    @model_validator(mode="after")
    def _fits(self) -> SpikeEncode:
        facts = self.task.facts
        steps = self.window / facts.dt
        if self.code == "latency" and not 2 <= round(steps, 6) == round(steps):
            raise wrong(f"window is {self.window:g} ms, wanted a multiple of dt = {facts.dt:g} ms, at least twice it")
        if self.code == "latency" and steps > facts.trial_steps:
            raise wrong(f"window is {self.window:g} ms, longer than a trial of {self.task.kind}: few would ever fire")
        return self

    @property
    def _cells(self) -> int:
        return self.group * (2 if self.code == "threshold" else 1)

    @property
    def spec(self) -> TaskSpec:
        """The channels keep their names and grow."""
        facts, cells = self.task.facts, self._cells
        channels = {name: (first * cells, end * cells) for name, (first, end) in facts.channels.items()}
        return self.described(channels=channels, observations=facts.observations * cells)

    def see(
        self, x: Float[Tensor, "*T I"], key: Int[Tensor, "*B"], trial: Int[Tensor, "..."], step: Int[Tensor, "..."]
    ) -> Float[Tensor, "*T J"]:
        """(1) or (2)."""
        x = x.clamp(0, 1).repeat_interleave(self.group, -1)
        if self.code == "latency":
            window = round(self.window / self.task.facts.dt)
            when = ((1 - x) * window).to(torch.int64)  # x = 0 gives `window`, which never comes
            return (when == (step % window)[..., None]).to(x.dtype)
        p = (x * (self.rate * self.task.facts.dt / 1000)).clamp(max=1)
        words = rng.words(rng.noise_keys(rng.trial_keys(key, trial), step), x.shape[-1])
        return (rng.uniform(words) < p).to(x.dtype)

    def see_trial(
        self, x: Float[Tensor, "T *S I"], key: Int[Tensor, "*B"], trial: Int[Tensor, "..."], step: Int[Tensor, "..."]
    ) -> Float[Tensor, "T *S J"]:
        """(1), (2) or (3)."""
        if self.code != "threshold":
            return self.see(x, key, trial, step)
        return self._crossed(torch.cat((torch.zeros_like(x[:1]), x[:-1])), x)

    def _crossed(self, before: Float[Tensor, "*T I"], x: Float[Tensor, "*T I"]) -> Float[Tensor, "*T J"]:
        """(3)."""
        levels = (torch.arange(self.group, device=x.device) + 0.5) / self.group
        above, was_above = (part[..., None] >= levels for part in (x, before))
        return torch.cat((above & ~was_above, ~above & was_above), -1).flatten(-2).to(x.dtype)

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Any:
        """The last frame (threshold)."""
        del inner
        if self.code != "threshold":
            return ()
        return torch.zeros(*key.shape, self.task.facts.observations, device=key.device)

    def remember(self, state: Wrapped, action: Tensor, inner: Any, seen: TimeStep) -> Any:
        """The frame that was just answered; nothing where a trial begins."""
        del action, inner
        if self.code != "threshold":
            return ()
        return torch.where(seen.info.trial_end[..., None], 0.0, self.task.observe(state.inner))

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B J"]:
        """The spikes of now."""
        if self.code == "threshold":
            return self._crossed(state.kept, x)
        return self.see(x, state.key, state.trial, state.step)
