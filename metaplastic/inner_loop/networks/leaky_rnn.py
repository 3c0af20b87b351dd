"""A recurrent network of leaky rate neurons with a trained linear read-out, for rules that run whole trials themselves.

    u_t = W y_{t-1} + W_in x_t                                                                               (1)
    y_t = (1 - a) y_{t-1} + a phi(u_t),   a = dt / tau                                                       (2)
    z_t = W_out y_t                                                                                          (3)

Murray 2019, eqs. 1-2, and its notebook: tau = 10 steps, W ~ 1.5 N(0, 1/N), W_out ~ 0.1 U(-1, 1) / sqrt(N), and every
trial starts at the same y_0 ~ 0.1 N(0, 1). Its task has no input; here W_in ~ input_gain U(-1, 1), 0.1 there.
Here phi comes before the leak, in `rate_rnn` after it: with the leak outside, dy_t / du_t is local to a neuron.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.recurrent import START, Recurrent, State, brain_number
from metaplastic.inner_loop.networks.sizes import largest


class Leaky(NamedTuple):
    """P × L networks as tensors."""

    input: Float[Tensor, "P L N I"]
    recurrent: Float[Tensor, "P L N N"]
    readout: Float[Tensor, "P L A N"]
    leak: Float[Tensor, "P L 1 N"]
    """a of (2)"""
    start: Float[Tensor, "P L 1 N"]
    """y_0"""
    activation: str


class LeakyTape(NamedTuple):
    """What a trial of S streams was."""

    seen: Float[Tensor, "T L S I"]
    before: Float[Tensor, "T P L S N"]
    """y_{t-1}"""
    rates: Float[Tensor, "T P L S N"]
    """y_t"""
    gate: Float[Tensor, "T P L S N"]
    """dy_t / du_t = a phi'(u_t)"""
    output: Float[Tensor, "T P L S A"]


class LeakyRNN(Recurrent):
    """Leaky rate neurons, equations (1) to (3); the defaults are those of Murray's notebook."""

    references = ("Murray 2019, Local online learning in recurrent networks with random feedback, eLife 8:e43299",)
    kind: Literal["leaky_rnn"] = "leaky_rnn"
    has_autapses: ClassVar[bool] = True
    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 50
    """N, neurons (notebook)"""
    tau: Annotated[Number, Evolves(0, above=True, per=("brain", "post"))] = 10.0
    """time constant of a neuron, ms (notebook: 10 steps)"""
    activation: Annotated[Option, Options(*ACTIVATIONS)] = "tanh"
    """phi"""
    gain: Annotated[Number, Evolves(0, 100)] = 1.5
    """spectral radius of the recurrent weights at birth (notebook)"""
    input_gain: Annotated[Number, Evolves(0, 100)] = 0.1
    """largest input weight at birth"""
    readout_gain: Annotated[Number, Evolves(0, 100)] = 0.1
    """largest read-out weight at birth, times sqrt(units) (notebook)"""
    start: Annotated[Number, Evolves(0)] = 0.1
    """deviation of y_0, which is drawn once in a life (notebook)"""

    def draw_input(self, key: Int[Tensor, " L"], inputs: int) -> Float[Tensor, "L N I"]:
        """U(-1, 1)."""
        return 2 * rng.uniforms(key, largest(self.units), inputs) - 1

    def draw_readout(
        self, key: Int[Tensor, " L"], outputs: int, units: Float[Tensor, " P"]
    ) -> Float[Tensor, "P L A N"]:
        """U(-1, 1) / sqrt(units)."""
        return (2 * rng.uniforms(key, outputs, largest(self.units)) - 1) / units.sqrt()[:, None, None, None]

    def born(self, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """All P × L networks; `key` is K(INIT) of each lifetime."""
        state = self.wired(spec, individuals, key, like)
        size = state["recurrent"].shape[-1]
        y0 = rng.normals(rng.fold(key, START), largest(self.units))[:, :size].to(like)
        state["leak"] = spec.dt / self.each_neuron(self.tau, spec, state)
        state["start"] = brain_number(self.start, like)[:, None, None] * y0.expand(individuals, -1, -1)
        return state

    def tensors(self, state: State) -> Leaky:
        """The networks as they are now."""
        groups = (state["input"], state["recurrent"], state["readout"])
        return Leaky(*groups, state["leak"][:, :, None], state["start"][:, :, None], str(self.activation))

    def run(self, state: State, x: Float[Tensor, "T L S I"]) -> LeakyTape:
        """A trial without a change of weights."""
        return run(self.tensors(state), self.shown(x))


def run(net: Leaky, seen: Float[Tensor, "T L S I"]) -> LeakyTape:
    """(1) to (3) for all steps; one product for all inputs and outputs, a loop over time for the rest."""
    phi, slope = ACTIVATIONS[net.activation].function, ACTIVATIONS[net.activation].derivative
    potential = torch.einsum("tlsi,plni->tplsn", seen, net.input)
    rates = potential.new_empty(len(seen) + 1, *potential.shape[1:])
    rates[0] = net.start
    to_post = net.recurrent.mT
    for step in range(len(seen)):
        potential[step] += rates[step] @ to_post
        rates[step + 1] = rates[step].lerp(phi(potential[step]), net.leak)
    gate = net.leak * slope(potential, phi(potential))
    output = torch.einsum("tplsn,plan->tplsa", rates[1:], net.readout)
    return LeakyTape(seen, rates[:-1], rates[1:], gate, output)
