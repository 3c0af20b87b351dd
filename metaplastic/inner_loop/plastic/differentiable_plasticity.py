"""Plastic networks that are trained through what their plasticity does (Miconi et al. 2018; Backpropamine 2019).

A life is a sequence of trials, S at a time. In each trial the plastic part of the synapses starts at 0 and learns
(`differentiable.py`, 1 to 6); between trials the gradient of the error through the whole trial moves what lasts:

    w, alpha, eta, W_in and the modulator's numbers  <-  Adam step of   sum_t weight_t |y_t - y*_t|^2                (1)

so that the network learns to learn. In the test only the plastic part changes. With `rate: 0` nothing is trained, and
evolution alone finds what lasts: `alpha` and `eta` here, `initial_weights` of the network.

Numbers of the authors' code for pattern memory: Adam 3e-4, eta 0.01 at birth, w and alpha 0.01 N(0, 1), one trial a
step; their modulated networks clip H at 2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.gradient.descent import adam_step, losses
from metaplastic.inner_loop.networks.plastic_rnn import PlasticRNN
from metaplastic.inner_loop.networks.recurrent import brain_number
from metaplastic.inner_loop.plastic.differentiable import run
from metaplastic.inner_loop.rules.sequence import Lived, SequenceRule, State, Trials

ALPHA, LISTENS, FAN = 2, 3, 4
"""children of a lifetime's birth key, beside those of the network"""
FINE = ("synapse", "post", "pre", "brain")


class TrainedPlasticity(SequenceRule):
    """What both rules have: the numbers at birth, the trial, and the step of training after it."""

    networks: ClassVar[tuple[str, ...]] = ("plastic_rnn",)
    eta: Annotated[Number, Evolves(0, 1)] = 0.01
    """how fast, at birth"""
    alpha: Annotated[Number, Evolves(per=FINE)] | None = None
    """size of the plastic part at birth; absent: alpha_gain N(0, 1), one a synapse"""
    alpha_gain: Annotated[Number, Evolves(0, 100)] = 0.01
    """deviation of alpha at birth"""
    alpha_per: Literal["synapse", "post", "brain"] = "synapse"
    """how many alphas are drawn and trained"""
    rate: Annotated[Number, Evolves(0, 1)] = 3e-4
    """Adam's, between trials; 0 trains nothing"""

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """What lasts: w, input, alpha, eta, the modulator's numbers and Adam's moments."""
        assert isinstance(network, PlasticRNN)
        state = network.born(spec, individuals, key, like)
        lives, size = (individuals, len(key)), network.size(spec)
        extent = {"synapse": (size, size), "post": (size, 1), "brain": (1, 1)}[self.alpha_per]
        if self.alpha is None:
            alpha = brain_number(self.alpha_gain, like)[:, None, None, None] * rng.normals(
                rng.fold(key, ALPHA), *extent
            ).to(like)
        else:
            alpha = network.layout(spec).expand(self.alpha, 0, like)[:, None]
        state["alpha"] = alpha.expand(*lives, *alpha.shape[2:]).contiguous()
        state["eta"] = brain_number(self.eta, like)[:, None, None, None].expand(*lives, 1, 1).contiguous()
        state |= self.modulator(lives, size, key, like)
        count = sum(state[name][0, 0].numel() for name in self.trained(state))
        state |= {f"adam.{which}": like.new_zeros(*lives, count) for which in ("first", "second")}
        state["rate"] = brain_number(self.rate, like)[:, None].expand(lives)
        return state | {"adam.count": like.new_zeros(lives)}

    @abstractmethod
    def how(self) -> tuple[str, float]:
        """Which of (2) to (5) of `differentiable.py`, and where H is clipped."""

    def modulator(self, lives: tuple[int, int], size: int, key: Int[Tensor, " L"], like: Tensor) -> State:  # noqa: ARG002
        """What equation (6) of `differentiable.py` needs."""
        return {}

    def trained(self, state: State) -> list[str]:
        """What the gradient moves; in (4) there is no eta."""
        lasting = ("w", "input", "alpha", "eta", "listens", "listens_bias", "fan", "fan_bias")
        return [name for name in lasting if name in state and (name != "eta" or self.how()[0] != "simple")]

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """S trials, and (1) after them."""
        del key, number
        assert isinstance(network, PlasticRNN)
        names = self.trained(state)
        trains = learns and bool((state["rate"] > 0).any())
        with torch.set_grad_enabled(trains or torch.is_grad_enabled()):
            parts = dict(state)
            if trains:
                parts |= {name: state[name].detach().requires_grad_() for name in names}
            rates, _ = run(parts, driven(network, parts, trials.x), *self.how())
            output = rates[..., : trials.y.shape[-1]]
            if trains:
                loss = 2 * losses(output, trials, "squared", "sum").mean(-1)
                gradients = torch.autograd.grad(loss.sum(), [parts[name] for name in names])
                output, rates = output.detach(), rates.detach()
                state = self.moved(state, names, gradients)
        return Lived(output, state, {"rates": rates})

    def moved(self, state: State, names: list[str], gradients: tuple[Tensor, ...]) -> State:
        """Adam's step of each brain."""
        lives = state["w"].shape[:2]
        flat = torch.cat([gradient.flatten(2) for gradient in gradients], -1).flatten(0, 1)
        unit, rest = adam_step(state, flat)
        parts = (
            (state["rate"].reshape(-1, 1) * unit).unflatten(0, lives).split([g[0, 0].numel() for g in gradients], -1)
        )
        steps = zip(names, parts, strict=True)
        return state | rest | {name: state[name] + step.unflatten(-1, state[name].shape[2:]) for name, step in steps}


