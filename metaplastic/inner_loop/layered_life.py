"""Lives of feedforward networks whose rule learns from minibatches of decisions (`rules/layered.py`).

Minibatch m of a life, all individuals and lifetimes at once:

    decisions m S … m S + S - 1 are answered with the same weights; actions, rewards, predictions            (1)
    top_error = sum_k omega_k dC_k / d output            the objective's errors of the answer                (2)
    W <- mask (W + change(lesson))                       the rule's mean change                              (3)

The test has the greedy policy and no plasticity. Outputs that are not finite have no score (NaN): a failed life.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Decisions, Objective, Record, Task
from metaplastic.inner_loop.consolidation.layered import begin, consolidated
from metaplastic.inner_loop.critics import Critic
from metaplastic.inner_loop.decision_plan import BLOCKS, numbers
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.networks.layers import Layer, Layers, born
from metaplastic.inner_loop.objectives import AnswerCost, Reward, terms_of
from metaplastic.inner_loop.policies import Policy, greedy
from metaplastic.inner_loop.recording import Tape
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson

RULE = 1_000
"""what K(INIT) is folded with for a rule's own birth: above every connection group's number"""
LEARNED = "learned_weights"
RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "action": (("batch", "individual", "lifetime", "decision"), ""),
    "reward": (("batch", "individual", "lifetime", "decision"), "reward"),
    "prediction": (("batch", "individual", "lifetime", "decision"), "reward"),
    "rpe": (("batch", "individual", "lifetime", "decision"), "reward"),
    "q": (("batch", "individual", "lifetime", "decision", "action"), "reward"),
    "weights": (("batch", "individual", "lifetime", "post", "pre"), ""),
    LEARNED: (("individual", "lifetime", "post", "pre"), ""),
}
"""what can be recorded of learning -> (dimensions, unit); weights are named weights.hidden …, as before the change"""


class Setting(NamedTuple):
    """Everything of a batch of lives that does not change."""

    task: Task
    rule: LayeredRule
    objective: Objective
    policy: type[Policy]
    policy_numbers: dict[str, Float[Tensor, " P"]]
    critic: type[Critic]
    critic_numbers: dict[str, Float[Tensor, " P"]]
    rule_numbers: dict[str, Float[Tensor, "P 1 1 1"]]
    reward_weight: Float[Tensor, " P"]
    lifetime: Int[Tensor, " L"]
    key: Int[Tensor, ""]


def live_layered(
    network: Feedforward,
    rule: LayeredRule,
    objective: Objective,
    policy: Policy,
    critic: Critic,
    task: Task,
    *,
    individuals: int,
    lifetime: Int[Tensor, " L"],
    key: Int[Tensor, ""],
    record: Sequence[str] = (),
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Record:
    """P × L lives of `task.trials` decisions, S at a time, and then the test; all components are expressed.

    Raises:
        ConfigError: as `rule.misfit` says.
    """
    like = torch.zeros((), dtype=dtype, device=device)
    lifetime = lifetime.to(device)
    terms = [numbers(term, individuals, like)["weight"] for term in terms_of(objective) if isinstance(term, Reward)]
    setting = Setting(
        task, rule, objective,
        type(policy), numbers(policy, individuals, like), type(critic), numbers(critic, individuals, like),
        {name: value[:, None, None, None] for name, value in numbers(rule, individuals, like).items()},
        sum(terms, like.new_zeros(individuals)), lifetime, key,
    )  # fmt: skip
    birth = rng.lifetime_keys(key, lifetime, rng.INIT)
    brains = network.birth(task.spec, individuals, birth, dtype, device)
    net = born(brains, str(network.activation), len(lifetime))
    state = rule.start(net, rng.fold(birth, RULE))
    tape = Tape(record, RECORDS)
    names = [group.name for group in brains.layout.connections]
    expected = like.new_zeros(individuals, len(lifetime), task.spec.trial_types)
    kept = _learn(setting, net, state, expected, tape, names)
    return _record(setting, *kept, tape, names)


def _learn(
    setting: Setting, net: Layers, state: dict[str, Tensor], expected: Tensor, tape: Tape, names: list[str]
) -> tuple[Layers, Tensor, Tensor, Tensor]:
    """All learning; the networks after it, and payoff, score and regret [trials, P, L] of every decision."""
    task, rule = setting.task, setting.rule
    payoffs, scores, regrets = [], [], []
    kept = begin(rule, net)
    for number, first in enumerate(range(0, task.trials - task.trials % rule.batch, rule.batch)):
        decisions = _decisions(setting, first, rule.batch, net.weights[0])
        lesson, expected = _lesson(setting, net, decisions, first, expected)
        _note(tape, number, net, lesson, names)
        changes, state = rule.change(net, state, lesson)
        changes, kept = consolidated(rule, setting.objective, net, changes, lesson, kept)
        pairs = zip(net.weights, changes, net.masks, strict=True)
        net = net._replace(weights=tuple((w + change) * mask for w, change, mask in pairs))
        payoff, score, regret = _judged(setting, decisions, lesson.output, lesson.action)
        payoffs.append(payoff)
        scores.append(score)
        regrets.append(regret)
    empty = net.weights[0].new_zeros(0, *net.weights[0].shape[:2])
    return net, torch.cat([empty, *payoffs]), torch.cat([empty, *scores]), torch.cat([empty, *regrets])


def _lesson(
    setting: Setting, net: Layers, decisions: Decisions, first: int, expected: Tensor
) -> tuple[Lesson, Float[Tensor, "P L kinds"]]:
    """A minibatch as it was lived, (1) and (2); and the critic's expectations after it."""
    x, payoff = decisions.observation.movedim(0, 1)[None], decisions.payoff.movedim(0, 1)[None]
    layers = setting.rule.answered(net, x, setting.rule_numbers)
    output = layers[-1].post
    count = x.shape[2]
    keys = rng.fold(
        rng.lifetime_keys(setting.key, setting.lifetime, rng.POLICY), torch.arange(first, first + count)[:, None]
    )
    u0, u1 = rng.uniform(rng.words(keys, 2)).to(output).movedim(0, 1).unbind(-1)
    explore = {name: value[:, None, None] for name, value in setting.policy_numbers.items()}
    action = setting.policy.choose(output, u0, u1, explore)
    paid = payoff.expand_as(output).gather(-1, action[..., None])[..., 0]
    reward = setting.reward_weight[:, None, None] * paid
    kind = decisions.kind.movedim(0, 1).expand_as(action)
    prediction = setting.critic.predict(output, action, expected.gather(-1, kind))
    if setting.critic.remembers:
        expected = _expect(expected, kind, reward, setting.critic_numbers["decay"])
    target = torch.nn.functional.one_hot(payoff.argmax(-1), output.shape[-1]).to(output)
    noise = rng.fold(rng.lifetime_keys(setting.key, setting.lifetime, rng.NOISE), first)
    top = top_error(setting.objective, output, target)
    return Lesson(
        x, layers, target, payoff, action, reward, prediction, top, setting.rule_numbers, noise, first
    ), expected


