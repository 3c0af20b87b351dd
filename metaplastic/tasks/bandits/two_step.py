"""The two-step task (Daw et al. 2011), in the form that meta-learners are given (Wang et al. 2018; Miller et al. 2017).

Stage 1: an action a leads to second-stage state s = a with probability `common`, else to the other. Stage 2: the state
pays 1 or nothing. An agent that knows the transitions stays after a rewarded common or an unrewarded rare transition;
one that does not stays after any reward.

    reversal  state s pays with `good` if it is the good one, else with `bad`, whatever the second action; which state
              is good changes with probability `reversal` before each trial
    walk      each of the two second-stage actions in each state pays with a probability of its own, which starts from
              U(.25, .75) and takes Gaussian steps of `drift` before each trial, reflected at .25 and .75

`wang18` is simulation 4 of Wang et al. 2018: two steps a trial, .8 common, .9 and .1, reversals at .025, 100 trials.
`wang16` is the earlier form: .75, the good state fixed, 10 trials. `daw` is Daw et al. 2011: .7 common, walks of .025.
With `one_action` the second stage needs no action: a trial is one step, which shows where the last one led. What can
be earned is in `two_step_values.py`, stay probabilities in `two_step_analysis.py`.

Probabilities of reward are kept on the grid of 2^-24, on which a walk is exact: the same bits on every device.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.bandits import two_step_values as values
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.worlds import Happening, WorldTask

Payment = Literal["reversal", "walk"]
_GRID = 2.0**24


class Stage(NamedTuple):
    """Where an agent is."""

    place: Int[Tensor, "*B"]
    """0 first stage, 1 or 2 a state of the second"""
    choice: Int[Tensor, "*B"]
    """the action of the first stage"""
    pays: Float[Tensor, "*B 4"]
    """probability of reward of state 0 with second action 0 and 1, then of state 1"""


class TwoStep(WorldTask):
    """Choose, be led to one of two states, be paid there or not; where it pays changes."""

    references = (
        "Daw et al. 2011, Model-based influences on humans' choices and striatal prediction errors, Neuron 69:1204",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
        "Miller, Botvinick & Brody 2017, Dorsal hippocampus contributes to model-based planning, Nat Neurosci 20:1269",
    )
    tags = ("meta-learning", "reward", "two-step")
    presets = MappingProxyType(
        {
            "wang18": MappingProxyType({}),
            "wang16": MappingProxyType({"common": 0.75, "reversal": 0.0, "trials": 10}),
            "daw": MappingProxyType({"common": 0.7, "payment": "walk", "trials": 200}),
        }
    )

    kind: Literal["TwoStep-v0"] = "TwoStep-v0"
    trials: int = Field(default=100, ge=1)
    """trials of a lifetime in which a learner may learn"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    common: float = Field(default=0.8, ge=0.5, le=1)
    """probability that action a leads to state a"""
    payment: Annotated[Payment, BeforeValidator(one_of(Payment))] = "reversal"
    """how rewards change: the good state changes places, or four probabilities walk"""
    good: float = Field(default=0.9, ge=0, le=1)
    """probability of reward in the good state (reversal)"""
    bad: float = Field(default=0.1, ge=0, le=1)
    """and in the other"""
    reversal: float = Field(default=0.025, ge=0, le=1)
    """probability that the good state changes places before a trial"""
    drift: float = Field(default=0.025, gt=0, le=0.1)
    """standard deviation of a walk's step (walk)"""
    one_action: bool = False
    """the second stage is passed without an action"""

    @model_validator(mode="after")
    def _chooses_twice(self) -> TwoStep:
        if self.one_action and self.payment == "walk":
            raise wrong("one_action is true with payment walk, whose second stage needs a choice; wanted false")
        if self.good <= self.bad:
            raise wrong(f"good is {self.good:g}, wanted more than bad = {self.bad:g}")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance: any action alike. The ceiling is exact knowledge where no ideal observer is computed."""
        ruled = (self.common, self.good, self.bad)
        chance, oracle = values.WALK_CHANCE, values.walk_oracle(self.common)
        ceiling = oracle
        if self.payment == "reversal":
            chance, oracle = (self.good + self.bad) / 2, values.reversal_oracle(*ruled)
            ceiling = values.reversal_ceiling(*ruled, self.reversal, self.trials)
        return self.describe(
            {"stage": 3},
            2,
            trial_steps=1 if self.one_action else 2,
            chance=chance,
            ceiling=ceiling,
            oracle=oracle,
            criterion=chance + (ceiling - chance) / 2,
            action_names=("first", "second"),
        )

    def begin(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"], before: Stage | None) -> Stage:
        """The first stage; what pays may have changed."""
        del life, trial
        if before is None:
            zero = torch.zeros_like(key)
            return Stage(zero, zero, self._first_payment(key))
        place = before.place if self.one_action else torch.zeros_like(before.place)
        return Stage(place, torch.zeros_like(before.choice), self._next_payment(key, before.pays))

    def _first_payment(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B 4"]:
        if self.payment == "walk":
            return values.LOW + rng.uniforms(key, 4).mul(_GRID / 2).floor() / _GRID
        second = rng.below(rng.word(key, 0), 2)[..., None] == 1
        state = torch.arange(4, device=key.device) >= 2
        return torch.where(state == second, rng.grid(self.good), rng.grid(self.bad))

    def _next_payment(self, key: Int[Tensor, "*B"], pays: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 4"]:
        if self.payment == "reversal":
            flips = rng.coin(rng.word(key, 1), self.reversal)
            return torch.where(flips[..., None], pays.roll(2, -1), pays)
        step = rng.normal_int(rng.words(key, 4)).mul(self.drift * _GRID).round() / _GRID
        free = pays + step
        below = torch.where(free < values.LOW, 2 * values.LOW - free, free)
        return torch.where(below > values.HIGH, 2 * values.HIGH - below, below)

    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Stage, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Go to the second stage; be paid on leaving it."""
        del life
        words = rng.words(key, 2)
        led = action ^ (~rng.coin(words[..., 0], self.common)).to(torch.int64)
        leaves = torch.ones_like(step, dtype=torch.bool) if self.one_action else step == 1
        state = led if self.one_action else (world.place - 1).clamp(min=0)
        choice = action if self.one_action else world.choice
        first, second = world.pays[..., :2], world.pays[..., 2:]
        here = torch.where(state[..., None] == 0, first, second)
        pays = torch.where(action == 0, here[..., 0], here[..., 1])
        reward = (rng.coin(words[..., 1], pays) & leaves).to(torch.float32)
        best = torch.where(leaves, here.amax(-1), 0.0)
        place = torch.where(leaves, state + 1 if self.one_action else 0, led + 1)
        right = (choice == self._leads_to_more(world)).to(torch.int64)
        return Happening(
            Stage(place, torch.where(leaves, choice, action), world.pays), reward, leaves, reward, right, best
        )

    def look(self, life: Any, world: Stage, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 3"]:
        """Which stage and state; with `one_action` the state that was reached last."""
        del life, step
        return one_hot(world.place, 3)

    def target(self, life: Any, world: Stage) -> Int[Tensor, "*B"]:
        """First the action whose common transition leads where more can be earned, then the action that pays more."""
        del life
        first = self._leads_to_more(world)
        if self.one_action or self.payment == "reversal":
            return first
        state = world.place == 2
        second = torch.where(state, world.pays[..., 3] > world.pays[..., 2], world.pays[..., 1] > world.pays[..., 0])
        return torch.where(world.place == 0, first, second.to(torch.int64))

    def _leads_to_more(self, world: Stage) -> Int[Tensor, "*B"]:
        return (world.pays[..., 2:].amax(-1) > world.pays[..., :2].amax(-1)).to(torch.int64)
