"""What a body needs and what a network costs: drives that reward reduces, energy, and the length of wires.

    need         D = [sum_v w_v |h_v - h*_v|^n]^(1/m);   n = 2, m = 1:  dD/dh_v = 2 w_v (h_v - h*_v)         (1)
    reward       r_t = D_t - D_{t+1}, so that sum_t r_t = D_0 - D_T                                         (2)
    energy       C = c_s spikes + c_w sum |dW| + c_syn sum_ij |w_ij| x_j                                    (3)
    wiring       C = sum_ij |w_ij| d_ij                                                                     (4)

Keramati & Gutkin 2011, 2014 (1, 2: other n and m weigh large needs more); Attwell & Laughlin 2001 (3); Chklovskii 2004
(4). (2) is a stream of reward; (3) and (4) are for fitness, and their derivatives by weights are given. Functions: no
kind of life has a body yet.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def need(
    state: Float[Tensor, "*B V"],
    wanted: Float[Tensor, "*#B V"],
    weight: Float[Tensor, "*#B V"],
    power: float = 2.0,
    root: float = 1.0,
) -> Float[Tensor, "*B"]:
    """D of (1)."""
    return (weight * (state - wanted).abs() ** power).sum(-1) ** (1 / root)


def need_error(
    state: Float[Tensor, "*B V"], wanted: Float[Tensor, "*#B V"], weight: Float[Tensor, "*#B V"]
) -> Float[Tensor, "*B V"]:
    """dD/dh of (1) for n = 2, m = 1."""
    return 2 * weight * (state - wanted)


def relief(before: Float[Tensor, "*B"], after: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Reward (2)."""
    return before - after


def energy(
    spikes: Float[Tensor, "*B"],
    change: Float[Tensor, "*B post pre"],
    weights: Float[Tensor, "*B post pre"],
    pre: Float[Tensor, "*B pre"],
    spike_cost: float = 1.0,
    change_cost: float = 1.0,
    synapse_cost: float = 1.0,
) -> Float[Tensor, "*B"]:
    """C of (3) for one connection group."""
    transmitted = (weights.abs() * pre[..., None, :]).sum((-1, -2))
    return spike_cost * spikes + change_cost * change.abs().sum((-1, -2)) + synapse_cost * transmitted


def energy_error(weights: Float[Tensor, "*B post pre"], pre: Float[Tensor, "*B pre"]) -> Float[Tensor, "*B post pre"]:
    """Derivative by the weights of what transmission costs in (3)."""
    return weights.sign() * pre[..., None, :]


def wiring(weights: Float[Tensor, "*B post pre"], distance: Float[Tensor, "*#B post pre"]) -> Float[Tensor, "*B"]:
    """C of (4)."""
    return (weights.abs() * distance).sum((-1, -2))


def wiring_error(
    weights: Float[Tensor, "*B post pre"], distance: Float[Tensor, "*#B post pre"]
) -> Float[Tensor, "*B post pre"]:
    """dC/dw of (4)."""
    return weights.sign() * distance
