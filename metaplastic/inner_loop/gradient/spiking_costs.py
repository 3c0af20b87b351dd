"""What a spiking network pays for its own activity, and what each spike and membrane feels of it.

    E_rate = weight / 2 sum_j (f_j - target)^2,    f_j mean spikes a ms, over steps and streams              (1)
    E_v = weight sum_j mean [relu(v_j - A_j)^2 + relu(-v_j - A_j)^2],    A = theta + beta b                  (2)

Bellec et al. 2020, as in their code: (1) has target 10 Hz and weight 1 without the 1/2 in evidence accumulation (here
2), 300 with it in pattern generation; (2) has weight 1e-4 in their agents that play games, and else none. In e-prop
both reach a synapse through its own neuron's trace alone.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.gradient.descent import Descent
from metaplastic.inner_loop.networks.recurrent import brain_number
from metaplastic.inner_loop.networks.spiking import Cells, SpikeTape, Spiking, distances
from metaplastic.inner_loop.rules.sequence import State


class Costs(NamedTuple):
    """Derivatives of the costs, each stream's by its own activity (the streams' are averaged later)."""

    spike: Float[Tensor, "P L 1 N"]
    """of (1), by z_t at every step"""
    direct: tuple[Float[Tensor, "T P L S N"], Float[Tensor, "T P L S N"]] | None
    """of (2), by v_t and by b_t; None: it has no weight"""


class SpikingCosts(Descent):
    """A rule that also descends the costs (1) and (2), where its network spikes."""

    rate_weight: Annotated[Number, Evolves(0)] = 0.0
    """of (1)"""
    rate_target: Annotated[Number, Evolves(0)] = 10.0
    """Hz, of (1)"""
    voltage_weight: Annotated[Number, Evolves(0)] = 0.0
    """of (2)"""

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Tensor, like: Tensor) -> State:
        """With the length of a step, which rates are told by."""
        state = super().born(network, spec, individuals, key, like)
        return state | {"dt": like.new_full((individuals, len(key)), spec.dt)}

    def costs(self, net: Spiking, tape: SpikeTape, state: State) -> Costs:
        """Derivatives of (1) and (2)."""
        dt = state["dt"][..., None, None]
        weight, target, voltage = self._numbers(dt)
        direct = voltage_pull(net, tape, voltage) if bool((voltage > 0).any()) else None
        return Costs(rate_pull(tape, dt, target / 1000, weight), direct)

    def pulls(
        self, net: Spiking, cells: Cells, rate: Float[Tensor, "P L S N"], steps: int, state: State
    ) -> tuple[Float[Tensor, "P L S N"], Float[Tensor, "P L S N"], Float[Tensor, "P L S N"]]:
        """Derivatives at one step of `steps`, by spike, voltage and adaptation; `rate` is the mean z so far."""
        dt = state["dt"][..., None, None]
        weight, target, voltage = self._numbers(dt)
        level = net.theta + net.beta * cells.adaptation
        gap = net.theta * cells.distance
        above, below = gap.clamp(min=0), (-gap - 2 * level).clamp(min=0)
        scale = 2 * voltage / steps
        spike = weight * (rate.mean(2, keepdim=True) / dt - target / 1000) / (steps * dt)
        return spike.expand_as(gap), scale * (above - below), -scale * net.beta * (above + below)

    def _numbers(self, like: Tensor) -> tuple[Tensor, ...]:
        """Weight and target of (1), weight of (2), [P or 1, 1, 1, 1]."""
        fields = (self.rate_weight, self.rate_target, self.voltage_weight)
        return tuple(brain_number(number, like)[:, None, None, None] for number in fields)


def rate_pull(
    tape: SpikeTape,
    dt: Float[Tensor, "P L 1 1"],
    target: Float[Tensor, "#P 1 1 1"],
    weight: Float[Tensor, "#P 1 1 1"],
) -> Float[Tensor, "P L 1 N"]:
    """dE_rate / dz_t of (1), times S; `target` in spikes a ms."""
    rate = tape.rates.mean((0, 3))[:, :, None] / dt
    return weight * (rate - target) / (len(tape.rates) * dt)


def voltage_pull(
    net: Spiking, tape: SpikeTape, weight: Float[Tensor, "#P 1 1 1"]
) -> tuple[Float[Tensor, "T P L S N"], Float[Tensor, "T P L S N"]]:
    """dE_v / dv_t and dE_v / db_t of (2), times S."""
    adaptation = torch.zeros_like(tape.rates)
    for step in range(1, len(adaptation)):
        torch.addcmul(tape.rates[step - 1], adaptation[step - 1], net.rho, out=adaptation[step])
    level = net.theta + net.beta * adaptation
    gap = net.theta * distances(net, tape.seen)
    above, below = gap.clamp(min=0), (-gap - 2 * level).clamp(min=0)
    scale = 2 * weight / len(tape.rates)
    return scale * (above - below), -scale * net.beta * (above + below)
