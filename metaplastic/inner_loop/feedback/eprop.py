"""e-prop: a trace at every synapse of a spiking network, and a learning signal for every neuron.

    eps^v_j <- alpha eps^v_j + x_j                                  (of the presynaptic spikes, where alpha is one)  (1)
    eps^a_ij <- (rho - beta psi_i) eps^a_ij + psi_i eps^v_j         with psi and eps^v of the step before    (2)
    e_ij = psi_i s (eps^v_j - beta eps^a_ij)                                                                 (3)
    dW_ij = -eta step(sum_t L_i F_kappa(e_ij)),   L_i = sum_k B_ki dl/dy_k                                   (4)
    symmetric  B = W_out;   random  B ~ N(0, 1), fixed;   adaptive  B <- (1 - d) (B + dW_out)                (5)

Bellec et al. 2020 (e-prop 1); the numbers are those of the authors' code of the evidence accumulation task, the decay
d that of their speech task, where W_out decays as well. F_kappa is the read-out's filter. What is left out of the
gradient is how a spike moves the other neurons, and the reset.

(1) to (4) need N^2 numbers a stream and step. The same sum is a scan back in time over the neuron's own voltage and
threshold, `adjoint.py` (5) to (7), and one product a trial; `traced` is the definition, and the tests hold them equal.
With `writes: step` the traces are carried (`eprop_online.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.eprop_online import no_traces, step_gradient, traces_after
from metaplastic.inner_loop.feedback.rflo import random_feedback
from metaplastic.inner_loop.gradient.descent import Gradients, error_by_output, step_weights
from metaplastic.inner_loop.gradient.spiking_costs import SpikingCosts
from metaplastic.inner_loop.gradient.spiking_gradient import spiking_gradient
from metaplastic.inner_loop.networks.recurrent import Recurrent, brain_number
from metaplastic.inner_loop.networks.sizes import active
from metaplastic.inner_loop.networks.spiking import (
    SpikeTape,
    Spiking,
    SpikingRNN,
    advanced,
    at_rest,
    surrogate,
    tensors,
)
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials


class EProp(SpikingCosts):
    """e_ij = psi_i (eps^v_j - beta_i eps^a_ij); dW_ij = -eta sum_t (B^T dl/dy)_i F_kappa(e_ij)."""

    references = (
        "Bellec et al. 2020, A solution to the learning dilemma for recurrent networks of spiking neurons, Nat Commun",
        "Frenkel & Indiveri 2022, ReckOn: a 28 nm sub-mm2 task-agnostic spiking recurrent neural network processor",
    )
    networks: ClassVar[tuple[str, ...]] = ("spiking_rnn",)
    kind: Literal["eprop"] = "eprop"
    batch: Annotated[int, Field(ge=1, le=10_000)] = 64
    """S, trials of a minibatch (code)"""
    optimiser: Annotated[Option, Options("sgd", "adam")] = "adam"
    """how the estimate moves the weights (code)"""
    eta: Annotated[Number, Evolves(0, per=("brain", "connection", "post", "pre", "synapse"))] = 0.005
    """learning rate; the groups are input, recurrent and readout (code)"""
    loss: Annotated[Option, Options("squared", "cross_entropy")] = "cross_entropy"
    """of the outputs at the judged steps (code)"""
    rate_weight: Annotated[Number, Evolves(0)] = 2.0
    """of the cost of rates that are not the target (code: 1, without the 1/2)"""
    writes: Annotated[Option, Options("trial", "step")] = "trial"
    """when the weights change"""
    feedback: Annotated[Option, Options("symmetric", "random", "adaptive")] = "symmetric"
    """B of (5)"""
    feedback_gain: Annotated[Number, Evolves(0)] = 1.0
    """deviation of random B (code); of adaptive B at birth, times sqrt(units)"""
    decay: Annotated[Number, Evolves(0, 1)] = 0.01
    """d of (5)"""

    def more(self, network: Recurrent, spec: TaskSpec, state: State, key: Int[Tensor, " L"]) -> State:
        """B at birth."""
        like = state["readout"]
        gain = brain_number(self.feedback_gain, like)[:, None, None, None]
        if self.feedback == "adaptive":
            gain = gain / active(network.units, like.shape[0]).to(like).sqrt()[:, None, None, None]
        return {"feedback": gain * random_feedback(network, spec, key, like) * state["mask.readout"]}

    def gradients(self, network: Any, state: State, tape: SpikeTape, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """(4) of all three groups."""
        net = network.tensors(state)
        costs = self.costs(net, tape, state)
        return spiking_gradient(net, tape, error, self.carrier(net, state), costs, through_others=False)

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """Run, and descend at the end or at each step."""
        if self.writes == "trial" or not learns:
            return super().trial(network, state, trials, key, number, learns)
        assert isinstance(network, SpikingRNN)
        return self._written_each_step(network, state, trials)

    def _written_each_step(self, network: SpikingRNN, state: State, trials: Trials) -> Lived:
        seen, share = network.shown(trials.x), step_weights(trials.w, str(self.weighing))
        lives, streams, neurons = state["alpha"].shape[:2], seen.shape[2], state["alpha"].shape[2]
        cells = at_rest(state["alpha"].new_zeros(*lives, streams, neurons))
        traces = no_traces(cells.fired, seen.shape[-1] + neurons)
        fired, outputs, rates = torch.zeros_like(cells.fired), [], []
        for step in range(len(seen)):
            net, now = tensors(state), slice(step, step + 1)
            pre = torch.cat([seen[step].expand(*lives, streams, -1), cells.fired], -1)
            cells = advanced(net, cells, torch.einsum("lsi,plni->plsn", seen[step], net.input * net.drive.mT))
            traces = traces_after(net, traces, cells, surrogate(net, cells.distance, cells.free), pre)
            outputs.append(traces.fired @ net.readout.mT)
            rates.append(cells.fired)
            fired = fired + cells.fired
            error = error_by_output(outputs[-1][None], trials.y[now], share[now], str(self.loss))[0]
            pulls = self.pulls(net, cells, fired / (step + 1), len(seen), state)
            found = step_gradient(net, traces, error, self.carrier(net, state), pulls, seen.shape[-1])
            state = self.descended(state, found)
        return Lived(torch.stack(outputs), state, {"rates": torch.stack(rates)})

    def carrier(self, net: Spiking, state: State) -> Float[Tensor, "P L A N"]:
        """B now."""
        return net.readout if self.feedback == "symmetric" else state["feedback"]

    def descended(self, state: State, gradients: Gradients) -> State:
        """(4), and (5) of adaptive feedback."""
        moved, rest = self.steps(state, gradients)
        after = state | rest | {name: state[name] + moved[name] for name in moved}
        if self.feedback != "adaptive":
            return after
        stays = 1 - brain_number(self.decay, state["readout"])[:, None, None, None]
        after["readout"] = stays * after["readout"]
        after["feedback"] = stays * (state["feedback"] + moved["readout"])
        return after


def traced(
    net: Spiking, slope: Float[Tensor, "T P L S N"], pre: Float[Tensor, "T P L S M"], signal: Float[Tensor, "T P L S N"]
) -> Float[Tensor, "P L N M"]:
    """(1) to (4) as they are stated, forward in time: sum_t L_t F_kappa(e_t), the mean of the streams."""
    rows = lambda number: number[..., None]  # noqa: E731  (a number of the postsynaptic neuron)
    shape = (*slope.shape[1:], pre.shape[-1])
    voltage, threshold, smooth, total = (slope.new_zeros(shape) for _ in range(4))
    for step in range(len(slope)):
        before = rows(slope[step - 1]) if step else 0.0
        threshold = (rows(net.rho) - rows(net.beta) * before) * threshold + before * voltage  # (2)
        voltage = rows(net.alpha) * voltage + pre[step][..., None, :]  # (1)
        trace = rows(slope[step] * net.drive) * (voltage - rows(net.beta) * threshold)  # (3)
        smooth = net.kappa[..., None] * smooth + (1 - net.kappa[..., None]) * trace
        total = total + rows(signal[step]) * smooth  # (4)
    return total.mean(2)


def alignment(readout: Float[Tensor, "P L A N"], feedback: Float[Tensor, "P L A N"]) -> Float[Tensor, "P L"]:
    """Cosine of the angle between read-out and feedback weights."""
    return torch.cosine_similarity(readout.flatten(2), feedback.flatten(2), dim=-1)
