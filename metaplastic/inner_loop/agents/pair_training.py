"""Training of policy and value network pairs, a population at once, until each brain meets the task's criterion.

Update n of brain p: the trials of lifetimes [n B, (n + 1) B) of the training stream, both losses of
`gradient/song17.py`, a step of the value network, a step of the policy network. Every `validate_every` updates all
brains live the trials of the validation stream; one that meets the criterion is done and its weights stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Objective, Task
from metaplastic.inner_loop.agents.pair_trials import Decided, decide, expect
from metaplastic.inner_loop.agents.training import TRAINING
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.gradient.optimisers import Adam, clipped
from metaplastic.inner_loop.gradient.song17 import Losses, Song17, credits, losses, returns, trials_of
from metaplastic.inner_loop.networks.modified_gru import Cells, Pair

VALIDATION = 0x7664
"""the stream of validation trials below a run's key"""
AT_ONCE = 1 << 24
"""numbers of the widest tensor of a run without gradient: more trials are run in turns"""


class Look(NamedTuple):
    """What a validation saw, one number a brain."""

    update: int
    """updates before it"""
    p_answered: Float[Tensor, " P"]
    p_correct: Float[Tensor, " P"]
    """of the answered"""
    reward: Float[Tensor, " P"]
    """mean of a trial"""
    met: Bool[Tensor, " P"]


class Update(NamedTuple):
    """What was seen of one update, one number a brain."""

    number: int
    score: Float[Tensor, " P"]
    reward: Float[Tensor, " P"]
    losses: Losses


class History(NamedTuple):
    """How it went."""

    updates: Int[Tensor, " P"]
    """gradient steps that each brain made"""
    trials: Int[Tensor, " P"]
    """trials that it learned from"""
    reached: Bool[Tensor, " P"]
    """it met the criterion"""
    looks: list[Look]
    score: Float[Tensor, "U P"]
    """of every update"""
    reward: Float[Tensor, "U P"]


Met = Callable[[Task, list[Decided]], Bool[Tensor, " P"]]
"""whether brains meet a criterion in these trials"""


def train(
    pair: Pair,
    rule: Song17,
    objective: Objective,
    task: Task,
    key: Int[Tensor, ""],
    *,
    streams: Int[Tensor, " P_or_1"] | None = None,
    met: Met | None = None,
    told: Callable[[Update | Look], None] | None = None,
) -> tuple[Pair, History]:
    """Trained brains (new weights) and how it went. `streams`: a number a brain, so that each has trials of its own;
    absent, all live the same ones. `met` stands in the place of the task's own criteria (`criteria_met`)."""
    people, like = len(pair.policy.weights), pair.policy.weights
    pair = Pair(*(cells._replace(weights=cells.weights.clone().requires_grad_()) for cells in pair))
    own = {**numbers(rule, people, like), "worth": numbers(objective, people, like)["weight"]}
    credit = str(rule.first_credit)
    optimisers = Pair(*(Adam(cells.weights.detach()) for cells in pair))  # pyright: ignore[reportArgumentType]
    learns = [_learned(pair.policy, "network"), _learned(pair.value, str(rule.baseline))]
    base = torch.zeros(1, dtype=torch.int64) if streams is None else streams
    base = base.to(like.device)[:, None] << 32
    batch, run_key = trials_of(rule, task), rng.fold(key, TRAINING)
    lane = torch.arange(batch, device=like.device)
    done = torch.zeros(people, dtype=torch.bool, device=like.device)
    made = torch.zeros(people, dtype=torch.int64, device=like.device)
    course = like.new_zeros(rule.updates, 2, people)  # one block: small ones of every update would pin memory
    lived = 0
    looks: list[Look] = []
    for number in range(rule.updates):
        if rule.validate_every and number and number % rule.validate_every == 0:
            looks.append(look(pair, rule, task, key, number, met))
            done = done | looks[-1].met
            if told is not None:
                told(looks[-1])
            if done.all():
                break
        made += ~done
        where = base + number * batch + lane, run_key, credit
        update = _update(pair, optimisers, learns, own, task, where, done, number)
        course[number], lived = torch.stack((update.score, update.reward)), number + 1
        if told is not None:
            told(update)
    if rule.validate_every and rule.updates and not done.all():
        looks.append(look(pair, rule, task, key, rule.updates, met))
        done = done | looks[-1].met
        if told is not None:
            told(looks[-1])
    trained = Pair(*(cells._replace(weights=cells.weights.detach()) for cells in pair))
    return trained, History(made, made * batch, done, looks, *course[:lived].unbind(1))


