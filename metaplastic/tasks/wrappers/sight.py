"""Wrappers of what is seen: channels in another order, noise, delay. All are lenses, so blocks stay possible.

PermuteChannels   x'_i = x_{p(i)},  p drawn for every lifetime (what no innate wiring can know), or one for all
ObsNoise          x' = x + sigma / sqrt(dt) N(0, 1), sigma in sqrt(ms): the information in a ms is free of dt
ObsDelay          x'_t = x_{t - d} within the trial; nothing is seen in its first d steps
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, near_miss, wrong
from metaplastic.tasks.base import TimeStep, one_of
from metaplastic.tasks.wrappers.wrapper import Lens, Wrapped


class PermuteChannels(Lens):
    """Observations in another order, drawn for every lifetime or given by a number."""

    kind: Literal["PermuteChannels"] = "PermuteChannels"
    per_lifetime: bool = True
    """every lifetime has an order of its own; else all share one"""
    number: int = Field(default=0, ge=0)
    """which order they share (per_lifetime: false): another number, another order"""

    @property
    def spec(self) -> TaskSpec:
        """The names of channels are lost."""
        count = self.task.facts.observations
        return self.described(channels={"permuted": (0, count)})

    def see(self, x: Float[Tensor, "*T I"], key: Int[Tensor, "*B"], trial: Any, step: Any) -> Float[Tensor, "*T I"]:
        """x in the order of each lifetime."""
        del trial, step
        if not self.per_lifetime:
            key = torch.full_like(key, self.number)
        order = rng.permutation(rng.parameter_keys(key), x.shape[-1])
        return x.gather(-1, order.expand(x.shape))


class ObsNoise(Lens):
    """Gaussian noise on the observation, or on some of its channels."""

    kind: Literal["ObsNoise"] = "ObsNoise"
    sigma: float = Field(default=0.1, gt=0)
    """sqrt(ms): the standard deviation at a step is sigma / sqrt(dt)"""
    channels: tuple[str, ...] | None = None
    """the channels that it is on; all, if absent"""
    gaussian: Annotated[rng.Gaussian, BeforeValidator(one_of(rng.Gaussian))] = "boxmuller"
    """boxmuller, or integer: nearly normal, but the same bits on every device"""

    @model_validator(mode="after")
    def _known(self) -> ObsNoise:
        there = list(self.task.facts.channels)
        for name in self.channels or ():
            if name not in there:
                raise wrong(f"channels: no channel '{name}'{near_miss(name, there)}; there are {', '.join(there)}")
        return self

    def see(
        self, x: Float[Tensor, "*T I"], key: Int[Tensor, "*B"], trial: Int[Tensor, "..."], step: Int[Tensor, "..."]
    ) -> Float[Tensor, "*T I"]:
        """x and noise, one draw a number."""
        keys = rng.noise_keys(rng.trial_keys(key, trial), step)
        noise = rng.normals(keys, x.shape[-1], gaussian=self.gaussian) * (self.sigma / math.sqrt(self.task.facts.dt))
        if self.channels is None:
            return x + noise
        spans = self.task.facts.channels
        parts = [noise[..., a:b] * float(name in self.channels) for name, (a, b) in _in_order(spans)]
        return x + torch.cat(parts, -1)


class ObsDelay(Lens):
    """Everything is seen some steps late; what was seen before a trial is forgotten."""

    kind: Literal["ObsDelay"] = "ObsDelay"
    steps: int = Field(default=1, ge=1)
    """d, in steps of the task inside; must be shorter than its trials"""

    @model_validator(mode="after")
    def _shorter(self) -> ObsDelay:
        longest = self.task.facts.trial_steps
        if self.steps >= longest:
            raise wrong(
                f"steps is {self.steps}, wanted fewer than the {longest} of a trial of {self.task.kind}: nothing would "
                "ever be seen"
            )
        return self

    def see_trial(self, x: Float[Tensor, "T *S I"], key: Any, trial: Any, step: Any) -> Float[Tensor, "T *S I"]:
        """x, d steps later."""
        del key, trial, step
        return torch.cat((torch.zeros_like(x[: self.steps]), x[: -self.steps]))

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Tensor:
        """The last d frames of the trial, the oldest first."""
        del inner
        return torch.zeros(*key.shape, self.steps, self.task.facts.observations, device=key.device)

    def remember(self, state: Wrapped, action: Tensor, inner: Any, seen: TimeStep) -> Tensor:
        """The frame that was just answered joins them."""
        del action, inner
        now = self.task.observe(state.inner)[..., None, :]
        line = torch.cat((state.kept[..., 1:, :], now), -2)
        return torch.where(seen.info.trial_end[..., None, None], 0.0, line)

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B I"]:
        """The oldest of them."""
        del x
        return state.kept[..., 0, :]


def _in_order(channels: dict[str, tuple[int, int]]) -> list[tuple[str, tuple[int, int]]]:
    return sorted(channels.items(), key=lambda item: item[1])
