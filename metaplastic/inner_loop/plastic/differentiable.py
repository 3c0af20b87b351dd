"""Differentiable plasticity and Backpropamine as pure functions: what the plastic part of a synapse does in a trial.

    y_i(t) = tanh(in_i + sum_j (w_ij + alpha_ij H_ij) y_j(t-1))                                                     (1)
    decay         H <- (1 - eta) H + eta y_i(t) y_j(t-1)                              Miconi et al. 2018, eq. 2     (2)
    oja           H <- H + eta y_i(t) (y_j(t-1) - y_i(t) H)                                              eq. 3     (3)
    simple        H <- clip(H + m_i(t) y_i(t) y_j(t-1))                               Miconi et al. 2019, eq. 3     (4)
    retroactive   H <- clip(H + m_i(t) E),  then  E <- (1 - eta) E + eta y_i(t) y_j(t-1)             eqs. 4, 5     (5)
    m_i(t) = fan_i tanh(listens y(t) + listens_bias) + fan_bias_i                                                   (6)

(4) to (6) are Backpropamine: the network itself says, by a neuron that listens to all others, when its synapses
change, and each neuron takes the message with a sign and size of its own. H and E are 0 at a trial's start. All of it
is differentiable in w, alpha, eta and the numbers of (6), so that they can be trained through trials.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def run(
    parts: dict[str, Tensor], drive: Float[Tensor, "T P L S N"], hebb: str, limit: float = 2.0
) -> tuple[Float[Tensor, "T P L S N"], Float[Tensor, "P L S N N"]]:
    """The activities of S trials, and H at their end.

    `parts`: w [P, L, N, N], alpha and eta that broadcast with it, and for (6) listens [P, L, 1, N], listens_bias
    [P, L, 1, 1], fan and fan_bias [P, L, N, 1].
    """
    w, alpha, eta = (parts[name][:, :, None] for name in ("w", "alpha", "eta"))
    y = torch.zeros_like(drive[0])
    plastic = y.new_zeros(*y.shape, y.shape[-1])
    eligibility = plastic
    rates = []
    for now in drive:
        before = y
        y = torch.tanh(now + ((w + alpha * plastic) * before[..., None, :]).sum(-1))
        post, pre = y[..., None], before[..., None, :]
        if hebb == "decay":
            plastic = (1 - eta) * plastic + eta * (post * pre)
        elif hebb == "oja":
            plastic = plastic + eta * post * (pre - post * plastic)
        else:
            m = modulation(parts, y)[..., None]
            plastic = torch.clamp(plastic + m * (post * pre if hebb == "simple" else eligibility), -limit, limit)
            eligibility = (1 - eta) * eligibility + eta * (post * pre) if hebb == "retroactive" else eligibility
        rates.append(y)
    return torch.stack(rates), plastic


def modulation(parts: dict[str, Tensor], y: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L S N"]:
    """Equation (6)."""
    heard = torch.tanh((parts["listens"] * y).sum(-1, keepdim=True) + parts["listens_bias"])
    return parts["fan"][:, :, None, :, 0] * heard + parts["fan_bias"][:, :, None, :, 0]
