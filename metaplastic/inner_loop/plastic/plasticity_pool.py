"""A pool of three terms for evolution to mix: the error sent down, errors with each other, and Hebb with forgetting.

    dW_k = eta mean over the minibatch of   theta_error f_k y_{k-1}^T                        feedback alignment     (1)
                                          - theta_errors f_k f_{k-1}^T                       error with error       (2)
                                          + theta_hebb (y_k y_{k-1}^T - y_k y_k^T W_k)       Oja's subspace rule    (3)

Shervani-Tabar & Rosenbaum 2023, who meta-learn the three numbers through lives of few-shot learning and find that (2)
and (3) bring fixed random feedback most of the way to backpropagation. f comes down random weights (transport.py, 2 and
6); it is minus their error e, so that (1) and (2) have their signs. Inputs and the constant have no error. Departure:
the hidden neurons are the network's, theirs are softplus with phi' = 1 - exp(-10 y).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.feedback.transport import Batch, Drawn, Mode, Rate, products
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.rules.layered import Lesson, State

Theta = Annotated[Number, Evolves()]
"""the weight of a term"""


class PlasticityPool(Drawn):
    """Feedback alignment, errors with errors, and Oja's subspace rule, in proportions that evolve."""

    references: ClassVar[tuple[str, ...]] = (
        "Shervani-Tabar & Rosenbaum 2023, Meta-learning biologically plausible plasticity rules with random feedback "
        "pathways, Nat Commun 14:1805",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["plasticity_pool"] = "plasticity_pool"
    eta: Rate = 1.0
    """of all three"""
    theta_error: Theta = 1e-3
    """of (1); 1e-3 is where the authors' meta-learning begins"""
    theta_errors: Theta = 0.0
    """of (2)"""
    theta_hebb: Theta = 0.0
    """of (3)"""
    batch: Batch = 1
    """decisions between two writes; theirs is one pass, one at a time"""

    def mode(self) -> Mode:
        """Fixed."""
        return "random"

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """(1) to (3)."""
        signals, given = self.signals(net, state, lesson), lesson.numbers
        below = [torch.zeros_like(lesson.layers[0].pre)]
        below += [torch.nn.functional.pad(signal, (int(net.bias), 0)) for signal in signals[:-1]]
        changes = []
        for k, (error, layer) in enumerate(zip(products(signals, lesson.layers), lesson.layers, strict=True)):
            count = layer.post.shape[2]
            errors = signals[k].mT @ below[k] / count
            hebb = (layer.post.mT @ layer.pre - layer.post.mT @ layer.post @ net.weights[k]) / count
            mixed = given["theta_error"] * error - given["theta_errors"] * errors + given["theta_hebb"] * hebb
            changes.append(given["eta"] * mixed)
        return tuple(changes), state
