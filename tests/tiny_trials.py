"""A small task of whole trials, and lives in it, for the tests of the inner loop."""

from typing import Literal

import torch

from metaplastic import rng
from metaplastic.core import Judgement, Record, Task, TaskSpec, TrialBatch, Values
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.trial_life import live_trials
from metaplastic.inner_loop.trial_plan import TrialPlan, make_plan

KEY = rng.fold(rng.root(7), 3)


class TinyTrials(Task):
    """Gaussian inputs at every step; the first output should be the trial's level, which is one of two, at its end."""

    kind: Literal["tiny_trials"] = "tiny_trials"
    trials: int = 4
    test_trials: int = 2
    inputs: int = 3
    outputs: int = 2
    steps: int = 9
    dt: float = 1.0

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec("Tiny-v0", {}, self.inputs, self.outputs, "readout", self.dt, self.steps, 2, 0.3, 1.0, 0.9)

    def render(self, lifetime, trial, seed=0) -> TrialBatch:
        key = rng.trial_keys(rng.lifetime_keys(seed, lifetime), trial)
        x = rng.normals(key, self.steps, self.inputs).transpose(0, 1)
        kind = rng.below(rng.words(rng.fold(key, 9), 1)[..., 0], 2)
        y = (kind - 0.5).expand(self.steps, -1)[..., None].repeat(1, 1, self.outputs)
        w = torch.zeros(self.steps, len(lifetime))
        w[-2:] = 0.5
        return TrialBatch(x, y, w, torch.zeros_like(w, dtype=torch.int64), kind)

    def judge(self, output, batch) -> Judgement:
        distance = (output[..., 0] - batch.y[:, None, :, 0]).abs() * batch.w[:, None]
        error = distance.sum(0)
        return Judgement(-error, torch.exp(-error), (error < 0.5).to(error))


def formula(update: str, **settings) -> FormulaRule:
    """A formula rule; `parameters` may hold `Values`."""
    parameters = settings.pop("parameters", {})
    plain = {name: 1.0 if isinstance(value, Values) else value for name, value in parameters.items()}
    rule = FormulaRule(update=update, parameters=plain, **settings)
    return rule.model_copy(update={"parameters": parameters})


def with_numbers(network: RateRNN, **numbers: Values) -> RateRNN:
    """The network with expressed genes in the places of numbers."""
    return network.model_copy(update=numbers)


def plan(network, rule, task=None, *, individuals=2, lifetimes=3, first=0, dtype=torch.float32) -> TrialPlan:
    """The plan of P × L lives in the tiny task."""
    return make_plan(
        network,
        rule,
        Reward(),
        RunningAverage(),
        task or TinyTrials(),
        individuals,
        torch.arange(first, first + lifetimes),
        KEY,
        dtype=dtype,
    )


def live(network, rule, task=None, *, individuals=2, lifetimes=3, first=0, **options) -> Record:
    """P × L lives in the tiny task, in PyTorch if nothing else is asked for."""
    lifetime = torch.arange(first, first + lifetimes)
    critic = options.pop("critic", RunningAverage())
    return live_trials(
        network,
        rule,
        options.pop("objective", Reward()),
        Greedy(),
        critic,
        task or TinyTrials(),
        individuals=individuals,
        lifetime=lifetime,
        key=KEY,
        **{"backend": "torch", **options},
    )
