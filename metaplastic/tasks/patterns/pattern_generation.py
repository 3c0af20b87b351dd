"""Pattern generation: draw a curve, again and again, from memory (targets of FORCE, full-FORCE and e-prop).

A trial begins with the curve; the outputs should follow it, judged by (1) of `trace_readout.py`. The curves are those
of `targets.py`, the same in every lifetime, or of `drawn_curves.py`, drawn by every lifetime for all of its trials.
What is seen is at most a pulse at the trial's start, one line for each of ten curves (`selected`), and `frozen` input
neurons whose spikes (Bernoulli, `frozen_rate`) are drawn once in a lifetime and come again in every trial. Where there
is neither a pulse nor frozen spikes the trial lasts whole periods, so that a network which runs on need not jump.

With `noise` of standard deviation d at every step the target is the curve plus noise. Whoever draws the curve scores

    ceiling = v / (v + d^2),   v the curve's variance over a trial                                                (1)

Presets: `sussillo09` and its kin (Sussillo & Abbott 2009; sum4 checked with its code, the others recalled),
`fullforce_osc` (DePasquale et al. 2018, checked with its code), `nicola17` and its kin (Nicola & Clopath 2017, checked
with their code, where a step is 0.01 ms; trials, and the pulse where a curve has no period, are ours), `eprop` (Bellec
et al. 2020, the tutorial, checked with its code), `lissajous` (our own).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.patterns import drawn_curves, targets
from metaplastic.tasks.patterns.drawn_curves import FAMILIES, Sines
from metaplastic.tasks.patterns.targets import CURVES, MANY, SERIES
from metaplastic.tasks.trace_readout import FOLLOWED, TraceReadout

Curve = Literal[
    "sine",
    "sine_fast",
    "sine_slow",
    "sine_600",
    "triangle",
    "square",
    "sawtooth",
    "sum4",
    "sum16",
    "one_shot",
    "rising",
    "selected",
    "product",
    "lorenz",
    "lorenz_3d",
    "van_der_pol",
    "van_der_pol_relaxation",
    "sines",
    "lissajous",
]
assert set(get_args(Curve)) == {*CURVES, *FAMILIES}


def _preset(curve: Curve, run: float, start: float = 0.0, **more: Any) -> MappingProxyType[str, Any]:
    return MappingProxyType({"curve": curve, "timing": {"start": start, "run": run}, **more})


class Pattern(NamedTuple):
    """What a trial draws, and what its lifetime has drawn."""

    which: Int[Tensor, "*B"]
    """the curve that is asked for, of those among which the input selects"""
    noise: Int[Tensor, "*B"]
    """key of the target's noise"""
    frozen: Int[Tensor, "*B"]
    """key of the lifetime's spikes"""
    size: Float[Tensor, "*B A K"]
    """of the lifetime's sines; K is 0 where the curve is everyone's"""
    phase: Float[Tensor, "*B A K"]
    offset: Float[Tensor, "*B A"]


