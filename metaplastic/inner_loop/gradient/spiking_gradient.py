"""What a loss's errors and a network's costs make of each synapse of a spiking network: the gradient, or e-prop's.

    dL/dW = sum_t (s V_t) z_{t-1}^T,   V of `adjoint.py` (6)                                                 (1)
    dL/dW_out = sum_t e_t z_t^T,   e the error through the leaky read-out: `backward_filtered`               (2)

By the kernel where it fits, else by the scan in PyTorch.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.gradient.adjoint import backward_filtered, carried, outer_sum, spiking_adjoint
from metaplastic.inner_loop.gradient.descent import Gradients
from metaplastic.inner_loop.gradient.spiking_costs import Costs
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.networks.spiking import SpikeTape, Spiking


def spiking_gradient(
    net: Spiking,
    tape: SpikeTape,
    error: Float[Tensor, "T P L S A"],
    feedback: Float[Tensor, "P L A N"],
    costs: Costs | None = None,
    *,
    through_others: bool,
    window: int | None = None,
    by_kernel: bool | None = None,
) -> Gradients:
    """(1) and (2), of all three groups; `error` is dL/dy of each step, `feedback` carries it to the neurons.

    `through_others`: with the paths through other neurons and the reset, which e-prop leaves out; `by_kernel`: how, if
    not as it fits.
    """
    from metaplastic.inner_loop.kernels import spiking_kernel

    felt = backward_filtered(error, net.kappa, window)
    pull, direct = (None, None) if costs is None else costs
    if spiking_kernel.fits(tape.slope) if by_kernel is None else by_kernel:
        found = spiking_kernel.run_backward(net, tape, felt, feedback, pull, direct, through_others, window)
    else:
        signal = carried(felt, feedback) if pull is None else carried(felt, feedback) + pull
        driven = spiking_adjoint(net, tape.slope, signal, through_others=through_others, window=window, direct=direct)
        found = outer_sum(driven, tape.seen), outer_sum(driven, tape.before), outer_sum(felt, tape.rates)
    return dict(zip(GROUPS, found, strict=True))