def top_error(
    objective: Objective, output: Float[Tensor, "P L S A"], target: Float[Tensor, "#P L S A"]
) -> Float[Tensor, "P L S A"] | None:
    """Equation (2), for each decision; None if the objective has no cost of the answer."""
    total = None
    for term in terms_of(objective):
        if isinstance(term, AnswerCost):
            weight = numbers(term, len(output), output)["weight"][:, None, None, None]
            error = weight * term.top_error(output, target)
            total = error if total is None else total + error
    return total


def _expect(expected: Tensor, kind: Tensor, reward: Tensor, decay: Tensor) -> Tensor:
    """The critic's running average of each trial type, decision after decision."""
    for s in range(kind.shape[-1]):
        place = kind[..., s : s + 1]
        follows = (
            decay[:, None, None] * expected.gather(-1, place) + (1 - decay[:, None, None]) * reward[..., s : s + 1]
        )
        expected = expected.scatter(-1, place, follows)
    return expected


def _decisions(setting: Setting, first: int, count: int, like: Tensor) -> Decisions:
    found = setting.task.decisions(setting.lifetime, first, count, setting.key)
    return Decisions(found[0].to(like), found[1].to(like), found[2].to(like), found.kind.to(like.device))


def _judged(
    setting: Setting, decisions: Decisions, output: Tensor, action: Tensor
) -> tuple[Float[Tensor, "S P L"], Float[Tensor, "S P L"], Float[Tensor, "S P L"]]:
    """Payoff, score and regret of each decision; no score where the answer is not finite."""
    payoff = decisions.payoff.movedim(0, 1)
    paid = payoff.expand_as(output).gather(-1, action[..., None])[..., 0]
    score = setting.task.score(payoff).expand_as(output).gather(-1, action[..., None])[..., 0]
    score = torch.where(output.isfinite().all(-1), score, torch.nan)
    regret = decisions.best.movedim(0, 1) - paid
    return tuple(part.movedim(-1, 0) for part in (paid, score, regret))  # pyright: ignore[reportReturnType]


