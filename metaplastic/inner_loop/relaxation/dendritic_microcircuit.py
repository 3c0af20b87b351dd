"""A cortical microcircuit: interneurons learn to say what comes down, so that the apical dendrite sees only errors.

    v_k = W_k [1, r_{k-1}]                       basal, as the soma would have it alone                          (1)
    A_k = B_{k+1}^T r_{k+1} + C_k i_k            apical: what comes down, and what interneurons take away        (2)
    u_k = v_k + a A_k                            soma of a hidden pyramidal neuron,    r_k = phi(u_k)            (3)
    u_K = (1 - s) v_K + s (q - dC/dq)            soma of an output neuron, its teacher the current s,   r_K = u_K (4)
    w_k = I_k [1, r_k],   z_k = (1 - m) w_k + m u_{k+1},   i_k = phi(z_k)                                        (5)
                                                 interneurons of layer k, one for each neuron of layer k + 1
    dW_k = eta_k <(phi(u_k) - phi(v_k)) [1, r_{k-1}]^T>,     eta_k = eta eta_ratio^(K-k)                         (6)
    dI_k = interneuron_ratio eta_{k+1} <(phi(z_k) - phi(w_k)) [1, r_k]^T>,   dC_k = -apical_ratio eta <A_k i_k^T> (7)
    a = g_A / (g_leak + g_B + g_A),   s = g_som / (g_leak + g_B + g_som),   m = g_som / (g_leak + g_D + g_som)   (8)

Sacramento, Ponte Costa, Bengio & Senn 2018, Dendritic cortical microcircuits approximate the backpropagation algorithm,
NeurIPS 31, eqs. 1-9, at rest and without noise. phi of the output, and so of the interneurons that say it, is the
identity. W_k and I_k are the paper's weights times what the conductances leave of them, so the network's own answer is
the circuit's without a teacher. u_k starts there and moves to (3) and (4) by steps of `rate`, all layers at once.

Self-predicting (I_k = W_{k+1}, C_k = -B_{k+1}^T): without a teacher A = 0 and u = v. With one, and B = W, for weak
currents (6) is eta_k s (a (1 - m))^(K-k) times minus the gradient of C. B is random, as in the paper, or W, and C then
also loses what W_{k+1}^T gains, or apical dendrites would hear learning as an error. A circuit born with random I and C
comes to predict itself by (7), for which `quiet_trials` gives it decisions without a teacher.
Departures: (4) follows any objective's error; the learning rates are ours, since a step stands for a presentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Number
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.feedback.transport import draw, fan_in, named
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.relaxation.settling import PerBrain
from metaplastic.inner_loop.rules.layered import LayeredRule, Lesson, State

Potentials = tuple[Tensor, ...]
"""u_1 … u_K, [P, L, S, N_k] each"""
Rate = Annotated[Number, Evolves(0)]
Conductance = Annotated[Number, Evolves(0, above=True)]


class Circuit(NamedTuple):
    """Connections besides W, one entry a hidden layer k."""

    down: tuple[Float[Tensor, "P L above N"], ...]
    """B_{k+1}"""
    inter: tuple[Float[Tensor, "P L above pre"], ...]
    """I_k"""
    cancel: tuple[Float[Tensor, "P L N above"], ...]
    """C_k"""


class Shares(NamedTuple):
    """(8)."""

    apical: PerBrain
    teacher: PerBrain
    mimic: PerBrain


class Compartments(NamedTuple):
    """What (1), (2) and (5) are at some somatic potentials."""

    seen: tuple[Float[Tensor, "P L S pre"], ...]
    """[1, r_{k-1}], one a connection group"""
    basal: tuple[Float[Tensor, "P L S _"], ...]
    predicted: tuple[Float[Tensor, "P L S above"], ...]
    """w_k, one a hidden layer, as what follows"""
    inter: tuple[Float[Tensor, "P L S above"], ...]
    """z_k"""
    apical: tuple[Float[Tensor, "P L S N"], ...]


def fired(net: Layers, potential: Float[Tensor, "P L S N"], k: int) -> Float[Tensor, "P L S N"]:
    """Rates of layer k, counted from 0: phi, or the potential itself at the output."""
    return potential if k == len(net.weights) - 1 else net.phi.function(potential) * net.exists(k)


def compartments(
    net: Layers, circuit: Circuit, shares: Shares, x: Float[Tensor, "#P L S I"], soma: Potentials
) -> Compartments:
    """All other potentials at u_1 … u_K."""
    rates = [fired(net, u, k) for k, u in enumerate(soma)]
    seen = tuple(net.seen(below) for below in (x.expand(len(rates[0]), *x.shape[1:]), *rates[:-1]))
    basal = tuple(pre @ w.mT for pre, w in zip(seen, net.weights, strict=True))
    predicted, inter, apical = [], [], []
    for k in range(len(soma) - 1):
        predicted.append(seen[k + 1] @ circuit.inter[k].mT)
        inter.append((1 - shares.mimic) * predicted[k] + shares.mimic * soma[k + 1])
        apical.append(rates[k + 1] @ circuit.down[k] + fired(net, inter[k], k + 1) @ circuit.cancel[k].mT)
    return Compartments(seen, basal, tuple(predicted), tuple(inter), tuple(apical))


def relax(
    net: Layers,
    circuit: Circuit,
    shares: Shares,
    x: Float[Tensor, "#P L S I"],
    start: Potentials,
    rate: PerBrain,
    steps: PerBrain,
    taught: Float[Tensor, "P L S A"] | None,
) -> Potentials:
    """u_1 … u_K after `steps` steps; `taught` is where the teacher draws the output, None: there is none."""
    soma = start
    for step in range(int(steps.max())):
        now = compartments(net, circuit, shares, x, soma)
        top = now.basal[-1] if taught is None else now.basal[-1] + shares.teacher * (taught - now.basal[-1])
        drawn = [v + shares.apical * a for v, a in zip(now.basal[:-1], now.apical, strict=True)]
        pairs = zip((*drawn, top), soma, strict=True)
        soma = tuple(torch.where(step < steps, u + rate * (new - u), u) for new, u in pairs)
    return soma


class DendriticMicrocircuit(LayeredRule):
    """dW_k = eta (phi(u_k) - phi(v_k)) r_{k-1}: soma against basal dendrite, interneurons cancel what is known (6)."""

    references: ClassVar[tuple[str, ...]] = (
        "Sacramento, Ponte Costa, Bengio & Senn 2018, Dendritic cortical microcircuits approximate the backpropagation "
        "algorithm, NeurIPS 31",
    )
    follows_error: ClassVar[bool] = True
    kind: Literal["dendritic_microcircuit"] = "dendritic_microcircuit"
    eta: Rate = 0.1
    """learning rate of the output's weights; ours"""
    eta_ratio: Rate = 4.0
    """by how much each layer's rate is above that of the layer after it; ours, 1 / (a (1 - m)) at these conductances"""
    interneuron_ratio: Rate = 2.375
    """learning rate of I over that of the weights it is to be like; ours, 1 / m at these conductances: for small errors
    I then changes as they do, and the circuit goes on predicting itself as it learns"""
    apical_ratio: Rate = 0.1
    """learning rate of C over eta; ours"""
    leak: Conductance = 0.1
    """g_leak, the authors'"""
    basal: Conductance = 1.0
    """g_B, of the basal dendrites of pyramidal neurons; the authors'"""
    dendritic: Conductance = 1.0
    """g_D, of the dendrites of interneurons; the authors'"""
    apical: Rate = 0.8
    """g_A; the authors'"""
    somatic: Rate = 0.8
    """g_som, of the teacher and of what interneurons hear from the layer above; the authors'"""
    rate: Annotated[Number, Evolves(0, 1, above=True)] = 0.5
    """how far a step goes (1: undamped); ours"""
    steps: Annotated[Number, Evolves(1, 1000, integer=True)] = 20
    """of the relaxation; ours"""
    feedback: Annotated[Option, Options("random", "symmetric")] = "random"
    """B: as drawn, or W, which C then follows"""
    feedback_gain: Rate = 1.0
    """deviation of B at birth, times the square root of the forward connection's fan_in"""
    lateral: Annotated[Option, Options("self_predicting", "random")] = "self_predicting"
    """I and C at birth"""
    quiet_trials: Annotated[int, Field(ge=0)] = 0
    """decisions at the start of life without a teacher, in which only I and C learn"""

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:
        """B (if it is its own), I and C at birth."""
        gain = numbers(self, len(net.weights[0]), net.weights[0])["feedback_gain"][:, None, None, None]
        state = {}
        for k, w in enumerate(net.weights[1:], 1):
            width, mask = 1 / fan_in(net, k).sqrt(), net.masks[k]
            inner = mask[..., int(net.bias) :]
            above, below = inner.shape[-2:]
            drawn = gain * width * draw(rng.fold(key, k), above, below, w) * inner
            down = net.carriers(k) if self.feedback == "symmetric" else drawn
            inter, cancel = w, -down.mT
            if self.lateral == "random":
                own = rng.fold(key, (1 << 20) + k)
                inter = width * draw(rng.fold(own, 0), above, w.shape[-1], w) * mask
                cancel = width * (draw(rng.fold(own, 1), above, below, w) * inner).mT
            state |= {f"inter{k}": inter, f"cancel{k}": cancel}
            if self.feedback == "random":
                state[named(k)] = down
        return state

    def circuit(self, net: Layers, state: State) -> Circuit:
        """Its connections besides W."""
        groups = range(1, len(net.weights))
        down = (net.carriers(k) if self.feedback == "symmetric" else state[named(k)] for k in groups)
        return Circuit(
            tuple(down), tuple(state[f"inter{k}"] for k in groups), tuple(state[f"cancel{k}"] for k in groups)
        )

    def shares(self, numbers: dict[str, PerBrain]) -> Shares:
        """(8)."""
        leak, somatic = numbers["leak"], numbers["somatic"]
        return Shares(
            numbers["apical"] / (leak + numbers["basal"] + numbers["apical"]),
            somatic / (leak + numbers["basal"] + somatic),
            somatic / (leak + numbers["dendritic"] + somatic),
        )

    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """(6) and (7) at rest."""
        assert lesson.top_error is not None
        given, circuit, shares = lesson.numbers, self.circuit(net, state), self.shares(lesson.numbers)
        is_quiet = lesson.trial < self.quiet_trials
        taught = None if is_quiet else lesson.output - lesson.top_error
        start = tuple(layer.potential for layer in lesson.layers)
        soma = relax(net, circuit, shares, lesson.x, start, given["rate"], given["steps"], taught)
        rest = compartments(net, circuit, shares, lesson.x, soma)
        last = len(soma) - 1
        rates = [given["eta"] * given["eta_ratio"] ** (last - k) / lesson.x.shape[2] for k in range(last + 1)]
        changes = tuple(
            (not is_quiet) * rates[k] * more.mT @ rest.seen[k]
            for k, more in enumerate(_above(net, soma, rest.basal, 0))
        )
        after = dict(state)
        for k, more in enumerate(_above(net, rest.inter, rest.predicted, 1), 1):
            grown = given["interneuron_ratio"] * rates[k] * more.mT @ rest.seen[k]
            lost = given["apical_ratio"] * rates[-1] * rest.apical[k - 1].mT @ fired(net, rest.inter[k - 1], k)
            after[f"inter{k}"] = (state[f"inter{k}"] + grown) * net.masks[k]
            if self.feedback == "symmetric":
                lost = lost + changes[k][..., int(net.bias) :].mT
            after[f"cancel{k}"] = (state[f"cancel{k}"] - lost) * net.masks[k][..., int(net.bias) :].mT
        return changes, after


def _above(net: Layers, soma: Sequence[Tensor], dendrite: Sequence[Tensor], first: int) -> list[Tensor]:
    """phi(soma) - phi(dendrite) of neurons like those of layers first, first + 1 …"""
    pairs = enumerate(zip(soma, dendrite, strict=True), first)
    return [fired(net, u, k) - fired(net, v, k) for k, (u, v) in pairs]
