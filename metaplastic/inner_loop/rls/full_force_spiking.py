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
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Network, Number, TaskSpec
from metaplastic.fields import Evolves
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.networks.rate_rnn import RateBrains, RateRNN
from metaplastic.inner_loop.networks.sizes import largest
from metaplastic.inner_loop.rls import spiking_student, spiking_student_kernel, student_kernel
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
from metaplastic.inner_loop.rls.recursive_least_squares import start
from metaplastic.inner_loop.rls.spiking_student import Phase
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials

BASIS = 6
"""child of a lifetime's birth key"""


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
        whole = basis(network, brains, key) * own["drive"][:, None, None, None]
        return {
            "fixed": brains.weights,
            "feedback": feedback_weights(network, brains, key, own["feedback"]),
            "shadow": x,
            "covariance": like.new_zeros(*lives, size, size),
            "basis": whole,
            "push": whole @ (brains.input_gain[:, None, None, None] * brains.input_weights),
            "drive": like.new_zeros(*lives, size, 0),
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
        engine = spiking_student_kernel.run if student_kernel.fits(like) else spiking_student.run
        output, spikes, now = engine(state, own, shown(network, x), target, writes, phase, str(network.activation))
        if learns and self.phase(number + 1) != phase:
            now = concluded(now, phase, own["variance"][:, 0], len(x) * self.mean_trials)
        return Lived(output[..., None, :], now, {"rates": spikes[..., None, :]})


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
        "drive": state["basis"] @ components,
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
