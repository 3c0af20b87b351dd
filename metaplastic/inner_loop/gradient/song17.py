"""REINFORCE with a learned baseline: one network decides, another expects the reward (Song, Yang & Wang 2017).

    R_t = sum_{k >= t} gamma^(k - t) rho_k                              what is still to come                (1)
    L_policy = - mean_b sum_t log pi(a_t) (C_t - v_t)                   no gradient through v                (2)
    L_value = mean over all steps of all trials of (v_t - R_t)^2                                             (3)
    C_t = R_t, but C_0 = rho_0 (`first_credit: own`)                                                         (4)

t runs over the steps of a trial up to the one that ended it. v_t knows the policy network's rates up to t and the
actions before t, so it takes nothing from the mean of the gradient of (2) and much from its variance; the rates are
given to it as numbers, so (3) does not change the policy network. An update is one step of Adam on each loss, v first,
both gradients clipped; (2) takes v as it was before. `baseline: constant` learns the bias of v alone, one number for
every step of every trial.

(4) is what the authors' code does and the paper does not say: the first decision is credited with its own reward, -1 if
it breaks fixation and 0 else. Learning starts from it. At birth all actions are equally likely and no trial survives
fixation, so every R_t is -1, and so is v: every advantage is exactly 0 but that of waiting at the first step, 1.
With `first_credit: future`, where the mean of the gradient of (2) is that of the expected reward, nothing is learned.

Every trial is an episode: the state starts anew. Training ends after `updates`, or earlier, where `validation` trials,
every `validate_every` updates, meet the task's own criteria: that is the published protocol. Actions are drawn from
the policy at all times.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Number, Objective, Rule, Task
from metaplastic.fields import Evolves, Option, Options


class Song17(Rule):
    """Descends -sum_t log pi(a_t) (R_t - v_t), v a network of its own that descends (v_t - R_t)^2."""

    references = (
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
        "Williams 1992, Simple statistical gradient-following algorithms, Mach Learn 8:229",
    )
    networks = ("modified_gru",)
    kind: Literal["song17"] = "song17"
    updates: Annotated[int, Field(ge=0)] = 10_000
    """most gradient steps of a life; 0: as born"""
    batch: Annotated[int, Field(ge=1)] | None = None
    """trials of each; absent: as many as the task has trial types"""
    learning_rate: Annotated[Number, Evolves(0)] = 0.004
    """of the policy network"""
    value_learning_rate: Annotated[Number, Evolves(0)] = 0.004
    """of the value network"""
    clip: Annotated[Number, Evolves(0, above=True)] = 1.0
    """largest norm of each network's gradient"""
    discount: Annotated[Number, Evolves(0, 1)] = 1.0
    """gamma"""
    baseline: Annotated[Option, Options("network", "constant")] = "network"
    """what v is"""
    first_credit: Annotated[Option, Options("own", "future")] = "own"
    """what the first decision of a trial is credited with, (4)"""
    validate_every: Annotated[int, Field(ge=1)] | None = 50
    """updates between two looks at the task's criteria; absent: all updates are made"""
    validation: Annotated[int, Field(ge=1)] = 1000
    """trials of a look"""

    def reads(self) -> frozenset[str]:
        """The gradient of both networks with respect to all their weights."""
        return frozenset({"gradient"})

    def misfit(self, objective: Objective, task: Task) -> str:
        """It learns from rewards alone, and from trials that the first answer ends."""
        if objective.kind != "reward":
            return f"rule song17 learns from rewards alone, and the objective is {objective.kind}; take reward"
        if task.spec.response != "choice":
            return f"rule song17 learns tasks that are answered by a choice, and {task.kind} by '{task.spec.response}'"
        if getattr(task, "early", None) != "abort" or getattr(task, "hold", 1) != 1:
            return f"rule song17 needs trials that the first answer ends; set early: abort and hold: 1 in {task.kind}"
        return ""


class Losses(NamedTuple):
    """(2) and (3), one a brain."""

    policy: Float[Tensor, " P"]
    value: Float[Tensor, " P"]


def returns(
    reward: Float[Tensor, "P B"], last: Int[Tensor, "P B"], steps: int, discount: Float[Tensor, " P"]
) -> Float[Tensor, "T P B"]:
    """(1), of trials that are paid once, at step `last`; 0 after it."""
    left = last - torch.arange(steps, device=last.device)[:, None, None]
    worth = discount[:, None] ** left.clamp(min=0)
    return torch.where(left >= 0, worth * reward, 0.0)


def credits(coming: Float[Tensor, "T P B"], last: Int[Tensor, "P B"], first_credit: str) -> Float[Tensor, "T P B"]:
    """(4), from (1)."""
    if first_credit == "future":
        return coming
    return torch.cat(((coming[0] * (last == 0))[None], coming[1:]))


def losses(
    logits: Float[Tensor, "T P B A"],
    action: Int[Tensor, "T P B"],
    value: Float[Tensor, "T P B"],
    coming: Float[Tensor, "T P B"],
    credit: Float[Tensor, "T P B"],
    valid: Bool[Tensor, "T P B"],
) -> Losses:
    """(2) and (3); `coming` is (1), `credit` (4), `valid` are the steps up to a trial's end."""
    chosen = torch.log_softmax(logits, -1).gather(-1, action[..., None])[..., 0]
    advantage = (credit - value).detach()
    policy = -torch.where(valid, chosen * advantage, 0.0).sum((0, 2)) / action.shape[2]
    error = torch.where(valid, (value - coming).square(), 0.0)
    return Losses(policy, error.sum((0, 2)) / valid.sum((0, 2)))


def trials_of(rule: Any, task: Task) -> int:
    """Trials of a gradient step."""
    return rule.batch or task.spec.trial_types
