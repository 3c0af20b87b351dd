"""Several objectives at once, and how much each counts.

    plain      omega_k = g_k, the weights as they are given                                                 (1)
    softmax    omega = softmax(g): they sum to 1                                                            (2)
    softplus   omega_k = log(1 + exp g_k): each above 0                                                     (3)

    J = sum_k omega_k J_k / s_k,     s_k^2 <- rate s_k^2 + (1 - rate) mean(J_k^2)                           (4)

g are the terms' weights, which may be genes; (1) to (3) hold in every kind of life. With (4) weights of terms of
different size can be compared (rules.md 10): `Scale` is the running size, frozen when nothing is learned. No kind of
life divides by it yet. Evolution's fitness is never the mixture, or brains would win by weighing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor

from metaplastic.core import Choice, ConfigError, Number, Objective, Values, lookup, wrong
from metaplastic.fields import Option, Options, Slot
from metaplastic.inner_loop.objectives.answer import ANSWER_COSTS
from metaplastic.inner_loop.objectives.terms import Energy, Homeostasis, Reward, SparseActivity, SparseRate, Term

TERMS: dict[str, type[Term]] = {
    "reward": Reward,
    "energy": Energy,
    "homeostasis": Homeostasis,
    "sparse_activity": SparseActivity,
    "sparse_rate": SparseRate,
    **ANSWER_COSTS,
}
"""what a mixture may consist of"""


class Mixture(Objective):
    """Several objectives at once; their weights may evolve."""

    references = ("Richards et al. 2019",)
    kind: Literal["mixture"] = "mixture"
    terms: tuple[Annotated[Any, Slot(lambda kind: lookup(TERMS, kind, "objective"), lambda: list(TERMS))], ...]
    """each with its weight"""
    weighting: Annotated[Option, Options("plain", "softmax", "softplus")] = "plain"
    """what the terms' weights become, eqs. (1) to (3)"""

    @model_validator(mode="after")
    def _check(self) -> Mixture:
        if not self.terms:
            raise wrong(f"terms is empty, wanted at least one of {', '.join(TERMS)}")
        return self


def terms_of(objective: Objective) -> tuple[Term, ...]:
    """The terms of a mixture, with the weights that count; a term is its own only one.

    Weights that are still genes, and so have no value, stay as they are.
    """
    if isinstance(objective, Mixture):
        return _weighed(objective)
    if isinstance(objective, Term):
        return (objective,)
    raise ConfigError(f"objective is {objective.kind!r}, wanted one of {', '.join(OBJECTIVES)}")


def weights(given: Float[Tensor, "P K"], weighting: str) -> Float[Tensor, "P K"]:
    """Equations (1) to (3)."""
    if weighting == "softmax":
        return torch.softmax(given, -1)
    return torch.nn.functional.softplus(given) if weighting == "softplus" else given


class Scale(NamedTuple):
    """The running size of K terms, eq. (4)."""

    square: Float[Tensor, "P K"]
    """s^2"""
    seen: Float[Tensor, "P K"]
    """share of s^2 that is not its start at 0; what s^2 is divided by"""

    def follow(self, terms: Float[Tensor, "P K S"], rate: float = 0.99) -> Scale:
        """After the terms J_k of S decisions; a test does not call it."""
        new = terms.square().mean(-1)
        return Scale(rate * self.square + (1 - rate) * new, rate * self.seen + (1 - rate))

    def divide(self, terms: Float[Tensor, "P K S"]) -> Float[Tensor, "P K S"]:
        """J_k / s_k; a term that has been 0 stays 0."""
        size = (self.square / self.seen.clamp(min=1e-12)).sqrt()
        return terms / torch.where(size > 0, size, torch.ones_like(size))[..., None]


def unscaled(individuals: int, count: int, like: Tensor) -> Scale:
    """Before anything was seen."""
    return Scale(like.new_zeros(individuals, count), like.new_zeros(individuals, count))


def _weighed(mixture: Mixture) -> tuple[Term, ...]:
    given = [term.weight for term in mixture.terms]
    if mixture.weighting == "plain" or isinstance(mixture.weighting, Choice):
        return mixture.terms
    if not all(isinstance(weight, int | float | Values) for weight in given):
        return mixture.terms
    columns = torch.broadcast_tensors(*(_column(weight) for weight in given))
    counted = weights(torch.stack(columns, -1), str(mixture.weighting))
    return tuple(
        term.model_copy(update={"weight": Values(column)})
        for term, column in zip(mixture.terms, counted.unbind(-1), strict=True)
    )


def _column(weight: Number) -> Float[Tensor, " P_or_1"]:
    if isinstance(weight, Values):
        return weight.data.reshape(-1)
    plain: Any = weight
    return torch.tensor([float(plain)], dtype=torch.float64)


OBJECTIVES: dict[str, type[Objective]] = {**TERMS, "mixture": Mixture}
"""kind -> objective"""
