"""A recurrent network of firing-rate neurons, for tasks whose trials last many steps.

    x <- x + a (-x + W r + W_in [1, u] + xi),   r = phi(x),   a = dt / tau                                   (1)

Parga, Serrano-Fernández & Falcó-Roget 2022, eqs. 5 and 26; Sompolinsky, Crisanti & Sommers 1988. xi is what is injected
into a neuron at a step, the signal `noise` of the rules: white noise, and rare large perturbations (Miconi 2017), each
neuron with probability `perturbation_rate`, of size U(-1, 1) `perturbation`. The white part has the size that gives a
neuron without input the deviation `noise`, at any dt. At birth

    W[i, j] ~ gain / sqrt(density units) N(0, 1) at a fraction `density` of places,  W_in ~ input_gain U(-1, 1)     (2)

The same random numbers serve every individual; a synapse's number depends on its place in the largest network that the
genes allow. Clamped neurons keep their x and give the tonic input of Miconi 2017. `integration: exponential` takes
a = 1 - exp(-dt / tau), which is exact while the input is constant and does not burst where dt is not small.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Connection, Layout, Network, Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.sizes import active, largest, padded

RECURRENT, INPUT, SYNAPSES, READOUT = range(4)
"""children of a lifetime's birth key: recurrent weights, input weights, which synapses exist, read-out weights"""


class RateBrains(NamedTuple):
    """P × L rate networks at birth. N is the padded number of units; plastic presynaptic neurons are [1, u, r] or r."""

    layout: Layout
    """as large as the genes allow"""
    units: Int[Tensor, " P"]
    """active neurons"""
    weights: Float[Tensor, "P L N M"]
    """plastic weights: the input's first, if they are plastic, then the recurrent ones"""
    mask: Float[Tensor, "P L_or_1 N M"] | None
    """1 where there is a synapse, 0 elsewhere; None if there is one everywhere"""
    sparse: bool
    """active neurons lack synapses too"""
    input_weights: Float[Tensor, "L N I"]
    """input weights that stay as they are, the bias first, if there is one; without their gain; I is 0 if plastic"""
    input_gain: Float[Tensor, " P"]
    outputs: int
    """A"""
    readout: Float[Tensor, "P L A N"] | None
    """weights of a linear read-out; None if the first units are the output"""
    leak: Float[Tensor, "P N"]
    """a of equation (1)"""
    start: Float[Tensor, " P"]
    perturbation_rate: Float[Tensor, " P"]
    perturbation: Float[Tensor, " P"]
    white: Float[Tensor, "P N"]
    """deviation of the white part of xi"""
    is_noisy: bool
    """there is a white part"""

    @property
    def size(self) -> int:
        """N."""
        return self.leak.shape[1]

    @property
    def plastic_inputs(self) -> int:
        """How many of the plastic presynaptic neurons are inputs (with the constant 1)."""
        return self.weights.shape[-1] - self.size

    def active(self) -> Bool[Tensor, "P N"]:
        """Which neurons exist."""
        return torch.arange(self.size, device=self.units.device) < self.units[:, None]


