"""A recurrent network of leaky integrate-and-fire neurons, some with an adaptive threshold (LIF and ALIF).

    b_t = rho b_{t-1} + z_{t-1}                                                      adaptation              (1)
    v_t = alpha v_{t-1} + s (W_in x_t + W z_{t-1}) - theta z_{t-1}                   membrane, with reset    (2)
    d_t = (v_t - theta - beta b_t) / theta,  z_t = 1 if d_t > 0 and not refractory   spikes                  (3)
    psi_t = gamma / theta max(0, 1 - |d_t|), 0 while refractory                      surrogate of dz_t/dv_t  (4)
    y_t = kappa y_{t-1} + (1 - kappa) W_out z_t                                      leaky read-out          (5)

alpha, rho, kappa = exp(-dt / tau, tau_adaptation, tau_out); beta = adaptation (1 - rho) / (1 - alpha) in the last
`adaptive` part of the neurons (ALIF), 0 in the others (LIF). After a spike `refractory` ms pass to the next, at least.

Bellec et al. 2020; (1) to (4) as in the authors' code of the evidence accumulation task, whose numbers are the defaults
(50 LIF, 50 ALIF). There s = 1 and theta = .6; their pattern generation has s = 1 - alpha, theta = .03, tau = 30 ms, no
adaptation and no refractory time: `current: leak`. At birth W_in ~ N(0, 1) / sqrt(I), W ~ N(0, 1) / sqrt(N) without
autapses, W_out ~ U(-1, 1) sqrt(6 / (N + A)).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.networks.recurrent import Recurrent, State, brain_number
from metaplastic.inner_loop.networks.sizes import active, largest


class Spiking(NamedTuple):
    """P × L networks as tensors."""

    input: Float[Tensor, "P L N I"]
    recurrent: Float[Tensor, "P L N N"]
    readout: Float[Tensor, "P L A N"]
    alpha: Float[Tensor, "P L 1 N"]
    rho: Float[Tensor, "P L 1 N"]
    beta: Float[Tensor, "P L 1 N"]
    theta: Float[Tensor, "P L 1 N"]
    drive: Float[Tensor, "P L 1 N"]
    """s of (2)"""
    refractory: Float[Tensor, "P L 1 N"]
    """steps"""
    dampening: Float[Tensor, "P L 1 N"]
    """gamma of (4)"""
    kappa: Float[Tensor, "P L 1 1"]


class SpikeTape(NamedTuple):
    """What a trial of S streams was."""

    seen: Float[Tensor, "T L S I"]
    spikes: Float[Tensor, "T1 P L S N"]
    """z_t, those before the first step too: none"""
    slope: Float[Tensor, "T P L S N"]
    """psi_t"""
    output: Float[Tensor, "T P L S A"]

    @property
    def before(self) -> Float[Tensor, "T P L S N"]:
        """z_{t-1}."""
        return self.spikes[:-1]

    @property
    def rates(self) -> Float[Tensor, "T P L S N"]:
        """z_t."""
        return self.spikes[1:]


class SpikingRNN(Recurrent):
    """LIF and ALIF neurons, equations (1) to (5)."""

    references = (
        "Bellec et al. 2020, A solution to the learning dilemma for recurrent networks of spiking neurons, Nat Commun",
    )
    signals: ClassVar[frozenset[str]] = frozenset(SIGNALS) - {"noise", "feedback", "chance", "drive"}
    kind: Literal["spiking_rnn"] = "spiking_rnn"
    has_autapses: ClassVar[bool] = False
    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 100
    """N, neurons"""
    adaptive: Annotated[Number, Evolves(0, 1)] = 0.5
    """fraction of them that adapt, the last ones"""
    tau: Annotated[Number, Evolves(0, above=True, per=("brain", "post"))] = 20.0
    """time constant of the membrane, ms"""
    tau_adaptation: Annotated[Number, Evolves(0, above=True, per=("brain", "post"))] = 2000.0
    """time constant of the threshold, ms"""
    tau_out: Annotated[Number, Evolves(0, above=True)] = 20.0
    """time constant of the read-out, ms"""
    threshold: Annotated[Number, Evolves(0, above=True, per=("brain", "post"))] = 0.6
    """theta"""
    adaptation: Annotated[Number, Evolves(0, per=("brain", "post"))] = 1.7
    """how much a steady rate raises the threshold, in units of what its current does to the membrane"""
    refractory: Annotated[Number, Evolves(0, per=("brain", "post"))] = 5.0
    """ms from a spike to the next, at least"""
    dampening: Annotated[Number, Evolves(0)] = 0.3
    """gamma, largest surrogate slope, times theta"""
    current: Annotated[Option, Options("whole", "leak")] = "whole"
    """s of (2): 1, or 1 - alpha"""

    def draw_input(self, key: Int[Tensor, " L"], inputs: int) -> Float[Tensor, "L N I"]:
        """N(0, 1) / sqrt(inputs)."""
        return rng.normals(key, largest(self.units), inputs) / inputs**0.5

    def draw_readout(
        self, key: Int[Tensor, " L"], outputs: int, units: Float[Tensor, " P"]
    ) -> Float[Tensor, "P L A N"]:
        """U(-1, 1) sqrt(6 / (units + outputs))."""
        draw = 2 * rng.uniforms(key, outputs, largest(self.units)) - 1
        return draw * (6 / (units + outputs)).sqrt()[:, None, None, None]

    def born(self, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """All P × L networks; `key` is K(INIT) of each lifetime."""
        state = self.wired(spec, individuals, key, like)
        each = lambda value: self.each_neuron(value, spec, state)  # noqa: E731
        alpha, rho = (torch.exp(-spec.dt / each(tau)) for tau in (self.tau, self.tau_adaptation))
        units = active(self.units, individuals).to(like)
        regular = (units * (1 - brain_number(self.adaptive, like))).round()
        adapts = torch.arange(alpha.shape[-1], device=like.device) >= regular[:, None]
        kappa = torch.exp(-spec.dt / brain_number(self.tau_out, like))
        return state | {
            "alpha": alpha,
            "rho": rho,
            "beta": each(self.adaptation) * (1 - rho) / (1 - alpha) * adapts[:, None],
            "theta": each(self.threshold),
            "drive": 1 - alpha if self.current == "leak" else torch.ones_like(alpha),
            "refractory": (each(self.refractory) / spec.dt).round(),
            "dampening": each(self.dampening),
            "kappa": kappa[:, None, None].expand(individuals, len(key), 1),
        }

    def tensors(self, state: State) -> Spiking:
        """The networks as they are now."""
        return tensors(state)

    def run(self, state: State, x: Float[Tensor, "T L S I"]) -> SpikeTape:
        """A trial without a change of weights; it starts at rest."""
        return run(tensors(state), self.shown(x))


def tensors(state: State) -> Spiking:
    """The networks of a state."""
    groups = (state["input"], state["recurrent"], state["readout"])
    return Spiking(*groups, *(state[name][:, :, None] for name in Spiking._fields[3:]))


def run(net: Spiking, seen: Float[Tensor, "T L S I"]) -> SpikeTape:
    """(1) to (5) for all steps; the kernel where it fits, else PyTorch."""
    from metaplastic.inner_loop.kernels import spiking_kernel

    if spiking_kernel.fits(net.recurrent):
        spikes, slope, _ = spiking_kernel.run_forward(net, seen)
    else:
        spikes, slope, _ = run_steps(net, seen)
    current = torch.einsum("tplsn,plan->tplsa", spikes[1:], net.readout)
    return SpikeTape(seen, spikes, slope, filtered(current, net.kappa))


def distances(net: Spiking, seen: Float[Tensor, "T L S I"]) -> Float[Tensor, "T P L S N"]:
    """d_t of (3), by running again: it is seldom wanted, and a tape of it costs a third of a trial."""
    from metaplastic.inner_loop.kernels import spiking_kernel

    if spiking_kernel.fits(net.recurrent):
        return spiking_kernel.run_forward(net, seen, with_distance=True)[2]
    return run_steps(net, seen)[2]


class Cells(NamedTuple):
    """What neurons are between two steps."""

    potential: Float[Tensor, "P L S N"]
    adaptation: Float[Tensor, "P L S N"]
    rest: Float[Tensor, "P L S N"]
    """steps until the next spike is possible"""
    fired: Float[Tensor, "P L S N"]
    """z_t"""
    distance: Float[Tensor, "P L S N"]
    """d_t"""
    free: Bool[Tensor, "P L S N"]
    """not refractory"""


def at_rest(like: Float[Tensor, "P L S N"]) -> Cells:
    """Before a trial."""
    zero = torch.zeros_like(like)
    return Cells(zero, zero, zero, zero, zero, torch.ones_like(like, dtype=torch.bool))


def advanced(net: Spiking, cells: Cells, current: Float[Tensor, "P L S N"]) -> Cells:
    """(1) to (3) of one step; `current` is what the input brings."""
    z = cells.fired
    adaptation = net.rho * cells.adaptation + z
    current = current + z @ (net.recurrent * net.drive.mT).mT - net.theta * z
    potential = net.alpha * cells.potential + current
    distance = (potential - net.beta * adaptation) / net.theta - 1
    free = cells.rest <= 0
    fired = ((distance > 0) & free).to(z)
    rest = (cells.rest + net.refractory * fired - 1).clamp(min=0)
    return Cells(potential, adaptation, rest, fired, distance, free)


def surrogate(
    net: Spiking, distance: Float[Tensor, "*T P L S N"], free: Bool[Tensor, "*T P L S N"]
) -> Float[Tensor, "*T P L S N"]:
    """psi of (4)."""
    return (1 - distance.abs()).clamp(min=0) * (net.dampening / net.theta) * free


def run_steps(
    net: Spiking, seen: Float[Tensor, "T L S I"]
) -> tuple[Float[Tensor, "T1 P L S N"], Float[Tensor, "T P L S N"], Float[Tensor, "T P L S N"]]:
    """Spikes (those of step 0 are none), psi_t and d_t: one product for all inputs, a loop over time for the rest."""
    current = torch.einsum("tlsi,plni->tplsn", seen, net.input * net.drive.mT)
    spikes = current.new_zeros(len(seen) + 1, *current.shape[1:])
    free = torch.empty_like(current, dtype=torch.bool)
    cells = at_rest(current[0])
    for step in range(len(seen)):
        cells = advanced(net, cells, current[step])
        spikes[step + 1], current[step], free[step] = cells.fired, cells.distance, cells.free
    return spikes, surrogate(net, current, free), current


def filtered(current: Float[Tensor, "T *B"], kappa: Float[Tensor, "..."]) -> Float[Tensor, "T *B"]:
    """Equation (5): y_t = kappa y_{t-1} + (1 - kappa) current_t, from 0."""
    smooth = current * (1 - kappa)
    for step in range(1, len(smooth)):
        smooth[step].addcmul_(smooth[step - 1], kappa)
    return smooth
