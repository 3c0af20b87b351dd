"""Layers that run up and down at once until they rest: what equilibrium propagation and contrastive Hebb share.

    E = sum_k gamma^(k-K) [Phi(s_k) - s_k^T (W_k s_{k-1} + b_k)] + beta C(s_K),      Phi' = phi^-1           (1)
    C = 1/2 |s_K - target|^2                                                                                 (2)
    rest: s_k = phi(a_k),   a_k = W_k s_{k-1} + b_k + gamma W_{k+1}^T s_{k+1}                                (3)
    smooth    s_k <- s_k + rate (phi(a_k) - s_k);        s_K <- s_K + rate (a_K - s_K - beta (s_K - target)) (4)
    clipped   s_k <- clip(s_k + rate (a_k - s_k), 0, 1), the output as in (4) and clipped too                (5)
    minus dE/dW_k = gamma^(k-K) s_k s_{k-1}^T                                                                (6)

Xie & Seung 2003 (gamma), Scellier & Bengio 2017 (gamma = 1, beta, eq. 5: there each layer goes down the slope of E;
with gamma < 1 layer k's step is gamma^(K-k) times that slope, which rests at the same states). All layers move at once,
from the same old states. Smooth layers have a linear output, as the network has. A phase's last step may differ between
individuals: who is at rest keeps its states.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.networks.layers import Layer, Layers

Activities = tuple[Tensor, ...]
"""s_1 … s_K, [P, L, S, N_k] each"""
PerBrain = Float[Tensor, "#P 1 1 1"]


class Motion(NamedTuple):
    """How the layers move."""

    feedback: PerBrain
    """gamma"""
    rate: PerBrain
    is_clipped: bool
    """(5) rather than (4)"""


class Pull(NamedTuple):
    """What the output is drawn to."""

    target: Float[Tensor, "#P L S A"]
    strength: Float[Tensor, "#P L_or_1 1 1"] | None
    """beta; None: the output is held at the target"""


def silent(net: Layers, x: Float[Tensor, "#P L S I"]) -> Activities:
    """All states 0."""
    first = net.weights[0]
    return tuple(first.new_zeros(first.shape[0], *x.shape[1:3], w.shape[-2]) for w in net.weights)


def settle(
    net: Layers,
    x: Float[Tensor, "#P L S I"],
    start: Activities,
    motion: Motion,
    steps: PerBrain,
    pull: Pull | None = None,
) -> Activities:
    """The states after `steps` steps of (4) or (5) from `start`; no pull: the free phase."""
    below = net.seen(x) @ net.weights[0].mT
    states = start
    for step in range(int(steps.max())):
        moved = _step(net, below, states, motion, pull)
        moves = step < steps
        states = tuple(torch.where(moves, new, old) for new, old in zip(moved, states, strict=True))
    return states


def _step(net: Layers, below: Tensor, states: Activities, motion: Motion, pull: Pull | None) -> Activities:
    last = len(states) - 1
    moved = []
    for k, s in enumerate(states):
        a = below if k == 0 else net.seen(states[k - 1]) @ net.weights[k].mT
        if k < last:
            a = a + motion.feedback * (states[k + 1] @ net.carriers(k + 1))
            new = s + motion.rate * ((a if motion.is_clipped else net.phi.function(a)) - s)
        elif pull is not None and pull.strength is None:
            moved.append(pull.target.expand_as(s))
            continue
        else:
            drawn = pull.strength * (s - pull.target) if pull is not None and pull.strength is not None else 0.0
            new = s + motion.rate * (a - s - drawn)
        new = new.clamp(0, 1) if motion.is_clipped else new
        moved.append(new * net.exists(k) if k < last else new)
    return tuple(moved)


def as_layers(net: Layers, x: Float[Tensor, "#P L S I"], states: Activities, motion: Motion) -> tuple[Layer, ...]:
    """States as what layers did: `potential` is a_k of (3), `gate` the slope of s_k by it."""
    last, layers = len(states) - 1, []
    for k, s in enumerate(states):
        pre = net.seen(states[k - 1] if k else x.expand(len(s), *x.shape[1:]))
        a = pre @ net.weights[k].mT
        a = a + motion.feedback * (states[k + 1] @ net.carriers(k + 1)) if k < last else a
        gate = torch.ones_like(a)
        if motion.is_clipped:
            gate = ((s > 0) & (s < 1)).to(a)
        elif k < last:
            gate = net.phi.derivative(a, s)
        layers.append(Layer(pre, a, s, gate * net.exists(k) if k < last else gate))
    return tuple(layers)


def contrast(
    net: Layers, x: Float[Tensor, "#P L S I"], plus: Activities, minus: Activities, feedback: PerBrain
) -> tuple[Float[Tensor, "P L post pre"], ...]:
    """Difference of (6) between two phases, mean over the S decisions."""
    last = len(plus) - 1
    seen = [tuple(net.seen(s) for s in (x, *states[:-1])) for states in (plus, minus)]
    changes = []
    for k, (high, low) in enumerate(zip(plus, minus, strict=True)):
        difference = high.mT @ seen[0][k] - low.mT @ seen[1][k]
        changes.append(feedback ** (k - last) * difference / x.shape[2])
    return tuple(changes)
