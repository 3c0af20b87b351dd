"""How long the epochs of a trial last, by name: what open-loop trials (`epochs.py`) and closed loops share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Int
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from metaplastic import rng
from metaplastic.core import near_miss
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.durations import Duration


class EpochTimes(TensorTask, ABC):
    """A task whose trials consist of epochs."""

    responses: ClassVar[tuple[str, ...]]
    """the epochs in which an answer counts"""

    dt: float = Field(default=20.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration]
    """epoch -> ms, or how it is drawn; those that are not given stay as they are"""

    @classmethod
    def complete(cls, preset: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """Epochs whose timing is not given keep the preset's, or the usual one."""
        settings = {**preset, **given}
        own = settings.get("timing", {})
        if not isinstance(own, Mapping):
            return settings
        usual = cls.model_fields["timing"].get_default(call_default_factory=True)
        return {**settings, "timing": {**usual, **preset.get("timing", {}), **own}}

    @model_validator(mode="after")
    def _fits(self) -> EpochTimes:
        for name, duration in self.timing.items():
            if name not in self.epochs:
                names = list(self.epochs)
                raise _at(name, f"no such epoch{near_miss(name, names)}; there are {', '.join(names)}")
            why = duration.complaint(self.dt)
            if why:
                raise _at(name, why)
        if not any(duration.ends(self.dt)[1] for duration in self.timing.values()):
            raise _at("", "no epoch has any step")
        return self

    def durations(self, key: Int[Tensor, "*B"]) -> list[Int[Tensor, "*B"]]:
        """Steps of every epoch; an epoch without timing has none."""
        drawn = [name for name in self.epochs if name in self.timing and not self.timing[name].is_fixed]
        key1 = rng.fold(key, 1)
        found = {name: self.timing[name].draw(rng.word(key1, k), self.dt) for k, name in enumerate(drawn)}
        return [found[name] if name in found else torch.full_like(key, self.steps(name)) for name in self.epochs]

    def steps(self, epoch: str) -> int:
        """Steps of an epoch of fixed duration; 0 if it has no timing."""
        return self.timing[epoch].steps(self.dt) if epoch in self.timing else 0

    def trial_length(self) -> tuple[int, int, float]:
        """Fewest, most and mean steps of a trial that nothing ends early; exact, from the tables."""
        ends = [duration.ends(self.dt) for duration in self.timing.values()]
        fewest, most, mean = zip(*ends, strict=True)
        return sum(fewest), sum(most), sum(mean)


def _at(epoch: str, text: str) -> PydanticCustomError:
    """An error of `timing`, with its place."""
    place = f"timing.{epoch}" if epoch else "timing"
    return PydanticCustomError("metaplastic", "{text}", {"text": text, "below": place})
