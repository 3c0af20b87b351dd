"""full-FORCE for spiking neurons: the currents of a driven rate network are what a spiking network learns to make.

    teacher   F = J phi(x') + U z*,   x' <- x' + a (-x' + F + I)                                             (1)
    first     C = the fewest principal components with 99.9 % of F's variance;  B = 6 orthonormal columns    (2)
    neurons   v <- V + (v - V) exp(-dt / tau_m),   V = B C y - mean + h + B I                                (3)
              a spike where v >= 0, then v = reset
              s_slow, s_fast <- their own decay, + 1 at a spike (of `projecting` of the neurons)
              h <- h exp(-dt / tau_f) + inhibition / (N tau_f) (number of spikes),   tau_f in s              (4)
    learned   [y; z] = W [s_slow; s_fast],   y should be C' F, z should be z*: recursive least squares       (5)

Trials: `settle`, then `component_trials` for (2), then `mean_trials` in which the neurons are driven by the teacher
(y = C' F) and their mean input is found, then `settle` again with it subtracted, and (5) from there on.
DePasquale, Churchland & Abbott 2016, and the authors' code; Parga et al. 2022, eqs. 6, 7, 19 and 20 (they train the
slow synapses alone). Published, and the defaults: tau_s 100, tau_f 5, tau_m 10 ms, reset -10, 40 % of 500 neurons
project, 50, 300, 300 and 500 trials; a rate network of 500 units, g 1.4, dt 1 ms, `integration: exponential`.
Departures: input weights ~ U(-1, 1) (theirs U(1, 3)); one run, where theirs starts anew for each of its parts. Neither
theirs nor ours has random synapses beside the learned ones.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.networks.rate_rnn import RateBrains, RateRNN
from metaplastic.inner_loop.networks.sizes import largest
from metaplastic.inner_loop.rls.force import (
    START,
    LeastSquares,
    Positive,
    Share,
    birth,
    feedback_weights,
    kept,
    shown,
    started,
)
from metaplastic.inner_loop.rls.full_force import at_random
from metaplastic.inner_loop.rls.recursive_least_squares import start, step_where
from metaplastic.inner_loop.rls.student import times
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials

BASIS = 6
"""child of a lifetime's birth key"""
Phase = Literal["settle", "components", "means", "learn"]
Numbers = dict[str, Tensor]
"""the rule's numbers, [P, 1] each; `slow`, `fast` and `membrane` as what stays of them after a step"""


class FullForceSpiking(LeastSquares):
    """Spiking neurons learn the currents of a rate network, eqs. (1) to (5); `rate_rnn` is that teacher."""

    references: ClassVar[tuple[str, ...]] = (
        "DePasquale, Churchland & Abbott 2016, Using firing-rate dynamics to train recurrent networks of spiking model "
        "neurons, arXiv:1601.07620",
        "Parga et al. 2022",
    )
    kind: Literal["full_force_spiking"] = "full_force_spiking"
    feedback: Annotated[Number, Evolves(0, 100)] = 1.0
    """U ~ U(-feedback, feedback)"""
    slow: Positive = 100.0
    """tau_s, ms"""
    fast: Positive = 5.0
    """tau_f, ms"""
    membrane: Positive = 10.0
    """tau_m, ms"""
    reset: Annotated[Number, Evolves(high=0)] = -10.0
    """v after a spike; the threshold is 0"""
    drive: Positive = 6.0
    """size of the columns of B"""
    inhibition: Annotated[Number, Evolves(high=0)] = -0.3
    """of all by every spike, eq. (4)"""
    projecting: Share = 0.4
    """share of neurons whose spikes are heard"""
    variance: Share = 0.999
    """of F, that the components keep"""
    settle: Annotated[int, Field(ge=0)] = 50
    """trials for each network to forget how it started"""
    component_trials: Annotated[int, Field(ge=1)] = 300
    """trials for (2)"""
    mean_trials: Annotated[int, Field(ge=1)] = 300
    """trials for the mean input"""

    def phase(self, number: int) -> Phase:
        """What a trial is for."""
        ends = (self.settle, self.component_trials, self.mean_trials, self.settle)
        names: tuple[Phase, ...] = ("settle", "components", "means", "settle")
        for end, name in zip(ends, names, strict=True):
            if number < end:
                return name
            number -= end
        return "learn"

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """The teacher, B, and spiking neurons at rest near their threshold."""
        brains = birth(network, spec, individuals, key, like)
        lives, size, own = (individuals, len(key)), brains.size, numbers(self, individuals, like)
        heard = (own["projecting"] * brains.units).round().long()
        x, rows = started(brains, rng.fold(key, START)), 2 * int(heard.max())
        return {
            "fixed": brains.weights,
            "feedback": feedback_weights(network, brains, key, own["feedback"]),
            "shadow": x,
            "covariance": like.new_zeros(*lives, size, size),
            "basis": basis(network, brains, key) * own["drive"][:, None, None, None],
            "components": like.new_zeros(*lives, size, 0),
            "mean": like.new_zeros(*lives, size),
            "sum": like.new_zeros(*lives, size),
            "v": 0.01 * x,
            "y": like.new_zeros(*lives, 0),
            "h": like.new_zeros(lives),
            "spikes": torch.zeros_like(x),
            "s": like.new_zeros(*lives, rows),
            "learned": like.new_zeros(*lives, spec.actions, rows),
            "inverse": start(own["alpha"], rows)[:, None].expand(*lives, rows, rows).contiguous(),
            "heard": heard[:, None].expand(lives),
            "units": brains.units[:, None].expand(lives),
            "dt": like.new_full(lives, spec.dt),
            **kept(brains, len(key)),
        }

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """One trial of all lives."""
        assert isinstance(network, RateRNN)
        x, like, phase = trials.x[:, :, 0], state["v"], self.phase(number) if learns else "learn"
        own = {name: value[:, None] for name, value in numbers(self, len(like), like).items()}
        coins = at_random(own["interval"][:, 0], len(x), rng.fold(key, 0))
        writes = self.noted(trials, learns and phase == "learn", coins)
        own = own | {name: torch.exp(-state["dt"] / own[name]) for name in ("slow", "membrane")}
        own = own | {
            "kick": 1000 * own["inhibition"] / (own["fast"] * state["units"]),
            "fast": torch.exp(-state["dt"] / own["fast"]),
        }
        target = trials.y[:, :, 0] * (trials.w[:, :, :1] > 0)
        output, spikes, now = [], [], state
        for t, u in enumerate(shown(network, x)):
            now, z = step(now, own, u, target[t], writes[t], phase, str(network.activation))
            output.append(z)
            spikes.append(now["spikes"])
        if learns and self.phase(number + 1) != phase:
            now = concluded(now, phase, own["variance"][:, 0], len(x) * self.mean_trials)
        return Lived(torch.stack(output)[..., None, :], now, {"rates": torch.stack(spikes)[..., None, :]})


