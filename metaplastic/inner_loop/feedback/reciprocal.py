"""Feedback that learns to be the forward weights: Kolen & Pollack's changes, and the weight mirror.

    kolen_pollack   dW_k = eta <f_k y_{k-1}^T> - decay W_k,   dB_k the same with B_k for W_k                (1)
                    so W_k - B_k = (1 - decay)^t of what it was at birth, whatever f and y are              (2)
    weight_mirror   B_k <- B_k + mirror_eta sum_m phi(W_k [1, xi_m]) xi_m^T,   xi ~ noise U(-1/2, 1/2)      (3)
                    so E[dB_k] is along phi' W_k: the noise comes back through the synapses it went up      (4)

(1) Kolen & Pollack 1994 in the form of Akrout et al. 2019, where both synapses see f and y; biases do not decay. With
decay 0, their MNIST run, W_k - B_k stays as it is and only its share of W_k shrinks. (3) Akrout et al. 2019, as in the
authors' code: noise of its own for every layer below a connection, sums (not means) over a mirror batch, one mirror
batch after each minibatch, an epoch of them before learning (`mirror_first`). Their code means to rescale B after each
mirror phase, but the statement has no effect; `normalise: birth` keeps the length B was born with. Their B is born with
the deviation 1 / sqrt(pre + post), ours with `feedback_gain` / sqrt(fan_in).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.transport import Batch, Drawn, Mode, Rate, named
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.rules.layered import Lesson, State


class KolenPollack(Drawn):
    """dW_k = eta f_k y_{k-1} - decay W_k, dB_k the same with B_k; f comes down by B, f_K = -dC/dq (1)."""

    references: ClassVar[tuple[str, ...]] = (
        "Kolen & Pollack 1994, Backpropagation without weight transport, ICNN 3:1375",
        "Akrout, Wilson, Humphreys, Lillicrap & Tweed 2019, Deep learning without weight transport, NeurIPS 32",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["kolen_pollack"] = "kolen_pollack"
    eta: Rate = 0.3
    """learning rate, as in the authors' MNIST run (batches of 128)"""
    decay: Annotated[Number, Evolves(0, 1)] = 0.0
    """lambda, share of every weight that is lost a minibatch; 0 in the authors' MNIST run"""
    batch: Batch = 128
    """decisions between two writes, as there"""

    def mode(self) -> Mode:
        """They get the changes of the forward weights."""
        return "learned"

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """Equation (1)."""
        changes, after = super().change(net, state, lesson)
        decay = lesson.numbers["decay"]
        lost = {named(k): after[named(k)] - decay * state[named(k)] for k in range(1, len(net.weights))}
        after = {**after, **lost}
        first = int(net.bias)
        faded = [torch.nn.functional.pad(decay * net.carriers(k), (first, 0)) for k in range(len(changes))]
        return tuple(change - loss for change, loss in zip(changes, faded, strict=True)), after


class WeightMirror(Drawn):
    """dW_k = eta f_k y_{k-1}, f down by B, f_K = -dC/dq; dB_k = mirror_eta phi(W_k xi) xi^T of noise xi (3)."""

    references: ClassVar[tuple[str, ...]] = (
        "Akrout, Wilson, Humphreys, Lillicrap & Tweed 2019, Deep learning without weight transport, NeurIPS 32",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["weight_mirror"] = "weight_mirror"
    eta: Rate = 0.05
    """learning rate, as in the authors' MNIST run (batches of 128)"""
    mirror_eta: Rate = 0.01
    """learning rate of feedback weights, for sums over a mirror batch"""
    noise: Rate = 0.1
    """width of the uniform noise"""
    mirror_batch: Batch = 128
    """noises after each minibatch"""
    mirror_first: Annotated[int, Field(ge=0)] = 468
    """mirror batches before learning: an epoch of MNIST"""
    normalise: Annotated[Option, Options("none", "birth")] = "none"
    """birth: feedback weights keep the length they had before anything was mirrored"""
    batch: Batch = 128
    """decisions between two writes, as there"""

    def mode(self) -> Mode:
        """They do not follow the changes of the forward weights."""
        return "random"

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """B after the first mirroring, and its lengths before."""
        state = self.drawn(net, key)
        if self.normalise == "birth":
            lengths = {f"length{k}": length(state[named(k)]) for k in range(1, len(net.weights))}
            state = {**state, **lengths}
        numbers = self.own_numbers(net)
        for step in range(self.mirror_first):
            state = self.mirrored(net, state, rng.fold(rng.fold(key, 1 << 20), step), numbers)
        return state

    def renewed(self, net: Layers, state: State, lesson: Lesson, changes: tuple[Tensor, ...]) -> State:
        """A mirror batch through the weights as they are after the change."""
        after = zip(net.weights, changes, net.masks, strict=True)
        now = net._replace(weights=tuple((w + change) * mask for w, change, mask in after))
        return self.mirrored(now, state, lesson.key, lesson.numbers)

    def mirrored(self, net: Layers, state: State, key: Int[Tensor, " L"], numbers: dict[str, Tensor]) -> State:
        """Equation (3) for every group but the first."""
        state = dict(state)
        for k in range(1, len(net.weights)):
            rows = rng.fold(rng.fold(key, k)[:, None], torch.arange(self.mirror_batch, device=key.device))
            below = rng.uniforms(rows, net.exists(k - 1).shape[-1]).to(net.weights[0]) - 0.5
            below = numbers["noise"] * below[None] * net.exists(k - 1)
            above = net.seen(below) @ net.weights[k].mT
            if k < len(net.weights) - 1:
                above = net.phi.function(above) * net.exists(k)
            grown = state[named(k)] + numbers["mirror_eta"] * above.mT @ below
            if self.normalise == "birth":
                grown = grown * state[f"length{k}"] / length(grown).clamp(min=1e-12)
            state[named(k)] = grown
        return state


def length(carrier: Float[Tensor, "P L post pre"]) -> Float[Tensor, "P L 1 1"]:
    """The Frobenius norm of each brain's."""
    return carrier.square().sum((-1, -2), keepdim=True).sqrt()
