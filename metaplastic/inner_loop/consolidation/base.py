"""What a life with several tasks needs: a transform of every change that a rule makes, which protects what was learned.

    W <- W + c(W, dW, g)        dW what the rule writes, g its own estimate of the gradient                  (1)

A consolidation sees each write of each brain, keeps numbers of its own for every synapse, and returns the change that
is made. It is a field of the rules that descend an estimate of a gradient (`gradient/descent.py`) and of those that
learn from minibatches (`rules/layered.py`); masks are applied after it, as to any change.

`Anchored` is what the penalties share. A task's end is not told: every `every` writes count as one, so stages of equal
length are consolidated at their ends. Between, importance A_ij pulls a weight to where it was then, w*:

    c_ij = dW_ij - k / (1 + k) (w_ij + dW_ij - w*_ij),      k = eta_ij A_ij                                  (2)

which is the implicit step of the penalty 1/2 sum A (w - w*)^2 at the rule's rate eta: for small k it is the gradient
step -eta A (w - w*) that the publications take, and it stays stable for any strength, which a search may try.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from metaplastic.core import Component, Layout, Number

Groups = dict[str, Tensor]
"""connection group -> [P, L, post, pre]"""
Kept = dict[str, Tensor]
"""what a consolidation keeps, [P, L, …] each; its names begin with PREFIX"""
PREFIX = "kept."
COUNT = f"{PREFIX}count"
"""writes so far"""


class Written(NamedTuple):
    """A write of a rule."""

    weights: Groups
    """before it"""
    changes: Groups
    """dW"""
    gradient: Groups
    """g, the rule's own estimate"""
    rate: Groups
    """eta of each group; broadcasts to its weights"""


class Consolidation(Component, ABC):
    """A transform of weight changes, eq. (1)."""

    needs_likelihood: ClassVar[bool] = False
    """it must be told Fisher information, which takes outputs with a likelihood"""

    @abstractmethod
    def start(self, weights: Groups) -> Kept:
        """What it keeps, at birth."""

    @abstractmethod
    def write(self, written: Written, kept: Kept) -> tuple[Groups, Kept]:
        """The changes that are made, and what it keeps after."""

    def listens(self, kept: Kept) -> bool:  # noqa: ARG002
        """Whether it wants the Fisher information of the next write."""
        return False

    def heard(self, fisher: Groups, kept: Kept) -> Kept:  # noqa: ARG002
        """What it keeps after it was told."""
        return kept


class Anchored(Consolidation):
    """A penalty on leaving where the weights were at the last consolidation, eq. (2)."""

    every: Annotated[int, Field(ge=1)]
    """writes between two consolidations: those of one task"""

    def start(self, weights: Groups) -> Kept:
        """Nothing is important yet."""
        kept: Kept = {COUNT: torch.zeros_like(next(iter(weights.values()))[..., 0, 0])}
        for name, w in weights.items():
            kept |= {place("importance", name): torch.zeros_like(w), place("anchor", name): w.clone()}
            kept |= {place("trace", name): torch.zeros_like(w)}
        return kept

    @abstractmethod
    def curvature(self, importance: Float[Tensor, "P L post pre"]) -> Float[Tensor, "P L post pre"]:
        """A of (2)."""

    @abstractmethod
    def traced(self, written: Written, changes: Groups, kept: Kept) -> Kept:
        """What is gathered between consolidations, after a write that made these changes."""

    @abstractmethod
    def settled(self, weights: Float[Tensor, "P L post pre"], group: str, kept: Kept) -> Tensor:
        """The importance after a consolidation at these weights."""

    def write(self, written: Written, kept: Kept) -> tuple[Groups, Kept]:
        """(2), and at a task's end the consolidation."""
        changes = {}
        for name, change in written.changes.items():
            k = written.rate[name] * self.curvature(kept[place("importance", name)])
            gone = written.weights[name] + change - kept[place("anchor", name)]
            changes[name] = change - k / (1 + k) * gone
        after = {**kept, **self.traced(written, changes, kept), COUNT: kept[COUNT] + 1}
        if writes(after) % self.every:
            return changes, after
        for name, change in changes.items():
            w = written.weights[name] + change
            after[place("importance", name)] = self.settled(w, name, after)
            after[place("anchor", name)] = w
            after[place("trace", name)] = torch.zeros_like(w)
        return changes, after


def place(what: str, group: str) -> str:
    """Where a consolidation keeps something of a group."""
    return f"{PREFIX}{what}.{group}"


def writes(kept: Kept) -> int:
    """How many there were."""
    return int(kept[COUNT].flatten()[0])


def brain(value: Number, like: Tensor) -> Float[Tensor, "P_or_1 1 1 1"]:
    """A number of each individual's."""
    return Layout(()).expand(value, 0, like)[:, None]
