"""P × L feedforward networks as tensors, and how a minibatch of S inputs runs through each.

    y_0 = x;   a_k = W_k [1, y_{k-1}];   y_k = phi(a_k);   the output y_K = a_K is linear                    (1)

Parga, Serrano-Fernández & Falcó-Roget 2022, eqs. 3-4. All S inputs of a life meet the same weights.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.networks.activation import ACTIVATIONS, Activation
from metaplastic.inner_loop.networks.feedforward import Brains


class Layer(NamedTuple):
    """What one layer did with a minibatch."""

    pre: Float[Tensor, "P L S pre"]
    """what its synapses saw; index 0 is the constant 1 where the network has a bias"""
    potential: Float[Tensor, "P L S post"]
    post: Float[Tensor, "P L S post"]
    gate: Float[Tensor, "P L S post"]
    """phi'(potential); 1 at the output, 0 at neurons that are missing"""


class Layers(NamedTuple):
    """The networks of all lives; one entry a connection group, from the input to the output."""

    weights: tuple[Float[Tensor, "P L post pre"], ...]
    masks: tuple[Float[Tensor, "P 1 post pre"], ...]
    """1 where both neurons exist"""
    activation: str
    bias: bool

    @property
    def phi(self) -> Activation:
        """The hidden neurons' activation."""
        return ACTIVATIONS[self.activation]

    def exists(self, index: int) -> Float[Tensor, "P 1 1 post"]:
        """1 for the neurons of layer `index` (counted from 0, the first one above the input) that exist."""
        return self.masks[index][:, :, None, :, 0]

    def seen(self, below: Float[Tensor, "#P L S N"]) -> Float[Tensor, "#P L S pre"]:
        """A layer's activity as the synapses above it see it: after the constant 1, if there is a bias."""
        return torch.nn.functional.pad(below, (1, 0), value=1.0) if self.bias else below

    def carriers(self, index: int) -> Float[Tensor, "P L post N"]:
        """The weights of connection group `index` without those from the constant."""
        return self.weights[index][..., int(self.bias) :]

    def forward(self, x: Float[Tensor, "#P L S I"]) -> tuple[Layer, ...]:
        """Equation (1); neurons that are missing stay silent."""
        layers: list[Layer] = []
        post = x.expand(self.weights[0].shape[0], *x.shape[1:])
        for index, w in enumerate(self.weights):
            pre = self.seen(post)
            potential = pre @ w.mT
            post, gate = potential, torch.ones_like(potential)
            if index < len(self.weights) - 1:
                post = self.phi.function(potential) * self.exists(index)
                gate = self.phi.derivative(potential, post) * self.exists(index)
            layers.append(Layer(pre, potential, post, gate))
        return tuple(layers)


def born(brains: Brains, activation: str, lifetimes: int) -> Layers:
    """The networks at birth."""
    masks = [brains.mask(index) for index in range(len(brains.sizes))]
    lives = (len(brains.units), lifetimes)
    weights = [birth.weights(mask).expand(*lives, -1, -1) for birth, mask in zip(brains.weights, masks, strict=True)]
    return Layers(
        weights=tuple(weights),
        masks=tuple(mask[:, None].to(w) for mask, w in zip(masks, weights, strict=True)),
        activation=activation,
        bias=brains.bias,
    )
