"""Predictive coding: every layer predicts the one above; activity settles so that all errors are small, then learns.

    mu_k = W_k phi(x_{k-1}) + b_k,   e_k = (x_k - mu_k) / V_k,   phi(x_0) = the input                        (1)
    F = -1/2 sum_k V_k |e_k|^2                                                   free energy                 (2)
    x_k <- x_k + rate (-e_k + phi'(x_k) * W_{k+1}^T e_{k+1}) = x_k + rate dF/dx_k,    0 < k < K              (3)
    dW_k = eta V_K e_k phi(x_{k-1})^T = eta V_K dF/dW_k                                                      (4)

from x_k = mu_k (the answer without feedback, a_k), with the output held at x_K = a_K - dC/da_K: at the target, if C is
1/2 |a_K - target|^2, as published. V_k are variances: 1 / V_k is the weight that layer k's errors have.

    relaxed            (3) as it stands; where F falls, the rate is halved from then on                      (5)
    fixed_prediction   mu_k and phi' stay as they were at the start; so does phi(x) in (4)                   (6)
    z_il               rate 1, V = 1, and layer k learns after step K - k of (3), before all has settled     (7)

Whittington & Bogacz 2017, An approximation of the error backpropagation algorithm in a predictive coding network,
Neural Comput. 29 (1-5); Millidge, Tschantz & Buckley 2022 (6); Song, Lukasiewicz, Xu & Bogacz 2020 (7). (7) is exactly
backpropagation; so is the rest of (6), which rate 1 reaches in K - 1 steps where V = 1. (5) with V = 1 is not, however
small the error: it comes to backpropagation as V_K -> infinity. Departure: plain steps of size eta (theirs: Adam).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.networks.layers import Layer, Layers
from metaplastic.inner_loop.relaxation.settling import PerBrain
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State


class Errors(NamedTuple):
    """What synapses and error neurons hold at some states, one entry a connection group."""

    seen: tuple[Float[Tensor, "#P L S pre"], ...]
    """phi(x_{k-1}), after the constant"""
    error: tuple[Float[Tensor, "P L S post"], ...]
    """e_k"""
    gate: tuple[Float[Tensor, "P L S post"], ...]
    """phi'(x_k)"""


def errors(net: Layers, x: Tensor, values: Sequence[Tensor], variances: Sequence[PerBrain]) -> Errors:
    """(1) at the values x_1 … x_K, [P, L, S, N_k] each; `x` is the input [P or 1, L, S, I]."""
    seen, error, gate = [], [], []
    below = x
    for k, (value, variance) in enumerate(zip(values, variances, strict=True)):
        seen.append(net.seen(below))
        error.append((value - seen[-1] @ net.weights[k].mT) / variance)
        below = net.phi.function(value)
        gate.append(net.phi.derivative(value, below) * net.exists(k))
        below = below * net.exists(k)
    return Errors(tuple(seen), tuple(error), tuple(gate))


def free_energy(error: Sequence[Tensor], variances: Sequence[PerBrain]) -> Float[Tensor, "P L S 1"]:
    """(2), for each decision."""
    parts = [variance * (e * e).sum(-1, keepdim=True) for e, variance in zip(error, variances, strict=True)]
    return -0.5 * torch.stack(parts).sum(0)


def relaxed(
    net: Layers, x: Tensor, values: Sequence[Tensor], variances: Sequence[PerBrain], rate: PerBrain, steps: PerBrain
) -> Errors:
    """(5), from `values`, of which the last is held: where it has come after `steps`."""
    values, now = list(values), errors(net, x, values, variances)
    energy = free_energy(now.error, variances)
    rate = rate.expand_as(energy)
    for step in range(int(steps.max())):
        moves = step < steps
        for k in range(len(values) - 1):
            values[k] = torch.where(moves, values[k] + rate * _slope(net, now, now.gate, k), values[k])
        now, before = errors(net, x, values, variances), energy
        energy = free_energy(now.error, variances)
        rate = torch.where(energy < before, rate / 2, rate)
    return now


def fixed_prediction(
    net: Layers, layers: Sequence[Layer], held: Tensor, variances: Sequence[PerBrain], rate: PerBrain, steps: PerBrain
) -> Errors:
    """(6), from the answer without feedback, the output held at `held` [P, L, S, A]."""
    gate, last = tuple(layer.gate for layer in layers), len(layers) - 1
    error = [torch.zeros_like(layer.potential) for layer in layers]
    error[last] = (held - layers[last].potential) / variances[last]
    for step in range(int(steps.max())):
        now = Errors((), tuple(error), ())
        for k in range(last):
            moved = error[k] + rate / variances[k] * _slope(net, now, gate, k)
            error[k] = torch.where(step < steps, moved, error[k])
    return Errors(tuple(layer.pre for layer in layers), tuple(error), gate)


