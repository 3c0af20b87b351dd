"""Burst-dependent plasticity: how often a neuron fires tells what is above, how often it bursts what is below it.

    e_k = y_k - floor(phi) (hidden),   e_K = sigmoid(q)               event rates, of bursts and single spikes       (1)
    bursts of the output   b_K = P0 e_K at rest,   P0 (e_K + f_K) when taught                                        (2)
    u_k = phi'(a_k) / e_k * (Y_{k+1}^T b_{k+1}) - P0 R_k e_k          what the dendrite gets                         (3)
    p_k = sigmoid(slope u_k + offset),   b_k = p_k e_k                burst probability, bursts                      (4)
    dW_k = eta_k <(b_k taught - b_k at rest) [1, y_{k-1}]^T>,         eta_K = eta, below hidden_ratio times eta      (5)
    dR_k = recurrent_eta <u_k (P0 e_k)^T>, u_k at rest                recurrence that takes away what is not taught  (6)

Payeur, Guerguiev, Zenke, Richards & Naud 2021, Burst-dependent synaptic plasticity can coordinate learning in
hierarchical circuits, Nat Neurosci 24, rate form for deep networks. With sigmoid neurons phi'/e is their 1 - e. The
floor of tanh is -1, so that events are never negative; it is 0 for others, and a neuron without events has no bursts.

As f_K -> 0, (5) is the gradient's with each neuron's share times slope sigmoid'(u_k): its direction if the dendrites'
inputs at rest are alike, which (6) or weak feedback makes so. f_K is

    objective   -dC/dq                                                                                               (7)
    events      e_K (1 - e_K) (target - e_K), the authors': C = 1/2 |target - e_K|^2, whatever the objective         (8)

Departures: (7), after which a taught burst probability may leave [0, 1]; learned Y gets the changes of W without the
authors' decay of 1e-6; the ensemble's rate stands for spikes, so that the burst probability at rest is that of the same
input and not a moving average of the past.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.transport import Batch, Drawn, Mode, Rate
from metaplastic.inner_loop.networks.layers import Layer, Layers
from metaplastic.inner_loop.rules.layered import Lesson, State

FLOOR = {"tanh": -1.0}
"""activation -> its least activity, if below 0"""


class Dendrites(NamedTuple):
    """What bursts of a minibatch, one entry a layer, from the first hidden one to the output."""

    inputs: list[Float[Tensor, "P L S _"]]
    """u of (3), hidden layers only"""
    bursts: list[Float[Tensor, "P L S _"]]


def events(net: Layers, layers: tuple[Layer, ...]) -> list[Float[Tensor, "P L S _"]]:
    """(1), one a layer."""
    floor = FLOOR.get(net.activation, 0.0)
    hidden = [(layer.post - floor) * net.exists(k) for k, layer in enumerate(layers[:-1])]
    return [*hidden, torch.sigmoid(layers[-1].post)]


class BurstProp(Drawn):
    """dW_k = eta_k (b_k - b_k at rest) y_{k-1}, bursts b_k = e_k sigmoid(phi'/e_k * Y_{k+1}^T b_{k+1}) (5)."""

    references: ClassVar[tuple[str, ...]] = (
        "Payeur, Guerguiev, Zenke, Richards & Naud 2021, Burst-dependent synaptic plasticity can coordinate learning "
        "in hierarchical circuits, Nat Neurosci 24:1010",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["burstprop"] = "burstprop"
    eta: Rate = 0.01
    """learning rate of the output's weights, as in the authors' MNIST run (batches of 32)"""
    hidden_ratio: Rate = 10.0
    """learning rate of hidden weights over eta: .1 to .01 there"""
    momentum: Annotated[Number, Evolves(0, 1)] = 0.8
    """share of the last change that is added to this one, as there"""
    feedback: Annotated[Option, Options("random", "learned", "symmetric")] = "random"
    """Y: as drawn, changed as W is, or W"""
    burst_probability: Annotated[Number, Evolves(0, 1)] = 0.2
    """P0, at rest, of the output neurons; the authors'"""
    slope: Rate = 1.0
    """how steeply the burst probability rises; the authors'"""
    offset: Annotated[Number, Evolves()] = 0.0
    """what a dendrite gets besides; the authors' 0: a hidden neuron bursts half of the time"""
    recurrent: Annotated[Option, Options("none", "learned")] = "none"
    """learned: R of (6)"""
    recurrent_eta: Rate = 0.0001
    """learning rate of R; the authors'"""
    teacher: Annotated[Option, Options("objective", "events")] = "objective"
    """(7) or (8)"""
    batch: Batch = 32
    """decisions between two writes, the authors'"""

    def mode(self) -> Mode:
        """As set."""
        return self.feedback  # pyright: ignore[reportReturnType]  (an expressed option is one of the words)

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """Y at birth, and R, which is 0."""
        state = super().start(net, key)
        if self.recurrent == "none":
            return state
        shapes = [(*w.shape[:2], w.shape[2], w.shape[2]) for w in net.weights[:-1]]
        return state | {f"recurrent{k}": net.weights[k].new_zeros(shape) for k, shape in enumerate(shapes)}

    def teach(self, lesson: Lesson) -> Float[Tensor, "P L S A"]:
        """(7) or (8)."""
        if self.teacher == "objective":
            return super().teach(lesson)
        rate = torch.sigmoid(lesson.output)
        return rate * (1 - rate) * (lesson.target - rate)

    def dendrites(
        self, net: Layers, state: State, lesson: Lesson, top: Float[Tensor, "P L S A"] | None = None
    ) -> Dendrites:
        """(2) to (4) when the output is taught `top`; None: at rest."""
        numbers, rates = lesson.numbers, events(net, lesson.layers)
        chance = numbers["burst_probability"]
        bursts, inputs = [chance * (rates[-1] if top is None else rates[-1] + top)], []
        carriers = self.carriers(net, state, lesson)
        for k in reversed(range(len(carriers))):
            rate = rates[k]
            fires = rate != 0
            steep = torch.where(fires, lesson.layers[k].gate / torch.where(fires, rate, 1.0), 0.0)
            u = steep * (bursts[0] @ carriers[k])
            if self.recurrent == "learned":
                u = u - chance * rate @ state[f"recurrent{k}"].mT
            inputs.insert(0, u)
            bursts.insert(0, torch.sigmoid(numbers["slope"] * u + numbers["offset"]) * rate)
        return Dendrites(inputs, bursts)

    def signals(self, net: Layers, state: State, lesson: Lesson) -> list[Float[Tensor, "P L S _"]]:
        """What each layer bursts more than at rest, times its rate over eta."""
        taught = self.dendrites(net, state, lesson, self.teach(lesson)).bursts
        rest = self.dendrites(net, state, lesson).bursts
        more = [high - low for high, low in zip(taught, rest, strict=True)]
        return [lesson.numbers["hidden_ratio"] * signal for signal in more[:-1]] + more[-1:]

    def renewed(self, net: Layers, state: State, lesson: Lesson, changes: tuple[Tensor, ...]) -> State:
        """Y and R after a minibatch, (6)."""
        after = super().renewed(net, state, lesson, changes)
        if self.recurrent == "none":
            return after
        inputs, rates = self.dendrites(net, state, lesson).inputs, events(net, lesson.layers)
        scale = lesson.numbers["recurrent_eta"] * lesson.numbers["burst_probability"] / lesson.x.shape[2]
        grown = {f"recurrent{k}": state[f"recurrent{k}"] + scale * u.mT @ rates[k] for k, u in enumerate(inputs)}
        return {**after, **grown}