class PatternGeneration(EpochTask, TraceReadout):
    """Draw a curve from memory."""

    references = (
        "Sussillo & Abbott 2009, Generating coherent patterns of activity from chaotic neural networks, Neuron 63:544",
        "Nicola & Clopath 2017, Supervised learning in spiking neural networks with FORCE training, Nat Commun 8:2208",
        "DePasquale et al. 2018, full-FORCE: a target-based method for training recurrent networks, PLoS ONE",
        "Bellec et al. 2020, A solution to the learning dilemma for recurrent networks of spiking neurons, Nat Commun",
    )
    tags = ("pattern", "trials", "readout")
    epochs = ("start", "run")
    responses = ("start", "run")
    presets = MappingProxyType(
        {
            "sussillo09": _preset("sum4", 2400),
            "sussillo09_triangle": _preset("triangle", 1800),
            "sussillo09_square": _preset("square", 1800),
            "sussillo09_sum16": _preset("sum16", 2400),
            "sussillo09_noisy": _preset("sine_600", 1800, noise=0.2),
            "sussillo09_fast": _preset("sine_fast", 600),
            "sussillo09_slow": _preset("sine_slow", 8000),
            "sussillo09_lorenz": _preset("lorenz", 4950, 50),
            "sussillo09_one_shot": _preset("one_shot", 1950, 50),
            "sussillo09_selected": _preset("selected", 1800),
            "fullforce_osc": _preset("rising", 1950, 50),
            "nicola17": _preset("sine", 2000),
            "nicola17_sawtooth": _preset("sawtooth", 2000),
            "nicola17_product": _preset("product", 2000),
            "nicola17_noisy": _preset("product", 2000, noise=0.05),
            "nicola17_van_der_pol": _preset("van_der_pol", 1950, 50),
            "nicola17_relaxation": _preset("van_der_pol_relaxation", 1950, 50),
            "nicola17_lorenz": _preset("lorenz_3d", 4950, 50),
            "eprop": _preset("sines", 1000, frozen=100),
            "lissajous": _preset("lissajous", 950, 50),
        }
    )

    kind: Literal["PatternGeneration-v0"] = "PatternGeneration-v0"
    curve: Annotated[Curve, BeforeValidator(one_of(Curve))] = "sum4"
    """what is to be drawn"""
    dt: float = Field(default=1.0, gt=0)
    """ms a step; must divide durations and the curve's period"""
    timing: dict[str, Duration] = times(start=0, run=2400)
    """ms of the pulse at the start, and of the rest; the curve begins with the trial"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "flat"
    """how much each step counts in the judgement"""
    noise: float = Field(default=0.0, ge=0)
    """standard deviation of what is added to the target at every step"""
    frozen: int = Field(default=0, ge=0, le=10_000)
    """input neurons whose spikes are the same in every trial of a lifetime"""
    frozen_rate: float = Field(default=50.0, ge=0)
    """Hz of each"""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> PatternGeneration:
        for name, duration in self.timing.items():
            if not duration.is_fixed:
                raise wrong(f"timing.{name} is drawn, wanted a number of ms: the curve fills the trial")
        if self.frozen_rate * self.dt > 1000:
            raise wrong(f"frozen_rate is {self.frozen_rate:g} Hz, wanted at most {1000 / self.dt:g}: a spike a step")
        if self.curve in FAMILIES:
            if self.noise:
                raise wrong(f"noise is {self.noise:g}, wanted 0 for curves that every lifetime draws")
            return self
        length, _, _ = CURVES[self.curve]
        period = length / MANY if self.curve == "selected" else length
        if Duration.read(period).complaint(self.dt):
            raise wrong(f"dt is {self.dt:g} ms, wanted one that divides {period:g} ms, the period of {self.curve}")
        lasts = sum(duration.steps(self.dt) for duration in self.timing.values()) * self.dt
        if not (self.steps("start") or self.frozen) and (lasts % period or length == SERIES):
            what = "a curve without a period" if length == SERIES else f"which is not whole periods of {period:g} ms"
            raise wrong(
                f"timing makes trials of {lasts:g} ms, {what}, and nothing tells when the curve begins; "
                "give a pulse, timing.start, or whole periods"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Random outputs explain nothing; ceiling by (1)."""
        ceiling = 1.0 if not self.noise else self._variance() / (self._variance() + self.noise**2)
        shown = {"start": 1, "which": MANY if self._kinds > 1 else 0, "frozen": self.frozen}
        return self.describe(
            {name: width for name, width in shown.items() if width},
            self._outputs,
            response="readout",
            trial_types=self._kinds,
            chance=0.0,
            ceiling=ceiling,
            oracle=1.0,
            criterion=FOLLOWED * ceiling,
            reward_range=(-1.0, 0.0),
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Pattern:
        """The lifetime's sines, if it has any, and the key of its spikes; the rest is a trial's."""
        if self.curve in FAMILIES:
            sines = drawn_curves.born(FAMILIES[self.curve], rng.fold(key, 0), self.facts.trial_steps)
        else:
            empty = torch.zeros(*key.shape, self._outputs, 0, device=key.device)
            sines = Sines(empty, empty.clone(), empty.sum(-1))
        return Pattern(torch.zeros_like(key), torch.zeros_like(key), rng.fold(key, 1), *sines)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Pattern, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Pattern]:
        """Which curve, each alike."""
        del trial
        which = rng.below(rng.word(key, 0), self._kinds)
        return which, life._replace(which=which, noise=rng.fold(key, 2))

    def mean_input(self, conditions: Pattern, when: When) -> Float[Tensor, "*T I"]:
        """The pulse, the line of the curve that is asked for, and the spikes."""
        parts = [self.within(when.epoch, ("start",))[..., None].to(torch.float32)]
        if self._kinds > 1:
            parts.append(one_hot(conditions.which, MANY).expand(*when.t.shape, MANY))
        if self.frozen:
            words = rng.each_word(rng.fold(conditions.frozen, when.t), self.frozen)
            parts.append(rng.coin(words, self.frozen_rate * self.dt / 1000).to(torch.float32))
        return torch.cat(parts, -1)

    def wanted(self, conditions: Pattern, when: When) -> Float[Tensor, "*T A"]:
        """The curve, and noise."""
        if self.curve in FAMILIES:
            sines = Sines(conditions.size, conditions.phase, conditions.offset)
            return drawn_curves.at(FAMILIES[self.curve], sines, when.t * (1 / self.facts.trial_steps))
        if self._kinds > 1:
            period = round(CURVES[self.curve][0] / MANY / self.dt)
            return targets.at(self.curve, self.dt, conditions.which * period + when.t % period)
        curve = targets.at(self.curve, self.dt, when.t)
        if not self.noise:
            return curve
        noise = rng.normals(rng.fold(conditions.noise, when.t), self._outputs, gaussian=self.gaussian)
        return curve + self.noise * noise

    @property
    def _kinds(self) -> int:
        """Curves among which the input selects."""
        return MANY if self.curve == "selected" else 1

    @property
    def _outputs(self) -> int:
        return FAMILIES[self.curve].outputs if self.curve in FAMILIES else CURVES[self.curve][1]

    def _variance(self) -> float:
        """v of (1), over steps and outputs together."""
        curve = targets.at(self.curve, self.dt, torch.arange(self.trial_length()[1]))
        return float(curve.double().var(correction=0))
