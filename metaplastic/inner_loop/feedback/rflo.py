"""Random feedback local online learning of leaky rate networks (RFLO).

    p_ij <- (1 - a) p_ij + a phi'(u_i) x_j,   x = [x_t; y_{t-1}],   a = dt / tau                             (1)
    dW_ij = -eta sum_t w_t (B^T e_t)_i p_ij,   dW_out = -eta sum_t w_t e_t y_t^T,   e = dL/dz                (2)

Murray 2019, eqs. 5-8. It is RTRL without what passes through recurrent synapses, and with fixed random weights B in the
place of the read-out's. A synapse needs its own trace, the gate of its neuron and that neuron's share of the error.

With weights that stay as they are within a trial (2) is one product with the backward scan (4) of `adjoint.py`; with
`writes: step` the traces are carried. `trace_tau` gives the trace a time constant of its own; (1) has the neuron's.
The notebook's numbers are the defaults. There the input's trace reads x_t while u_{t+1} reads x_{t+1}; here both read
the same step (its input is 0).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.gradient.adjoint import carried, leaky_adjoint, outer_sum
from metaplastic.inner_loop.gradient.descent import Gradients
from metaplastic.inner_loop.gradient.rtrl import OnlineDescent, local_read, local_trace
from metaplastic.inner_loop.networks.leaky_rnn import Leaky, LeakyTape
from metaplastic.inner_loop.networks.recurrent import FEEDBACK, Recurrent, brain_number
from metaplastic.inner_loop.networks.sizes import largest
from metaplastic.inner_loop.rules.sequence import State


class RFLO(OnlineDescent):
    """p_ij <- (1 - a) p_ij + a phi'(u_i) x_j; dW_ij = -eta sum_t (B^T e)_i p_ij, B random."""

    references = ("Murray 2019, Local online learning in recurrent networks with random feedback, eLife 8:e43299",)
    kind: Literal["rflo"] = "rflo"
    feedback: Annotated[Option, Options("random", "symmetric")] = "random"
    """B: drawn at birth, or the read-out's own weights"""
    feedback_gain: Annotated[Number, Evolves(0)] = 1.0
    """deviation of random B, times sqrt(outputs) (notebook)"""
    trace_tau: Annotated[Number, Evolves(0, above=True)] | None = None
    """ms, time constant of the traces; absent: the neuron's"""

    def more(self, network: Recurrent, spec: TaskSpec, state: State, key: Int[Tensor, " L"]) -> State:
        """B, and how much of a trace stays from step to step."""
        like, own = state["readout"], state["leak"]
        draw = random_feedback(network, spec, key, like) / spec.actions**0.5
        gain = brain_number(self.feedback_gain, like)[:, None, None, None]
        kept = 1 - own if self.trace_tau is None else 1 - spec.dt / brain_number(self.trace_tau, own)[:, None, None]
        return {"feedback": gain * draw * state["mask.readout"], "kept": kept.expand_as(own)}

    def carrier(self, net: Leaky, state: State) -> Float[Tensor, "P L A N"]:
        """B."""
        return net.readout if self.feedback == "symmetric" else state["feedback"]

    def carry(self, net: Leaky, state: State, trace: Tensor | None, gate: Tensor, pre: Tensor) -> Tensor:  # noqa: ARG002
        """Equation (1)."""
        return local_trace(state["kept"][:, :, None], trace, gate, pre)

    def read(self, trace: Tensor, signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
        """The sum of (2), one step of it."""
        return local_read(trace, signal)

    def gradients(self, network: Any, state: State, tape: LeakyTape, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """(2) over the trial, by the backward scan."""
        net = network.tensors(state)
        scanned = net._replace(leak=1 - state["kept"][:, :, None])
        driven = leaky_adjoint(scanned, tape.gate, carried(error, self.carrier(net, state)), "leak")
        return {
            "input": outer_sum(driven, tape.seen),
            "recurrent": outer_sum(driven, tape.before),
            "readout": outer_sum(error, tape.rates),
        }


def random_feedback(
    network: Recurrent, spec: TaskSpec, key: Int[Tensor, " L"], like: Float[Tensor, "P L A N"]
) -> Float[Tensor, "P L A N"]:
    """N(0, 1) for each neuron and output, the same for all individuals."""
    draw = rng.normals(rng.fold(key, FEEDBACK), spec.actions, largest(network.units))
    return draw[..., : like.shape[-1]].to(like).expand_as(like)
