"""Objectives: what a brain is driven by during its life (never the fitness that evolution selects on).

An objective tells synapses two things (signals `reward` and `drive`):

    reward = sum_k omega_k r_k                     the task's reward, weighted                              (1)
    drive_i = - sum_k omega_k dC_k/dy_i            minus the derivative of costs that neuron i sees itself  (2)

    reward        r, what the task pays                                                                     (3)
    energy        C = 1/2 sum_i y_i^2                                   drive_i = -y_i                      (4)
    homeostasis   C = 1/2 sum_i (m_i - target)^2                        drive_i = target - m_i              (5)
                  m_i <- m_i + rate (y_i - m_i), a running mean of activity; C's derivative is by m_i
    mixture       several of these, each with its weight omega

Costs are of hidden neurons: the outputs, which are action values, have no drive. The weights are the numbers as they
are given (no softmax over them and no normalisation by each cost's size, unlike rules.md 10's optional form).
Richards et al. 2019; Turrigiano 2008 (homeostasis). A new cost is one class with its drive, and its name below.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import model_validator
from torch import Tensor

from metaplastic.core import Number, Objective, lookup, wrong
from metaplastic.fields import Evolves, Slot


class Term(Objective, ABC):
    """One part of an objective."""

    weight: Annotated[Number, Evolves()] = 1.0
    """omega: how much it counts"""


class Reward(Term):
    """What the task pays, eq. (3)."""

    kind: Literal["reward"] = "reward"


class Cost(Term, ABC):
    """A cost of every hidden neuron's activity."""

    kernel: ClassVar[str]
    """the drive in `y`, `mean` and `{number}` for each number, as a Numba expression"""
    remembers: ClassVar[bool] = False
    """it reads a running mean of activity; then it has a `rate`"""

    @staticmethod
    def drive(y: Tensor, mean: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """Minus the weighted derivative of the cost, in the shape of y; the numbers broadcast to it."""
        raise NotImplementedError


class Energy(Cost):
    """Activity costs energy, eq. (4)."""

    kind: Literal["energy"] = "energy"
    kernel = "-{weight} * y"

    @staticmethod
    def drive(y: Tensor, mean: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG004
        """Equation (4)."""
        return -numbers["weight"] * y


class Homeostasis(Cost):
    """Every neuron keeps its own mean activity near a target, eq. (5)."""

    references = ("Turrigiano 2008",)
    kind: Literal["homeostasis"] = "homeostasis"
    target: Annotated[Number, Evolves()] = 0.1
    """wanted mean activity"""
    rate: Annotated[Number, Evolves(0, 1)] = 0.01
    """how fast the running mean follows, per decision"""
    remembers = True
    kernel = "{weight} * ({target} - mean)"

    @staticmethod
    def drive(y: Tensor, mean: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG004
        """Equation (5)."""
        return numbers["weight"] * (numbers["target"] - mean)


TERMS: dict[str, type[Term]] = {"reward": Reward, "energy": Energy, "homeostasis": Homeostasis}
"""what a mixture may consist of"""


class Mixture(Objective):
    """Several objectives at once; their weights may evolve."""

    references = ("Richards et al. 2019",)
    kind: Literal["mixture"] = "mixture"
    terms: tuple[Annotated[Any, Slot(lambda kind: lookup(TERMS, kind, "objective"), lambda: list(TERMS))], ...]
    """each with its weight"""

    @model_validator(mode="after")
    def _check(self) -> Mixture:
        if not self.terms:
            raise wrong(f"terms is empty, wanted at least one of {', '.join(TERMS)}")
        return self


def terms_of(objective: Objective) -> tuple[Term, ...]:
    """The terms of a mixture; a term is its own only one."""
    if isinstance(objective, Mixture):
        return objective.terms
    if isinstance(objective, Term):
        return (objective,)
    raise ValueError(f"objective is {objective.kind!r}, wanted one of {', '.join(OBJECTIVES)}")


OBJECTIVES: dict[str, type[Objective]] = {**TERMS, "mixture": Mixture}
"""kind -> objective"""
