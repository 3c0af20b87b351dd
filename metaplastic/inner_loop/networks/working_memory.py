"""Regular and memory units between what is seen and the values of actions (Rombouts, Bohte & Roelfsema 2015).

    x+ = [x - x_before]_+,   x- = [x_before - x]_+                     on and off transients                 (1)
    y_R = s(V_R [1, x]),     s(a) = 1 / (1 + exp(theta - a))           regular units                        (2)
    a_M <- keep a_M + V_M [x+, x-],   y_M = s(a_M)                     memory units                          (3)
    q = W_R [1, y_R] + W_M y_M                                         values of actions                     (4)

A memory unit adds up the transients of a trial, without loss at keep 1, and is reset at its end, as is x_before. All
weights are U(-weight_range, weight_range) at birth. Biases come first (pre index 0).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Connection, Layout, Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.decision_plan import numbers


class Weights(NamedTuple):
    """The four groups of synapses, or their tags."""

    regular: Float[Tensor, "P L R I_and_bias"]
    """V_R"""
    memory: Float[Tensor, "P L M transients"]
    """V_M; on transients first"""
    regular_out: Float[Tensor, "P L A R_and_bias"]
    """W_R"""
    memory_out: Float[Tensor, "P L A M"]
    """W_M"""


class Activity(NamedTuple):
    """What the units do at a step."""

    x: Float[Tensor, "P L I_and_bias"]
    change: Float[Tensor, "P L transients"]
    regular: Float[Tensor, "P L R_and_bias"]
    potential: Float[Tensor, "P L M"]
    """a_M"""
    memory: Float[Tensor, "P L M"]
    q: Float[Tensor, "P L A"]


class WorkingMemory(Network):
    """Transients, regular units, memory units, action values, eqs. (1) to (4)."""

    references = ("Rombouts, Bohte & Roelfsema 2015",)
    signals: ClassVar[frozenset[str]] = frozenset()
    responses: ClassVar[tuple[str, ...]] = ("act",)
    kind: Literal["working_memory"] = "working_memory"
    regular: Annotated[int, Field(ge=1, le=1000)] = 3
    """R, regular units"""
    memory: Annotated[int, Field(ge=1, le=1000)] = 4
    """M, memory units"""
    theta: Annotated[Number, Evolves()] = 2.5
    """threshold of the sigmoid"""
    keep: Annotated[Number, Evolves(0, 1)] = 1.0
    """what stays of a memory unit's sum from step to step"""
    weight_range: Annotated[Number, Evolves(0, 100)] = 0.25
    """of all weights at birth"""

    def layout(self, spec: TaskSpec) -> Layout:
        """The groups of `Weights`."""
        inputs, actions = spec.observations, spec.actions
        return Layout(
            (
                Connection("regular", self.regular, inputs + 1),
                Connection("memory", self.memory, 2 * inputs),
                Connection("regular_out", actions, self.regular + 1),
                Connection("memory_out", actions, self.memory),
            )
        )

    def birth(self, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> Weights:
        """Weights at birth, the same numbers for every individual; `key` is K(INIT) of each lifetime."""
        size = numbers(self, individuals, like)["weight_range"][:, None, None, None]
        draws = [
            rng.uniforms(rng.fold(key, place), group.post_count, group.pre_count).to(like)
            for place, group in enumerate(self.layout(spec).connections)
        ]
        return Weights(*(size * (2 * draw - 1) for draw in draws))


def silence(weights: Weights) -> tuple[Float[Tensor, "P L I"], Float[Tensor, "P L M"]]:
    """x_before and a_M at the start of a trial."""
    lives = weights.memory.shape[:2]
    inputs = weights.memory.shape[-1] // 2
    return weights.memory.new_zeros(*lives, inputs), weights.memory.new_zeros(*lives, weights.memory.shape[2])


def respond(
    weights: Weights,
    x: Float[Tensor, "P L I"],
    before: Float[Tensor, "P L I"],
    potential: Float[Tensor, "P L M"],
    theta: Float[Tensor, "#P 1 1"],
    keep: Float[Tensor, "#P 1 1"],
) -> Activity:
    """Equations (1) to (4)."""
    seen = _with_one(x)
    change = torch.cat([(x - before).clamp(min=0), (before - x).clamp(min=0)], -1)
    regular = _with_one(torch.sigmoid(_times(weights.regular, seen) - theta))
    potential = keep * potential + _times(weights.memory, change)
    memory = torch.sigmoid(potential - theta)
    q = _times(weights.regular_out, regular) + _times(weights.memory_out, memory)
    return Activity(seen, change, regular, potential, memory, q)


def _with_one(x: Tensor) -> Tensor:
    return torch.nn.functional.pad(x, (1, 0), value=1.0)


def _times(w: Float[Tensor, "P L post pre"], x: Float[Tensor, "P L pre"]) -> Float[Tensor, "P L post"]:
    return (w * x[..., None, :]).sum(-1)
