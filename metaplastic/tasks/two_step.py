"""The two-step task (Daw et al. 2011), in the form that meta-learners are given (Wang et al. 2018; Miller et al. 2017).

Stage 1: an action a leads to second-stage state s = a with probability `common`, else to the other. Stage 2: the state
pays 1 with probability `good` if it is the good one, else with `bad`; the good state changes places with probability
`reversal` before each trial. An agent that knows the transitions stays after a rewarded common or an unrewarded rare
transition; one that does not stays after any reward.

    best expected reward = common good + (1 - common) bad                                                        (1)

`wang18` is simulation 4 of Wang et al. 2018: two steps a trial, .8 common, .9 and .1, reversals at .025, 100 trials.
With `one_action` the second stage needs no action: a trial is one step, which shows where the last one led.
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


class Stage(NamedTuple):
    """Where an agent is."""

    place: Int[Tensor, "*B"]
    """0 first stage, 1 or 2 a state of the second"""
    good: Int[Tensor, "*B"]
    """the good state, 0 or 1"""
    choice: Int[Tensor, "*B"]
    """the action of the first stage"""


class TwoStep(WorldTask):
    """Choose, be led to one of two states, be paid there or not; which state is good changes."""

    references = (
        "Daw et al. 2011, Model-based influences on humans' choices and striatal prediction errors, Neuron 69:1204",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
        "Miller, Botvinick & Brody 2017, Dorsal hippocampus contributes to model-based planning, Nat Neurosci 20:1269",
    )
    tags = ("meta-learning", "reward", "two-step")
    presets = MappingProxyType({"wang18": MappingProxyType({})})

    kind: Literal["TwoStep-v0"] = "TwoStep-v0"
    trials: int = Field(default=100, ge=1)
    """trials of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    common: float = Field(default=0.8, ge=0.5, le=1)
    """probability that action a leads to state a"""
    good: float = Field(default=0.9, ge=0, le=1)
    """probability of reward in the good state"""
    bad: float = Field(default=0.1, ge=0, le=1)
    """and in the other"""
    reversal: float = Field(default=0.025, ge=0, le=1)
    """probability that the good state changes places before a trial"""
    one_action: bool = False
    """the second stage is passed without an action"""

    @property
    def spec(self) -> TaskSpec:
        """Chance: any action alike; oracle by (1). The ceiling is the oracle's, which no learner reaches."""
        chance = (self.good + self.bad) / 2
        best = self.common * self.good + (1 - self.common) * self.bad
        return self.describe(
            {"stage": 3},
            2,
            trial_steps=1 if self.one_action else 2,
            chance=chance,
            ceiling=best,
            oracle=best,
            criterion=chance + (best - chance) / 2,
            action_names=("first", "second"),
        )

    def begin(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"], before: Stage | None) -> Stage:
        """The first stage; the good state may have changed."""
        del life, trial
        words = rng.words(key, 2)
        if before is None:
            good = rng.below(words[..., 0], 2)
            return Stage(torch.zeros_like(good), good, torch.zeros_like(good))
        flips = rng.coin(words[..., 1], self.reversal).to(torch.int64)
        place = before.place if self.one_action else torch.zeros_like(before.place)
        return Stage(place, before.good ^ flips, torch.zeros_like(before.choice))

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Stage, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Go to the second stage; be paid on leaving it."""
        del life
        words = rng.words(key, 2)
        led = action ^ (~rng.coin(words[..., 0], self.common)).to(torch.int64)
        leaves = torch.ones_like(step, dtype=torch.bool) if self.one_action else step == 1
        state = led if self.one_action else world.place - 1
        choice = action if self.one_action else world.choice
        is_good = state == world.good
        paid = torch.where(is_good, rng.coin(words[..., 1], self.good), rng.coin(words[..., 1], self.bad))
        reward = (paid & leaves).to(torch.float32)
        best = torch.where(leaves, torch.where(is_good, self.good, self.bad), 0.0)
        place = torch.where(leaves, state + 1 if self.one_action else 0, led + 1)
        kept = Stage(place, world.good, torch.where(leaves, choice, action))
        return Happening(kept, reward, leaves, reward, (choice == world.good).to(torch.int64), best)

    def look(self, life: Any, world: Stage, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 3"]:
        """Which stage and state; with `one_action` the state that was reached last."""
        del life, step
        return one_hot(world.place, 3)

    def target(self, life: Any, world: Stage) -> Int[Tensor, "*B"]:
        """The action whose common transition leads to the good state."""
        del life
        return world.good