def _update(
    pair: Pair,
    optimisers: Any,
    learns: list[Tensor],
    own: dict[str, Tensor],
    task: Task,
    where: tuple[Int[Tensor, "P_or_1 B"], Tensor, str],
    done: Bool[Tensor, " P"],
    number: int,
) -> Update:
    """One batch of trials and a step of both networks; brains that are done stay."""
    lifetime, key, credit = where
    decided, parts = both_losses(pair, task, lifetime, key, own, credit)
    gradients = torch.autograd.grad(parts.policy.sum() + parts.value.sum(), [cells.weights for cells in pair])
    rates = own["learning_rate"], own["value_learning_rate"]
    for which in (1, 0):
        gradient = clipped(gradients[which] * learns[which], own["clip"])
        optimisers[which].step(pair[which].weights.data, gradient, rates[which] * ~done)
    return Update(number, decided.score.mean(1), decided.reward.mean(1), Losses(*(part.detach() for part in parts)))


def both_losses(
    pair: Pair,
    task: Task,
    lifetime: Int[Tensor, "P_or_1 B"],
    key: Int[Tensor, ""],
    own: dict[str, Tensor],
    first_credit: str = "own",
) -> tuple[Decided, Losses]:
    """Live trial 0 of these lifetimes; (2) and (3) of `song17.py`, differentiable by the weights of both networks."""
    decided = decide(pair.policy, task, lifetime, 0, key)
    value = expect(pair, decided, lifetime, 0, key).output[..., 0]
    reward = own["worth"][:, None] * decided.reward
    coming = returns(reward, decided.last, len(value), own["discount"])
    credit = credits(coming, decided.last, first_credit)
    return decided, losses(decided.policy.output, decided.action, value, coming, credit, decided.valid)


def _learned(cells: Cells, baseline: str) -> Float[Tensor, "P M"]:
    """1 for what learns: every synapse that is there, or the output's bias alone."""
    if baseline == "network":
        return cells.mask
    only = torch.zeros_like(cells.mask)
    cells.parameter("output.bias", only).fill_(1.0)
    return only


@torch.no_grad()
def look(pair: Pair, rule: Song17, task: Task, key: Int[Tensor, ""], update: int, met: Met | None = None) -> Look:
    """The validation after so many updates; its trials are the same for all brains, and new at every look."""
    lived = lives(pair.policy, task, torch.arange(rule.validation), 0, rng.fold(rng.fold(key, VALIDATION), update))
    answered, right = share_answered(lived), share_correct(lived)
    reward = torch.cat([one.reward for one in lived], 1).mean(1)
    reached = (met or criteria_met)(task, lived) & ~torch.stack([one.failed for one in lived]).any(0)
    return Look(update, answered, right, reward, reached)


def lives(cells: Cells, task: Task, lifetime: Int[Tensor, " B"], trial: int, key: Int[Tensor, ""]) -> list[Decided]:
    """Trials of the policy network, weights fixed, in turns that fit in memory."""
    size = task.spec.trial_steps * len(cells.weights) * 3 * cells.units
    turn = max(1, AT_ONCE // size)
    with torch.no_grad():
        return [decide(cells, task, some[None], trial, key) for some in lifetime.to(cells.weights.device).split(turn)]


def share_answered(lived: list[Decided]) -> Float[Tensor, " P"]:
    """Of all trials, those that were answered when an answer was due."""
    return torch.cat([one.in_time for one in lived], 1).to(lived[0].reward).mean(1)


def share_correct(lived: list[Decided]) -> Float[Tensor, " P"]:
    """Of those that were answered in time, the right ones; 0 where there are none."""
    right = torch.cat([one.correct & one.in_time for one in lived], 1).sum(1)
    return right / torch.cat([one.in_time for one in lived], 1).sum(1).clamp(min=1).to(lived[0].reward)


def criteria_met(task: Task, lived: list[Decided]) -> Bool[Tensor, " P"]:
    """The publication's criterion of the task, or the score that it calls learned."""
    found = {
        "p_answered": share_answered(lived),
        "p_correct": share_correct(lived),
        "score": torch.cat([one.score for one in lived], 1).mean(1),
    }
    wanted = [pair for pair in task.spec.criteria if pair[0] in found] or [("score", task.spec.criterion)]
    return torch.stack([found[name] >= least for name, least in wanted]).all(0)
