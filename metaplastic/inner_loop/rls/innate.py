"""Innate training: a chaotic network learns to repeat what it did once by itself (Laje & Buonomano 2013).

    x <- x + a (-x + W r + I + xi),   r = phi(x)                                                             (1)
    trial 0        without noise: R_i(t) <- r_i(t), the innate trajectory                                    (2)
    trials 1 .. n  every `interval` steps, for each plastic neuron i over its presynaptic partners j alone
                   W_i <- W_i - (r_i - R_i) k_i',  with a P_i of its own (recursive_least_squares.py)         (3)
    then           z = W_out r, W_out <- W_out - (z - z*) k'                                                 (4)

(2) and (3) happen from the input's last change on, (4) where the task judges. Every trial starts from
x ~ U(-start, start), and the input's pulse, not the start, decides what follows; what was before cannot be repeated.
Trained so, a network that is pushed away comes back to its trajectory: chaos is tamed.
Only (4) knows of the task; (3) has a target because the network had a past.

Neurons differ in their partners, so P is [plastic units, K, K] a brain, padded to the largest number K of partners.
Published: N = 800, density .1, g 1.5 to 1.8, tau 10 ms, dt 1 ms, noise .001 inside the bracket of (1), 60 % plastic
neurons, n = 20 or 30, a write every 2 ms, P_0 = I; checked with the replication of Vitay 2016. Departures: input
weights are U(-1, 1) times their gain (theirs N(0, 1), pulse 5); synapses of a neuron onto itself exist.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.rls import innate_kernel, student_kernel
from metaplastic.inner_loop.rls.force import LeastSquares, birth, kept, shown
from metaplastic.inner_loop.rls.recursive_least_squares import start, step_where
from metaplastic.inner_loop.rls.student import noise_of, times
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials


class Wiring(NamedTuple):
    """Synapses by neuron; those that a neuron lacks of K have partner 0, weight 0, and are not there."""

    weights: Float[Tensor, "P L N K"]
    partners: Int[Tensor, "P L N K"]
    counts: Int[Tensor, "P L N"]
    """how many are there: the first ones"""

    @property
    def there(self) -> Bool[Tensor, "P L N K"]:
        """Which are."""
        return torch.arange(self.weights.shape[-1], device=self.weights.device) < self.counts[..., None]


class Phase(NamedTuple):
    """What is written in a trial; times [T, L] or [T, P, L]."""

    notes: Bool[Tensor, "T L"]
    """the innate trajectory is recorded"""
    recurrent: Bool[Tensor, "T P L"]
    readout: Bool[Tensor, "T P L"]
    quiet: bool
    """no noise"""


class Innate(LeastSquares):
    """Recurrent weights learn to repeat an innate trajectory, then a read-out learns the task, eqs. (1) to (4)."""

    references: ClassVar[tuple[str, ...]] = (
        "Laje & Buonomano 2013, Robust timing and motor patterns by taming chaos, Nat Neurosci 16:925",
        "Vitay 2016, ReScience 2(1), its replication",
    )
    kind: Literal["innate"] = "innate"
    plastic: Annotated[Number, Evolves(0, 1)] = 0.6
    """share of neurons whose incoming synapses learn: the first ones"""
    innate_trials: Annotated[int, Field(ge=0)] = 30
    """n"""

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """W by neuron, P of every plastic neuron, W_out = 0 with its P, and room for the trajectory."""
        brains = birth(network, spec, individuals, key, like)
        lives, size, own = (individuals, len(key)), brains.size, numbers(self, individuals, like)
        wiring = by_neuron(brains.weights)
        plastic = (own["plastic"] * brains.units).round().long()
        most, width = int(plastic.max()), wiring.weights.shape[-1]
        inverse = start(own["alpha"], width)[:, None, None].expand(*lives, most, width, width)
        return {
            **wiring._asdict(),
            "plastic": plastic[:, None].expand(lives),
            "inverse": inverse.contiguous(),
            "readout": like.new_zeros(*lives, spec.actions, size),
            "inverse_readout": start(own["alpha"], size)[:, None].expand(*lives, size, size).contiguous(),
            "innate": like.new_zeros(*lives, spec.trial_steps, most),
            **kept(brains, len(key)),
        }

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """One trial of all lives: recorded, repeated or read out."""
        assert isinstance(network, RateRNN)
        x, like = trials.x[:, :, 0], state["readout"]
        shape = (len(x), len(like), like.shape[1])
        judged, alone = trials.w[:, :, 0] > 0, unchanged_from(x)
        writes = self.noted(trials, learns, self.writes(shape, key, like))
        is_first, repeats = number == 0 and learns, number <= self.innate_trials
        repeated = writes & alone[:, None] & (repeats and not is_first)
        phase = Phase(alone & is_first, repeated, writes & judged[:, None] & (not repeats), is_first)
        forgetting = numbers(self, shape[1], like)["forgetting"].contiguous()
        engine = innate_kernel.run if student_kernel.fits(like) else run
        begun = started_anew(state, rng.fold(key, len(x)))
        output, rates, after = engine(
            state, begun, shown(network, x), trials.y[:, :, 0], phase, forgetting, key, str(network.activation)
        )
        return Lived(output[..., None, :], after, {"rates": rates[..., None, :]})


def unchanged_from(x: Float[Tensor, "T L I"]) -> Bool[Tensor, "T L"]:
    """The steps after which the input changes no more: from the end of the last pulse on."""
    changes = (x[1:] != x[:-1]).any(-1)
    later = changes.flip(0).cumsum(0).flip(0)
    return torch.cat([later, torch.zeros_like(later[:1])]) == 0


def by_neuron(w: Float[Tensor, "P L N N"]) -> Wiring:
    """The synapses that are there (weight not 0), by neuron."""
    there = w != 0
    counts = there.sum(-1)
    partners = there.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[..., : max(1, int(counts.max()))]
    lacks = torch.arange(partners.shape[-1], device=w.device) >= counts[..., None]
    weights = w.gather(-1, partners).masked_fill(lacks, 0.0)
    return Wiring(weights.contiguous(), partners.masked_fill(lacks, 0).contiguous(), counts)


def started_anew(state: State, key: Int[Tensor, " L"]) -> Float[Tensor, "P L N"]:
    """x at the start of a trial."""
    leak = state["leak"]
    draw = 2 * rng.uniforms(key, leak.shape[-1]).to(leak) - 1
    return (leak > 0) * state["start"][..., None] * draw


def run(
    state: State,
    x: Float[Tensor, "P L N"],
    u: Float[Tensor, "T L I"],
    target: Float[Tensor, "T L A"],
    phase: Phase,
    forgetting: Float[Tensor, " P"],
    key: Int[Tensor, " L"],
    activation: str,
) -> tuple[Float[Tensor, "T P L A"], Float[Tensor, "T P L N"], State]:
    """A trial in PyTorch: outputs, rates and the state after it; `innate_kernel.run` is the same for float32."""
    phi, wiring = ACTIVATIONS[activation].function, Wiring(*(state[name] for name in Wiring._fields))
    leak, here, there = state["leak"], (state["leak"] > 0).to(u), wiring.there
    weights, inverse, readout, inverse_readout = (
        state[name] for name in ("weights", "inverse", "readout", "inverse_readout")
    )
    innate, most = state["innate"].clone(), state["innate"].shape[-1]
    is_plastic = torch.arange(most, device=u.device) < state["plastic"][..., None]
    lanes = lambda r: r[..., None, :].expand(*r.shape, -1).gather(-1, wiring.partners) * there  # noqa: E731
    r, output, rates = phi(x) * here, [], []
    for t in range(len(u)):
        current = state["gain"][..., None] * (state["current"] * u[t][:, None]).sum(-1)
        is_noisy = bool(state["noisy"].any()) and not phase.quiet
        noise = state["white"] * noise_of(key, t, x.shape[-1], x) if is_noisy else 0
        x = x + leak * ((weights * lanes(r)).sum(-1) + current + noise - x)
        r = phi(x) * here
        z = times(readout, r)
        innate[:, :, t] = torch.where(phase.notes[t][:, None], r[..., :most], innate[:, :, t])
        where = phase.recurrent[t][..., None] & is_plastic
        if where.any():
            error = (r[..., :most] - innate[:, :, t])[..., None]
            moved, inverse = step_where(
                where, weights[:, :, :most, None], inverse, lanes(r)[:, :, :most], error, forgetting[:, None, None]
            )
            weights = torch.cat([moved[..., 0, :], weights[:, :, most:]], 2)
        readout, inverse_readout = step_where(
            phase.readout[t], readout, inverse_readout, r, z - target[t], forgetting[:, None]
        )
        output.append(z)
        rates.append(r)
    after = {"weights": weights, "inverse": inverse, "readout": readout, "inverse_readout": inverse_readout}
    return torch.stack(output), torch.stack(rates), {**state, **after, "innate": innate}
