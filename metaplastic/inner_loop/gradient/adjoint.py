"""Backward scans: how much the loss would fall or rise with a neuron's input at each step, per path that is kept.

Leaky rate neurons (`networks/leaky_rnn.py`), q_t = dL_t / dy_t, g_t = dy_t / du_t:

    c_t = q_t + D_{t+1} c_{t+1},   dL/dW = sum_t (c_t g_t) y_{t-1}^T                                         (1)
        all    D c = (1 - a) c + W^T (g c)                  the gradient: back-propagation through time      (2)
        self   D c = (1 - a) c + diag(W) (g c)              SnAp-1: the influence on others is left out      (3)
        leak   D c = (1 - a) c                              RFLO: that on itself by W_ii too                 (4)

Spiking neurons (`networks/spiking.py`), q_t = dL / dz_t, psi for dz/dv:

    l_t = q_t + B_{t+1} [+ W^T (s V_{t+1}) - theta V_{t+1}, only in the gradient]                            (5)
    V_t = alpha V_{t+1} + psi_t l_t,   B_t = rho B_{t+1} - beta psi_t l_t                                    (6)
    dL/dW = sum_t (s V_t) z_{t-1}^T                                                                          (7)

V and B stand for dL/dv_t and dL/db_t. A rule with the trace of a synapse, e_t = psi_t (eps^v_t - beta eps^a_t), adds
up sum_t q_t e_t forward in time; since the trace follows from the neuron's own two variables, (5) without the bracket
gives the same sum backward in time, with T N numbers where the traces take N^2. The rules' files state the traces.

Marschall, Cho & Savin 2020; Menick et al. 2020; Murray 2019; Bellec et al. 2020.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.networks.leaky_rnn import Leaky
from metaplastic.inner_loop.networks.spiking import Spiking

Paths = Literal["all", "self", "leak"]
"""(2), (3) or (4)"""


def leaky_adjoint(
    net: Leaky,
    gate: Float[Tensor, "T P L S N"],
    signal: Float[Tensor, "T P L S N"],
    paths: Paths = "all",
    window: int | None = None,
) -> Float[Tensor, "T P L S N"]:
    """c_t g_t of (1); nothing passes from step m `window` back to the step before it (E-BPTT)."""
    driven = torch.empty_like(signal)
    coming = torch.zeros_like(signal[0])
    own = torch.diagonal(net.recurrent, dim1=-2, dim2=-1)[:, :, None]
    for step in reversed(range(len(signal))):
        coming = signal[step] + coming
        torch.mul(coming, gate[step], out=driven[step])
        if window and step % window == 0:
            coming = torch.zeros_like(coming)
            continue
        coming = coming * (1 - net.leak)
        if paths == "all":
            coming += driven[step] @ net.recurrent
        elif paths == "self":
            coming += driven[step] * own
    return driven


def spiking_adjoint(
    net: Spiking,
    slope: Float[Tensor, "T P L S N"],
    signal: Float[Tensor, "T P L S N"],
    *,
    through_others: bool = False,
    window: int | None = None,
    direct: tuple[Float[Tensor, "T P L S N"], Float[Tensor, "T P L S N"]] | None = None,
) -> Float[Tensor, "T P L S N"]:
    """s V_t of (6); `direct` is what the loss has of v_t and b_t themselves, not by way of spikes."""
    driven = torch.empty_like(signal)
    voltage, adaptation, spike = (torch.zeros_like(signal[0]) for _ in range(3))
    for step in reversed(range(len(signal))):
        torch.add(signal[step], adaptation, out=spike)
        if through_others:
            spike += (voltage * net.drive) @ net.recurrent
            spike -= net.theta * voltage
        spike.mul_(slope[step])
        voltage.mul_(net.alpha).add_(spike)
        adaptation.mul_(net.rho).addcmul_(net.beta, spike, value=-1)
        if direct is not None:
            voltage += direct[0][step]
            adaptation += direct[1][step]
        driven[step] = voltage
        if window and step % window == 0:
            voltage.zero_()
            adaptation.zero_()
    return driven.mul_(net.drive)


def backward_filtered(
    error: Float[Tensor, "T *B"], kappa: Float[Tensor, "..."], window: int | None = None
) -> Float[Tensor, "T *B"]:
    """The error as the current of the leaky read-out feels it: e_t = (1 - kappa) sum_{s >= t} kappa^{s-t} error_s."""
    felt = error * (1 - kappa)
    for step in reversed(range(len(felt) - 1)):
        if not window or (step + 1) % window:
            felt[step].addcmul_(felt[step + 1], kappa)
    return felt


def carried(error: Float[Tensor, "T P L S A"], feedback: Float[Tensor, "P L A N"]) -> Float[Tensor, "T P L S N"]:
    """Each neuron's share of the error, sum_k B_kj e_k; B is the read-out itself in the gradient."""
    return torch.einsum("tplsa,plan->tplsn", error, feedback)


def outer_sum(
    post: Float[Tensor, "T P L S post"], pre: Float[Tensor, "T P L S pre"] | Float[Tensor, "T L S pre"]
) -> Float[Tensor, "P L post pre"]:
    """sum_t post_t pre_t^T, the mean of the S streams: one product a brain."""
    spec = "tplsi,tplsj->plij" if pre.ndim == post.ndim else "tplsi,tlsj->plij"
    return torch.einsum(spec, post, pre) / post.shape[3]
