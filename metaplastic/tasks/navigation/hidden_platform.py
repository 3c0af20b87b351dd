"""What water mazes share: a platform that is not seen, starts in four places by turns, and trials that end on it.

    starts     north, east, south and west, each once in four trials, in random order
    platform   stays for a lifetime (`every` 0: reference memory), or moves after every `every` trials (delayed matching
               to place: in the second trial on a place one can know what the first one has taught)
    score      1 - latency / limit; 0 for who has not found the platform by then; reward 1 on it                     (1)

The ceiling counts a search for every new place: who knows nothing cannot find the platform sooner than by covering new
ground at every step; and in the other trials the oracle's score. Latency by trial since the platform moved is what such
experiments show: `info.score` of trial n, with (1), where n % every tells how often the place was met.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.worlds import Happening, WorldTask

STARTS = 4


class Setting(NamedTuple):
    """What a trial in the pool is about."""

    start: Int[Tensor, "*B"]
    """0 north, 1 east, 2 south, 3 west"""
    platform: Tensor
    """where it is, as `anywhere` gives it"""
    order: Int[Tensor, "*B 4"]
    """the starts of four trials, in turn"""


class HiddenPlatform(WorldTask, ABC):
    """A pool with a platform that is not seen."""

    trials: int = Field(default=40, ge=1)
    """trials of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    every: int = Field(default=0, ge=0)
    """trials after which the platform moves; 0: never"""

    @abstractmethod
    def anywhere(self, key: Int[Tensor, "*B"]) -> Tensor:
        """A place of the platform."""

    def arranged(self, key: Int[Tensor, "*B"], trial: Int[Tensor, "*B"], before: Setting | None) -> Setting:
        """Where a trial starts and what it looks for, from its condition key and the setting before."""
        order, platform = rng.permutation(rng.fold(key, 0), STARTS), self.anywhere(rng.fold(key, 1))
        if before is not None:
            order = torch.where((trial % STARTS == 0)[..., None], order, before.order)
            platform = self._moved(trial, platform, before.platform)
        start = order.gather(-1, (trial % STARTS)[..., None]).squeeze(-1)
        return Setting(start, platform, order)

    def _moved(self, trial: Int[Tensor, "*B"], to: Tensor, before: Tensor) -> Tensor:
        if not self.every:
            return before
        moves = trial % self.every == 0
        return torch.where(moves.reshape(*moves.shape, *(1,) * (to.ndim - moves.ndim)), to, before)

    def told(self, world: Any, reached: Bool[Tensor, "*B"], step: Int[Tensor, "*B"], limit: int) -> Happening:
        """(1), and the trial's end on the platform."""
        reward = reached.to(torch.float32)
        return Happening(world, reward, reached, reward * (1 - (step + 1) / limit), reached.to(torch.int64))

    def ceiling(self, found: Float[Tensor, " T"], oracle: float) -> float:
        """Mean score of a lifetime: `found` is the greatest probability to have met a new platform by each step."""
        search = min(found[:-1].sum().item() / len(found), oracle)  # E[1 - L / T] = sum over t < T of P(L <= t) / T
        searches = -(-self.lifetime_trials // self.every) if self.every else 1
        share = searches / self.lifetime_trials
        return share * search + (1 - share) * oracle
