"""Synaptic intelligence: each synapse adds up how much it did for the loss on its way, and is held by that.

    at each write     omega_ij <- omega_ij - g_ij Dw_ij           the path integral of the loss's fall       (1)
    at a task's end   Omega_ij <- Omega_ij + relu(omega_ij / ((w_ij - w*_ij)^2 + xi)),  w* <- w,  omega <- 0    (2)
    penalty           c sum_ij Omega_ij (w_ij - w*_ij)^2                                                     (3)

Zenke, Poole & Ganguli 2017. Dw is the change that was made, the pull of (3) with it; g is the rule's own
estimate of the gradient, without (3). Layered rules tell no gradient: there g = -dW / eta, what the rule itself would
have it be (with momentum its running sum; where eta is 0 nothing is added up). So it is as local as the rule.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.consolidation.base import Anchored, Groups, Kept, Written, brain, place


class SynapticIntelligence(Anchored):
    """dw_ij + pull of 2 c Omega_ij (w*_ij - w_ij), Omega its share of the loss's past fall (Zenke et al. 2017)."""

    references = ("Zenke, Poole & Ganguli 2017, Continual learning through synaptic intelligence, ICML",)
    kind: Literal["si"] = "si"
    strength: Annotated[Number, Evolves(0)] = 0.1
    """c"""
    damping: Annotated[Number, Evolves(0, above=True)] = 0.1
    """xi (published: 0.1 for permuted MNIST, 0.001 for split CIFAR)"""

    def curvature(self, importance: Float[Tensor, "P L post pre"]) -> Float[Tensor, "P L post pre"]:
        """2 c Omega."""
        return 2 * brain(self.strength, importance) * importance

    def traced(self, written: Written, changes: Groups, kept: Kept) -> Kept:
        """Equation (1)."""
        names = {place("trace", name): (written.gradient[name], change) for name, change in changes.items()}
        return {name: kept[name] - g * made for name, (g, made) in names.items()}

    def settled(self, weights: Float[Tensor, "P L post pre"], group: str, kept: Kept) -> Tensor:
        """Equation (2)."""
        way = (weights - kept[place("anchor", group)]).square() + brain(self.damping, weights)
        return kept[place("importance", group)] + torch.relu(kept[place("trace", group)] / way)