def step(
    state: State,
    own: Numbers,
    u: Float[Tensor, "L I"],
    target: Float[Tensor, "L A"],
    writes: Bool[Tensor, "P L"],
    phase: Phase,
    activation: str,
) -> tuple[State, Float[Tensor, "P L A"]]:
    """Equations (1) to (5) for a step; the state after it and z."""
    current = state["gain"][..., None] * (state["current"] * u[:, None]).sum(-1)
    r = ACTIVATIONS[activation].function(state["shadow"]) * (state["leak"] > 0)
    force = times(state["fixed"], r) + times(state["feedback"], target.expand(*r.shape[:2], -1))
    shadow = state["shadow"] + state["leak"] * (force + current - state["shadow"])  # (1)
    state = {**state, "shadow": shadow}
    count = state["components"].shape[-1]
    if not count:
        total = state["covariance"] + force[..., :, None] * force[..., None, :] * (phase == "components")
        return {**state, "covariance": total}, times(state["learned"], state["s"])
    wanted = times(state["components"].mT, force)
    state = spiking_step(state, own, current)
    sums = times(state["learned"], state["s"])
    if phase == "learn":
        error = sums - torch.cat([wanted, target.expand(*r.shape[:2], -1)], -1)
        one = own["forgetting"].expand(writes.shape)
        learned, inverse = step_where(writes, state["learned"], state["inverse"], state["s"], error, one)
        return {**state, "y": sums[..., :count], "learned": learned, "inverse": inverse}, sums[..., count:]
    total = state["sum"] + times(state["basis"], times(state["components"], wanted)) * (phase == "means")
    return {**state, "y": wanted, "sum": total}, sums[..., count:]


def spiking_step(state: State, own: Numbers, current: Float[Tensor, "P L N"]) -> State:
    """Equations (3) and (4)."""
    here = (state["leak"] > 0).to(current)
    pushed = times(state["basis"], times(state["components"], state["y"]) + current)
    towards = pushed - state["mean"] + state["h"][..., None]
    v = towards + (state["v"] - towards) * own["membrane"][..., None]
    spikes = (v >= 0) * here
    v = torch.where(spikes > 0, own["reset"][..., None], v)
    h = state["h"] * own["fast"] + own["kick"] * spikes.sum(-1)
    half = state["s"].shape[-1] // 2
    heard = spikes[..., :half] * (torch.arange(half, device=v.device) < state["heard"][..., None])
    slow, fast = (own[name][..., None] for name in ("slow", "fast"))
    s = torch.cat([state["s"][..., :half] * slow + heard, state["s"][..., half:] * fast + heard], -1)
    return {**state, "v": v, "h": h, "s": s, "spikes": spikes}


def concluded(state: State, phase: Phase, variance: Float[Tensor, " P"], steps: int) -> State:
    """What a phase was for, when it is over."""
    if phase == "means":
        return {**state, "mean": state["sum"] / steps}
    if phase != "components":
        return state
    components = principal(state["covariance"], variance)
    count, rows = components.shape[-1], state["s"].shape[-1]
    lives = components.shape[:2]
    return {
        **state,
        "components": components,
        "y": components.new_zeros(*lives, count),
        "learned": components.new_zeros(*lives, count + state["learned"].shape[2], rows),
    }


def principal(covariance: Float[Tensor, "P L N N"], variance: Float[Tensor, " P"]) -> Float[Tensor, "P L N C"]:
    """The fewest principal components with this share of the variance; C is the most that a life needs, others have
    columns of 0."""
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(-1).clamp(min=0), vectors.flip(-1)
    share = values.cumsum(-1) / values.sum(-1, keepdim=True).clamp(min=1e-30)
    needed = (share - values / values.sum(-1, keepdim=True).clamp(min=1e-30) < variance[:, None, None]) & (values > 0)
    return vectors[..., : max(1, int(needed.sum(-1).max()))] * needed[..., None, : max(1, int(needed.sum(-1).max()))]


def basis(network: Any, brains: RateBrains, key: Int[Tensor, " L"]) -> Float[Tensor, "P L N N"]:
    """An orthonormal basis of the space of a brain's neurons, from U(-1, 1) numbers."""
    size, here = brains.size, brains.active().to(brains.leak)
    most = largest(network.units)
    draw = 2 * rng.uniforms(rng.fold(key, BASIS), most, most)[:, :size, :size].to(brains.leak) - 1
    both = here[:, None, :, None] * here[:, None, None]
    whole = draw * both + torch.diag_embed(1 - here)[:, None]
    return torch.linalg.qr(whole).Q * both
