"""What reward pays and what every hidden neuron's activity costs: the terms of an objective that local rules can hear.

An objective tells synapses two things (signals `reward` and `drive`):

    reward = sum_k omega_k r_k                     the task's reward, weighted                              (1)
    drive_i = - sum_k omega_k dC_k/dy_i            minus the derivative of costs that neuron i sees itself  (2)

    reward           r, what the task pays                                                                  (3)
    energy           C = 1/2 sum_i y_i^2                                drive_i = -y_i                      (4)
    homeostasis      C = 1/2 sum_i (m_i - target)^2                     drive_i = target - m_i              (5)
                     m_i <- m_i + rate (y_i - m_i), a running mean of activity; C's derivative is by m_i
    sparse_activity  C = sum_i |y_i|                                    drive_i = -sign(y_i)                (6)
    sparse_rate      C = sum_i KL(target || m_i) of Bernoulli units     drive_i = (target - m) / (m (1 - m))  (7)

Costs are of hidden neurons: the outputs, which are action values, have no drive. (7) keeps m at least `EDGE` away from
0 and 1, where its derivative has no end. Richards et al. 2019; Turrigiano 2008 (5); rules.md 10 (rate, sparsity).
A new cost is one class with its drive, and its name in `mixture.py`.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from metaplastic.core import Number, Objective
from metaplastic.fields import Evolves

EDGE = 0.001
"""how near to 0 and 1 the mean activity of (7) may come"""


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


class SparseActivity(Cost):
    """Few neurons are active, eq. (6)."""

    kind: Literal["sparse_activity"] = "sparse_activity"
    kernel = "(-{weight} if y > ZERO else ({weight} if y < ZERO else ZERO))"

    @staticmethod
    def drive(y: Tensor, mean: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG004
        """Equation (6)."""
        return -numbers["weight"] * y.sign()


class SparseRate(Cost):
    """Every neuron is active in a given share of cases, eq. (7); for activities in [0, 1]."""

    kind: Literal["sparse_rate"] = "sparse_rate"
    target: Annotated[Number, Evolves(0, 1)] = 0.05
    """wanted mean activity"""
    rate: Annotated[Number, Evolves(0, 1)] = 0.01
    """how fast the running mean follows, per decision"""
    remembers = True
    _inside: ClassVar[str] = f"min(max(mean, np.float32({EDGE})), np.float32({1 - EDGE}))"
    kernel = f"{{weight}} * ({{target}} - {_inside}) / ({_inside} * (ONE - {_inside}))"

    @staticmethod
    def drive(y: Tensor, mean: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG004
        """Equation (7)."""
        inside = torch.clamp(mean, EDGE, 1 - EDGE)
        return numbers["weight"] * (numbers["target"] - inside) / (inside * (1 - inside))
