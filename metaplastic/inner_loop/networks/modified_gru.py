"""Two modified GRUs, one that decides and one that expects the reward (Song, Yang & Wang 2017, eLife 6:e21492).

    r = max(x, 0),   lambda = s(W_l r + U_l u + b_l),   gamma = s(W_g r + U_g u + b_g)                       (1)
    x <- (1 - alpha lambda) x + alpha lambda (W (gamma r) + U u + b + xi),   alpha = dt / tau                 (2)
    output = W_out r + b_out,   xi ~ N(0, 2 sigma^2 / alpha)                                                  (3)

s is the logistic function, r and x on the right are of the step before. Every trial starts from a learned x_0, which
the first output is of, before anything was seen. The policy network is told what is seen; its output are logits. The
value network is told the policy network's rates and its last action (one-hot); its output is V. `modified_gru_run.py`
runs them.

At birth: magnitudes of W, W_l and W_g are Gamma(4, 1/4), signs random, and each is scaled to a spectral radius of 2.
Every policy unit hears `density` of the units, others in each of the three matrices; that mask never changes. U is
normal with sd gain sqrt(k) / inputs, k the number of units that a unit hears. Biases and W_out are 0, but the bias of
V: what an aborted trial pays. Units of both networks are a fixed number; everything else may be a gene.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, Connection, Layout, Network, Number, TaskSpec, Values, near_miss
from metaplastic.fields import Evolves

BLOCKS = 3
"""lambda, gamma, candidate: the rows of input and recurrent weights, in this order"""
SHAPE = 4
"""of the Gamma distribution of initial magnitudes, whose mean is 1"""


class ModifiedGRU(Network):
    """A policy network and a value network with gates of their own (Song, Yang & Wang 2017)."""

    references = (
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
        "Cho et al. 2014, Learning phrase representations using RNN encoder-decoder, arXiv:1406.1078",
    )
    signals: ClassVar[frozenset[str]] = frozenset({"gradient"})
    responses: ClassVar[tuple[str, ...]] = ("choice",)
    kind: Literal["modified_gru"] = "modified_gru"
    units: Annotated[int, Field(ge=1, le=4096)] = 100
    """N, units of the policy network"""
    value_units: Annotated[int, Field(ge=1, le=4096)] = 100
    """units of the value network, which is dense"""
    tau: Annotated[Number, Evolves(1, 10_000)] = 100.0
    """ms"""
    density: Annotated[Number, Evolves(0, 1, above=True)] = 0.1
    """share of the units that a policy unit hears"""
    radius: Annotated[Number, Evolves(0, 10)] = 2.0
    """spectral radius of each recurrent matrix at birth"""
    noise: Annotated[Number, Evolves(0, 10)] = 0.1
    """sigma of the policy network"""
    value_noise: Annotated[Number, Evolves(0, 10)] = 0.1
    """sigma of the value network"""
    input_gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """of the policy network's input weights"""
    value_input_gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """of the value network's input weights"""
    first_state: Annotated[Number, Evolves(-10, 10)] = 0.5
    """x_0 of every unit at birth"""
    shares: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """channel of the task -> [first, end): the share of the policy units that hear it; all, where it is not named"""

    def layout(self, spec: TaskSpec) -> Layout:
        """Gates and candidate of each network, and the two read-outs."""
        told = spec.observations, self.units + spec.actions
        return Layout(
            (
                Connection("policy.cell", BLOCKS * self.units, told[0] + self.units),
                Connection("policy.output", spec.actions, self.units),
                Connection("value.cell", BLOCKS * self.value_units, told[1] + self.value_units),
                Connection("value.output", 1, self.value_units),
            )
        )


