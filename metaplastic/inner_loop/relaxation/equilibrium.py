"""Equilibrium propagation: how the resting state moves when the output is nudged holds the gradient.

    free phase    s^0: the rest of E with beta = 0                                       settling.py, (3)    (1)
    nudged phase  s^beta: from s^0, some steps with C at the output, strength beta                           (2)
    dW_k = eta_k / beta (s_k^beta s_{k-1}^beta^T - s_k^0 s_{k-1}^0^T)                                        (3)
    symmetric     dW_k = eta_k / (2 beta) (… at beta - … at -beta)                                           (4)
    eta_k = eta eta_ratio^(K-k)                                                                              (5)

Scellier & Bengio 2017, Equilibrium propagation: bridging the gap between energy-based models and backpropagation, eqs.
of their section 3; (4) and its error of beta^2: Laborieux et al. 2021. As beta -> 0, (3) is minus the gradient of
C = 1/2 |s_K^0 - target|^2 at the resting state, with an error of the order of beta (3) or beta^2 (4).

Its objective is always this C, of its own resting state, which is also what it acts and is tested by: the pass without
feedback is another function of the weights, and comes near to it as `feedback` (gamma) goes to 0. Departures: states
start at 0 for each minibatch (the authors keep those of every training example), so the free phase has 50 steps instead
of 20; the authors' bias of a layer learns as its other weights do.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.networks.layers import Layer, Layers
from metaplastic.inner_loop.relaxation.settling import (
    Activities,
    Motion,
    PerBrain,
    Pull,
    as_layers,
    contrast,
    settle,
    silent,
)
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State


def propagate(
    net: Layers,
    x: Float[Tensor, "#P L S I"],
    free: Activities,
    pull: Pull,
    motion: Motion,
    steps: PerBrain,
    *,
    symmetric: bool,
) -> tuple[Float[Tensor, "P L post pre"], ...]:
    """(3) or (4) with eta_k = 1, from the free phase's states; the pull has a strength, of either sign."""
    beta = pull.strength
    assert beta is not None
    plus = settle(net, x, free, motion, steps, pull)
    minus, width = free, beta
    if symmetric:
        minus, width = settle(net, x, free, motion, steps, pull._replace(strength=-beta)), 2 * beta
    return tuple(change / width for change in contrast(net, x, plus, minus, motion.feedback))


class EquilibriumPropagation(LayeredRule):
    """Two phases of an energy-based network (Scellier & Bengio 2017); defaults are theirs for one hidden layer."""

    references: ClassVar[tuple[str, ...]] = (
        "Scellier & Bengio 2017, Equilibrium propagation: bridging the gap between energy-based models and "
        "backpropagation, Front. Comput. Neurosci. 11:24",
        "Laborieux et al. 2021, Scaling equilibrium propagation to deep convnets by drastically reducing its gradient "
        "estimator bias, Front. Neurosci. 15",
    )
    kind: Literal["equilibrium_propagation"] = "equilibrium_propagation"
    eta: Annotated[Number, Evolves(0)] = 0.05
    """learning rate of the output's weights"""
    eta_ratio: Annotated[Number, Evolves(0)] = 2.0
    """by how much each layer's rate is above that of the layer after it: .1 and .05 in the authors' network with
    one hidden layer; 4 with three (.128, .032, .008, .002)"""
    beta: Annotated[Number, Evolves(0, above=True)] = 0.5
    """strength of the nudge"""
    rate: Annotated[Number, Evolves(0, 1, above=True)] = 0.5
    """epsilon, how far a step goes"""
    free_steps: Annotated[Number, Evolves(1, 1000, integer=True)] = 50
    """of the free phase; the authors' 20 start from the states of the last epoch, ours from 0"""
    nudged_steps: Annotated[Number, Evolves(1, 1000, integer=True)] = 4
    """of the nudged phase; 4 in the authors' network with one hidden layer, 6 with two, 8 with three"""
    feedback: Annotated[Number, Evolves(0, above=True)] = 1.0
    """gamma, weight of what comes from above; 1 is the authors'"""
    nudge: Annotated[Option, Options("random_sign", "one_sided", "symmetric")] = "random_sign"
    """beta, a coin for each minibatch (the authors'); always above 0; or both and their difference"""
    states: Annotated[Option, Options("clip", "network")] = "clip"
    """every state, the output too, is kept in [0, 1] (the authors'); or hidden ones have the network's activation and
    the output is linear"""

    def motion(self, numbers: dict[str, PerBrain]) -> Motion:
        """How its states move."""
        return Motion(numbers["feedback"], numbers["rate"], self.states == "clip")

    def answered(self, net: Layers, x: Float[Tensor, "#P L S I"], numbers: dict[str, PerBrain]) -> tuple[Layer, ...]:
        """(1), the free phase."""
        motion = self.motion(numbers)
        return as_layers(net, x, settle(net, x, silent(net, x), motion, numbers["free_steps"]), motion)

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """(3) or (4)."""
        numbers = lesson.numbers
        motion = self.motion(numbers)
        beta = numbers["beta"]
        if self.nudge == "random_sign":
            coin = rng.coin(rng.word(lesson.key, 0), 0.5)
            beta = beta * torch.where(coin, 1.0, -1.0).to(beta)[None, :, None, None]
        free = tuple(layer.post for layer in lesson.layers)
        pull = Pull(lesson.target, beta)
        steps = numbers["nudged_steps"]
        slopes = propagate(net, lesson.x, free, pull, motion, steps, symmetric=self.nudge == "symmetric")
        last = len(slopes) - 1
        rates = (numbers["eta"] * numbers["eta_ratio"] ** (last - k) for k in range(len(slopes)))
        return tuple(eta * slope for eta, slope in zip(rates, slopes, strict=True)), state
