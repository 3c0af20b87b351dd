"""Costs of the answer: what an output costs when the best answer, or what was paid, is known. One decision each.

    cross_entropy         C = -log softmax(q)_t                      dC/dq_k = softmax(q)_k - 1{k = t}      (1)
    squared_error         C = 1/2 sum_k (q_k - t_k)^2                dC/dq_k = q_k - t_k                    (2)
    binary_cross_entropy  C = sum_k [log(1 + e^q_k) - t_k q_k]       dC/dq_k = 1 / (1 + e^-q_k) - t_k       (3)
    policy gradient       C = -(R - b) log softmax(q)_a              dC/dq_k = (R - b)(softmax(q)_k - 1{k = a})  (4)
    value                 C = 1/2 (r + gamma V' - V)^2, V' fixed     dC/dV = -(r + gamma V' - V)            (5)
    action value          C = 1/2 (r - q_a)^2, a the chosen answer   dC/dq_k = (q_a - r) 1{k = a}           (6)

(1) to (3) are objectives of a life; (3) is that of a sigmoid output for each answer (Nøkland 2016, Akrout et al. 2019).
(4) is what the rule `reinforce` follows, (6) what `q_agrel` and `batch_q_agrel` follow, (5) is the critic's own in the
agents. All are of one decision: means over a minibatch are the life's. Parga et al. 2022, eqs. 22-25 (4, 5); Pozzi et
al. 2018, eq. 7 (6).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.inner_loop.objectives.terms import Term


class AnswerCost(Term, ABC):
    """A cost of the output, given the best answer."""

    @staticmethod
    @abstractmethod
    def cost(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B"]:
        """C of each decision."""

    @staticmethod
    @abstractmethod
    def top_error(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B A"]:
        """dC / d output of each decision."""


class CrossEntropy(AnswerCost):
    """Surprise at the best answer, eq. (1); `target` is a distribution over answers."""

    kind: Literal["cross_entropy"] = "cross_entropy"

    @staticmethod
    def cost(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B"]:
        """Equation (1)."""
        return -(target * torch.log_softmax(output, -1)).sum(-1)

    @staticmethod
    def top_error(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B A"]:
        """Equation (1)."""
        return torch.softmax(output, -1) - target


class SquaredError(AnswerCost):
    """Distance from the target values, eq. (2)."""

    kind: Literal["squared_error"] = "squared_error"

    @staticmethod
    def cost(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B"]:
        """Equation (2)."""
        return 0.5 * (output - target).square().sum(-1)

    @staticmethod
    def top_error(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B A"]:
        """Equation (2)."""
        return output - target


class BinaryCrossEntropy(AnswerCost):
    """Surprise at each answer's being the best one or not, eq. (3)."""

    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"

    @staticmethod
    def cost(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B"]:
        """Equation (3)."""
        return (torch.nn.functional.softplus(output) - target * output).sum(-1)

    @staticmethod
    def top_error(output: Float[Tensor, "*B A"], target: Float[Tensor, "*#B A"]) -> Float[Tensor, "*B A"]:
        """Equation (3)."""
        return torch.sigmoid(output) - target


def chosen(action: Int[Tensor, "*B"], actions: int, like: Tensor) -> Float[Tensor, "*B A"]:
    """1 at the chosen answer, 0 elsewhere."""
    return torch.nn.functional.one_hot(action, actions).to(like)


def policy_cost(
    output: Float[Tensor, "*B A"], action: Int[Tensor, "*B"], advantage: Float[Tensor, "*B"]
) -> Float[Tensor, "*B"]:
    """Equation (4); `advantage` is R - b."""
    taken = torch.log_softmax(output, -1).gather(-1, action[..., None])[..., 0]
    return -advantage * taken


def policy_error(
    output: Float[Tensor, "*B A"], action: Int[Tensor, "*B"], advantage: Float[Tensor, "*B"]
) -> Float[Tensor, "*B A"]:
    """d (4) / d output."""
    return advantage[..., None] * (torch.softmax(output, -1) - chosen(action, output.shape[-1], output))


def value_cost(
    value: Float[Tensor, "*B"], reward: Float[Tensor, "*B"], following: Float[Tensor, "*B"], discount: float | Tensor
) -> Float[Tensor, "*B"]:
    """Equation (5); `following` is V', 0 at the end."""
    return 0.5 * (reward + discount * following.detach() - value).square()


def value_error(
    value: Float[Tensor, "*B"], reward: Float[Tensor, "*B"], following: Float[Tensor, "*B"], discount: float | Tensor
) -> Float[Tensor, "*B"]:
    """d (5) / dV: minus the error of temporal difference."""
    return value - reward - discount * following


def action_value_cost(
    output: Float[Tensor, "*B A"], action: Int[Tensor, "*B"], reward: Float[Tensor, "*B"]
) -> Float[Tensor, "*B"]:
    """Equation (6)."""
    return 0.5 * (reward - output.gather(-1, action[..., None])[..., 0]).square()


def action_value_error(
    output: Float[Tensor, "*B A"], action: Int[Tensor, "*B"], reward: Float[Tensor, "*B"]
) -> Float[Tensor, "*B A"]:
    """d (6) / d output."""
    return (output - reward[..., None]) * chosen(action, output.shape[-1], output)


ANSWER_COSTS: dict[str, type[AnswerCost]] = {
    "cross_entropy": CrossEntropy,
    "squared_error": SquaredError,
    "binary_cross_entropy": BinaryCrossEntropy,
}
"""kind -> cost of the answer"""
