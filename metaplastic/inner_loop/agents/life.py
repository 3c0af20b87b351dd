"""Lives of recurrent agents as experiments live them: trained over many episodes, frozen, then tested.

    born -> `rule.updates` gradient steps on episodes of the training stream -> weights fixed -> L test episodes

The L lifetimes of a record are the test episodes: `score` is that of their test trials, `curve` the learning within
them, which happens in the activity alone. With the rule `fixed` agents are tested as they were born.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Objective, Record, Rule, Task
from metaplastic.inner_loop.agents.agent import Agents, born
from metaplastic.inner_loop.agents.observation import AGENT_RECORDS, observe
from metaplastic.inner_loop.agents.pair_life import live_pairs
from metaplastic.inner_loop.agents.rollout import Actor, Lived
from metaplastic.inner_loop.agents.training import History, train
from metaplastic.inner_loop.decision_plan import BLOCKS, numbers
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import Gated
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.inner_loop.recording import requests
from metaplastic.inner_loop.rules.fixed import Fixed

UNTRAINED = A2C(updates=0)
"""what `fixed` means for an agent"""


def live_agents(
    network: Gated | ModifiedGRU,
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
    """P agents, trained, and tested in L episodes; all components are expressed.

    Raises:
        ConfigError: if the rule is neither `a2c` nor `fixed`, or a name of `record` is not known.
    """
    if isinstance(network, ModifiedGRU):
        return live_pairs(
            network, rule, objective, task,
            individuals=individuals, lifetime=lifetime, key=key, record=record, device=device, dtype=dtype,
        )  # fmt: skip
    wanted = requests(record, AGENT_RECORDS)
    if isinstance(rule, Fixed):
        rule = UNTRAINED
    if not isinstance(rule, A2C):
        raise ConfigError(f"rule is {rule.kind}, and network {network.kind} is trained by a2c (or fixed: as born)")
    key, lifetime = key.to(device), lifetime.to(device)
    agents = born(network, task, individuals, rng.fold(key, rng.INIT), dtype, device)
    agents, history = train(agents, rule, objective, task, key)
    discount = numbers(rule, individuals, agents.weights)["discount"]
    actor = Actor(agents, task, lifetime[None], key, discount)
    lived = actor.run(actor.world.steps)
    found = summary(task, lived, history)
    recordings = {name: value.data for name, value in observe(agents, lived, discount, tuple(wanted)).items()}
    return found._replace(recordings=recordings)


def summary(task: Task, lived: Lived, history: History) -> Record:
    """Scores of the test trials, the curve within an episode, and what training was like."""
    learning, ended = lived.trial < task.trials, lived.trial_end
    blocks = min(BLOCKS, task.trials)
    block = lived.trial.clamp(max=task.trials - 1) * blocks // task.trials
    curve = [_per_trial(lived.score, ended, learning & (block == number)) for number in range(blocks)]
    failed = ~lived.logits.isfinite().all(-1).all(0)
    whole = _per_trial(lived.score, ended, torch.ones_like(learning))
    test = _per_trial(lived.score, ended, ~learning) if task.test_trials else whole
    alive = lived.alive.sum(0).clamp(min=1)
    metrics = {
        "episode_score": whole,
        "episode_reward": lived.reward.sum(0),
        "regret": ((lived.best - lived.reward) * ended).sum(0),
        "steps": alive.to(whole),
        "activity": sum(tape.hidden[:, 1:].abs().mean((1, 3)) for tape in lived.tapes),
        "training_score": history.score[-1:].mean(0)[:, None].expand_as(whole) if len(history.update) else whole * 0,
    }
    broken = {name: torch.where(failed, torch.nan, value.to(whole)) for name, value in metrics.items()}
    return Record(torch.where(failed, torch.nan, test), torch.stack(curve, -1), broken, {})


def _per_trial(score: Float[Tensor, "T P L"], ended: Tensor, where: Tensor) -> Float[Tensor, "P L"]:
    """Mean score of the trials that ended there; 0 if none did."""
    return (score * where).sum(0) / (ended & where).sum(0).clamp(min=1)


def reborn(agents: Agents, key: Int[Tensor, "*P_or_1"], network: Gated, task: Task) -> Agents:
    """The same agents as they would be at birth: the untrained control."""
    return born(network, task, len(agents.weights), key, agents.weights.dtype, agents.weights.device)
