"""Advantage actor-critic: agents are trained over many episodes by the gradient of their return (A2C).

    R_t = sum_{i<k} gamma^i r_{t+i} + gamma^k V(s_{t+k})                                                     (1)
    A_t = R_t - V_t                                                                                          (2)
    L = sum_t [ -log pi(a_t) A_t + w_V 1/2 (R_t - V_t)^2 - w_H H(pi_t) ]                                     (3)

with k steps to the end of the unroll (V is 0 after an episode's end), no gradient through A in the policy's term, a sum
over steps and the mean over episodes.

Mnih et al. 2016; Wang et al. 2018, Methods. With K value channels the second term is the expectile loss
w_V sum_k |tau_k - 1{R_t < V_k}| (R_t - V_k)^2 / K, tau_k = (k + 1/2) / K, and V their mean (Dabney et al. 2020);
K = 1 is (3) itself. Costs of the objective are added to (3): energy is 1/2 |h_t|^2, homeostasis 1/2 |m - target|^2 with
m the mean of |h| over the steps and episodes of an update.

The defaults are what trains fast when many episodes run side by side: Adam, rates that fall to 0, entropy that is
annealed. Wang et al. 2018 used RMSProp at 7e-4, gamma .9, w_V .05, w_H .05.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from metaplastic.core import Number, Rule
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.agents.agent import Agents
from metaplastic.inner_loop.agents.cells import Unrolled
from metaplastic.inner_loop.agents.rollout import Lived


class A2C(Rule):
    """Descends L = sum_t [-log pi A + w_V (R - V)^2 / 2 - w_H H(pi)] over whole episodes (Mnih et al. 2016)."""

    references = (
        "Mnih et al. 2016, Asynchronous methods for deep reinforcement learning, arXiv:1602.01783",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    networks = ("lstm", "gru")
    kind: Literal["a2c"] = "a2c"
    updates: Annotated[int, Field(ge=0)] = 3000
    """gradient steps of a life; 0: as born"""
    batch: Annotated[int, Field(ge=1)] = 64
    """episodes that run side by side in each"""
    unroll: Annotated[int, Field(ge=1)] | None = None
    """steps between two gradient steps within an episode; absent: the whole episode"""
    optimiser: Annotated[Option, Options("adam", "rmsprop")] = "adam"
    """how the gradient moves the weights"""
    learning_rate: Annotated[Number, Evolves(0)] = 2e-3
    """at the start"""
    learning_rate_end: Annotated[Number, Evolves(0, 1)] = 0.0
    """fraction of it that is left at the end, on a straight line"""
    discount: Annotated[Number, Evolves(0, 1)] = 0.9
    """gamma"""
    value_weight: Annotated[Number, Evolves(0)] = 0.05
    """w_V"""
    entropy: Annotated[Number, Evolves(0)] = 0.05
    """w_H at the start"""
    entropy_end: Annotated[Number, Evolves(0, 1)] = 0.0
    """fraction of it that is left at the end, on a straight line"""
    clip: Annotated[Number, Evolves(0, above=True)] = 1.0
    """largest norm of an agent's gradient"""

    def reads(self) -> frozenset[str]:
        """The gradient of a network with respect to all its weights."""
        return frozenset({"gradient"})


class Settings(NamedTuple):
    """The numbers of the rule at one update, one an agent."""

    discount: Float[Tensor, " P"]
    value_weight: Float[Tensor, " P"]
    entropy: Float[Tensor, " P"]
    energy: Float[Tensor, " P"]
    homeostasis: Float[Tensor, " P"]
    target: Float[Tensor, " P"]


class Loss(NamedTuple):
    """The parts of (3), one an agent; `total` is what is descended."""

    total: Float[Tensor, " P"]
    policy: Float[Tensor, " P"]
    value: Float[Tensor, " P"]
    entropy: Float[Tensor, " P"]


def returns(
    reward: Float[Tensor, "T P B"], discount: Float[Tensor, " P"], after: Float[Tensor, "P B"] | None
) -> Float[Tensor, "T P B"]:
    """Equation (1); `after` is V at step T, None where the episodes end there."""
    coming = torch.zeros_like(reward[0]) if after is None else after
    rows: list[Any] = [None] * len(reward)
    for step in reversed(range(len(reward))):
        coming = torch.addcmul(reward[step], discount[:, None], coming)
        rows[step] = coming
    return torch.stack(rows)


def loss(agents: Agents, lived: Lived, settings: Settings, *, first: bool = True) -> Loss:
    """Equation (3), differentiable by `agents.weights`; `first`: the steps are the first of their episodes."""
    hidden = unrolled(agents, lived, first=first)
    heads = {}
    for core, h in zip(agents.cores, hidden, strict=True):
        weight, bias = agents.parameter(f"{core.name}.head.weight"), agents.parameter(f"{core.name}.head.bias")
        out = torch.baddbmm(bias[:, None], h.flatten(1, 2), weight.mT).unflatten(1, h.shape[1:3])
        heads |= {name: out[..., start:end] for name, (start, end) in core.heads.items()}
    after = None if lived.after is None else lived.after.mean(-1)
    target = returns(lived.reward, settings.discount, after).transpose(0, 1)  # [P, T, B], as the heads are
    alive = lived.alive.transpose(0, 1).to(target)
    log_chance = torch.log_softmax(heads["policy"], -1)
    chosen = log_chance.gather(-1, lived.action.transpose(0, 1)[..., None])[..., 0]
    value = heads["value"]
    advantage = (target - value.mean(-1)).detach()
    policy = -_mean(chosen * advantage * alive)
    entropy = -_mean((log_chance.exp() * log_chance).sum(-1) * alive)
    channels = value.shape[-1]
    miss = target[..., None] - value
    level = (torch.arange(channels, device=value.device) + 0.5) / channels
    tilt = torch.where(miss < 0, 1 - level, level)
    error = _mean((tilt * miss * miss).sum(-1) / channels * alive)
    total = policy + settings.value_weight * error - settings.entropy * entropy + _costs(hidden, alive, settings)
    return Loss(total, policy, error, entropy)


def unrolled(agents: Agents, lived: Lived, *, first: bool = True) -> list[Float[Tensor, "P T B H"]]:
    """The states of each core as functions of the weights."""
    states = []
    for core, tape in zip(agents.cores, lived.tapes, strict=True):
        weight, bias = agents.parameter(f"{core.name}.cell.weight"), agents.parameter(f"{core.name}.cell.bias")
        starts = [agents.parameter(f"{core.name}.first.{name}") for name in ("hidden", "cell")]
        if not (first and agents.learned_start):
            starts = [start.detach() for start in starts]
        states.append(Unrolled.apply(weight, bias, *starts, core.cell, tape))
    return states


def _mean(numbers: Float[Tensor, "P T B"]) -> Float[Tensor, " P"]:
    """Sum over steps, mean over episodes."""
    return numbers.sum((1, 2)) / numbers.shape[2]


def _costs(hidden: list[Tensor], alive: Tensor, settings: Settings) -> Float[Tensor, " P"] | float:
    """The objective's costs of activity."""
    total: Any = 0.0
    if settings.energy.any():
        total = total + settings.energy * sum(0.5 * _mean(h.square().sum(-1) * alive) for h in hidden)
    if settings.homeostasis.any():
        for h in hidden:
            mean = (h.abs() * alive[..., None]).sum((1, 2)) / alive.sum((1, 2)).clamp(min=1)[:, None]
            total = total + settings.homeostasis * 0.5 * (mean - settings.target[:, None]).square().sum(-1)
    return total
