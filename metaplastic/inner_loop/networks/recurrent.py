"""What the recurrent networks that rules run themselves have in common: three groups of synapses and how they are born.

    input      W_in   [N, I], after the constant 1 if there is a bias     how it is drawn is the network's own    (1)
    recurrent  W      [N, N]   gain / sqrt(density n) N(0, 1) at a fraction `density` of places, no autapse if so wished
    readout    W_out  [A, N]                                              how it is drawn is the network's own    (2)

n are an individual's own neurons, N the size of its batch. The draws are one number a synapse of the largest network
that the genes allow, the same for all individuals; synapses of neurons that are missing have weight and mask 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Connection, Layout, Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.networks.sizes import active, largest, padded

GROUPS = ("input", "recurrent", "readout")
"""the connection groups, in the order of the layout"""
INPUT, RECURRENT, READOUT, SYNAPSES, START, FEEDBACK, VALUE = range(7)
"""children of a lifetime's birth key"""

State = dict[str, Tensor]
"""weights, masks and the neurons' numbers, [P, L, …] each"""


class Recurrent(Network, ABC):
    """Neurons that all may excite and inhibit each other, with an input and a linear read-out."""

    signals: ClassVar[frozenset[str]] = frozenset()
    responses: ClassVar[tuple[str, ...]] = ("readout", "choice")
    has_autapses: ClassVar[bool] = True
    """a neuron may have a synapse on itself"""

    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 64
    """N, neurons"""
    gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """g, spectral radius of the recurrent weights at birth"""
    density: Annotated[Number, Evolves(0, 1, above=True)] = 1.0
    """fraction of the recurrent synapses that exist"""
    input_gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """size of the input weights, (1)"""
    readout_gain: Annotated[Number, Evolves(0, 100)] = 1.0
    """size of the read-out weights, (2)"""
    bias: bool = False
    """the input has a neuron that is always 1"""

    def layout(self, spec: TaskSpec) -> Layout:
        """The three groups; as large as the gene of `units` allows."""
        units = largest(self.units)
        sizes = ((units, spec.observations + self.bias), (units, units), (spec.actions, units))
        return Layout(tuple(Connection(name, *size) for name, size in zip(GROUPS, sizes, strict=True)))

    @abstractmethod
    def draw_input(self, key: Int[Tensor, " L"], inputs: int) -> Float[Tensor, "L N I"]:
        """(1) without its gain, at the largest size; `inputs` counts the constant, if there is one."""

    @abstractmethod
    def draw_readout(
        self, key: Int[Tensor, " L"], outputs: int, units: Float[Tensor, " P"]
    ) -> Float[Tensor, "P L A N"]:
        """(2) without its gain, at the largest size."""

    def wired(self, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """`input`, `recurrent` and `readout`, and a mask of each; `key` is K(INIT) of each lifetime."""
        count = active(self.units, individuals).to(like.device)
        most, size = largest(self.units), padded(self.units, int(count.max()))
        units = count.to(like)
        exists = (torch.arange(size, device=like.device) < count[:, None]).to(like)[:, None]
        density = brain_number(self.density, like)
        drawn = rng.normals(rng.fold(key, RECURRENT), most, most)[:, :size, :size].to(like)
        scale = brain_number(self.gain, like) / (density * units).sqrt()
        mask = (exists[..., None] * exists[:, :, None]).expand(-1, len(key), -1, -1)
        if bool((density < 1).any()):
            coin = rng.uniforms(rng.fold(key, SYNAPSES), most, most)[:, :size, :size].to(like)
            mask = mask * (coin < density[:, None, None, None])
        if not self.has_autapses:
            mask = mask * (1 - torch.eye(size, dtype=like.dtype, device=like.device))
        inputs = self.draw_input(rng.fold(key, INPUT), spec.observations + self.bias)[:, :size].to(like)
        readout = self.draw_readout(rng.fold(key, READOUT), spec.actions, units)[..., :size].to(like)
        weights = {
            "input": brain_number(self.input_gain, like)[:, None, None, None] * inputs,
            "recurrent": scale[:, None, None, None] * drawn,
            "readout": brain_number(self.readout_gain, like)[:, None, None, None] * readout,
        }
        masks = {"input": exists[..., None], "recurrent": mask, "readout": exists[:, :, None]}
        state: State = {}
        for name in GROUPS:
            shape = (individuals, len(key), *weights[name].shape[2:])
            state[f"mask.{name}"] = masks[name].expand(shape)
            state[name] = (weights[name].expand(shape) * masks[name]).contiguous()
        return state

    def each_neuron(self, value: Number, spec: TaskSpec, state: State) -> Float[Tensor, "P L N"]:
        """A number of the neurons (per: brain or post), for this batch."""
        like = state["recurrent"]
        expanded = self.layout(spec).expand(value, RECURRENT, like)[..., 0]
        individuals, lifetimes, size, _ = like.shape
        return expanded[:, None, :size].expand(individuals, lifetimes, size)

    def shown(self, x: Float[Tensor, "T L S I"]) -> Float[Tensor, "T L S I_and_bias"]:
        """What the input neurons do, the constant 1 first if there is a bias."""
        return torch.nn.functional.pad(x, (1, 0), value=1.0) if self.bias else x


def brain_number(value: Number, like: Tensor) -> Float[Tensor, " P_or_1"]:
    """A number of a brain, one an individual, or one for all."""
    return Layout(()).expand(value, 0, like)[:, 0, 0]
