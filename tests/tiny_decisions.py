"""A small task of one-step decisions, and lives in it, for the tests of the inner loop."""

from typing import Literal

import torch

from metaplastic import rng
from metaplastic.core import Component, Decisions, Task, TaskSpec
from metaplastic.inner_loop.critics import CRITICS
from metaplastic.inner_loop.decision_plan import Plan, make_plan
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.objectives import OBJECTIVES
from metaplastic.inner_loop.policies import POLICIES
from metaplastic.inner_loop.rules.formula_rule import FormulaRule

KEY = rng.fold(rng.root(7), 3)


class TinyTask(Task):
    """Gaussian observations; the payoff is 1 for the action whose input is the largest, or drawn, or equal for all."""

    kind: Literal["tiny"] = "tiny"
    trials: int = 6
    test_trials: int = 3
    inputs: int = 4
    actions: int = 3
    pays: Literal["largest", "drawn", "equal"] = "largest"
    silent: float = 0.0
    """fraction of inputs that are 0"""

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec("Tiny-v0", {}, self.inputs, self.actions, "each", 1.0, 1, 2, 1 / self.actions, 1.0, 0.9)

    def decisions(self, lifetime, first, count, seed=0) -> Decisions:
        key = seed if isinstance(seed, torch.Tensor) else rng.root(seed)
        keys = rng.fold(rng.fold(rng.fold(key, rng.TASK), lifetime), torch.arange(first, first + count)[:, None])
        seen = rng.normals(keys, self.inputs)
        observation = seen * (rng.uniforms(rng.fold(keys, 1), self.inputs) >= self.silent)
        payoff = rng.uniforms(rng.fold(keys, 2), self.actions)
        if self.pays == "largest":
            payoff = torch.nn.functional.one_hot(seen[..., : self.actions].argmax(-1), self.actions).float()
        if self.pays == "equal":
            payoff = payoff[..., :1].expand(-1, -1, self.actions)
        kind = rng.below(rng.words(rng.fold(keys, 3), 1)[..., 0], 2)
        return Decisions(observation, payoff, payoff.amax(-1), kind)


def formula(update: str, **settings) -> FormulaRule:
    """A formula rule; `parameters` may hold `Values`."""
    parameters = settings.pop("parameters", {})
    plain = {name: 1.0 if not isinstance(value, float) else value for name, value in parameters.items()}
    rule = FormulaRule(update=update, parameters=plain, **settings)
    return rule.model_copy(update={"parameters": parameters})


def component(room, given):
    """A component of a room, from its kind or from a mapping; itself, if it is one."""
    if isinstance(given, Component):
        return given
    data = {"kind": given} if isinstance(given, str) else given
    return room[data["kind"]].model_validate(data)


def plan(
    rule,
    network=None,
    task=None,
    *,
    objective="reward",
    policy="greedy",
    critic="action_value",
    individuals=1,
    lifetimes=1,
    first=0,
    dtype=torch.float32,
) -> Plan:
    """The plan of P × L tiny lives."""
    return make_plan(
        network or Feedforward(units=5),
        rule,
        component(OBJECTIVES, objective),
        component(POLICIES, policy),
        component(CRITICS, critic),
        task or TinyTask(),
        individuals,
        torch.arange(first, first + lifetimes),
        KEY,
        dtype=dtype,
    )
