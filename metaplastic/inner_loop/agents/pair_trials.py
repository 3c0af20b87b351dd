"""Trials of policy and value network pairs: rendered whole, decided step by step, judged by the task.

What is seen does not depend on what is done until a trial ends, and the policy network does not hear its own actions;
so its T steps are run at once, then all actions are drawn, and the first one that is not 0 is the answer. Steps after
it are not part of the trial. Lifetimes are [P, B], or [1, B] where all brains live the same trials.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task, TrialBatch
from metaplastic.inner_loop.agents.rollout import draw
from metaplastic.inner_loop.networks.modified_gru import Cells, Pair
from metaplastic.inner_loop.networks.modified_gru_run import Ran, run

SPEAKER, LISTENER = 0, 1
"""streams of noise: of the policy network and of the value network"""


class Decided(NamedTuple):
    """What P brains did in B trials."""

    batch: TrialBatch
    policy: Ran
    action: Int[Tensor, "T P B"]
    last: Int[Tensor, "P B"]
    """the step that ended the trial"""
    answer: Int[Tensor, "P B"]
    """the action there; 0: none was given"""
    reward: Float[Tensor, "P B"]
    score: Float[Tensor, "P B"]
    correct: Bool[Tensor, "P B"]
    in_time: Bool[Tensor, "P B"]
    """it was answered when an answer was due, or rightly not at all"""

    @property
    def valid(self) -> Bool[Tensor, "T P B"]:
        """The steps of the trials."""
        return torch.arange(len(self.action), device=self.last.device)[:, None, None] <= self.last

    @property
    def failed(self) -> Bool[Tensor, " P"]:
        """Brains whose outputs are not finite."""
        return ~self.policy.output.isfinite().all(-1).all(0).all(-1)


def decide(cells: Cells, task: Task, lifetime: Int[Tensor, "P_or_1 B"], trial: int, key: Int[Tensor, ""]) -> Decided:
    """Trial number `trial` of these lifetimes; differentiable by the weights through `policy.output`."""
    batch = task.render(lifetime, trial, key)
    x = batch.x.to(cells.weights)
    steps, lanes = len(x), (len(cells.weights), lifetime.shape[1])
    ran = run(cells, x, noise(key, lifetime, trial, SPEAKER, steps, cells.units).to(x))
    coins = rng.uniforms(rng.trial_keys(rng.lifetime_keys(key, lifetime, rng.POLICY), trial), steps)
    action = draw(ran.output.detach(), coins.movedim(-1, 0).to(x))
    within = torch.arange(steps, device=x.device)[:, None, None]
    length = torch.full_like(lifetime, steps) if batch.length is None else batch.length
    given = (action != 0) & (within < length)
    there = given.any(0)
    last = torch.where(there, given.to(torch.int8).argmax(0), (length - 1).expand(lanes))
    answer = torch.where(there, action.gather(0, last[None])[0], 0)
    # the answer alone is judged, as if it was held from its step on
    acts = torch.nn.functional.one_hot(torch.where(within >= last, answer, 0), task.spec.actions).to(x)
    judged = task.judge(acts, batch)
    right = judged.correct > 0.5
    in_time = (_due(task, batch, last) & there) | right
    return Decided(batch, ran, action, last, answer, judged.reward.to(x), judged.score.to(x), right, in_time)


def told_to_value(decided: Decided) -> Float[Tensor, "T P B X"]:
    """The policy network's rates and its last action; no gradient goes through them."""
    actions = decided.policy.output.shape[-1]
    code = torch.nn.functional.one_hot(decided.action[:-1], actions).to(decided.policy.rates)
    before = torch.cat((torch.zeros_like(decided.policy.output[:1]), code))
    return torch.cat((decided.policy.rates.detach(), before), -1)


def expect(pair: Pair, decided: Decided, lifetime: Int[Tensor, "P_or_1 B"], trial: int, key: Int[Tensor, ""]) -> Ran:
    """What the value network makes of these trials: `output` [T, P, B, 1] is V."""
    told = told_to_value(decided)
    xi = noise(key, lifetime, trial, LISTENER, len(told), pair.value.units)
    return run(pair.value, told, xi.to(told))


def noise(
    key: Tensor, lifetime: Int[Tensor, "P_or_1 B"], trial: int, stream: int, steps: int, units: int
) -> Float[Tensor, "T P_or_1 B N"]:
    """Standard normal numbers of a network in one trial."""
    own = rng.fold(rng.trial_keys(rng.lifetime_keys(key, lifetime, rng.NOISE), trial), stream)
    return rng.normals(own, steps, units).movedim(2, 0)


def _due(task: Any, batch: TrialBatch, last: Int[Tensor, "P B"]) -> Bool[Tensor, "P B"]:
    """Whether an answer was due at that step."""
    epoch = batch.epoch.expand(-1, *last.shape).gather(0, last[None])[0]
    names = getattr(task, "responses", ()) or task.spec.epochs
    due = torch.zeros_like(last, dtype=torch.bool)
    for number, name in enumerate(task.spec.epochs):
        if name in names:
            due = due | (epoch == number)
    return due
