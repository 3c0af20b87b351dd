"""Recurrent learning with a trace of one product of two factors: random, and right in the mean (UORO, KF-RTRL).

The influence M of `rtrl.py` (1) becomes a draw whose expectation it is. With D of `rtrl.py` (2), g = dy_t / du_t,
a = [x_t; y_{t-1}], and signs of chance, each 1 or -1:

    UORO      M ~ A_i B_kj      A <- p0 D A + p1 nu,          B <- B / p0 + (nu g) a^T / p1                  (1)
              p0^2 = |B| / |D A|,  p1^2 = |g a^T| / |nu|,     nu_i a sign for each neuron
    KF-RTRL   M ~ A_j B_ik      A <- s0 p0 A + s1 p1 a,       B <- s0 D B / p0 + s1 diag(g) / p1             (2)
              p0^2 = |D B| / |A|,  p1^2 = |g| / |a|,          s0 and s1 two signs a step
    dL/dW ~ sum_t (q_t A) B,  or sum_t (q_t^T B) A^T                                                         (3)

Tallec & Ollivier 2017; Mujika, Meier & Steger 2018; Marschall, Cho & Savin 2020. The factors p bring less variance and
leave the mean as it is. UORO keeps N + N (N + I) numbers, KF-RTRL N^2 + N + I: of both a step costs what a product
with W does, N^2 or N^3. At the first step of a trial nothing is carried on. A small number is added to each length, so
that 0 divides nothing. Signs are drawn for each lifetime, trial, step and stream, and are the same for all individuals.
Neurons with g = 0, those that are missing among them, get none, which adds less noise and changes no mean.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Network
from metaplastic.inner_loop.gradient.descent import Gradients
from metaplastic.inner_loop.gradient.rtrl import OnlineDescent, summed
from metaplastic.inner_loop.networks.leaky_rnn import Leaky, LeakyTape
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials

SIGNS = "signs"
"""the key of a minibatch's chance, in the state while it is lived"""
LEAST = 1e-12
"""what is added to every length"""


class Factors(NamedTuple):
    """What stands for the influence after a step."""

    step: int
    """steps so far"""
    A: Tensor
    """[P, L, S, N] (1), [P, L, S, M] (2)"""
    B: Tensor
    """[P, L, S, N, M] (1), [P, L, S, N, N] (2)"""


