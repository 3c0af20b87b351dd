"""Reward-based e-prop: a spiking actor and critic that share their neurons, taught by their own error of prediction.

    a_t ~ pi_t = softmax(y_t),   V_t = F_kappa(W_V z)_t,   delta_t = r_t + gamma V_{t+1} - V_t               (1)
    L_i = sum_k B^pi_ki (pi_k - 1{a = k}) - c_V B^V_i                                                        (2)
    dW_ij = -eta step(sum_t delta_t F_gamma(L_i F_kappa(e_ij))_t + costs)                                    (3)

Bellec et al. 2020; (1) to (3), with the errors delta as they come, are recalled. The losses behind them and the numbers
were read in the authors' code of the agents that play Pong: gamma .99, c_V 1, entropy .0025, rate 20 Hz. There Adam's
epsilon is 1, the network has 400 neurons and sees images through a convolution.

A choice ends with its answer: the first action that is not to wait. The reward comes with it and V is 0 after it, so
that sum_t delta_t F_gamma(x)_t = sum_s x_s (gamma^{T-s} R - V_s), T the step of the answer: one scan back in time, as
in `eprop.py`. The gradient of the policy's entropy comes to it as a learning signal of its own. While it learns, an
action is drawn by adding Gumbel noise to the outputs, and the largest acts; in the test the outputs act as they are.

Where a task wants the outputs themselves, the policy is a_t ~ N(y_t, exploration^2) at every step, and the bracket of
(2) is (y - a) / exploration^2; the reward comes at the end. That is ours, not the paper's.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.feedback.rflo import random_feedback
from metaplastic.inner_loop.gradient.descent import Gradients
from metaplastic.inner_loop.gradient.spiking_costs import SpikingCosts
from metaplastic.inner_loop.gradient.spiking_gradient import spiking_gradient
from metaplastic.inner_loop.networks.recurrent import GROUPS, VALUE, Recurrent, brain_number
from metaplastic.inner_loop.networks.sizes import largest
from metaplastic.inner_loop.networks.spiking import SpikeTape, filtered, tensors
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials

LEAST = 2.0**-24
"""of the uniform numbers behind Gumbel noise"""


class Acted(NamedTuple):
    """What a brain did, until it was told."""

    pull: Float[Tensor, "T P L S A"]
    """- d log pi(a_t) / dy_t: the bracket of (2)"""
    spread: Float[Tensor, "T P L S A"]
    """- dH / dy_t, H the policy's entropy"""
    alive: Bool[Tensor, "T P L S"]
    """the step belongs to the trial: there was no answer before it, and it has not ended"""
    left: Int[Tensor, "T P L S"]
    """steps to the answer, or to the trial's end"""


