"""Patch foraging: harvest on, for ever less, or spend time on going to a fresh patch (Charnov 1976).

In a patch, `stay` harvests: r0 ~ N(1, spread) first, then the last harvest times kappa, which is drawn anew from
Beta(a, b). `leave` takes `travel` steps, this one included, in which no action counts, and leads to a fresh patch. A
block is a trial of so many steps; travel is short or long by turns from block to block, without a word. What is seen:
if one is in a patch, and the last harvest in it (0 in a fresh one).

    score of a block = min(1, reward / (best rate x steps))                                                        (1)

`forage_values.py` has the best rate (marginal value theorem) and what its policy scores, which is the ceiling; near the
end of a block, where it does not pay to leave any more, a better policy would gain a little.

Presets: `patch` E[kappa] = .9, travel of 3 or 12 steps; `constantino15` is Constantino & Daw 2015, harvests of 3 s,
travel of 6 or 12 s, Beta(14.90873, 2.033008), N(10, 1) apples in units of 10 (recalled).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.constants import constant
from metaplastic.tasks.navigation import forage_values as values
from metaplastic.tasks.worlds import Happening, WorldTask

_TABLES: dict[tuple[Any, ...], tuple[rng.Table, float]] = {}
"""(a, b, device) -> distribution of kappa and its mean. A plain dict, because torch.compile sees through it"""


class First(NamedTuple):
    """What a lifetime draws once."""

    long: Int[Tensor, "*B"]
    """1 where travel is long in the first block"""
    rates: Float[Tensor, "*B 2"]
    """best reward a step with short and long travel"""


class Patch(NamedTuple):
    """Where a forager is."""

    level: Float[Tensor, "*B"]
    """the last harvest of this patch; 0 if there was none"""
    wait: Int[Tensor, "*B"]
    """steps of travel still to go; 0 in a patch"""
    travel: Int[Tensor, "*B"]
    """steps of travel in this block"""
    rate: Float[Tensor, "*B"]
    """best reward a step in this block"""
    total: Float[Tensor, "*B"]
    """reward of the block so far"""


class Forage(WorldTask):
    """Stay in a patch that yields ever less, or travel to a fresh one."""

    references = (
        "Charnov 1976, Optimal foraging, the marginal value theorem, Theor Popul Biol 9:129",
        "Constantino & Daw 2015, Learning the opportunity cost of time in a patch-foraging task, CABN 15:837",
    )
    tags = ("foraging", "reward")
    presets = MappingProxyType(
        {
            "patch": MappingProxyType({}),
            "constantino15": MappingProxyType(
                {"a": 14.90873, "b": 2.033008, "short_travel": 2, "long_travel": 4, "block": 280}
            ),
        }
    )

    kind: Literal["Forage-v0"] = "Forage-v0"
    trials: int = Field(default=4, ge=1)
    """blocks of a lifetime in which a learner may learn"""
    block: int = Field(default=150, ge=20)
    """steps of a block"""
    short_travel: int = Field(default=3, ge=1)
    """steps between patches"""
    long_travel: int = Field(default=12, ge=1)
    """and in every other block"""
    spread: float = Field(default=0.1, ge=0, le=0.2)
    """standard deviation of the first harvest, whose mean is 1"""
    a: float = Field(default=18.0, gt=1)
    """kappa ~ Beta(a, b)"""
    b: float = Field(default=2.0, gt=1)
    """E[kappa] = a / (a + b)"""

    @model_validator(mode="after")
    def _is_worth_it(self) -> Forage:
        if self.long_travel < self.short_travel:
            raise wrong(f"long_travel is {self.long_travel} steps, wanted at least short_travel = {self.short_travel}")
        if self.block < 2 * self.long_travel:
            raise wrong(f"block is {self.block} steps, wanted at least 2 long_travel = {2 * self.long_travel}")
        return self

    def rate(self, travel: int) -> float:
        """The best reward a step."""
        return values.best_rate(self.a, self.b, self.spread, travel)

    @property
    def spec(self) -> TaskSpec:
        """Chance is exact, the ceiling what the marginal value theorem scores in simulated blocks."""
        travels = (self.short_travel, self.long_travel)
        chances = [values.random_total(self.a, self.b, t, self.block) / (self.rate(t) * self.block) for t in travels]
        ceilings = [values.block_score(self.a, self.b, self.spread, t, self.block) for t in travels]
        chance, ceiling = sum(chances) / 2, sum(ceilings) / 2
        return self.describe(
            {"patch": 1, "harvest": 1},
            2,
            trial_steps=self.block,
            chance=chance,
            ceiling=ceiling,
            criterion=chance + (ceiling - chance) * 5 / 6,
            reward_range=(0.0, 1 + 4 * self.spread),
            action_names=("stay", "leave"),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> First:
        """Long travel first or short, by a coin."""
        rates = constant((self.rate(self.short_travel), self.rate(self.long_travel)), key.device)
        return First(rng.below(rng.word(key, 0), 2), rates.expand(*key.shape, 2).clone())

    def begin(self, key: Int[Tensor, "*B"], life: First, trial: Int[Tensor, "*B"], before: Any) -> Patch:
        """A fresh patch; the other travel than in the last block."""
        del key, before
        nothing = torch.zeros_like(trial, dtype=torch.float32)
        is_long = (life.long + trial) % 2 == 1
        travel = torch.where(is_long, self.long_travel, self.short_travel)
        rate = torch.where(is_long, life.rates[..., 1], life.rates[..., 0])
        return Patch(nothing, torch.zeros_like(trial), travel, rate, nothing.clone())

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Patch, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Harvest, leave, or travel on."""
        del life, step
        words = rng.each_word(key, 2)
        is_here, is_fresh = world.wait == 0, world.level == 0
        kappa = self._decay(key.device)[0].sample(words[..., 0])
        first = 1 + self.spread * rng.normal_int(words[..., 1])
        stays, leaves = is_here & (action == 0), is_here & (action == 1)
        reward = torch.where(stays, torch.where(is_fresh, first, world.level * kappa), 0.0)
        wait = torch.where(leaves, world.travel - 1, (world.wait - 1).clamp(min=0))
        total = world.total + reward
        score = total / (world.rate * self.block)
        after = Patch(reward, wait, world.travel, world.rate, total)
        unjudged = torch.full_like(wait, -1)
        return Happening(after, reward.clone(), torch.zeros_like(stays), score.clamp(max=1.0), unjudged)

    def _decay(self, device: torch.device) -> tuple[rng.Table, float]:
        key = (self.a, self.b, str(device))
        if key not in _TABLES:
            kappa, chance = values.decay(self.a, self.b)
            table = rng.Table(kappa.tolist(), chance.tolist()).to(device)
            _TABLES[key] = (table, values.mean_decay(self.a, self.b))
        return _TABLES[key]

    def look(self, life: Any, world: Patch, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 2"]:
        """If one is in a patch, and its last harvest."""
        del life, step
        return torch.stack(((world.wait == 0).to(torch.float32), world.level), -1)

    def target(self, life: Any, world: Patch) -> Int[Tensor, "*B"]:
        """Leave where the next harvest is expected to be less than the best rate."""
        del life
        expected = world.level * self._decay(world.level.device)[1]
        return ((world.level > 0) & (expected < world.rate)).to(torch.int64)