def zero_divergence(net: Layers, x: Tensor, values: Sequence[Tensor]) -> Errors:
    """(7): the errors and activities that each connection group learns from, of which each has its own moment."""
    values = list(values)
    ones = [values[0].new_ones(1, 1, 1, 1)] * len(values)
    seen: list[Tensor] = []
    error: list[Tensor] = []
    now = errors(net, x, values, ones)
    for k in reversed(range(len(values))):
        seen.append(now.seen[k])
        error.append(now.error[k])
        moves = [_slope(net, now, now.gate, below) for below in range(len(values) - 1)]
        values = [*(value + move for value, move in zip(values[:-1], moves, strict=True)), values[-1]]
        now = errors(net, x, values, ones)
    return Errors(tuple(reversed(seen)), tuple(reversed(error)), ())


def _slope(net: Layers, now: Errors, gate: Sequence[Tensor], k: int) -> Tensor:
    """dF / dx_k, the bracket of (3)."""
    return gate[k] * (now.error[k + 1] @ net.carriers(k + 1)) - now.error[k]


class PredictiveCoding(LayeredRule):
    """A hierarchy of predictions (Whittington & Bogacz 2017); defaults are theirs, but for the learning rate."""

    references: ClassVar[tuple[str, ...]] = (
        "Whittington & Bogacz 2017, An approximation of the error backpropagation algorithm in a predictive coding "
        "network with local Hebbian synaptic plasticity, Neural Computation 29",
        "Millidge, Tschantz & Buckley 2022, Predictive coding approximates backprop along arbitrary computation "
        "graphs, Neural Computation 34",
        "Song, Lukasiewicz, Xu & Bogacz 2020, Can the brain do backpropagation? Exact implementation of "
        "backpropagation in predictive coding networks, NeurIPS",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["predictive_coding"] = "predictive_coding"
    variant: Annotated[Option, Options("relaxed", "fixed_prediction", "z_il")] = "relaxed"
    """relaxed: activity settles; fixed_prediction: errors alone do, which is backpropagation; z_il: layer k learns at
    step K - k, which is too"""
    eta: Annotated[Number, Evolves(0)] = 0.05
    """learning rate; ours, they use Adam"""
    rate: Annotated[Number, Evolves(0, 1, above=True)] = 0.1
    """how far a step of the relaxation goes (z_il: 1)"""
    steps: Annotated[Number, Evolves(1, 1000, integer=True)] = 50
    """of the relaxation (z_il: as many as layers)"""
    variance: Annotated[Number, Evolves(0, above=True)] = 1.0
    """V of the first hidden layer: the weight of its errors is 1 / V"""
    variance_ratio: Annotated[Number, Evolves(0, above=True)] = 1.0
    """V of each further hidden layer over that of the layer below it"""
    output_variance: Annotated[Number, Evolves(0, above=True)] = 1.0
    """V_K: the less the output is trusted, the nearer is relaxed to backpropagation"""

    def variances(self, numbers: dict[str, PerBrain], groups: int) -> list[PerBrain]:
        """V_1 … V_K."""
        hidden = [numbers["variance"] * numbers["variance_ratio"] ** k for k in range(groups - 1)]
        return [*hidden, numbers["output_variance"]]

    def settled(self, net: Layers, lesson: Lesson, held: Tensor) -> Errors:
        """Where its variant comes to rest."""
        numbers = lesson.numbers
        values = [*(layer.potential for layer in lesson.layers[:-1]), held]
        if self.variant == "z_il":
            return zero_divergence(net, lesson.x, values)
        variances = self.variances(numbers, len(values))
        if self.variant == "fixed_prediction":
            return fixed_prediction(net, lesson.layers, held, variances, numbers["rate"], numbers["steps"])
        return relaxed(net, lesson.x, values, variances, numbers["rate"], numbers["steps"])

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """(4), mean over the S decisions."""
        assert lesson.top_error is not None
        rest = self.settled(net, lesson, lesson.output - lesson.top_error)
        scale = lesson.numbers["eta"] / lesson.x.shape[2]
        if self.variant != "z_il":
            scale = scale * lesson.numbers["output_variance"]
        return tuple(scale * (e.mT @ seen) for e, seen in zip(rest.error, rest.seen, strict=True)), state
