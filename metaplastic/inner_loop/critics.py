"""Critics: what reward was expected, so that a brain can be surprised. rpe = reward - prediction.

    action_value         prediction = q_a of the chosen action a: Pozzi, Bohté & Roelfsema 2018             (1)
    action_probability   prediction = softmax(q)_a: Roelfsema & van Ooyen 2005 (rewards of 0 and 1)         (2)
    running_average      prediction = m_k of the trial type k, then m_k <- decay m_k + (1 - decay) reward;
                         Miconi 2017 (decay 0.75)                                                           (3)
    zero                 no expectation: rpe is the reward itself                                           (4)

Each critic is written twice, for tensors and as a Numba expression; a new one is one class here and its name below.
Whole trials have no q, so they take (3) or (4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Component, Number
from metaplastic.fields import Evolves


class Critic(Component, ABC):
    """What reward was expected."""

    remembers: ClassVar[bool] = False
    """it keeps a running average of the reward of each trial type, (3); then it has a `decay`"""
    kernel: ClassVar[str]
    """expression of the prediction in `q`, `actions`, `action`, `expected` and a scratch vector `chances`"""

    @staticmethod
    @abstractmethod
    def predict(
        q: Float[Tensor, "*B A"], action: Int[Tensor, "*B"], expected: Float[Tensor, "*B"]
    ) -> Float[Tensor, "*B"]:
        """The prediction for the chosen action; `expected` is the running average of this trial's type."""


def picked(values: Float[Tensor, "*B A"], action: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """The value of the chosen action."""
    return values.gather(-1, action[..., None])[..., 0]


class ActionValue(Critic):
    """The network's own value of the chosen action, eq. (1)."""

    references = ("Pozzi et al. 2018",)
    kind: Literal["action_value"] = "action_value"
    kernel = "q[action]"

    @staticmethod
    def predict(q: Tensor, action: Tensor, expected: Tensor) -> Tensor:  # noqa: ARG004
        """Equation (1)."""
        return picked(q, action)


class ActionProbability(Critic):
    """The probability of the chosen action, eq. (2)."""

    references = ("Roelfsema & van Ooyen 2005",)
    kind: Literal["action_probability"] = "action_probability"
    kernel = "chance_of(q, actions, action, chances)"

    @staticmethod
    def predict(q: Tensor, action: Tensor, expected: Tensor) -> Tensor:  # noqa: ARG004
        """Equation (2)."""
        return picked(torch.softmax(q, -1), action)


class RunningAverage(Critic):
    """The mean reward of late, one for each trial type, eq. (3)."""

    references = ("Miconi 2017",)
    kind: Literal["running_average"] = "running_average"
    decay: Annotated[Number, Evolves(0, 1)] = 0.75
    """what is kept of the average at each trial of its type"""
    remembers = True
    kernel = "expected"

    @staticmethod
    def predict(q: Tensor, action: Tensor, expected: Tensor) -> Tensor:  # noqa: ARG004
        """Equation (3)."""
        return expected


class Zero(Critic):
    """No expectation, eq. (4)."""

    kind: Literal["zero"] = "zero"
    kernel = "ZERO"

    @staticmethod
    def predict(q: Tensor, action: Tensor, expected: Tensor) -> Tensor:  # noqa: ARG004
        """Equation (4)."""
        return torch.zeros_like(expected)


CRITICS: dict[str, type[Critic]] = {
    "action_value": ActionValue,
    "action_probability": ActionProbability,
    "running_average": RunningAverage,
    "zero": Zero,
}
"""kind -> critic"""
