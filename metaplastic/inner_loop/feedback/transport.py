"""Feedback transport: a synapse's change is what came down to its neuron times what came up to it. One engine.

    f_K = what the output neurons are to change                      a rule's `teach`                       (1)
    f_k = phi'(a_k) * (B_{k+1}^T f_{k+1})                            from layer to layer                    (2)
    f_k = phi'(a_k) * (B_k^T f_K)                                    or directly from the output            (3)
    dW_k = eta mean over the minibatch of f_k [1, y_{k-1}]^T  (+ momentum times the last dW_k)              (4)

B_k has the shape of W_k without its constant (in (3): outputs × neurons of layer k) and is one of

    symmetric   W_k itself                                           backprop                               (5)
    random      as drawn at birth                                    feedback alignment                     (6)
    learned     as drawn, then changed as W_k is                     Kolen & Pollack 1994                   (7)

A rule says what it teaches, which B it has and how B changes; all else is here. Parga et al. 2022, eqs. 9-10;
Lillicrap et al. 2016; Pozzi et al. 2018, eqs. 13-14. Draws are common to all individuals, and a synapse's number does
not depend on the size of the batch's largest network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.networks.layers import Layer, Layers
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State

Mode = Literal["symmetric", "learned", "random"]
"""(5) to (7)"""
Rate = Annotated[Number, Evolves(0)]
"""a number of at least 0"""
Batch = Annotated[int, Field(ge=1, le=10_000)]
"""decisions between two writes"""


def descend(
    layers: Sequence[Layer],
    carriers: Sequence[Float[Tensor, "P L _ _"]],
    top: Float[Tensor, "P L S A"],
    direct: bool = False,
) -> list[Float[Tensor, "P L S _"]]:
    """What comes down to each layer, first hidden layer first, (2) or (3); `carriers` are B of the groups above it."""
    signals = [top]
    for layer, carrier in zip(reversed(layers[:-1]), reversed(carriers), strict=True):
        source = top if direct else signals[0]
        signals.insert(0, layer.gate * (source @ carrier))
    return signals


def products(
    signals: Sequence[Float[Tensor, "P L S _"]], layers: Sequence[Layer]
) -> tuple[Float[Tensor, "P L _ _"], ...]:
    """The means of (4) without eta, [P, L, post, pre]."""
    return tuple(signal.mT @ layer.pre / signal.shape[2] for signal, layer in zip(signals, layers, strict=True))


def named(k: int) -> str:
    """Where B of connection group k lies in the state."""
    return f"feedback{k}"


def draw(
    key: Int[Tensor, " L"], post: int, pre: int, like: Tensor, kind: Literal["normal", "uniform"] = "normal"
) -> Float[Tensor, "1 L post pre"]:
    """Numbers of mean 0 and deviation 1 (uniform: within sqrt(3)), a row of its own for each postsynaptic neuron."""
    rows = rng.fold(key[:, None], torch.arange(post, device=key.device))
    if kind == "normal":
        return rng.normals(rows, pre).to(like)[None]
    return ((2 * rng.uniforms(rows, pre) - 1) * math.sqrt(3.0)).to(like)[None]


def coins(key: Int[Tensor, " L"], like: Float[Tensor, "P L post pre"]) -> Float[Tensor, "1 L post pre"]:
    """A uniform number for each synapse beside what `draw` drew from the same key."""
    rows = rng.fold(rng.fold(key, 1 << 20)[:, None], torch.arange(like.shape[-2], device=key.device))
    return rng.uniforms(rows, like.shape[-1]).to(like)[None]


def fan_in(net: Layers, k: int) -> Float[Tensor, "P 1 1 1"]:
    """How many presynaptic neurons of group k exist, the constant among them."""
    return net.masks[k][:, :, :1].sum(-1, keepdim=True)


class Transport(LayeredRule):
    """What all rules of this engine are."""

    eta: Rate
    """learning rate of a minibatch's mean"""
    momentum: Annotated[Number, Evolves(0, 1)] = 0.0
    """share of the last change that is added to this one"""

    def mode(self) -> Mode:
        """Which B it has."""
        return "symmetric"

    def teach(self, lesson: Lesson) -> Float[Tensor, "P L S A"]:
        """f_K of (1): the change that the outputs are to make."""
        assert lesson.top_error is not None  # `follows_error`
        return -lesson.top_error

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """B at birth, (6) and (7)."""
        return {} if self.mode() == "symmetric" else self.drawn(net, key)

    def drawn(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """Feedback weights of deviation `feedback_gain` / sqrt(fan_in of the forward connection)."""
        gain = self.own_numbers(net)["feedback_gain"]
        state = {}
        for k, w in enumerate(net.weights[1:], 1):
            mask = net.masks[k][..., int(net.bias) :]
            drawn = draw(rng.fold(key, k), w.shape[-2], mask.shape[-1], w)
            state[named(k)] = gain / fan_in(net, k).sqrt() * drawn * mask
        return state

    def thinned(self, net: Layers, state: State, key: Int[Tensor, " L"]) -> State:
        """B at a share `feedback_density` of its places."""
        density, thin = self.own_numbers(net)["feedback_density"], {}
        for k in range(1, len(net.weights)):
            own = state[named(k)]
            thin[named(k)] = own * (coins(rng.fold(key, k), own) < density)
        return thin

    def own_numbers(self, net: Layers) -> dict[str, Float[Tensor, "P 1 1 1"]]:
        """Its numbers before there is a lesson."""
        w = net.weights[0]
        return {name: value[:, None, None, None] for name, value in numbers(self, len(w), w).items()}

    def carriers(self, net: Layers, state: State, lesson: Lesson) -> list[Float[Tensor, "P L _ _"]]:  # noqa: ARG002
        """B of each group but the first."""
        groups = range(1, len(net.weights))
        return [net.carriers(k) if self.mode() == "symmetric" else state[named(k)] for k in groups]

    def signals(self, net: Layers, state: State, lesson: Lesson) -> list[Float[Tensor, "P L S _"]]:
        """f of every layer, (1) and (2)."""
        return descend(lesson.layers, self.carriers(net, state, lesson), self.teach(lesson))

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """Equation (4), and B after it."""
        eta = lesson.numbers["eta"]
        changes = tuple(eta * product for product in products(self.signals(net, state, lesson), lesson.layers))
        if self.momentum == 0.0:
            return changes, self.renewed(net, state, lesson, changes)
        last = (state.get(f"last{k}") for k in range(len(changes)))
        pairs = zip(changes, last, strict=True)
        changes = tuple(new if old is None else new + lesson.numbers["momentum"] * old for new, old in pairs)
        kept = {f"last{k}": change for k, change in enumerate(changes)}
        return changes, {**self.renewed(net, state, lesson, changes), **kept}

    def renewed(self, net: Layers, state: State, lesson: Lesson, changes: tuple[Tensor, ...]) -> State:  # noqa: ARG002
        """B after a minibatch, (7)."""
        if self.mode() != "learned":
            return state
        first = int(net.bias)
        after = {
            named(k): (state[named(k)] + changes[k][..., first:]) * net.masks[k][..., first:]
            for k in range(1, len(net.weights))
        }
        return {**state, **after}


class Drawn(Transport):
    """A rule whose feedback weights are drawn at birth."""

    feedback_gain: Rate = 1.0
    """deviation of feedback weights at birth, times the square root of the forward connection's fan_in"""
