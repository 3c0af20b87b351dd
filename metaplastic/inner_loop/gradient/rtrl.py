"""Real-time recurrent learning and its sparse approximations: how each weight moves each neuron, carried forward.

    M_t[i, (k, j)] = dy_{t,i} / dW_{kj}:   M_t = D_t M_{t-1} + delta_ik g_k a_j,   a = [x_t; y_{t-1}]        (1)
    D_t = diag(1 - leak) + diag(g) W,   g = dy_t / du_t                                                      (2)
    dL/dW = sum_t q_t^T M_t,   q_t = W_out^T dL/dz_t                                                         (3)

Williams & Zipser 1989. M has N^2 (N + I) numbers and a step costs N^3 (N + I): an oracle for small networks. SnAp-n
(Menick et al. 2020) keeps of M what a weight reaches within n steps of the network: entry (i, (k, j)) if there is a
path of at most n - 1 synapses from k to i. From n = 1 + the longest shortest path on, that is (1) itself; n = 1 keeps
M's diagonal, N (N + I) numbers, and its sum over a trial is also one product with the backward scan `adjoint.py` (3).

The rules here write at a trial's end, when the gradient is exact, or at every step (`writes: step`), as these rules are
meant; then M belongs to weights that have moved since.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Network
from metaplastic.fields import Option, Options
from metaplastic.inner_loop.gradient.adjoint import carried, leaky_adjoint, outer_sum
from metaplastic.inner_loop.gradient.descent import Descent, Gradients, error_by_output, step_weights
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.leaky_rnn import Leaky, LeakyRNN, LeakyTape
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials

Trace = Any
"""what a rule carries from step to step: a tensor, or some of them"""
Carry = Callable[[Trace | None, Tensor, Tensor], Trace]
"""(trace before, gate [P, L, S, N], pre [P, L, S, M]) -> trace now"""
Read = Callable[[Trace, Tensor], Tensor]
"""(trace, signal q [P, L, S, N]) -> its product [P, L, N, M], the mean of the streams"""


class OnlineDescent(Descent):
    """A rule of the leaky rate network that carries a trace forward; it may write at every step."""

    networks: ClassVar[tuple[str, ...]] = ("leaky_rnn",)
    writes: Annotated[Option, Options("trial", "step")] = "trial"
    """when the weights change"""

    @abstractmethod
    def carry(self, net: Leaky, state: State, trace: Trace | None, gate: Tensor, pre: Tensor) -> Trace:
        """The trace after a step."""

    @abstractmethod
    def read(self, trace: Trace, signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
        """What the trace and a signal a neuron make of each synapse, the mean of the streams."""

    def carrier(self, net: Leaky, state: State) -> Float[Tensor, "P L A N"]:  # noqa: ARG002
        """What carries the error to the neurons."""
        return net.readout

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """Run, and descend at the end or at each step."""
        if self.writes == "trial" or not learns:
            return super().trial(network, state, trials, key, number, learns)
        assert isinstance(network, LeakyRNN)
        return self._written_each_step(network, state, trials)

    def _written_each_step(self, network: LeakyRNN, state: State, trials: Trials) -> Lived:
        seen, outputs, rates = network.shown(trials.x), [], []
        share = step_weights(trials.w, str(self.weighing))
        y = network.tensors(state).start.expand(*state["readout"].shape[:2], trials.x.shape[2], -1)
        trace = None
        for step in range(len(seen)):
            net = network.tensors(state)
            y, gate, pre = advanced(net, y, seen[step])
            trace = self.carry(net, state, trace, gate, pre)
            outputs.append(y @ net.readout.mT)
            rates.append(y)
            now = slice(step, step + 1)
            error = error_by_output(outputs[-1][None], trials.y[now], share[now], str(self.loss))
            state = self.descended(state, self._estimate(net, state, trace, error, y, seen.shape[-1]))
        return Lived(torch.stack(outputs), state, {"rates": torch.stack(rates)})

    def _estimate(
        self, net: Leaky, state: State, trace: Trace, error: Float[Tensor, "1 P L S A"], y: Tensor, inputs: int
    ) -> Gradients:
        whole = self.read(trace, carried(error, self.carrier(net, state))[0])
        groups = {"input": whole[..., :inputs], "recurrent": whole[..., inputs:]}
        return groups | {"readout": outer_sum(error, y[None])}


class RTRL(OnlineDescent):
    """M_t = D_t M_{t-1} + g_k a_j at i = k; dW = -eta sum_t q_t^T M_t: the gradient, or what SnAp-n keeps of M."""

    references = (
        "Williams & Zipser 1989, A learning algorithm for continually running fully recurrent neural networks",
        "Menick et al. 2020, A practical sparse approximation for real time recurrent learning, arXiv:2006.07232",
    )
    kind: Literal["rtrl"] = "rtrl"
    reach: Annotated[int, Field(ge=1)] | None = None
    """n of SnAp-n; absent: all"""

    def carry(self, net: Leaky, state: State, trace: Tensor | None, gate: Tensor, pre: Tensor) -> Tensor:  # noqa: ARG002
        """Equation (1)."""
        return influence(net, trace, gate, pre, self.reach)

    def read(self, trace: Tensor, signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
        """Equation (3)."""
        return influence_read(trace, signal)

    def gradients(self, network: Any, state: State, tape: LeakyTape, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """(3), over the trial."""
        net = network.tensors(state)
        carry = lambda trace, gate, pre: influence(net, trace, gate, pre, self.reach)  # noqa: E731
        return summed(tape, error, net.readout, carry, influence_read)


class SnAp1(OnlineDescent):
    """e_ij <- (1 - a + g_i W_ii) e_ij + g_i a_j; dW_ij = -eta sum_t q_i e_ij: a neuron's own past alone."""

    references = RTRL.references[1:]
    kind: Literal["snap1"] = "snap1"

    def carry(self, net: Leaky, state: State, trace: Tensor | None, gate: Tensor, pre: Tensor) -> Tensor:  # noqa: ARG002
        """The diagonal of (1)."""
        own = torch.diagonal(net.recurrent, dim1=-2, dim2=-1)[:, :, None]
        return local_trace(1 - net.leak + gate * own, trace, gate, pre)

    def read(self, trace: Tensor, signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
        """The signal of the postsynaptic neuron times the trace."""
        return local_read(trace, signal)

    def gradients(self, network: Any, state: State, tape: LeakyTape, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """The sum over the trial, by the backward scan."""
        net = network.tensors(state)
        driven = leaky_adjoint(net, tape.gate, carried(error, net.readout), "self")
        return {
            "input": outer_sum(driven, tape.seen),
            "recurrent": outer_sum(driven, tape.before),
            "readout": outer_sum(error, tape.rates),
        }


def advanced(
    net: Leaky, y: Float[Tensor, "P L S N"], seen: Float[Tensor, "L S I"]
) -> tuple[Float[Tensor, "P L S N"], Float[Tensor, "P L S N"], Float[Tensor, "P L S M"]]:
    """One step: y_t, dy_t/du_t, and what the synapses saw, [x_t; y_{t-1}]."""
    unit = ACTIVATIONS[net.activation]
    potential = y @ net.recurrent.mT + torch.einsum("lsi,plni->plsn", seen, net.input)
    post = unit.function(potential)
    pre = torch.cat([seen.expand(*y.shape[:3], -1), y], -1)
    return y.lerp(post, net.leak), net.leak * unit.derivative(potential, post), pre


def summed(
    tape: LeakyTape,
    error: Float[Tensor, "T P L S A"],
    feedback: Float[Tensor, "P L A N"],
    carry: Carry,
    read: Read,
) -> Gradients:
    """A trace carried through a trial of fixed weights, and what its signals made of it: the estimate of dL/dW."""
    signal, trace, total = carried(error, feedback), None, None
    for step in range(len(signal)):
        seen = tape.seen[step].expand(*signal.shape[1:4], -1)
        trace = carry(trace, tape.gate[step], torch.cat([seen, tape.before[step]], -1))
        part = read(trace, signal[step])
        total = part if total is None else total + part
    assert total is not None
    inputs = tape.seen.shape[-1]
    return {
        "input": total[..., :inputs],
        "recurrent": total[..., inputs:],
        "readout": outer_sum(error, tape.rates),
    }


def influence(
    net: Leaky,
    before: Float[Tensor, "P L S N N M"] | None,
    gate: Float[Tensor, "P L S N"],
    pre: Float[Tensor, "P L S M"],
    reach: int | None = None,
) -> Float[Tensor, "P L S N N M"]:
    """Equation (1), [i, k, j]; with `reach` what SnAp-n keeps of it."""
    now = (gate[..., None] * torch.eye(gate.shape[-1], dtype=gate.dtype, device=gate.device))[..., None]
    now = now * pre[..., None, None, :]
    if before is None:
        return now
    carried_on = (1 - net.leak)[..., None, None] * before
    moved = torch.einsum("plik,plskqj->plsiqj", net.recurrent, before)
    now = now + carried_on + gate[..., None, None] * moved
    return now if reach is None else now * reachable(net.recurrent, reach)[:, :, None, ..., None]


def reachable(w: Float[Tensor, "P L N N"], reach: int) -> Float[Tensor, "P L N N"]:
    """1 at (i, k) where a path of at most `reach` - 1 synapses leads from neuron k to neuron i."""
    step = (w != 0).to(w) + torch.eye(w.shape[-1], dtype=w.dtype, device=w.device)
    reached = torch.eye(w.shape[-1], dtype=w.dtype, device=w.device).expand_as(w)
    for _ in range(reach - 1):
        reached = (step @ reached > 0).to(w)
    return reached


def influence_read(trace: Float[Tensor, "P L S N N M"], signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
    """Equation (3) of one step, the mean of the streams."""
    return torch.einsum("plsikj,plsi->plkj", trace, signal) / signal.shape[2]


def local_trace(
    kept: Float[Tensor, "P L #S N"],
    before: Float[Tensor, "P L S N M"] | None,
    gate: Float[Tensor, "P L S N"],
    pre: Float[Tensor, "P L S M"],
) -> Float[Tensor, "P L S N M"]:
    """e_t = kept e_{t-1} + g_t a_t^T: the trace of a synapse that only its own neuron carries on."""
    now = gate[..., None] * pre[..., None, :]
    return now if before is None else now + kept[..., None] * before


def local_read(trace: Float[Tensor, "P L S N M"], signal: Float[Tensor, "P L S N"]) -> Float[Tensor, "P L N M"]:
    """q_i e_ij, the mean of the streams."""
    return (signal[..., None] * trace).mean(2)
