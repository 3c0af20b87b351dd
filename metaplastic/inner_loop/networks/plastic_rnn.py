"""A recurrent network each of whose synapses has a fixed and a plastic part (Miconi, Clune & Stanley 2018).

    y_i(t) = tanh(in_i + sum_j (w_ij + alpha_ij H_ij(t)) y_j(t-1))                    Miconi et al. 2018, eq. 1      (1)

H starts every trial at 0 and is written while the network runs; w and alpha are what evolution or a gradient finds
(`plastic/`). `input: direct` gives observation i to neuron i, as in the pattern memory of that paper, whose neurons are
also its outputs; `input: weights` brings all observations to all neurons. The first A neurons are the answer. At birth
w ~ gain N(0, 1), W_in ~ U(-1, 1) / sqrt(I); the authors' gain is 0.01.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from jaxtyping import Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Connection, Layout, Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.rules.sequence import State

RECURRENT, INPUT = 0, 1
"""children of a lifetime's birth key"""


class PlasticRNN(Network):
    """Neurons with fixed and plastic synapses, equation (1)."""

    references = ("Miconi, Clune & Stanley 2018, Differentiable plasticity, ICML, arXiv:1804.02464",)
    signals: ClassVar[frozenset[str]] = frozenset()
    responses: ClassVar[tuple[str, ...]] = ("readout", "choice")
    kind: Literal["plastic_rnn"] = "plastic_rnn"
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0
    """neurons besides those that are outputs and, if `input` is direct, inputs"""
    input: Literal["direct", "weights"] = "direct"
    """observation i is given to neuron i, or all to all by weights"""
    gain: Annotated[Number, Evolves(0, 100)] = 0.01
    """deviation of the fixed weights at birth"""
    initial_weights: Annotated[Number, Evolves(per=("synapse", "pre", "post", "connection", "brain"))] | None = None
    """innate fixed recurrent weights; they replace the random ones"""

    def size(self, spec: TaskSpec) -> int:
        """N."""
        return max(spec.actions, spec.observations if self.input == "direct" else 0) + self.hidden

    def layout(self, spec: TaskSpec) -> Layout:
        """The recurrent synapses."""
        size = self.size(spec)
        return Layout((Connection("recurrent", size, size),))

    def born(self, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """`w` [P, L, N, N] and, if there are such, `input` [P, L, N, I]; `key` is K(INIT) of each lifetime."""
        size, layout = self.size(spec), self.layout(spec)
        if self.initial_weights is None:
            draw = rng.normals(rng.fold(key, RECURRENT), size, size).to(like)
            w = layout.expand(self.gain, 0, like)[:, None] * draw
        else:
            w = layout.expand(self.initial_weights, 0, like)[:, None]
        state: State = {"w": w.expand(individuals, len(key), size, size).contiguous()}
        if self.input == "weights":
            draw = 2 * rng.uniforms(rng.fold(key, INPUT), size, spec.observations).to(like) - 1
            state["input"] = (draw / spec.observations**0.5).expand(individuals, *draw.shape).contiguous()
        return state
