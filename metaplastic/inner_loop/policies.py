"""Policies: how action values q become an action. Two uniform numbers u0, u1 in [0, 1) a decision are all their chance.

    greedy           argmax q, the lowest index on ties                                                     (1)
    epsilon_greedy   with probability epsilon any action alike, else (1)                                    (2)
    softmax          P(a) proportional to exp(q_a / temperature)                                            (3)
    max_boltzmann    with probability epsilon (3), else (1): Wiering & Schmidhuber 1997, in Pozzi et al. 2018

u0 decides whether to explore (u0 < epsilon); u1 picks: floor(u1 A) in (2), the first a with P(1..a) > u1 in (3).
Each policy is written twice, for tensors and as a Numba expression; a new one is one class here and its name below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Component, Number
from metaplastic.fields import Evolves

Settings = Mapping[str, Tensor]
"""the numbers of a policy by name, each [P, 1] or [P, 1, 1]"""


class Policy(Component, ABC):
    """From action values to an action."""

    kernel: ClassVar[str]
    """expression of the action in `q`, `actions`, `u0`, `u1`, a scratch vector `chances` and the policy's numbers"""

    @staticmethod
    @abstractmethod
    def choose(
        q: Float[Tensor, "*B A"], u0: Float[Tensor, "*C"], u1: Float[Tensor, "*C"], numbers: Settings
    ) -> Int[Tensor, "*B"]:
        """The action of each decision, B = [P, L] or [P, L, S]; the uniform numbers broadcast to B."""


def greedy(q: Float[Tensor, "*B A"]) -> Int[Tensor, "*B"]:
    """The action of the highest value; of several, the first."""
    return q.argmax(-1)


def sample(q: Float[Tensor, "*B A"], temperature: Tensor, u1: Tensor) -> Int[Tensor, "*B"]:
    """An action from (3)."""
    heaped = torch.softmax(q / temperature[..., None], -1).cumsum(-1)
    return (heaped <= u1[..., None]).sum(-1).clamp(max=q.shape[-1] - 1)


class Greedy(Policy):
    """Always the best, eq. (1)."""

    kind: Literal["greedy"] = "greedy"
    kernel = "greedy(q, actions)"

    @staticmethod
    def choose(q: Tensor, u0: Tensor, u1: Tensor, numbers: Settings) -> Tensor:  # noqa: ARG004
        """Equation (1)."""
        return greedy(q)


class EpsilonGreedy(Policy):
    """Now and then any action, eq. (2)."""

    kind: Literal["epsilon_greedy"] = "epsilon_greedy"
    epsilon: Annotated[Number, Evolves(0, 1)] = 0.05
    """probability of exploring"""
    kernel = "anyone(u1, actions) if u0 < epsilon else greedy(q, actions)"

    @staticmethod
    def choose(q: Tensor, u0: Tensor, u1: Tensor, numbers: Settings) -> Tensor:
        """Equation (2)."""
        actions = q.shape[-1]
        anyone = (u1 * actions).long().clamp(max=actions - 1)
        return torch.where(u0 < numbers["epsilon"], anyone, greedy(q))


class Softmax(Policy):
    """Better actions more often, eq. (3)."""

    kind: Literal["softmax"] = "softmax"
    temperature: Annotated[Number, Evolves(0, above=True)] = 1.0
    """in units of q"""
    kernel = "sample(q, actions, temperature, u1, chances)"

    @staticmethod
    def choose(q: Tensor, u0: Tensor, u1: Tensor, numbers: Settings) -> Tensor:  # noqa: ARG004
        """Equation (3)."""
        return sample(q, numbers["temperature"], u1)


class MaxBoltzmann(Policy):
    """Mostly the best, now and then by value."""

    references = ("Wiering & Schmidhuber 1997", "Pozzi et al. 2018")
    kind: Literal["max_boltzmann"] = "max_boltzmann"
    epsilon: Annotated[Number, Evolves(0, 1)] = 0.02
    """probability of exploring; BrainProp's code has 0.02"""
    temperature: Annotated[Number, Evolves(0, above=True)] = 1.0
    """in units of q"""
    kernel = "sample(q, actions, temperature, u1, chances) if u0 < epsilon else greedy(q, actions)"

    @staticmethod
    def choose(q: Tensor, u0: Tensor, u1: Tensor, numbers: Settings) -> Tensor:
        """With probability epsilon (3), else (1)."""
        return torch.where(u0 < numbers["epsilon"], sample(q, numbers["temperature"], u1), greedy(q))


POLICIES: dict[str, type[Policy]] = {
    "greedy": Greedy,
    "epsilon_greedy": EpsilonGreedy,
    "softmax": Softmax,
    "max_boltzmann": MaxBoltzmann,
}
"""kind -> policy"""