class Cells(NamedTuple):
    """One of the two networks, of P brains."""

    weights: Float[Tensor, "P M"]
    """all parameters of a brain side by side"""
    mask: Float[Tensor, "P M"]
    """1 where there is a synapse"""
    alpha: Float[Tensor, " P"]
    """dt / tau"""
    noise: Float[Tensor, " P"]
    """sd of xi, (3)"""
    inputs: int
    units: int
    outputs: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Its parameters, of one brain."""
        n = self.units
        return {
            "input.weight": (BLOCKS * n, self.inputs),
            "input.bias": (BLOCKS * n,),
            "recurrent.weight": (BLOCKS * n, n),
            "start": (n,),
            "output.weight": (self.outputs, n),
            "output.bias": (self.outputs,),
        }

    def parameter(self, name: str, of: Tensor | None = None) -> Float[Tensor, "P ..."]:
        """A view of one parameter in the weights, or in something of their shape."""
        first = 0
        for one, shape in self.shapes().items():
            end = first + math.prod(shape)
            if one == name:
                return (self.weights if of is None else of)[:, first:end].unflatten(1, shape)
            first = end
        raise KeyError(name)


class Pair(NamedTuple):
    """Both networks of P brains."""

    policy: Cells
    value: Cells


def born(
    network: ModifiedGRU,
    spec: TaskSpec,
    individuals: int,
    key: Int[Tensor, "*P_or_1"],
    like: Tensor,
    first_value: float = -1.0,
) -> Pair:
    """P brains at birth; `key` is K(INIT), one for all or one each; `first_value` is V's bias.

    Raises:
        ConfigError: if a share is of a channel that the task has not, or is none.
    """
    given = {
        name: _numbers(getattr(network, name), individuals, like)
        for name in (
            "tau",
            "density",
            "radius",
            "noise",
            "value_noise",
            "input_gain",
            "value_input_gain",
            "first_state",
        )
    }
    hears = _heard(network, spec)
    dense = torch.ones_like(given["density"])
    alpha = spec.dt / given["tau"]
    policy = _cells(
        (spec.observations, network.units, spec.actions),
        rng.fold(key, 0), given["density"], given["input_gain"], given, alpha, given["noise"],
    )  # fmt: skip
    policy.parameter("input.weight", policy.mask).mul_(hears.repeat(BLOCKS, 1).to(like))
    value = _cells(
        (network.units + spec.actions, network.value_units, 1),
        rng.fold(key, 1), dense, given["value_input_gain"], given, alpha, given["value_noise"],
    )  # fmt: skip
    value.parameter("output.bias").fill_(first_value)
    policy.weights.mul_(policy.mask)
    return Pair(policy, value)


def _cells(
    sizes: tuple[int, int, int],
    key: Tensor,
    density: Float[Tensor, " P"],
    gain: Float[Tensor, " P"],
    given: dict[str, Tensor],
    alpha: Float[Tensor, " P"],
    sigma: Float[Tensor, " P"],
) -> Cells:
    """One network at birth."""
    inputs, units, _ = sizes
    people = len(alpha)
    blank = Cells(alpha.new_zeros(people, 0), alpha.new_zeros(people, 0), alpha, sigma * (2 / alpha).sqrt(), *sizes)
    count = sum(math.prod(shape) for shape in blank.shapes().values())
    cells = blank._replace(weights=alpha.new_zeros(people, count), mask=alpha.new_ones(people, count))
    heard = (density * units).round().clamp(min=1)
    rows = rng.uniforms(rng.fold(key, 0), BLOCKS * units, units).argsort(-1).argsort(-1).to(alpha.device)
    mask = (rows < heard[:, None, None]).to(alpha)
    cells.parameter("recurrent.weight", cells.mask).copy_(mask)
    w = _signed(rng.fold(key, 1), BLOCKS * units, units).to(alpha) * mask
    blocks = w.unflatten(1, (BLOCKS, units))
    radius = torch.linalg.eigvals(blocks.double().cpu()).abs().amax(-1).to(alpha)  # none: a matrix without circles
    scale = torch.where(radius > 1e-6, given["radius"][:, None] / radius.clamp(min=1e-6), 1.0)
    cells.parameter("recurrent.weight").copy_((blocks * scale[..., None, None]).flatten(1, 2))
    u = rng.normals(rng.fold(key, 2), BLOCKS * units, inputs).to(alpha)
    cells.parameter("input.weight").copy_(u * (gain * heard.sqrt() / inputs)[:, None, None])
    cells.parameter("start").copy_(given["first_state"][:, None].expand(-1, units))
    return cells


def _signed(key: Tensor, *shape: int) -> Float[Tensor, "*key post pre"]:
    """Gamma(4, 1/4) with random signs: the sum of four exponentials."""
    u = rng.uniforms(key, SHAPE + 1, *shape)
    parts = u.unbind(-len(shape) - 1)
    magnitude = -sum(torch.log1p(-part) for part in parts[:SHAPE]) / SHAPE
    return torch.where(parts[SHAPE] < 0.5, -magnitude, magnitude)


def _heard(network: ModifiedGRU, spec: TaskSpec) -> Float[Tensor, "N I"]:
    """1 where a policy unit hears an input."""
    heard = torch.ones(network.units, spec.observations)
    place = torch.arange(network.units) / network.units
    for name, (first, end) in network.shares.items():
        if name not in spec.channels:
            raise ConfigError(
                f"network.shares has {name!r}, and {spec.id} has the channels {', '.join(spec.channels)}"
                f"{near_miss(name, list(spec.channels))}"
            )
        if not 0 <= first < end <= 1:
            raise ConfigError(f"network.shares.{name} is ({first:g}, {end:g}), wanted 0 <= first < end <= 1")
        columns = slice(*spec.channels[name])
        heard[:, columns] = ((place >= first) & (place < end)).to(heard)[:, None]
    return heard


def _numbers(value: Number, individuals: int, like: Tensor) -> Float[Tensor, " P"]:
    """A number of the network, one a brain."""
    data = value.data if isinstance(value, Values) else torch.tensor(float(value), dtype=torch.float64)  # pyright: ignore[reportArgumentType]
    return data.to(like).expand(individuals)
