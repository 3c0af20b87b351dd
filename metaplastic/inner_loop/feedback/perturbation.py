"""Learning from what small perturbations do to a cost: of neurons, or of weights. No feedback connection is needed.

    batch_node_perturbation   a' = a + xi,  xi ~ N(0, sigma^2) at every neuron of every decision           (1)
                              dW_k = -eta mean_s (L'_s - L_s) / (p sigma^2) xi_ks [1, y_{k-1,s}]^T
    weight_perturbation       W' = W + xi,  xi ~ N(0, sigma^2) at every synapse of a minibatch             (2)
                              dW = -eta (L' - L) / sigma^2 xi

L is the cost without the perturbation (baseline `clean`) or the running mean of L' (`running_mean`: no second pass,
more variance). Of the neurons a share p is perturbed. Both descend the gradient in the mean, as sigma goes to 0; the
cosine of n perturbations to it is about sqrt(n / (n + N + 1)), N perturbed numbers. `samples` perturbations a minibatch
are averaged. The cost is the rule's own choice: one of the answer (given the best one), or minus the reward of the
answer that has the largest value. Fiete & Seung 2006; Werfel, Xie & Seung 2004; sigma and learning rate are those of
hidden layers in the comparison code of Payeur et al. 2021.

`node_perturbation` (rules/perturbation.py) is (1) for recurrent networks and whole trials, as a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.transport import Batch, Rate, products
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.objectives.answer import ANSWER_COSTS
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State

MEAN = "mean_cost"
"""the running mean in the state"""
Above = Annotated[Number, Evolves(0, above=True)]
"""a number above 0"""


class _Perturbation(LayeredRule):
    """What both rules are."""

    eta: Rate = 0.1
    """learning rate"""
    sigma: Above = 0.001
    """deviation of the perturbation"""
    cost: Annotated[Option, Options(*ANSWER_COSTS, "reward")] = "cross_entropy"
    """what is to fall; reward: minus what the answer with the largest value is paid"""
    baseline: Annotated[Option, Options("clean", "running_mean")] = "clean"
    """what the perturbed cost is compared with"""
    mean_decay: Annotated[Number, Evolves(0, 1)] = 0.9
    """what is kept of the running mean at a minibatch"""
    samples: Annotated[int, Field(ge=1, le=100_000)] = 1
    """perturbations of a minibatch, averaged"""
    batch: Batch = 1
    """decisions between two writes"""

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:  # noqa: ARG002
        """No cost was seen; nothing without a running mean."""
        w = net.weights[0]
        return {MEAN: torch.full_like(w[..., 0, :1], torch.nan)} if self.baseline == "running_mean" else {}

    def costs(self, output: Float[Tensor, "P L S A"], lesson: Lesson) -> Float[Tensor, "P L S"]:
        """L of each decision."""
        if self.cost == "reward":
            return -lesson.payoff.expand_as(output).gather(-1, output.argmax(-1, keepdim=True))[..., 0]
        return ANSWER_COSTS[str(self.cost)].cost(output, lesson.target)

    def expected(self, state: State, lesson: Lesson, seen: Float[Tensor, "P L S"]) -> Float[Tensor, "P L _"]:
        """The baseline: L itself, or the running mean (the first cost ever seen: its own mean)."""
        if self.baseline == "clean":
            return self.costs(lesson.output, lesson)
        mean = state[MEAN]
        return torch.where(mean.isnan(), seen.mean(-1, keepdim=True), mean)

    def followed(self, state: State, lesson: Lesson, seen: Float[Tensor, "P L S"]) -> State:
        """The running mean after a minibatch."""
        if self.baseline == "clean":
            return state
        decay, new = lesson.numbers["mean_decay"][..., 0], seen.mean(-1, keepdim=True)
        mean = torch.where(state[MEAN].isnan(), new, state[MEAN])
        return {MEAN: decay * mean + (1 - decay) * new}


class BatchNodePerturbation(_Perturbation):
    """dW_k = -eta (L' - L) / sigma^2 xi_k y_{k-1}, noise xi_k ~ N(0, sigma^2) at every neuron (1)."""

    references: ClassVar[tuple[str, ...]] = (
        "Fiete & Seung 2006, Gradient learning in spiking networks by dynamic perturbation of conductances, PRL 97",
        "Werfel, Xie & Seung 2004, Learning curves for stochastic gradient descent in linear feedforward networks, "
        "NeurIPS 16",
    )
    kind: Literal["batch_node_perturbation"] = "batch_node_perturbation"
    probability: Annotated[Number, Evolves(0, 1, above=True)] = 1.0
    """p, share of the neurons that are perturbed"""

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """Equation (1)."""
        total = tuple(torch.zeros_like(w) for w in net.weights)
        sigma, probability = lesson.numbers["sigma"], lesson.numbers["probability"]
        seen = []
        for sample in range(self.samples):
            noises = self._noises(net, lesson, rng.fold(lesson.key, sample))
            cost = self.costs(perturbed(net, lesson.x, noises), lesson)
            worse = (cost - self.expected(state, lesson, cost)) / (probability * sigma.square())[..., 0]
            signals = [-worse[..., None] * noise for noise in noises]
            total = tuple(t + change for t, change in zip(total, products(signals, lesson.layers), strict=True))
            seen.append(cost)
        after = self.followed(state, lesson, torch.stack(seen).mean(0))
        return tuple(lesson.numbers["eta"] / self.samples * t for t in total), after

    def _noises(self, net: Layers, lesson: Lesson, key: Int[Tensor, " L"]) -> list[Float[Tensor, "P L S _"]]:
        """xi of every layer; 0 where no neuron is."""
        found = []
        for k, layer in enumerate(lesson.layers):
            count, size = layer.post.shape[2:]
            rows = rng.fold(rng.fold(key, k)[:, None], torch.arange(count, device=key.device))
            noise = lesson.numbers["sigma"] * rng.normals(rows, size).to(layer.post)[None]
            hit = rng.uniforms(rng.fold(rows, 0), size).to(layer.post)[None] < lesson.numbers["probability"]
            found.append((noise * hit * net.exists(k)).expand_as(layer.post))
        return found


class WeightPerturbation(_Perturbation):
    """dW = -eta (L' - L) / sigma^2 xi, noise xi ~ N(0, sigma^2) at every weight (2)."""

    references: ClassVar[tuple[str, ...]] = (
        "Werfel, Xie & Seung 2004, Learning curves for stochastic gradient descent in linear feedforward networks, "
        "NeurIPS 16",
    )
    kind: Literal["weight_perturbation"] = "weight_perturbation"

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """Equation (2)."""
        total = tuple(torch.zeros_like(w) for w in net.weights)
        sigma, seen = lesson.numbers["sigma"], []
        for sample in range(self.samples):
            noises = [
                sigma * weight_noise(rng.fold(rng.fold(lesson.key, sample), k), w) * mask
                for k, (w, mask) in enumerate(zip(net.weights, net.masks, strict=True))
            ]
            other = net._replace(weights=tuple(w + noise for w, noise in zip(net.weights, noises, strict=True)))
            cost = self.costs(other.forward(lesson.x)[-1].post, lesson)
            worse = (cost - self.expected(state, lesson, cost)).mean(-1)[..., None, None] / sigma.square()
            total = tuple(t - worse * noise for t, noise in zip(total, noises, strict=True))
            seen.append(cost)
        after = self.followed(state, lesson, torch.stack(seen).mean(0))
        return tuple(lesson.numbers["eta"] / self.samples * t for t in total), after


def perturbed(
    net: Layers, x: Float[Tensor, "#P L S I"], noises: Sequence[Float[Tensor, "P L S _"]]
) -> Float[Tensor, "P L S A"]:
    """The output with `noises` added to the net inputs of every layer."""
    post = x
    for k, (w, noise) in enumerate(zip(net.weights, noises, strict=True)):
        post = net.seen(post) @ w.mT + noise
        if k < len(net.weights) - 1:
            post = net.phi.function(post) * net.exists(k)
    return post


def weight_noise(key: Int[Tensor, " L"], like: Float[Tensor, "P L post pre"]) -> Float[Tensor, "1 L post pre"]:
    """A standard normal for each synapse, a row of its own for each postsynaptic neuron."""
    rows = rng.fold(key[:, None], torch.arange(like.shape[-2], device=key.device))
    return rng.normals(rows, like.shape[-1]).to(like)[None]
