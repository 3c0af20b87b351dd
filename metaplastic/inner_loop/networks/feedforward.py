"""A feedforward network: layers of neurons, the last of them linear action values.

    y_0 = [1, observation];   a_k = W_k y_{k-1};   y_k = [1, phi(a_k)];   q = W_K y_{K-1}                    (1)

Parga, Serrano-Fernández & Falcó-Roget 2022, eqs. 3-4. The leading 1 of each presynaptic vector is the bias. Initial
weights are the same random numbers for every individual, scaled by its own gain:

    W_k[i, j] ~ gain / sqrt(fan_in) N(0, 1)   or the uniform distribution of the same deviation              (2)

where fan_in counts the active presynaptic neurons and the constant. A weight's number depends on its place in the
largest network that the genes allow, so that a neuron that is left out changes no other.

Signals go down again from the chosen answer through the weights themselves (symmetric), or through feedback weights of
their own that stay as they were drawn (random) or are given the same changes as the forward ones (learned): feedback
alignment, Lillicrap et al. 2016; reciprocal learning, Kolen & Pollack 1994, Pozzi, Bohté & Roelfsema 2018.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Connection, Layout, Network, Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.sizes import active, largest, padded


class Birth(NamedTuple):
    """Initial weights of one connection group, `scale * draw`; the draws are common to all individuals."""

    draw: Float[Tensor, "L_or_1 post pre"]
    """L is 1 if all lifetimes start from the same"""
    scale: Float[Tensor, "P_or_1 post_or_1 pre_or_1"]
    """P is 1 if all individuals have the same"""

    def weights(self, mask: Bool[Tensor, "P post pre"]) -> Float[Tensor, "P L post pre"]:
        """The initial weights, 0 where a neuron is missing."""
        return self.scale[:, None] * self.draw[None] * mask[:, None]


class Brains(NamedTuple):
    """P × L networks at birth; connection groups from the input to the output."""

    layout: Layout
    """as large as the genes allow: what granular values and random numbers are laid out for"""
    sizes: tuple[tuple[int, int], ...]
    """[post, pre] of each connection group in this batch"""
    units: Int[Tensor, " P"]
    """active neurons of a hidden layer"""
    weights: tuple[Birth, ...]
    bias: bool
    """pre index 0 of every group is the constant 1"""
    feedback: tuple[Birth, ...]
    """one for each connection group but the first, without its bias; empty if the weights themselves are used"""

    def mask(self, connection: int) -> Bool[Tensor, "P post pre"]:
        """Where both neurons exist."""
        post, pre = self.sizes[connection]
        return self._exists(post, connection + 1, 0)[:, :, None] & self._exists(pre, connection, self.bias)[:, None]

    def _exists(self, size: int, layer: int, bias: bool | int) -> Bool[Tensor, "P size"]:
        """All of the input (layer 0) and of the output; else the constant and the first neurons of a hidden layer."""
        index = torch.arange(size, device=self.units.device)
        whole = layer in (0, len(self.sizes))
        return index < (torch.full_like(self.units, size) if whole else self.units + bias)[:, None]


class Feedforward(Network):
    """Hidden layers of `units` neurons and a linear output, eq. (1)."""

    references = ("Parga et al. 2022", "Pozzi et al. 2018", "Lillicrap et al. 2016")
    signals: ClassVar[frozenset[str]] = frozenset(SIGNALS) - {"noise", "settled"}
    responses: ClassVar[tuple[str, ...]] = ("each",)
    kind: Literal["feedforward"] = "feedforward"
    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 64
    """neurons of a hidden layer"""
    layers: Annotated[int, Field(ge=0, le=8)] = 1
    """hidden layers; 0 is a linear read-out"""
    activation: Annotated[Option, Options(*ACTIVATIONS)] = "relu"
    """phi of the hidden neurons"""
    gain: Annotated[Number, Evolves(0, 100, per=("brain", "connection"))] = 1.0
    """deviation of the initial weights, times sqrt(fan_in)"""
    initial: Annotated[Option, Options("normal", "uniform")] = "normal"
    """distribution of the initial weights"""
    initial_weights: Annotated[Number, Evolves(per=("synapse", "pre", "post", "connection", "brain"))] | None = None
    """innate weights; they replace the random ones"""
    bias: bool = True
    """every layer below the output has a neuron that is always 1"""
    feedback: Annotated[Option, Options("symmetric", "learned", "random")] = "symmetric"
    """which weights carry signals down"""
    feedback_gain: Annotated[Number, Evolves(0, 100, per=("brain", "connection"))] = 1.0
    """deviation of feedback weights at birth, times the square root of the forward connection's fan_in"""

    def layout(self, spec: TaskSpec) -> Layout:
        """One group a layer: `hidden1` …, `output`; as large as the gene of `units` allows."""
        return self._sized(spec, largest(self.units))

    def birth(
        self,
        spec: TaskSpec,
        individuals: int,
        key: Int[Tensor, " L"],
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> Brains:
        """P individuals × L lifetimes; `key` is K(INIT) of each lifetime."""
        units = active(self.units, individuals).to(device)
        layout = self.layout(spec)
        size = padded(self.units, int(units.max()))
        sizes = tuple((c.post_count, c.pre_count) for c in self._sized(spec, size).connections)
        bare = Brains(layout, sizes, units, (), self.bias, ())
        like = torch.zeros((), dtype=dtype, device=device)
        groups = range(len(sizes))
        weights = tuple(self._birth(bare, index, key, like) for index in groups)
        carriers = () if self.feedback == "symmetric" else groups[1:]
        feedback = tuple(self._feedback_birth(bare, index, key, like) for index in carriers)
        return bare._replace(weights=weights, feedback=feedback)

    def _sized(self, spec: TaskSpec, units: int) -> Layout:
        counts = [spec.observations, *[units] * self.layers, spec.actions]
        hidden = ["hidden"] if self.layers == 1 else [f"hidden{k + 1}" for k in range(self.layers)]
        pairs = zip([*hidden, "output"], counts[1:], counts[:-1], strict=True)
        return Layout(tuple(Connection(name, post, pre + self.bias) for name, post, pre in pairs))

    def _birth(self, brains: Brains, index: int, key: Tensor, like: Tensor) -> Birth:
        post, pre = brains.sizes[index]
        if self.initial_weights is not None:
            innate = brains.layout.expand(self.initial_weights, index, like)[:, :post, :pre]
            return Birth(like.new_ones(1, post, pre), innate)
        draw = self._draw(brains.layout.connections[index], rng.fold(key, index))[:, :post, :pre]
        return Birth(draw.to(like), self._deviation(brains, index, self.gain, like))

    def _feedback_birth(self, brains: Brains, index: int, key: Tensor, like: Tensor) -> Birth:
        post, pre = brains.sizes[index]
        draw = self._draw(brains.layout.connections[index], rng.fold(key, len(brains.sizes) + index))
        draw = draw[:, :post, int(self.bias) : pre]
        return Birth(draw.to(like), self._deviation(brains, index, self.feedback_gain, like))

    def _draw(self, group: Connection, key: Tensor) -> Float[Tensor, "L post pre"]:
        """Numbers of mean 0 and deviation 1, one for each synapse of the largest network."""
        if self.initial == "normal":
            return rng.normals(key, group.post_count, group.pre_count)
        return (2 * rng.uniforms(key, group.post_count, group.pre_count) - 1) * math.sqrt(3.0)

    def _deviation(self, brains: Brains, index: int, gain: Number, like: Tensor) -> Float[Tensor, "P 1 1"]:
        """gain / sqrt(fan_in), eq. (2)."""
        pre = brains.sizes[0][1] if index == 0 else brains.units + self.bias
        fan_in = torch.as_tensor(pre, device=like.device).to(like).expand(len(brains.units))
        return brains.layout.expand(gain, index, like) / fan_in.sqrt()[:, None, None]