class EPropReward(SpikingCosts):
    """dW_ij = -eta sum_t delta_t F_gamma(L_i F_kappa(e_ij)), delta the critic's error of prediction."""

    references = (
        "Bellec et al. 2020, A solution to the learning dilemma for recurrent networks of spiking neurons, Nat Commun",
    )
    networks: ClassVar[tuple[str, ...]] = ("spiking_rnn",)
    groups: ClassVar[tuple[str, ...]] = (*GROUPS, "value")
    has_likelihood: ClassVar[bool] = False
    kind: Literal["eprop_reward"] = "eprop_reward"
    batch: Annotated[int, Field(ge=1, le=10_000)] = 32
    """S, trials of a minibatch (code: 32 parallel episodes)"""
    optimiser: Annotated[Option, Options("sgd", "adam")] = "adam"
    """how the estimate moves the weights (code)"""
    eta: Annotated[Number, Evolves(0, per=("brain", "connection", "post", "pre", "synapse"))] = 0.001
    """learning rate; that of V's weights is the first output's (code)"""
    discount: Annotated[Number, Evolves(0, 1)] = 0.99
    """gamma, of a step (code: of an action, which lasts 5 steps there)"""
    value_weight: Annotated[Number, Evolves(0)] = 1.0
    """c_V (code)"""
    exploration: Annotated[Number, Evolves(0, above=True)] = 0.1
    """deviation of what is added to outputs that are no choice (ours)"""
    entropy: Annotated[Number, Evolves(0)] = 0.0025
    """weight of the policy's entropy (code)"""
    rate_weight: Annotated[Number, Evolves(0)] = 100.0
    """of the cost of rates that are not the target (code: 50, without the 1/2)"""
    rate_target: Annotated[Number, Evolves(0)] = 20.0
    """Hz (code)"""
    voltage_weight: Annotated[Number, Evolves(0)] = 1e-4
    """of the cost of voltages far from 0 (code)"""
    feedback: Annotated[Option, Options("symmetric", "random")] = "symmetric"
    """B of (2): the weights of policy and value, or drawn at birth"""
    feedback_gain: Annotated[Number, Evolves(0)] = 1.0
    """deviation of random B"""

    def more(self, network: Recurrent, spec: TaskSpec, state: State, key: Int[Tensor, " L"]) -> State:
        """W_V ~ N(0, 1) / sqrt(units), its mask and rate, and B."""
        like, mask = state["readout"], state["mask.readout"]
        own = rng.normals(rng.fold(key, VALUE), 2, largest(network.units))[..., : like.shape[-1]].to(like)
        gain = brain_number(self.feedback_gain, like)[:, None, None, None]
        units = mask[:, :, :1].sum(-1, keepdim=True)
        return {
            "value": own[:, :1] / units.sqrt() * mask[:, :, :1],
            "mask.value": mask[:, :, :1],
            "eta.value": state["eta.readout"][:, :, :1],
            "feedback": gain * random_feedback(network, spec, key, like) * mask,
            "feedback.value": gain * own[:, 1:] * mask[:, :, :1],
            "chooses": torch.full_like(like[:, :, 0, 0], spec.response == "choice"),
        }

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """Run and act; what was done waits for the judgement."""
        del number
        tape: SpikeTape = network.run(state, trials.x)  # pyright: ignore[reportAttributeAccessIssue]
        if not learns:
            return Lived(tape.output, state, {"rates": tape.rates})
        if bool(state["chooses"].all()):
            output = tape.output + gumbel(key, tape.output)
            did = chosen(tape.output, output.argmax(-1), trials.length)
        else:
            deviation = brain_number(self.exploration, tape.output)[:, None, None, None]
            noise = (gaussian(key, tape.output) * deviation).expand_as(tape.output)
            output = tape.output + noise
            did = drawn(noise, deviation, trials.length)
        waiting = {**tape._asdict(), **did._asdict()}
        waiting["seen"] = tape.seen[:, None].expand(-1, len(state["readout"]), -1, -1, -1)
        kept = {f"waiting.{name}": value.movedim(0, 2) for name, value in waiting.items()}
        return Lived(output, state | kept, {"rates": tape.rates})

    def told(self, state: State, reward: Float[Tensor, "P L S"], prediction: Float[Tensor, "P L S"]) -> State:
        """Equation (3); the network has a critic of its own."""
        del prediction
        waiting = {name.removeprefix("waiting."): value for name, value in state.items() if name.startswith("waiting.")}
        state = {name: value for name, value in state.items() if not name.startswith("waiting.")}
        past = {name: value.movedim(2, 0) for name, value in waiting.items()}
        tape = SpikeTape(**{name: past[name] for name in SpikeTape._fields})._replace(seen=past["seen"][:, 0])
        did = Acted(**{name: past[name] for name in Acted._fields})
        return self.descended(state, self.gradients(None, state, tape, self.errors(state, tape, did, reward)))

    def errors(
        self, state: State, tape: SpikeTape, did: Acted, reward: Float[Tensor, "P L S"]
    ) -> Float[Tensor, "T P L S A_and_1"]:
        """The losses' derivatives by the policy's outputs and, last, by V."""
        discount, value_weight, entropy = (
            brain_number(number, reward)[:, None, None] for number in (self.discount, self.value_weight, self.entropy)
        )
        gain = discount**did.left * reward - self.value(state, tape)
        gain = gain * did.alive
        policy = gain[..., None] * did.pull + (entropy * did.alive)[..., None] * did.spread
        return torch.cat([policy, (-value_weight * gain)[..., None]], -1)

    def value(self, state: State, tape: SpikeTape) -> Float[Tensor, "T P L S"]:
        """V_t of (1)."""
        current = torch.einsum("tplsn,plan->tplsa", tape.rates, state["value"])
        return filtered(current, state["kappa"][:, :, None])[..., 0]

    def gradients(
        self, network: Any, state: State, tape: SpikeTape, error: Float[Tensor, "T P L S A_and_1"]
    ) -> Gradients:
        """The sum of (3) for all four groups; `error` is that of `errors`."""
        del network
        net = tensors(state)
        own = self.feedback == "symmetric"
        names = ("readout", "value") if own else ("feedback", "feedback.value")
        back = torch.cat([state[name] for name in names], 2)
        found = spiking_gradient(net, tape, error, back, self.costs(net, tape, state), through_others=False)
        outputs = found.pop("readout")
        return found | {"readout": outputs[:, :, :-1], "value": outputs[:, :, -1:]}