class RankOne(OnlineDescent):
    """A rule that carries factors of the influence forward."""

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """Run, and descend, with signs that hang on `key`."""
        lived = super().trial(network, state | {SIGNS: key}, trials, key, number, learns)
        return lived._replace(state={name: value for name, value in lived.state.items() if name != SIGNS})

    def carry(self, net: Leaky, state: State, trace: Factors | None, gate: Tensor, pre: Tensor) -> Factors:
        """(1) or (2)."""
        exists = state["mask.readout"][:, :, :1]
        gate = gate * exists
        pre = torch.cat([pre[..., : -exists.shape[-1]], pre[..., -exists.shape[-1] :] * exists], -1)
        step = 0 if trace is None else trace.step
        keys = rng.fold(rng.fold(state[SIGNS], step)[:, None], torch.arange(gate.shape[2], device=gate.device))
        return self.carried(net, trace, gate, pre, keys)

    @abstractmethod
    def carried(
        self,
        net: Leaky,
        trace: Factors | None,
        gate: Float[Tensor, "P L S N"],
        pre: Float[Tensor, "P L S M"],
        keys: Int[Tensor, "L S"],
    ) -> Factors:
        """(1) or (2), with a key of chance for each stream."""

    def gradients(self, network: Any, state: State, tape: LeakyTape, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """(3), over the trial."""
        net = network.tensors(state)
        carry = lambda trace, gate, pre: self.carry(net, state, trace, gate, pre)  # noqa: E731
        return summed(tape, error, net.readout, carry, self.read)


class UORO(RankOne):
    """M ~ A_i B_kj: A <- p0 D A + p1 nu, B <- B / p0 + (nu g) a^T / p1; dW = -eta sum_t (q_t A) B."""

    references: ClassVar[tuple[str, ...]] = (
        "Tallec & Ollivier 2017, Unbiased online recurrent optimization, arXiv:1702.05043",
        "Marschall, Cho & Savin 2020, A unified framework of online learning algorithms for training RNNs, JMLR 21",
    )
    kind: Literal["uoro"] = "uoro"

    def carried(
        self, net: Leaky, trace: Factors | None, gate: Tensor, pre: Tensor, keys: Int[Tensor, "L S"]
    ) -> Factors:
        """Equation (1)."""
        nu = signs(keys, gate.shape[-1], gate) * (gate != 0)
        p1 = balance(length(gate, 1) * length(pre, 1), length(nu, 1))
        now = (nu * gate / p1)[..., None] * pre[..., None, :]
        if trace is None:
            return Factors(1, p1 * nu, now)
        moved = (1 - net.leak) * trace.A + gate * (trace.A @ net.recurrent.mT)
        p0 = balance(length(trace.B, 2)[..., 0], length(moved, 1))
        return Factors(trace.step + 1, p0 * moved + p1 * nu, trace.B / p0[..., None] + now)

    def read(self, trace: Factors, signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
        """Equation (3) of one step, the mean of the streams."""
        heard = (signal * trace.A).sum(-1, keepdim=True)
        return (heard[..., None] * trace.B).mean(2)


class KFRTRL(RankOne):
    """M ~ A_j B_ik: A <- s0 p0 A + s1 p1 a, B <- s0 D B / p0 + s1 diag(g) / p1; dW = -eta sum_t (q_t^T B) A^T."""

    references: ClassVar[tuple[str, ...]] = (
        "Mujika, Meier & Steger 2018, Approximating real-time recurrent learning with random Kronecker factors, "
        "NeurIPS 31",
        "Marschall, Cho & Savin 2020, A unified framework of online learning algorithms for training RNNs, JMLR 21",
    )
    kind: Literal["kf_rtrl"] = "kf_rtrl"

    def carried(
        self, net: Leaky, trace: Factors | None, gate: Tensor, pre: Tensor, keys: Int[Tensor, "L S"]
    ) -> Factors:
        """Equation (2)."""
        s0, s1 = signs(keys, 2, gate).split(1, -1)
        p1 = balance(length(gate, 1), length(pre, 1))
        A, B = s1 * p1 * pre, (s1 * gate / p1).diag_embed()
        if trace is None:
            return Factors(1, A, B)
        turned = torch.einsum("plij,plsjk->plsik", net.recurrent, trace.B)
        moved = (1 - net.leak)[..., None] * trace.B + gate[..., None] * turned
        p0 = balance(length(moved, 2)[..., 0], length(trace.A, 1))
        return Factors(trace.step + 1, s0 * p0 * trace.A + A, (s0 / p0)[..., None] * moved + B)

    def read(self, trace: Factors, signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
        """Equation (3) of one step, the mean of the streams."""
        post = (signal[..., None, :] @ trace.B)[..., 0, :]
        return post.mT @ trace.A / signal.shape[2]


def signs(keys: Int[Tensor, "L S"], count: int, like: Tensor) -> Float[Tensor, "1 L S count"]:
    """1 or -1, the first `count` of each stream."""
    return (2.0 * rng.coin(rng.words(keys, count), 0.5) - 1.0).to(like)[None]


def length(value: Float[Tensor, "P L S ..."], axes: int) -> Float[Tensor, "P L S ..."]:
    """|value| over the last axes, which stay with length 1."""
    return torch.linalg.vector_norm(value, dim=tuple(range(-axes, 0)), keepdim=True)


def balance(one: Float[Tensor, "P L S 1"], other: Float[Tensor, "P L S 1"]) -> Float[Tensor, "P L S 1"]:
    """sqrt(one / other): the factor after which both have one length."""
    return ((one + LEAST) / (other + LEAST)).sqrt()
