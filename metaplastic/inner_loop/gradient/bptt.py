"""Back-propagation through time: the gradient itself, which no neuron could compute, to judge the others by.

    c_t = q_t + J_{t+1}^T c_{t+1},   dW = -eta sum_t (c_t dy_t/du_t) [x_t; y_{t-1}]^T                        (1)

Werbos 1990. The scans are `adjoint.py` (2) and (5); in spiking networks the surrogate stands for dz/dv and the reset is
derived as well, as in the code of Bellec et al. 2020. With `truncation` K a trial is cut into windows of K steps and
nothing passes from one back to the one before ("E-BPTT" of Marschall, Cho & Savin 2020); the weights are still written
once a minibatch. Their sliding windows ("F-BPTT") are not here.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from metaplastic.inner_loop.gradient.adjoint import carried, leaky_adjoint, outer_sum
from metaplastic.inner_loop.gradient.descent import Gradients
from metaplastic.inner_loop.gradient.spiking_costs import SpikingCosts
from metaplastic.inner_loop.gradient.spiking_gradient import spiking_gradient
from metaplastic.inner_loop.networks.leaky_rnn import Leaky, LeakyTape
from metaplastic.inner_loop.rules.sequence import State


class BPTT(SpikingCosts):
    """c_t = q_t + J_{t+1}^T c_{t+1}; dW = -eta sum_t (c_t dy_t/du_t) [x_t; y_{t-1}]^T: the gradient."""

    references = (
        "Werbos 1990, Backpropagation through time: what it does and how to do it, Proc IEEE 78:1550",
        "Marschall, Cho & Savin 2020, A unified framework of online learning algorithms for training RNNs, JMLR 21",
    )
    networks: ClassVar[tuple[str, ...]] = ("leaky_rnn", "spiking_rnn")
    kind: Literal["bptt"] = "bptt"
    truncation: Annotated[int, Field(ge=1)] | None = None
    """K, steps of a window; absent: the whole trial"""

    def gradients(self, network: Any, state: State, tape: Any, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """The gradient of the loss by all three groups."""
        net = network.tensors(state)
        if isinstance(net, Leaky):
            return leaky_gradient(net, tape, error, self.truncation)
        costs = self.costs(net, tape, state)
        return spiking_gradient(net, tape, error, net.readout, costs, through_others=True, window=self.truncation)


def leaky_gradient(
    net: Leaky, tape: LeakyTape, error: Float[Tensor, "T P L S A"], window: int | None = None
) -> Gradients:
    """dL/dW of a leaky rate network; `error` is dL/dz."""
    driven = leaky_adjoint(net, tape.gate, carried(error, net.readout), "all", window)
    return {
        "input": outer_sum(driven, tape.seen),
        "recurrent": outer_sum(driven, tape.before),
        "readout": outer_sum(error, tape.rates),
    }
