"""Elastic weight consolidation: weights that a finished task's answers hang on are held by springs.

    penalty   lambda / 2 sum_ij F_ij (w_ij - w*_ij)^2                                                        (1)
    at a task's end   F <- gamma F + F_t,   w* <- w,   F_t = E_x E_{y ~ p(y|x, w)} [(d log p(y|x, w) / dw)^2]    (2)

Kirkpatrick et al. 2017; (2) with one anchor and a decay gamma is the online form of Schwarz et al. 2018 (the
publication keeps a w* for each task). The mean over x is that of the last `minibatches` writes of a task, at the
weights as they then were. Answers are those of the model, not the task's: the true Fisher information, not the
"empirical" one. Layered rules are told the exact mean over answers (`likelihood`), rules through time a draw of each
answer, whose minibatch's squared gradient has the Fisher information as its mean (`gradient/fisher.py`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic.core import Number, wrong
from metaplastic.fields import Evolves
from metaplastic.inner_loop.consolidation.base import Anchored, Groups, Kept, Written, brain, place, writes


class Elastic(Anchored):
    """dw_ij + pull of lambda F_ij (w*_ij - w_ij), F the Fisher information of the tasks before (Kirkpatrick 2017)."""

    references = (
        "Kirkpatrick et al. 2017, Overcoming catastrophic forgetting in neural networks, PNAS 114:3521",
        "Schwarz et al. 2018, Progress & compress: a scalable framework for continual learning, ICML",
    )
    needs_likelihood: ClassVar[bool] = True
    kind: Literal["ewc"] = "ewc"
    strength: Annotated[Number, Evolves(0)] = 100.0
    """lambda"""
    decay: Annotated[Number, Evolves(0, 1)] = 1.0
    """gamma, what is kept of the tasks before at a task's end"""
    minibatches: Annotated[int, Field(ge=1)] = 10
    """writes at a task's end over which F_t is averaged"""

    @model_validator(mode="after")
    def _fits(self) -> Elastic:
        if self.minibatches > self.every:
            raise wrong(f"minibatches is {self.minibatches}, wanted at most every, {self.every}")
        return self

    def listens(self, kept: Kept) -> bool:
        """The last writes of a task."""
        return writes(kept) % self.every >= self.every - self.minibatches

    def heard(self, fisher: Groups, kept: Kept) -> Kept:
        """The mean F_t gathers."""
        more = {place("trace", name): kept[place("trace", name)] + F / self.minibatches for name, F in fisher.items()}
        return {**kept, **more}

    def curvature(self, importance: Float[Tensor, "P L post pre"]) -> Float[Tensor, "P L post pre"]:
        """lambda F."""
        return brain(self.strength, importance) * importance

    def traced(self, written: Written, changes: Groups, kept: Kept) -> Kept:
        """`heard` has done it."""
        del written, changes
        return kept

    def settled(self, weights: Float[Tensor, "P L post pre"], group: str, kept: Kept) -> Tensor:
        """Equation (2)."""
        return brain(self.decay, weights) * kept[place("importance", group)] + kept[place("trace", group)]
