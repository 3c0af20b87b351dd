"""e-prop that writes at every step: the traces of `eprop.py` (1) to (3), carried on while the weights change.

    dW_ij(t) = -eta step(L_i(t) F_kappa(e_ij)(t) + c (f_i(t) - target) / T e_ij(t) + dE_v(t))                (1)

f_i(t) is the mean rate of the trial so far, which a neuron can know; at the trial's end it is the mean that the rule
uses where it writes once. With a vanishing rate the writes add up to that one, but for this. A trace takes N (N + I)
numbers for each stream of each brain.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.gradient.adjoint import outer_sum
from metaplastic.inner_loop.gradient.descent import Gradients
from metaplastic.inner_loop.gradient.rtrl import local_read
from metaplastic.inner_loop.networks.spiking import Cells, Spiking


class Traces(NamedTuple):
    """What synapses remember of a trial."""

    voltage: Float[Tensor, "P L S N M"]
    """eps^v"""
    threshold: Float[Tensor, "P L S N M"]
    """eps^a"""
    eligible: Float[Tensor, "P L S N M"]
    """e"""
    smooth: Float[Tensor, "P L S N M"]
    """F_kappa(e)"""
    fired: Float[Tensor, "P L S N"]
    """F_kappa(z)"""
    slope: Float[Tensor, "P L S N"]
    """psi of the step before"""


Pulls = tuple[Float[Tensor, "P L S N"], Float[Tensor, "P L S N"], Float[Tensor, "P L S N"]]
"""what the costs of its own activity want of each neuron's spike, voltage and adaptation"""


def no_traces(like: Float[Tensor, "P L S N"], pre: int) -> Traces:
    """Before a trial."""
    synapses = like.new_zeros(*like.shape, pre)
    return Traces(synapses, synapses, synapses, synapses, torch.zeros_like(like), torch.zeros_like(like))


def traces_after(
    net: Spiking,
    before: Traces,
    cells: Cells,
    slope: Float[Tensor, "P L S N"],
    pre: Float[Tensor, "P L S M"],
) -> Traces:
    """(1) to (3) of `eprop.py`; `pre` is [x_t; z_{t-1}], `slope` psi_t."""
    last = before.slope[..., None]
    threshold = (net.rho[..., None] - net.beta[..., None] * last) * before.threshold + last * before.voltage
    voltage = net.alpha[..., None] * before.voltage + pre[..., None, :]
    eligible = (slope * net.drive)[..., None] * (voltage - net.beta[..., None] * threshold)
    kappa = net.kappa[..., None]
    smooth = kappa * before.smooth + (1 - kappa) * eligible
    fired = net.kappa * before.fired + (1 - net.kappa) * cells.fired
    return Traces(voltage, threshold, eligible, smooth, fired, slope)


def step_gradient(
    net: Spiking,
    traces: Traces,
    error: Float[Tensor, "P L S A"],
    feedback: Float[Tensor, "P L A N"],
    pulls: Pulls,
    inputs: int,
) -> Gradients:
    """(1) without eta, of all three groups; `error` is the loss's derivative by the outputs of this step."""
    whole = local_read(traces.smooth, error @ feedback) + local_read(traces.eligible, pulls[0])
    whole = whole + local_read(traces.voltage, pulls[1] * net.drive)
    whole = whole + local_read(traces.threshold, pulls[2] * net.drive)
    readout = outer_sum(error[None], traces.fired[None])
    return {"input": whole[..., :inputs], "recurrent": whole[..., inputs:], "readout": readout}