class DifferentiablePlasticity(TrainedPlasticity):
    """Hebbian synapses whose size, sign and speed are trained through trials (Miconi, Clune & Stanley 2018)."""

    references: ClassVar[tuple[str, ...]] = (
        "Miconi, Clune & Stanley 2018, Differentiable plasticity, ICML, arXiv:1804.02464",
    )
    kind: Literal["differentiable_plasticity"] = "differentiable_plasticity"
    hebb: Annotated[Option, Options("decay", "oja")] = "decay"
    """how H follows the activities"""

    def how(self) -> tuple[str, float]:
        """H is not clipped."""
        return str(self.hebb), math.inf


class Backpropamine(TrainedPlasticity):
    """Hebbian synapses that the network itself tells when to change, trained through trials (Miconi et al. 2019)."""

    references: ClassVar[tuple[str, ...]] = (
        "Miconi, Rawal, Clune & Stanley 2019, Backpropamine: training self-modifying neural networks with "
        "differentiable neuromodulated plasticity, ICLR, arXiv:2002.10585",
    )
    kind: Literal["backpropamine"] = "backpropamine"
    hebb: Annotated[Option, Options("simple", "retroactive")] = "simple"
    """the message gates the product of now, or a fading memory of products"""
    limit: Annotated[float, Field(gt=0)] = 2.0
    """H is kept in [-limit, limit]"""

    def modulator(self, lives: tuple[int, int], size: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """Weights U(-1, 1) / sqrt(fan-in), as PyTorch draws a linear layer's."""
        ears, fans = (rng.fold(key, stream) for stream in (LISTENS, FAN))

        def drawn(own: Tensor, *extent: int, fan_in: int) -> Tensor:
            return ((2 * rng.uniforms(own, *extent) - 1) / fan_in**0.5).to(like).expand(*lives, *extent).contiguous()

        return {
            "listens": drawn(rng.fold(ears, 0), 1, size, fan_in=size),
            "listens_bias": drawn(rng.fold(ears, 1), 1, 1, fan_in=size),
            "fan": drawn(rng.fold(fans, 0), size, 1, fan_in=1),
            "fan_bias": drawn(rng.fold(fans, 1), size, 1, fan_in=1),
        }

    def how(self) -> tuple[str, float]:
        """H is clipped at `limit`."""
        return str(self.hebb), self.limit


def driven(network: PlasticRNN, parts: dict[str, Tensor], x: Float[Tensor, "T L S I"]) -> Float[Tensor, "T P L S N"]:
    """What the observations bring to each neuron."""
    w: Any = parts["w"]
    if network.input == "direct":
        wide = torch.nn.functional.pad(x, (0, w.shape[-1] - x.shape[-1]))
        return wide[:, None].expand(-1, len(w), -1, -1, -1)
    return (parts["input"][None, :, :, None] * x[:, None, :, :, None, :]).sum(-1)
