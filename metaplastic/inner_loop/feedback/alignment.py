"""The error sent down: by the weights themselves, by random ones, directly, or by their signs alone.

    batch_backprop              f_K = -dC/dq,   B_k = W_k: gradient descent of the objective                (1)
    feedback_alignment          B_k random, fixed: W_k comes to align with it          Lillicrap et al. 2016  (2)
    direct_feedback_alignment   B_k random, fixed, from the output to every layer      Nøkland 2016         (3)
    sign_symmetry               B_k = |M_k| sign(W_k) at a share `concordance` of synapses, elsewhere M_k;
                                M_k random, fixed                                      Liao et al. 2016     (4)

(4) is (2) at concordance 0, and the "fixed random magnitude, signs of W" of Liao et al. at 1. C is the objective's cost
of the answer. `backprop` (gradient/backprop.py) is (1) one decision at a time, as a formula, with a fused kernel; it is
another class because a formula says what one synapse does, and a minibatch is not part of that.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.transport import (
    Batch,
    Drawn,
    Mode,
    Rate,
    Transport,
    descend,
    draw,
    fan_in,
    named,
)
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.rules.layered import Lesson, State

Share = Annotated[Number, Evolves(0, 1)]
"""a number in [0, 1]"""


class BatchBackprop(Transport):
    """dW_k = -eta dC/dW_k: gradient descent of the objective's cost of the answer, in minibatches (1)."""

    references: ClassVar[tuple[str, ...]] = (
        "Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, Nature 323",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["batch_backprop"] = "batch_backprop"
    eta: Rate = 0.2
    """learning rate; 0.2 with batches of 128 in the code of Akrout et al. 2019 (MNIST, sigmoid, 500 units)"""
    batch: Batch = 128
    """decisions between two writes, as there"""


class FeedbackAlignment(Drawn):
    """dW_k = eta f_k y_{k-1}, f_k = phi' (B_{k+1}^T f_{k+1}), B random and fixed, f_K = -dC/dq (2)."""

    references: ClassVar[tuple[str, ...]] = (
        "Lillicrap, Cownden, Tweed & Akerman 2016, Random synaptic feedback weights support error backpropagation for "
        "deep learning, Nat Commun 7:13276",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["feedback_alignment"] = "feedback_alignment"
    eta: Rate = 0.2
    """learning rate; 0.2 with batches of 128 in the code of Akrout et al. 2019 (MNIST, sigmoid, 500 units)"""
    feedback_density: Share = 1.0
    """share of feedback synapses that exist"""
    batch: Batch = 128
    """decisions between two writes, as there"""

    def mode(self) -> Mode:
        """Fixed."""
        return "random"

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """B at birth."""
        return self.thinned(net, self.drawn(net, key), key)


class Direct(Transport):
    """A rule whose feedback weights come from the output to every layer, drawn at birth and fixed."""

    follows_error: ClassVar[bool] = True
    feedback_gain: Rate = 1.0
    """deviation of feedback weights at birth, times the square root of the number of neurons they come down to"""
    feedback_density: Share = 1.0
    """share of feedback synapses that exist"""

    def mode(self) -> Mode:
        """Fixed."""
        return "random"

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """B at birth."""
        return self.thinned(net, self.drawn(net, key), key)

    def drawn(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """B_k [P, L, A, neurons of layer k]."""
        gain, outputs = self.own_numbers(net)["feedback_gain"], net.weights[-1].shape[-2]
        state = {}
        for k in range(1, len(net.weights)):
            exists = net.exists(k - 1)
            drawn = draw(rng.fold(key, k), outputs, exists.shape[-1], net.weights[0])
            state[named(k)] = gain / exists.sum(-1, keepdim=True).sqrt() * drawn * exists
        return state


class DirectFeedbackAlignment(Direct):
    """dW_k = eta f_k y_{k-1}, f_k = phi' (B_k^T f_K), B random and fixed, f_K = -dC/dq (3)."""

    references: ClassVar[tuple[str, ...]] = (
        "Nøkland 2016, Direct feedback alignment provides learning in deep neural networks, NeurIPS 29",
    )
    kind: Literal["direct_feedback_alignment"] = "direct_feedback_alignment"
    eta: Rate = 0.1
    """learning rate; ours, since Nøkland's 1e-4 is RMSprop's"""
    batch: Batch = 64
    """decisions between two writes, Nøkland's"""

    def signals(self, net: Layers, state: State, lesson: Lesson) -> list[Float[Tensor, "P L S _"]]:
        """Equation (3)."""
        return descend(lesson.layers, self.carriers(net, state, lesson), self.teach(lesson), direct=True)


class SignSymmetry(Drawn):
    """dW_k = eta f_k y_{k-1}, f_k = phi' (B_{k+1}^T f_{k+1}), B = abs(M) sign(W), f_K = -dC/dq (4)."""

    references: ClassVar[tuple[str, ...]] = (
        "Liao, Leibo & Poggio 2016, How important is weight symmetry in backpropagation?, AAAI 30",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["sign_symmetry"] = "sign_symmetry"
    eta: Rate = 0.2
    """learning rate; ours, as for feedback alignment"""
    concordance: Share = 1.0
    """share of feedback weights that keep the sign of the forward weight"""
    magnitude: Annotated[Option, Options("random", "uniform")] = "random"
    """of |M|: drawn, or 1 for all"""
    batch: Batch = 128
    """decisions between two writes; ours"""

    def mode(self) -> Mode:
        """M is fixed."""
        return "random"

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """M, and a uniform number a synapse that says whether it keeps the sign."""
        state = self.drawn(net, key)
        for k in range(1, len(net.weights)):
            own = state[named(k)]
            rows = rng.fold(
                rng.fold(rng.fold(key, k), 1 << 20)[:, None], torch.arange(own.shape[-2], device=own.device)
            )
            state[f"coin{k}"] = rng.uniforms(rows, own.shape[-1]).to(own).expand_as(own)
            if self.magnitude == "uniform":
                one = self.own_numbers(net)["feedback_gain"] / fan_in(net, k).sqrt()
                state[named(k)] = own.sign() * one
        return state

    def carriers(self, net: Layers, state: State, lesson: Lesson) -> list[Float[Tensor, "P L _ _"]]:
        """Equation (4)."""
        found = []
        for k in range(1, len(net.weights)):
            own = state[named(k)]
            keeps = state[f"coin{k}"] < lesson.numbers["concordance"]
            found.append(torch.where(keeps, own.abs() * net.carriers(k).sign(), own))
        return found
