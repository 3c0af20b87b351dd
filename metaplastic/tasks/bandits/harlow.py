"""Harlow's learning to learn on a line: look at a cross, then at one of two objects, one of which is right.

A gaze moves along a ring of 17 cells, one to the left or right a step, and sees the 9 cells around it. A trial begins
with a fixation cross at cell 8. Once the gaze is there it pays `fixation_reward`, the cross goes, and two objects stand
3 cells to its left and right, in random order. The object that the gaze comes to is chosen: the right one pays
`object_reward`, the other -`object_reward`. The next trial begins where the gaze is. Objects, and which is right, are
new in every life; so trial 1 is a guess, and each later one can be right:

    ceiling = (T - 1/2) / T,   T trials                                                                           (1)
    chance = half the probability that a random walk comes to an object in time (its distribution is followed exactly)

`1d` is the form of a public re-implementation (BKHMSI/Meta-RL-Harlow, Harlow_1D) of simulation 5 of Wang et al. 2018,
fixation +.2 and objects +1 and -1; `psychlab` has the rewards of DeepMind Lab's task, +1, +5 and -5, and shows the
right object left in 3 of 6 trials. Without the walk: `object_choice.py`.

Departures: objects are two different codes of `bits` times +1 or -1, beside a channel for the cross; with `code` scalar
a cell holds one number, as there: 1 for the cross, id / 1000 of an object. There two objects may be the same, an id of
1000 looks like the cross, the gaze starts up to 3 left or 2 right of it (here 3 either way), and its 250 steps are
those of a whole life. Here a trial that takes `longest_trial` steps ends unpaid.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.bandits.object_choice import codes, distinct
from metaplastic.tasks.base import one_of
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.worlds import Happening, WorldTask

Code = Literal["bits", "scalar"]

CELLS, CROSS, APART, REACH = 17, 8, 3, 4
"""cells of the ring, where the cross is, how far from it the objects are, how far the gaze sees to each side"""
IDS = 999
"""objects of the scalar code: ids 1 .. 999, each shown as id / 1000"""


_AROUND = tuple((cell - 1) % CELLS for cell in range(CELLS + 2))
"""cell by its number + 1, also one before the first and one after the last"""


def _content() -> tuple[int, ...]:
    """Row of `Pair.looks` by stage (cross; objects, the right one left; right) and cell number + REACH."""
    rows = ({CROSS: 1}, {CROSS - APART: 2, CROSS + APART: 3}, {CROSS - APART: 3, CROSS + APART: 2})
    return tuple(row.get((cell - REACH) % CELLS, 0) for row in rows for cell in range(CELLS + 2 * REACH))


_CONTENT = _content()


class Pair(NamedTuple):
    """What a lifetime draws once."""

    looks: Float[Tensor, "*B 4 W"]
    """how a cell looks: empty, with the cross, with the right object, with the other"""
    sides: Int[Tensor, "*B"]
    """key of the sides, where they are balanced"""


class Line(NamedTuple):
    """Where a trial is."""

    gaze: Int[Tensor, "*B"]
    """cell that is looked at"""
    fixated: Int[Tensor, "*B"]
    """1 once the cross was reached"""
    right: Int[Tensor, "*B"]
    """side of the right object, 0 left, 1 right"""


class Harlow(WorldTask):
    """Fixate, then walk to one of two objects."""

    references = (
        "Harlow 1949, The formation of learning sets, Psychol Rev 56:51",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    tags = ("meta-learning", "reward")
    presets = MappingProxyType(
        {
            "1d": MappingProxyType({}),
            "psychlab": MappingProxyType({"fixation_reward": 1.0, "object_reward": 5.0, "balanced": True}),
        }
    )

    kind: Literal["Harlow-v0"] = "Harlow-v0"
    trials: int = Field(default=6, ge=1)
    """trials of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    code: Annotated[Code, BeforeValidator(one_of(Code))] = "bits"
    """how a cell shows an object"""
    bits: int = Field(default=8, ge=1, le=30)
    """numbers of +1 and -1 of an object"""
    fixation_reward: float = Field(default=0.2, ge=0)
    """for coming to the cross"""
    object_reward: float = Field(default=1.0, gt=0)
    """for the right object; the other costs as much"""
    balanced: bool = False
    """the right object is left in 3 of 6 trials, in random order; else by a coin"""
    longest_trial: int = Field(default=50, ge=12)
    """steps after which a trial ends; the farthest cross and an object are 11 steps away"""

    @property
    def width(self) -> int:
        """W, numbers that show a cell."""
        return 1 if self.code == "scalar" else self.bits + 1

    @property
    def spec(self) -> TaskSpec:
        """The ceiling by (1)."""
        chance = random_walk(self.trials, self.longest_trial)
        ceiling = (self.trials - 0.5) / self.trials
        return self.describe(
            {f"cell_{cell:+d}": self.width for cell in range(-REACH, REACH + 1)},
            2,
            trial_steps=self.longest_trial,
            chance=chance,
            ceiling=ceiling,
            oracle=1.0,
            criterion=chance + (ceiling - chance) * 5 / 6,
            reward_range=(-self.object_reward, max(self.object_reward, self.fixation_reward)),
            action_names=("left", "right"),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Pair:
        """Two different objects."""
        scalar = self.code == "scalar"
        number = distinct(rng.fold(key, 0), IDS if scalar else 2**self.bits, 2)
        first = rng.below(rng.word(rng.fold(key, 1), 0), 2)
        number = torch.where(first[..., None] == 0, number, number.flip(-1))
        nothing = torch.zeros(*key.shape, 2, self.width, device=key.device)
        nothing[..., 1, 0] = 1.0
        if scalar:
            looks = (number[..., None] + 1).to(torch.float32) / (IDS + 1)
        else:
            looks = torch.nn.functional.pad(codes(number, self.bits), (1, 0))
        looks = torch.cat((nothing, looks), -2)
        return Pair(looks, rng.fold(key, 2))

    def begin(self, key: Int[Tensor, "*B"], life: Pair, trial: Int[Tensor, "*B"], before: Line | None) -> Line:
        """The cross again; the gaze stays where it is, at birth 1 to 3 cells from the cross."""
        words = rng.words(key, 2)
        right = rng.below(words[..., 0], 2)
        if self.balanced:
            order = rng.permutation(rng.fold(life.sides, trial // 6), 6)
            right = (order.gather(-1, (trial % 6)[..., None]).squeeze(-1) < 3).to(torch.int64)
        if before is None:
            drawn = rng.below(words[..., 1], 2 * APART)
            gaze = CROSS - APART + drawn + (drawn >= APART)
            return Line(gaze, torch.zeros_like(gaze), right)
        return Line(before.gaze.clone(), torch.zeros_like(right), right)

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Line, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Move the gaze; what it comes to pays."""
        del key, life, step
        gaze = look_up(_AROUND, world.gaze + 2 * action, torch.int64)
        fixates = (world.fixated == 0) & (gaze == CROSS)
        away = gaze - CROSS
        chooses = (world.fixated == 1) & (away.abs() == APART)
        wins = chooses & ((away > 0) == (world.right == 1))
        paid = torch.where(chooses, torch.where(wins, self.object_reward, -self.object_reward), 0.0)
        reward = torch.where(fixates, self.fixation_reward, paid).to(torch.float32)
        line = Line(gaze, world.fixated | fixates.to(torch.int64), world.right)
        return Happening(line, reward, chooses, wins.to(torch.float32), wins.to(torch.int64))

    def look(self, life: Pair, world: Line, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """The cells around the gaze; empty ones are 0."""
        del step
        stage = world.fixated * (1 + world.right)
        first = world.gaze + stage * (CELLS + 2 * REACH)
        cells = first[..., None] + torch.arange(2 * REACH + 1, device=first.device)
        content = look_up(_CONTENT, cells, torch.int64)
        lane = torch.arange(first.numel(), device=first.device).reshape(*first.shape, 1)
        rows = life.looks.reshape(-1, self.width).index_select(0, (content + 4 * lane).reshape(-1))
        return rows.reshape(*first.shape, -1)

    def target(self, life: Pair, world: Line) -> Int[Tensor, "*B"]:
        """Towards the cross by the shorter way, then towards the right object."""
        del life
        to_cross = (world.gaze <= CROSS).to(torch.int64)
        return torch.where(world.fixated == 1, world.right, to_cross)


@lru_cache
def random_walk(trials: int, longest: int) -> float:
    """Mean probability that a random walk chooses the right object in a trial of at most so many steps."""
    start = np.zeros(CELLS)
    start[[CROSS + away for away in range(-APART, APART + 1) if away]] = 1 / (2 * APART)
    total = 0.0
    for _ in range(trials):
        seeking, fixated, chosen = start, np.zeros(CELLS), np.zeros(CELLS)
        for _ in range(longest):
            seeking, fixated = ((np.roll(p, 1) + np.roll(p, -1)) / 2 for p in (seeking, fixated))
            fixated[CROSS] += seeking[CROSS]
            seeking[CROSS] = 0.0
            for cell in (CROSS - APART, CROSS + APART):
                chosen[cell] += fixated[cell]
                fixated[cell] = 0.0
        total += chosen.sum() / 2
        start = seeking + fixated + chosen
    return float(total / trials)
