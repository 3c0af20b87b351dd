"""Training: a population of agents lives batch after batch of episodes and descends the gradient after each.

Update n of agent p, its episodes [n B, (n + 1) B) of the training stream: live them, loss, gradient, clip, step, with
rate and entropy on straight lines from start to end. One backward pass gives every agent its own gradient, since the
loss of one does not depend on the weights of another. An agent with weights that are not finite is a failed life.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Objective, Task
from metaplastic.inner_loop.agents.agent import Agents
from metaplastic.inner_loop.agents.episodes import bare, compiled_step, in_blocks
from metaplastic.inner_loop.agents.rollout import Actor, Lived
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.gradient.actor_critic import A2C, Loss, Settings, loss, returns
from metaplastic.inner_loop.gradient.optimisers import OPTIMISERS, clipped
from metaplastic.inner_loop.objectives import Energy, Homeostasis, Reward, terms_of

TRAINING = 0x7261
"""the stream of training episodes below a run's key, apart from those of the test"""
POINTS = 100
"""of a training curve"""


class Update(NamedTuple):
    """What was seen of one update; one number an agent."""

    number: int
    score: Float[Tensor, " P"]
    """mean score of a trial"""
    reward: Float[Tensor, " P"]
    """mean reward of a step"""
    parts: Loss
    explained: Float[Tensor, " P"]
    """1 - var(R - V) / var(R): how much of the return the critic knows"""
    weights: Float[Tensor, "P N"]
    """after it; they go on changing in place, so who wants to keep them copies them"""


class History(NamedTuple):
    """A training in at most POINTS points, means over the updates between them."""

    update: list[int]
    score: Float[Tensor, "points P"]
    reward: Float[Tensor, "points P"]
    value_loss: Float[Tensor, "points P"]
    entropy: Float[Tensor, "points P"]
    explained: Float[Tensor, "points P"]


def train(
    agents: Agents,
    rule: A2C,
    objective: Objective,
    task: Task,
    key: Int[Tensor, ""],
    *,
    streams: Int[Tensor, " P_or_1"] | None = None,
    told: Callable[[Update], None] | None = None,
    compiled: bool = False,
) -> tuple[Agents, History]:
    """Trained agents (new weights) and how it went. `streams`: a number an agent, so that each has episodes of its own;
    absent, all live the same ones. `told` hears of every update;
    `compiled` compiles the steps of a task that is not drawn in blocks."""
    weights = agents.weights.clone().requires_grad_()
    agents = agents._replace(weights=weights)
    values = numbers(rule, len(weights), weights.detach())
    costs = _costs(objective, len(weights), weights.detach())
    optimiser = OPTIMISERS[str(rule.optimiser)](weights.detach())
    key = rng.fold(key, TRAINING)
    base = torch.zeros(1, dtype=torch.int64) if streams is None else streams
    own = base.to(weights.device)[:, None] << 32
    lane = torch.arange(rule.batch, device=weights.device)
    course = weights.detach().new_zeros(rule.updates, 5, len(weights))  # one block: 8 small ones an update pin memory
    room = None
    step = compiled_step(task) if compiled and not in_blocks(bare(task)) else None
    for number in range(rule.updates):
        progress = number / rule.updates
        rate = values["learning_rate"] * _line(values["learning_rate_end"], progress)
        entropy = values["entropy"] * _line(values["entropy_end"], progress)
        settings = Settings(values["discount"], values["value_weight"], entropy, *costs)
        actor = Actor(agents, task, own + number * rule.batch + lane, key, settings.discount, room=room, task_step=step)
        if room is None and not rule.unroll:
            room = agents.tapes(actor.world.steps, rule.batch)
        update = _live_and_learn(agents, actor, rule, settings, optimiser, rate, values["clip"], number)
        course[number] = torch.stack(
            (update.score, update.reward, update.parts.value, update.parts.entropy, update.explained)
        )
        if told is not None:
            told(update)
    return agents._replace(weights=weights.detach()), _history(course)


def _live_and_learn(
    agents: Agents, actor: Actor, rule: A2C, settings: Settings, optimiser: Any, rate: Tensor, clip: Tensor, number: int
) -> Update:
    """One batch of episodes, with a gradient step at the end of each unroll."""
    unroll = rule.unroll or actor.world.steps
    lived, parts = None, None
    for first in range(0, actor.world.steps, unroll):
        lived = actor.run(min(unroll, actor.world.steps - first))
        parts = loss(agents, lived, settings, first=first == 0)
        (gradient,) = torch.autograd.grad(parts.total.sum(), agents.weights)
        optimiser.step(agents.weights.data, clipped(gradient, clip), rate)
    assert lived is not None
    assert parts is not None
    return _noted(number, lived, Loss(*(part.detach() for part in parts)), settings, agents.weights.detach())


def _noted(number: int, lived: Lived, parts: Loss, settings: Settings, weights: Tensor) -> Update:
    trials = lived.trial_end.sum((0, 2)).clamp(min=1)
    steps = lived.alive.sum((0, 2)).clamp(min=1)
    return Update(
        number,
        lived.score.sum((0, 2)) / trials,
        lived.reward.sum((0, 2)) / steps,
        parts,
        _known(lived, settings),
        weights,
    )


def _known(lived: Lived, settings: Settings) -> Float[Tensor, " P"]:
    """1 - var(R - V) / var(R) over the steps of the last unroll."""
    value = lived.value.mean(-1)
    target = returns(lived.reward, settings.discount, None if lived.after is None else lived.after.mean(-1))
    total = target.transpose(0, 1).flatten(1).var(1)
    return 1 - (target - value).transpose(0, 1).flatten(1).var(1) / total.clamp(min=1e-12)


def _line(end: Tensor, progress: float) -> Tensor:
    """From 1 to `end`."""
    return 1 + (end - 1) * progress


def _costs(objective: Objective, agents: int, like: Tensor) -> list[Tensor]:
    """Weights of energy and homeostasis, and the target of the latter."""
    energy, homeostasis, target = (like.new_zeros(agents) for _ in range(3))
    for term in terms_of(objective):
        own = numbers(term, agents, like)
        if isinstance(term, Energy):
            energy = energy + own["weight"]
        elif isinstance(term, Homeostasis):
            homeostasis, target = homeostasis + own["weight"], own["target"]
        elif not isinstance(term, Reward):
            raise ConfigError(f"objective {term.kind} is not one that agents can be trained by")
    return [energy, homeostasis, target]


def _history(course: Float[Tensor, "updates 5 P"]) -> History:
    """Means over the updates of a point, of the columns in the order of `History`."""
    count = min(POINTS, len(course))
    edges = [len(course) * point // max(count, 1) for point in range(count + 1)]
    rows = [course[first:end].mean(0) for first, end in pairwise(edges)]
    columns = torch.stack(rows, 1) if rows else course.new_zeros(5, 0, course.shape[2])
    return History(edges[1:], *columns)
