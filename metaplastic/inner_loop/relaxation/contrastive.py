"""Contrastive Hebbian learning: Hebb with the answer held right, minus Hebb with the answer given freely.

    s_k = phi(W_k s_{k-1} + b_k + gamma W_{k+1}^T s_{k+1})           both phases, settling.py (3)            (1)
    minus phase: the output is free;   plus phase: it is held at y_K - dC/dy_K                               (2)
    dW_k = eta gamma^(k-K) (s_k^+ s_{k-1}^+^T - s_k^- s_{k-1}^-^T)                                           (3)

Movellan 1991; Xie & Seung 2003, Equivalence of backpropagation and contrastive Hebbian learning in a layered network,
Neural Comput. 15: as gamma -> 0, (3) is minus the gradient of C, with an error of the order of gamma. y_K is the
network's answer without feedback; with C = 1/2 |y_K - target|^2 the output is held at the target, as published.

Departures: the output is linear (theirs is sigmoid); both phases start from the answer without feedback, which is near
their rest.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.networks.layers import Layer, Layers
from metaplastic.inner_loop.relaxation.settling import Motion, PerBrain, Pull, contrast, settle
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State


def contrastive(
    net: Layers,
    x: Float[Tensor, "#P L S I"],
    layers: tuple[Layer, ...],
    held: Float[Tensor, "P L S A"],
    motion: Motion,
    steps: PerBrain,
) -> tuple[Float[Tensor, "P L post pre"], ...]:
    """(3) with eta = 1, mean over the S decisions; `held` is where the output stands in the plus phase."""
    start = tuple(layer.post for layer in layers)
    minus = settle(net, x, start, motion, steps)
    plus = settle(net, x, (*start[:-1], held), motion, steps, Pull(held, None))
    return contrast(net, x, plus, minus, motion.feedback)


class ContrastiveHebbian(LayeredRule):
    """Weak feedback, two phases (Movellan 1991; Xie & Seung 2003)."""

    references: ClassVar[tuple[str, ...]] = (
        "Movellan 1991, Contrastive Hebbian learning in the continuous Hopfield model, Connectionist models",
        "Xie & Seung 2003, Equivalence of backpropagation and contrastive Hebbian learning in a layered network, "
        "Neural Computation 15",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["contrastive_hebbian"] = "contrastive_hebbian"
    eta: Annotated[Number, Evolves(0)] = 0.05
    """learning rate; ours"""
    feedback: Annotated[Number, Evolves(0, above=True)] = 0.1
    """gamma; ours, the proof is for gamma -> 0"""
    rate: Annotated[Number, Evolves(0, 1, above=True)] = 0.5
    """how far a step goes (1: undamped); ours"""
    steps: Annotated[Number, Evolves(1, 1000, integer=True)] = 30
    """of each phase; ours"""

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """(3)."""
        assert lesson.top_error is not None
        numbers = lesson.numbers
        motion = Motion(numbers["feedback"], numbers["rate"], is_clipped=False)
        held = lesson.output - lesson.top_error
        slopes = contrastive(net, lesson.x, lesson.layers, held, motion, numbers["steps"])
        return tuple(numbers["eta"] * slope for slope in slopes), state
