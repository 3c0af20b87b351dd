"""Segregated dendrites: feedback ends on the apical dendrite, whose plateau potential is compared between two phases.

    A_k = Y_k^T y_K,   plateau alpha_k = sigmoid(A_k)                                                        (1)
    forward phase: y_K = q;   target phase: y_K = q - dC/dq, the target itself if C = 1/2 |q - target|^2     (2)
    f_k = hidden_ratio (alpha_k target - alpha_k forward) * phi'(a_k),   f_K = -dC/dq                        (3)
    dW_k = eta <f_k [1, y_{k-1}]^T>                                                                          (4)

Guerguiev, Lillicrap & Richards 2017, Towards deep learning with segregated dendrites, eLife 6:e22901, without spikes:
each phase is at its steady state, and the apical dendrite has no current into the soma (g_A = 0, one of the authors'
two settings), so what a neuron says does not depend on what comes down. Y goes from the output to every hidden layer
and stays as drawn; a fifth of it (`feedback_density`) was enough for the authors. For small errors (3) is direct
feedback alignment, each neuron's share times sigmoid'(A_k). Departures: the output is linear (theirs is sigmoid), and
it comes to the target by the objective's error; rates are without the authors' units, so `eta` is ours.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.feedback.alignment import Direct
from metaplastic.inner_loop.feedback.transport import Batch, Rate
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.rules.layered import Lesson, State


class SegregatedDendrites(Direct):
    """dW_k = eta (alpha_k target - alpha_k forward) phi' y_{k-1}, plateaus alpha_k = sigmoid(Y_k^T y_K) (3)."""

    references: ClassVar[tuple[str, ...]] = (
        "Guerguiev, Lillicrap & Richards 2017, Towards deep learning with segregated dendrites, eLife 6:e22901",
    )
    kind: Literal["segregated_dendrites"] = "segregated_dendrites"
    eta: Rate = 0.1
    """learning rate; ours"""
    hidden_ratio: Rate = 1.0
    """learning rate of hidden weights over eta; 1 is the authors'"""
    batch: Batch = 1
    """decisions between two writes, the authors'"""

    def signals(self, net: Layers, state: State, lesson: Lesson) -> list[Float[Tensor, "P L S _"]]:
        """(3)."""
        top = self.teach(lesson)
        signals = [
            lesson.numbers["hidden_ratio"] * (plateau(lesson.output + top, own) - plateau(lesson.output, own))
            for own in self.carriers(net, state, lesson)
        ]
        return [*(signal * layer.gate for signal, layer in zip(signals, lesson.layers[:-1], strict=True)), top]


def plateau(output: Float[Tensor, "P L S A"], feedback: Float[Tensor, "P L A N"]) -> Float[Tensor, "P L S N"]:
    """(1)."""
    return torch.sigmoid(output @ feedback)
