"""Catch trials: now and then nothing is shown until the decision, and waiting through it is right.

    with probability `catch`:  all epochs before the last are one wait of `catch_duration`, the label is 0      (1)

They are there so that a network does not learn to answer whatever comes (Song, Yang & Wang 2016). The fixation channel
tells when an answer would be due, as in any other trial.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import wrong
from metaplastic.tasks.choices import ChoiceTask


class CatchTask(ChoiceTask, ABC):
    """A choice that may have catch trials; an answer is due in its last epoch, and its `label` is 0 where `caught`."""

    catch: float = Field(default=0.0, ge=0, lt=1)
    """probability of a catch trial"""
    catch_duration: float = Field(default=0.0, ge=0)
    """ms from its start to its decision, in steps of dt, floored"""

    @model_validator(mode="after")
    def _has_a_wait(self) -> CatchTask:
        if self.catch and self.catch_duration < self.dt:
            raise wrong(
                f"catch_duration is {self.catch_duration:g} ms with catch {self.catch:g}, wanted at least dt = "
                f"{self.dt:g} ms, so that there is something to wait through"
            )
        return self

    def caught(self, key: Int[Tensor, "*B"]) -> Bool[Tensor, "*B"]:
        """Whether a trial with these condition keys is a catch trial."""
        return rng.coin(rng.word(rng.fold(key, 2), 0), self.catch)

    def edges(self, key: Int[Tensor, "*B"], conditions: Any) -> Sequence[Int[Tensor, "*B"]]:
        """From `timing`; (1)."""
        edges = super().edges(key, conditions)
        if not self.catch:
            return edges
        caught, decision = self.caught(key), edges[-1] - edges[-2]
        before = [torch.where(caught, self._wait, edge) for edge in edges[:-1]]
        return [*before, before[-1] + decision]

    def trial_length(self) -> tuple[int, int, float]:
        """With the catch trials."""
        fewest, most, mean = super().trial_length()
        if not self.catch:
            return fewest, most, mean
        low, high, middle = self.timing[self.epochs[-1]].ends(self.dt)
        share = rng.grid(self.catch)
        mean = (1 - share) * mean + share * (middle + self._wait)
        return min(fewest, low + self._wait), max(most, high + self._wait), mean

    def answers(self) -> tuple[int, ...]:
        """Waiting is right in catch trials."""
        answers = super().answers()
        return (0, *answers) if self.catch else answers

    def with_catch(self, score: float) -> float:
        """The mean score of who scores this in the other trials and waits through catch trials."""
        share = rng.grid(self.catch)
        return share + (1 - share) * score

    @property
    def _wait(self) -> int:
        return math.floor(self.catch_duration / self.dt + 1e-9)
