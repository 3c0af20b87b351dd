"""Inferred value: one of two targets pays, which one changes without a word, and only one is shown at a time.

A trial is a fixation cue, answered by the central action, and then one target, left or right alike, answered by the
action towards it: nothing is to be chosen. Any other action pays -1. The target pays 1 if its side is the rewarded one,
else 0. The rewarded side changes before a trial with probability `hazard`, once it has stayed for `shortest` trials. So
one outcome tells what both targets are worth from now on, also the one that has not been seen since:

    value of the other target = 1 - outcome                                                                       (1)

Simulation 3 of Wang et al. 2018 after Bromberg-Martin et al. 2010, whose monkeys' dopamine cells follow (1). The score
is 1 where both answers of a trial are right: 1/9 by chance; to know the rewarded side is of no use to a policy.

Departures: the parameters are ours (the paper's text has none); 40 trials a lifetime.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.worlds import Happening, WorldTask

ACTIONS = 3
"""centre, left, right"""


class Cue(NamedTuple):
    """Where a trial is."""

    place: Int[Tensor, "*B"]
    """what is shown: 0 fixation, 1 the left target, 2 the right one"""
    target: Int[Tensor, "*B"]
    """the trial's target, 1 or 2"""
    rewarded: Int[Tensor, "*B"]
    """the target that pays, 1 or 2"""
    since: Int[Tensor, "*B"]
    """trials since it last changed, or since birth"""
    fixated: Int[Tensor, "*B"]
    """1 if the fixation cue was answered right"""


class InferredValue(WorldTask):
    """Fixate, look at the target that is shown, be paid or not."""

    references = (
        "Bromberg-Martin et al. 2010, A pallidus-habenula-dopamine pathway signals inferred stimulus values, "
        "J Neurophysiol 104:1068",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    tags = ("meta-learning", "reward", "reversal")
    presets = MappingProxyType({"wang18": MappingProxyType({})})

    kind: Literal["InferredValue-v0"] = "InferredValue-v0"
    trials: int = Field(default=40, ge=1)
    """trials of a lifetime"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    hazard: float = Field(default=0.05, ge=0, le=1)
    """probability that the rewarded side changes before a trial"""
    shortest: int = Field(default=3, ge=1)
    """trials that a side is rewarded at least"""

    @property
    def spec(self) -> TaskSpec:
        """Both answers of a trial right: 1/9 by chance, always for who knows the rule."""
        chance = 1 / ACTIONS**2
        return self.describe(
            {"cue": 3},
            ACTIONS,
            trial_steps=2,
            chance=chance,
            ceiling=1.0,
            criterion=chance + (1 - chance) * 5 / 6,
            reward_range=(-1.0, 1.0),
            action_names=("centre", "left", "right"),
        )

    def begin(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"], before: Cue | None) -> Cue:
        """A target for later; the rewarded side may have changed."""
        del life, trial
        words = rng.words(key, 2)
        target, zero = 1 + rng.below(words[..., 0], 2), torch.zeros_like(key)
        if before is None:
            return Cue(zero, target, 1 + rng.below(words[..., 1], 2), zero, zero)
        changes = rng.coin(words[..., 1], self.hazard) & (before.since + 1 >= self.shortest)
        rewarded = torch.where(changes, 3 - before.rewarded, before.rewarded)
        return Cue(zero, target, rewarded, torch.where(changes, 0, before.since + 1), zero)

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Cue, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """The target comes on; it pays."""
        del key, life
        ends, is_right = step == 1, action == world.place
        pays = (ends & (world.target == world.rewarded)).to(torch.float32)
        reward = torch.where(is_right, pays, -1.0)
        right = (is_right & (world.fixated == 1)).to(torch.int64)
        cue = world._replace(place=world.target.clone(), fixated=is_right.to(torch.int64))
        return Happening(cue, reward, ends, right.to(torch.float32), right, pays)

    def look(self, life: Any, world: Cue, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 3"]:
        """The fixation cue or one target."""
        del life, step
        return one_hot(world.place, 3)

    def target(self, life: Any, world: Cue) -> Int[Tensor, "*B"]:
        """The answer to what is shown."""
        del life
        return world.place.clone()