def gumbel(key: Int[Tensor, " L"], output: Float[Tensor, "T P L S A"]) -> Float[Tensor, "T 1 L S A"]:
    """Noise whose largest sum with the outputs is a draw from their softmax; the same for all individuals."""
    uniform = rng.uniforms(_keys(key, output), output.shape[0], output.shape[-1]).clamp(LEAST, 1 - LEAST).to(output)
    return -torch.log(-torch.log(uniform)).permute(2, 0, 1, 3)[:, None]


def gaussian(key: Int[Tensor, " L"], output: Float[Tensor, "T P L S A"]) -> Float[Tensor, "T 1 L S A"]:
    """N(0, 1), the same for all individuals."""
    noise = rng.normals(_keys(key, output), output.shape[0], output.shape[-1]).to(output)
    return noise.permute(2, 0, 1, 3)[:, None]


def _keys(key: Int[Tensor, " L"], output: Float[Tensor, "T P L S A"]) -> Int[Tensor, "L S"]:
    """One of each stream."""
    return rng.fold(key[:, None], torch.arange(output.shape[3], device=key.device))


def chosen(output: Float[Tensor, "T P L S A"], action: Int[Tensor, "T P L S"], length: Int[Tensor, "L S"]) -> Acted:
    """A trial that lasts until its first answer, drawn from the softmax of the outputs."""
    log_chance = torch.log_softmax(output, -1)
    chance = log_chance.exp()
    entropy = -(chance * log_chance).sum(-1, keepdim=True)
    taken = torch.nn.functional.one_hot(action, output.shape[-1]).to(output)
    answered = (action != 0).cumsum(0)
    before = torch.cat([torch.zeros_like(answered[:1]), answered[:-1]])
    alive = (before == 0) & _within(output, length)
    return Acted(chance - taken, chance * (log_chance + entropy), alive, _left(alive))


def drawn(noise: Float[Tensor, "T P L S A"], deviation: Float[Tensor, "#P 1 1 1"], length: Int[Tensor, "L S"]) -> Acted:
    """A trial that lasts to its end; `noise` is what was added to the outputs."""
    alive = _within(noise, length)
    return Acted(-noise / deviation**2, torch.zeros_like(noise), alive, _left(alive))


def _within(like: Float[Tensor, "T P L S A"], length: Int[Tensor, "L S"]) -> Bool[Tensor, "T P L S"]:
    """The trial has not ended."""
    step = torch.arange(len(like), device=like.device)[:, None, None, None]
    return (step < length).expand(like.shape[:-1])


def _left(alive: Bool[Tensor, "T P L S"]) -> Int[Tensor, "T P L S"]:
    """Steps to the last one that is alive."""
    step = torch.arange(len(alive), device=alive.device)[:, None, None, None]
    return (alive.sum(0) - 1 - step).clamp(min=0)