def _note(tape: Tape, number: int, net: Layers, lesson: Lesson, names: list[str]) -> None:
    found = {
        "action": lesson.action,
        "reward": lesson.reward,
        "prediction": lesson.prediction,
        "rpe": lesson.reward - lesson.prediction,
        "q": lesson.output,
    }
    for name, value in found.items():
        if tape.wants(name, number):
            tape.keep(name, value)
    if tape.wants("weights", number):
        for name, w in zip(names, net.weights, strict=True):
            tape.keep(f"weights.{name}", w)


def _record(
    setting: Setting, net: Layers, payoff: Tensor, score: Tensor, regret: Tensor, tape: Tape, names: list[str]
) -> Record:
    """The test, and what came of it all; no test: the score is that of learning."""
    task = setting.task
    tested, activity = [(payoff, score)] if not task.test_trials else [], torch.zeros_like(net.weights[0][..., 0, 0])
    for first in range(task.trials, task.trials + task.test_trials, TEST_BATCH):
        count = min(TEST_BATCH, task.trials + task.test_trials - first)
        decisions = _decisions(setting, first, count, net.weights[0])
        layers = setting.rule.answered(net, decisions.observation.movedim(0, 1)[None], setting.rule_numbers)
        output = layers[-1].post
        tested.append(_judged(setting, decisions, output, greedy(output))[:2])
        activity = activity + _active(net, layers) * count / task.test_trials
    test_payoff, test_score = (torch.cat(parts) for parts in zip(*tested, strict=True))
    count = min(BLOCKS, len(score))
    block = torch.arange(len(score), device=score.device) * count // max(1, len(score))
    curve = [score[block == index].mean(0) for index in range(count)]
    metrics = {
        "test_reward": test_payoff.mean(0),
        "learning_reward": payoff.mean(0),
        "regret": regret.sum(0),
        "activity": activity,
    }
    recordings = tape.recordings()
    if LEARNED in tape.every:
        recordings |= {f"{LEARNED}.{name}": w for name, w in zip(names, net.weights, strict=True)}
    none = score.new_zeros(*activity.shape, 0)
    return Record(test_score.mean(0), torch.stack(curve, -1) if curve else none, metrics, recordings)


TEST_BATCH = 1_000
"""decisions of the test that are answered at once"""


def _active(net: Layers, layers: tuple[Layer, ...]) -> Float[Tensor, "P L"]:
    """Mean activity of the hidden neurons that exist (no hidden layer: 0)."""
    hidden = layers[:-1]
    if not hidden:
        return torch.zeros_like(net.weights[0][..., 0, 0])
    return sum((layer.post.mean(2).sum(-1) / net.exists(k).sum(-1)[:, 0] for k, layer in enumerate(hidden))) / len(
        hidden
    )  # pyright: ignore
