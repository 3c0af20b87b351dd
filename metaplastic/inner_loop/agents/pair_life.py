"""Lives of policy and value network pairs as experiments live them: trained over trials, frozen, then tested.

    born -> rule song17, until the criterion or `rule.updates` -> weights fixed -> the test trials of L lifetimes

Every trial is an episode of its own, so the trials of learning of a lifetime (`task.trials`) are not lived: learning is
over the trials of the training stream, and `curve` is its course, the same for all lifetimes. With the rule `fixed`
brains are tested as they were born.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Objective, Record, Rule, Task
from metaplastic.inner_loop.agents.pair_training import History, train
from metaplastic.inner_loop.agents.pair_trials import Decided, decide, expect
from metaplastic.inner_loop.decision_plan import BLOCKS
from metaplastic.inner_loop.gradient.song17 import Song17
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU, Pair, born
from metaplastic.inner_loop.recording import Tape
from metaplastic.inner_loop.rules.fixed import Fixed

TRIAL = ("trial", "individual", "lifetime")
STEP = ("trial", "step", "individual", "lifetime")
PAIR_RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "reward": (TRIAL, "reward"),
    "score": (TRIAL, ""),
    "answer": (TRIAL, ""),
    "last": (TRIAL, "step"),
    "observation": ((*STEP, "input"), ""),
    "logits": ((*STEP, "action"), ""),
    "rates": ((*STEP, "unit"), ""),
    "value": (STEP, "reward"),
    "value_rates": ((*STEP, "unit"), ""),
}
"""what can be recorded of the test trials -> (dimensions, unit); `last` is the step that ended a trial"""


def live_pairs(
    network: ModifiedGRU,
    rule: Rule,
    objective: Objective,
    task: Task,
    *,
    individuals: int,
    lifetime: Int[Tensor, " L"],
    key: Int[Tensor, ""],
    record: Sequence[str] = (),
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Record:
    """P brains, trained, and tested in the test trials of L lifetimes; all components are expressed.

    Raises:
        ConfigError: if the rule is neither `song17` nor `fixed`.
    """
    if isinstance(rule, Fixed):
        rule = Song17(updates=0)
    if not isinstance(rule, Song17):
        raise ConfigError(f"rule is {rule.kind}, and network {network.kind} is trained by song17 (or fixed: as born)")
    tape = Tape(record, PAIR_RECORDS)
    key, lifetime = key.to(device), lifetime.to(device)
    like = torch.zeros((), dtype=dtype, device=device)
    pair = born(network, task.spec, individuals, rng.fold(key, rng.INIT), like, task.spec.reward_range[0])
    if why := rule.misfit(objective, task):
        raise ConfigError(why)
    pair, history = train(pair, rule, objective, task, key)
    scores, rewards, answered = [], [], []
    with torch.no_grad():
        for trial in range(task.trials, task.trials + task.test_trials):
            decided = decide(pair.policy, task, lifetime[None], trial, key)
            scores.append(torch.where(decided.failed[:, None], torch.nan, decided.score))
            rewards.append(decided.reward)
            answered.append(decided.in_time.to(decided.score))
            _note(tape, pair, decided, lifetime, trial, key, trial - task.trials)
    test = torch.stack(scores).mean(0)
    metrics = {
        "test_reward": torch.stack(rewards).mean(0),
        "learning_reward": _mean(history.reward, test),
        "answered": torch.stack(answered).mean(0),
        "updates": history.updates.to(test)[:, None].expand_as(test),
        "training_trials": history.trials.to(test)[:, None].expand_as(test),
        "reached": history.reached.to(test)[:, None].expand_as(test),
    }
    return Record(test, _curve(history, test), metrics, tape.recordings())


def _note(tape: Tape, pair: Pair, decided: Decided, lifetime: Tensor, trial: int, key: Tensor, number: int) -> None:
    """Keep what was asked for of a test trial."""
    ran = None
    if any(tape.wants(name, number) for name in ("value", "value_rates")):
        ran = expect(pair, decided, lifetime[None], trial, key)
    made: dict[str, Callable[[], Tensor]] = {
        "reward": lambda: decided.reward,
        "score": lambda: decided.score,
        "answer": lambda: decided.answer,
        "last": lambda: decided.last,
        "observation": lambda: decided.batch.x.expand(-1, *decided.last.shape, -1),
        "logits": lambda: decided.policy.output,
        "rates": lambda: decided.policy.rates,
        "value": lambda: ran.output[..., 0] if ran else decided.score,
        "value_rates": lambda: ran.rates if ran else decided.score,
    }
    for name, make in made.items():
        if tape.wants(name, number):
            tape.keep(name, make())


def _mean(rows: Float[Tensor, "U P"], like: Float[Tensor, "P L"]) -> Float[Tensor, "P L"]:
    """Mean over updates; 0 if there were none."""
    return (rows.mean(0) if len(rows) else like.new_zeros(len(like)))[:, None].expand_as(like)


def _curve(history: History, like: Float[Tensor, "P L"]) -> Float[Tensor, "P L blocks"]:
    """Mean score of the training trials, in equal blocks of updates."""
    count = max(1, min(BLOCKS, len(history.score)))
    if not len(history.score):
        return like[..., None] * 0
    blocks = [rows.mean(0) for rows in history.score.tensor_split(count)]
    return torch.stack(blocks, -1)[:, None].expand(-1, like.shape[1], -1)
