"""Reward in the place of a teacher: the chosen answer is sent down, and one number for all says how good it was.

    batch_q_agrel   f_K = (r - q_s) 1{k = s}                                    Pozzi et al. 2018, eqs. 8-14    (1)
    agrel           f_K = g(delta) 1{k = s},   P = softmax(q)              Roelfsema & van Ooyen 2005       (2)
                    delta = 1 - P_s, g = delta / (1 - delta) = (1 - P_s) / P_s after reward; without, g = -1
    reinforce       f_K = (R - b) (1{k = s} - pi_k) / T + entropy dH/dq_k,   pi = softmax(q / T)            (3)
                    dH/dq_k = -pi_k (log pi_k + H) / T                          Williams 1992

and down the layers as in `transport.py`, by feedback weights that are the forward ones (symmetric), learn with them
(learned) or stay as drawn (random). What the rules descend:

    (1), symmetric    the gradient of (r - q_s)^2 / 2 of the chosen answer s, exactly                       (4)
    (2), symmetric    in the mean over answers drawn from P, the gradient of the cross-entropy, exactly     (5)
    (3), symmetric    in the mean over answers drawn from pi, the gradient of -E[R] - entropy H, exactly    (6)

(1) needs the critic `action_value` (prediction = q_s); with the policy `max_boltzmann` it is the paper's. (2) needs
rewards above 0 for right answers, the policy `softmax` and, as published, the activation `sigmoid`, whose phi' it is
gated by. (3) needs the policy `softmax` with the same temperature; any critic leaves its mean as it is. In (1) and (2)
all that a synapse needs is at the synapse: two activities, the feedback neuron's and one global number; in (3) so it is
for output weights only, and hidden layers use the oracle.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.transport import Batch, Mode, Rate, Transport, draw, named
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.objectives.answer import chosen, policy_error
from metaplastic.inner_loop.rules.layered import Lesson, State

Feedback = Annotated[Option, Options("symmetric", "learned", "random")]
"""which weights carry signals down"""


class _Gated(Transport):
    """What both attention-gated rules are."""

    feedback: Feedback = "symmetric"
    """feedback weights: the forward ones, their own that learn with them, or their own as they were drawn"""

    def mode(self) -> Mode:
        """As set."""
        return self.feedback  # pyright: ignore[reportReturnType]  (an expressed option is one of the words)


class BatchQAgrel(_Gated):
    """dW_k = eta f_k y_{k-1}, f_K = (r - q_s) 1{k = s} of the chosen answer s (Pozzi et al. 2018) (1)."""

    references: ClassVar[tuple[str, ...]] = (
        "Pozzi, Bohte & Roelfsema 2018, A biologically plausible learning rule for deep learning in the brain, "
        "arXiv:1811.01768",
    )
    kind: Literal["batch_q_agrel"] = "batch_q_agrel"
    eta: Rate = 0.5
    """learning rate; the paper's 0.5 (also 1; 0.1 with random feedback)"""
    feedback_range: Rate = 0.05
    """feedback weights at birth are U(-1, 1) times this, as the forward ones of the paper"""
    batch: Batch = 100
    """decisions between two writes, the paper's"""

    def drawn(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """Feedback weights of their own, within `feedback_range`."""
        width, state = self.own_numbers(net)["feedback_range"], {}
        for k, w in enumerate(net.weights[1:], 1):
            mask = net.masks[k][..., int(net.bias) :]
            drawn = draw(rng.fold(key, k), w.shape[-2], mask.shape[-1], w, "uniform")
            state[named(k)] = width / math.sqrt(3.0) * drawn * mask
        return state

    def teach(self, lesson: Lesson) -> Float[Tensor, "P L S A"]:
        """Equation (1)."""
        error = lesson.reward - lesson.prediction
        return error[..., None] * chosen(lesson.action, lesson.output.shape[-1], lesson.output)


class Agrel(_Gated):
    """dW_k = eta f_k y_{k-1}, f_K = g(delta) 1{k = s}, g = (1 - P_s) / P_s if rewarded, else -1 (2)."""

    references: ClassVar[tuple[str, ...]] = (
        "Roelfsema & van Ooyen 2005, Attention-gated reinforcement learning of internal representations for "
        "classification, Neural Computation 17:2176",
    )
    kind: Literal["agrel"] = "agrel"
    eta: Rate = 0.1
    """learning rate; ours"""
    feedback_gain: Rate = 1.0
    """deviation of feedback weights at birth, times the square root of the forward connection's fan_in"""

    def teach(self, lesson: Lesson) -> Float[Tensor, "P L S A"]:
        """Equation (2)."""
        marked = chosen(lesson.action, lesson.output.shape[-1], lesson.output)
        chance = (torch.softmax(lesson.output, -1) * marked).sum(-1).clamp(min=torch.finfo(marked.dtype).tiny)
        strength = torch.where(lesson.reward > 0, (1 - chance) / chance, -torch.ones_like(chance))
        return strength[..., None] * marked


class Reinforce(Transport):
    """dW_k = eta f_k y_{k-1}, f_K = (R - b) (1{k = s} - pi_k) / T, pi = softmax(q / T) (Williams 1992) (3)."""

    references: ClassVar[tuple[str, ...]] = (
        "Williams 1992, Simple statistical gradient-following algorithms for connectionist reinforcement learning, "
        "Machine Learning 8:229",
    )
    kind: Literal["reinforce"] = "reinforce"
    eta: Rate = 0.1
    """learning rate; ours"""
    temperature: Annotated[Number, Evolves(0, above=True)] = 1.0
    """T of pi; the policy's own"""
    entropy: Rate = 0.0
    """how much the policy's entropy counts beside reward"""

    def teach(self, lesson: Lesson) -> Float[Tensor, "P L S A"]:
        """Equation (3)."""
        temperature = lesson.numbers["temperature"]
        scaled = lesson.output / temperature
        logs = torch.log_softmax(scaled, -1)
        chance = logs.exp()
        disorder = -(chance * logs).sum(-1, keepdim=True)
        wanted = -policy_error(scaled, lesson.action, lesson.reward - lesson.prediction)
        return (wanted - lesson.numbers["entropy"] * chance * (logs + disorder)) / temperature