class RateRNN(Network):
    """Firing-rate neurons that all may excite and inhibit each other, equation (1)."""

    references = ("Sompolinsky et al. 1988", "Miconi 2017", "Parga et al. 2022")
    signals: ClassVar[frozenset[str]] = frozenset(SIGNALS) - {"feedback", "chance", "drive", "constant"}
    responses: ClassVar[tuple[str, ...]] = ("readout", "choice")
    kind: Literal["rate_rnn"] = "rate_rnn"
    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 64
    """N, neurons"""
    tau: Annotated[Number, Evolves(0, above=True, per=("brain", "post"))] = 30.0
    """time constant of a neuron, ms"""
    activation: Annotated[Option, Options(*ACTIVATIONS)] = "tanh"
    """phi"""
    gain: Annotated[Number, Evolves(0, 100)] = 1.5
    """g, spectral radius of the recurrent weights at birth; above 1 a tanh network without input is chaotic"""
    density: Annotated[Number, Evolves(0, 1, above=True)] = 1.0
    """fraction of the recurrent synapses that exist"""
    initial_weights: Annotated[Number, Evolves(per=("synapse", "pre", "post", "connection", "brain"))] | None = None
    """innate recurrent (and plastic input) weights; they replace the random ones"""
    input_gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """size of the input weights, equation (2)"""
    plastic_input: bool = False
    """the rule changes the input weights too"""
    bias: bool = False
    """the input has a neuron that is always 1"""
    clamped: dict[int, float] = Field(default_factory=dict)
    """neuron -> the x it is held at; tonic neurons, also in an untrained network"""
    output: Annotated[Option, Options("units", "readout")] = "units"
    """the task reads the first A neurons, or A fixed random sums of all"""
    readout_gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """deviation of the read-out weights, times sqrt(units)"""
    start: Annotated[Number, Evolves(0)] = 0.1
    """a trial starts at x ~ U(-start, start)"""
    perturbation_rate: Annotated[Number, Evolves(0, 1)] = 0.0
    """chance that a neuron is perturbed at a step (while learning)"""
    perturbation: Annotated[Number, Evolves(0)] = 0.0
    """largest perturbation, in the units of the input current"""
    undisturbed: Annotated[int, Field(ge=0)] = 4
    """first steps of a trial without perturbations"""
    noise: Annotated[Number, Evolves(0)] = 0.0
    """deviation of x that white noise alone would cause"""
    integration: Literal["euler", "exponential"] = "euler"
    """how a follows from dt / tau"""

    def layout(self, spec: TaskSpec) -> Layout:
        """`input`, if it is plastic, and `recurrent`; as large as the gene of `units` allows."""
        units = largest(self.units)
        recurrent = Connection("recurrent", units, units)
        inputs = Connection("input", units, spec.observations + self.bias)
        return Layout((inputs, recurrent) if self.plastic_input else (recurrent,))

    def birth(
        self,
        spec: TaskSpec,
        individuals: int,
        key: Int[Tensor, " L"],
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> RateBrains:
        """P individuals × L lifetimes; `key` is K(INIT) of each lifetime.

        Raises ConfigError if the smallest network lacks a clamped neuron or an output neuron.
        """
        units = active(self.units, individuals).to(device)
        self._check_smallest(int(units.min()), spec)
        size = padded(self.units, int(units.max()))
        layout, like = self.layout(spec), torch.zeros((), dtype=dtype, device=device)
        leak = self._leak(layout, spec.dt, like)[:, :size].expand(individuals, size)
        inputs = self._input_draw(spec, key)[:, :size].to(like)
        number = lambda value: layout.expand(value, 0, like)[:, 0, 0].expand(individuals).contiguous()  # noqa: E731
        brains = RateBrains(
            layout=layout,
            units=units,
            weights=like.new_zeros(individuals, len(key), size, size),
            mask=None,
            sparse=False,
            input_weights=inputs[..., :0] if self.plastic_input else inputs,
            input_gain=number(self.input_gain),
            outputs=spec.actions,
            readout=None,
            leak=leak.contiguous(),
            start=number(self.start),
            perturbation_rate=number(self.perturbation_rate),
            perturbation=number(self.perturbation),
            white=(number(self.noise)[:, None] * ((2 - leak) / leak).sqrt()).contiguous(),
            is_noisy=bool((number(self.noise) > 0).any()),
        )
        brains = self._wired(brains, key, inputs, number)
        return brains._replace(readout=self._readout(brains, spec, key, number(self.readout_gain)))

    def _check_smallest(self, units: int, spec: TaskSpec) -> None:
        outputs = spec.actions if self.output == "units" else 0
        needed = max([outputs, *(index + 1 for index in self.clamped)])
        if units < needed:
            raise ConfigError(f"units is {units}; the outputs and clamped neurons need at least {needed}")

    def _leak(self, layout: Layout, dt: float, like: Tensor) -> Float[Tensor, "P N"]:
        ratio = dt / layout.expand(self.tau, len(layout.connections) - 1, like)[:, :, 0]
        ratio = ratio.expand(-1, largest(self.units))
        return ratio if self.integration == "euler" else -torch.expm1(-ratio)

    def _wired(self, brains: RateBrains, key: Tensor, inputs: Tensor, number) -> RateBrains:
        """With the plastic weights of equation (2), or the innate ones."""
        size, like, active = brains.size, brains.leak, brains.active()
        density = number(self.density)
        draw = self._draw(rng.normals, rng.fold(key, RECURRENT), size).to(like)
        weights = (number(self.gain) / (density * brains.units).sqrt())[:, None, None, None] * draw
        present = (active[:, :, None] & active[:, None])[:, None]
        sparse = bool((density < 1).any())
        if sparse:
            chance = self._draw(rng.uniforms, rng.fold(key, SYNAPSES), size).to(like)
            present = present & (chance < density[:, None, None, None])
        if self.plastic_input:
            given = brains.input_gain[:, None, None, None] * inputs
            weights = torch.cat([given, weights], dim=-1)
            everywhere = active[:, None, :, None].expand(*present.shape[:3], inputs.shape[-1])
            present = torch.cat([everywhere, present], dim=-1)
        if self.initial_weights is not None:
            weights = side_by_side(brains.layout, self.initial_weights, size, like)[:, None].expand_as(weights)
        mask = None if bool(present.all()) else present.to(like)
        weights = weights if mask is None else weights * mask
        return brains._replace(weights=weights.contiguous(), mask=mask, sparse=sparse)

    def _draw(self, numbers, key: Tensor, size: int) -> Float[Tensor, "L N N"]:
        """One number for each recurrent synapse of the largest network, cut to this batch."""
        return numbers(key, largest(self.units), largest(self.units))[:, :size, :size]

    def _input_draw(self, spec: TaskSpec, key: Tensor) -> Float[Tensor, "L N I"]:
        return 2 * rng.uniforms(rng.fold(key, INPUT), largest(self.units), spec.observations + self.bias) - 1

    def _readout(self, brains: RateBrains, spec: TaskSpec, key: Tensor, gain: Tensor) -> Tensor | None:
        if self.output == "units":
            return None
        draw = rng.normals(rng.fold(key, READOUT), spec.actions, largest(self.units))[..., : brains.size].to(
            brains.leak
        )
        return (gain / brains.units.to(gain).sqrt())[:, None, None, None] * draw * brains.active()[:, None, None]


def side_by_side(layout: Layout, value: Number, size: int, like: Tensor) -> Float[Tensor, "P N_or_1 M_or_1"]:
    """A granular number for all plastic synapses of a batch of N units: the connection groups side by side.

    It stays as small as it can: [P, 1, 1], [P, N, 1] or [P, 1, M] where the groups agree.
    """
    blocks = [layout.expand(value, index, like) for index in range(len(layout.connections))]
    same = all(block.shape[1:] == (1, 1) for block in blocks) and getattr(value, "per", "brain") == "brain"
    if same or len(blocks) == 1:
        return blocks[-1][:, :size, :size]
    rows = min(size, max(block.shape[1] for block in blocks))
    counts = (layout.connections[0].pre_count, size)
    wide = [block[:, :size, :count].expand(-1, rows, count) for block, count in zip(blocks, counts, strict=True)]
    return torch.cat(wide, dim=-1)
