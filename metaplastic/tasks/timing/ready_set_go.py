"""Ready, set, go: measure the time between two flashes and produce it, times a gain (Jazayeri & Shadlen 2010, 2015).

Ready and set are pulses; the measured interval t_s lies between their onsets, the produced one between the onset of set
and the answer. The wanted time is t_g = g t_s, in whole steps (halves up); the trial ends 2.5 t_g + 300 ms after set.
Reward and ceiling: (1) and (2) of `interval_values.py`. With noise w_m > 0 the shown interval is

    t_m = t_s (1 + w_m N(0, 1)),   N on a grid of 1/16 within +-3                                                 (1)

Several priors or gains are told by a line each that is on during the trial. Intervals are rounded to the nearest step.

Presets (recalled, but for those named checked): `js10_short`, `js10_mid`, `js10_long` (Jazayeri & Shadlen 2010: 11
equally spaced times), `js15` (2015), `sohn19` (Sohn et al. 2019: two cued priors, the short one checked), `remington18`
(Remington et al. 2018: gains 1 and 1.5, seven times), `neurogym` (checked; Molano-Mazon et al. 2022; times of one step
of 80 ms stand for 83 and 100 ms). Criterion: (3) of `interval_values.py`.

`ReadySetGoRamp-v0` is the same task answered by one output: it goes when the output first reaches 1. Its target rises
from 0 at set to 1 at t_g, and stays:

    z* = t / t_g,   or (e^(t/tau) - 1) / (e^(t_g/tau) - 1) with `ramp_tau`                                        (2)
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, TrialBatch, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.choices import SCHEMES
from metaplastic.tasks.constants import constant
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import Weights, When
from metaplastic.tasks.timing.interval_values import WIDE, Course, bell, best_production, courses, expected_scores
from metaplastic.tasks.timing.production import ProductionTask
from metaplastic.tasks.trials import Count, Frame, TrialState


def equally_spaced(first: float, last: float, count: int) -> dict[str, Any]:
    """A prior of `count` times in ms, each alike, as a file would say it."""
    return {"choice": [first + (last - first) * k / (count - 1) for k in range(count)]}


class Interval(NamedTuple):
    """Conditions of a trial; times in steps."""

    sample: Int[Tensor, "*B"]
    """t_s"""
    measured: Int[Tensor, "*B"]
    """t_m"""
    goal: Int[Tensor, "*B"]
    """t_g"""
    prior: Int[Tensor, "*B"]
    """which one t_s comes from"""
    gain: Int[Tensor, "*B"]
    """which one"""


class IntervalTask(ProductionTask, ABC):
    """What both tasks are: the trials, and who does best in them."""

    references = (
        "Jazayeri & Shadlen 2010, Temporal context calibrates interval timing, Nat Neurosci 13:1020",
        "Jazayeri & Shadlen 2015, A neural mechanism for sensing and reproducing a time interval, Curr Biol 25:2599",
        "Remington et al. 2018, Flexible sensorimotor computations through rapid reconfiguration, Neuron 98:1005",
        "Sohn et al. 2019, Bayesian computation through cortical latent dynamics, Neuron 103:934",
    )
    epochs = ("fixation", "measure", "produce")
    presets = MappingProxyType(
        {
            "js10_short": MappingProxyType({"priors": (equally_spaced(494, 847, 11),)}),
            "js10_mid": MappingProxyType({"priors": (equally_spaced(671, 1023, 11),)}),
            "js10_long": MappingProxyType({"priors": (equally_spaced(847, 1200, 11),)}),
            "js15": MappingProxyType({}),
            "sohn19": MappingProxyType({"priors": (equally_spaced(480, 800, 5), equally_spaced(800, 1200, 5))}),
            "neurogym": MappingProxyType(
                {
                    "dt": 80.0,
                    "priors": ({"uniform": [800, 1500]},),
                    "pulse": 80.0,
                    "timing": {"fixation": 80},
                    "stretch": 2.0,
                    "late": 80.0,
                    "rewards": SCHEMES["neurogym"],
                    "early": "penalise",
                }
            ),
            "remington18": MappingProxyType({"priors": (equally_spaced(500, 1000, 7),), "gains": (1.0, 1.5)}),
        }
    )

    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation={"uniform": [200, 500]})
    """fixation in ms, or how it is drawn; the other epochs follow from the interval"""
    priors: tuple[Duration, ...] = Field(default=(Duration.read(equally_spaced(529, 1059, 11)),), min_length=1)
    """where t_s comes from; several are cued"""
    gains: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    """g, each alike; several are cued"""
    pulse: float = Field(default=100.0, gt=0)
    """ms of ready and set"""
    measure_noise: float = Field(default=0.0, ge=0, lt=1 / WIDE)
    """w_m of (1)"""

    @model_validator(mode="after")
    def _measurable(self) -> IntervalTask:
        if not all(0 < gain <= 100 for gain in self.gains):
            raise wrong(f"gains are {self.gains}, wanted numbers above 0 and at most 100")
        least = min(prior.ends(self.dt)[0] for prior in self.priors) * (1 - WIDE * self.measure_noise)
        if least * self.dt <= self.pulse + self.dt:
            raise wrong(
                f"the shortest interval is {least * self.dt:g} ms, wanted more than pulse + dt = "
                f"{self.pulse + self.dt:g}: ready must end before set"
            )
        return self

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Interval]:
        """Prior and gain, each alike; t_s from its prior; t_m by (1)."""
        del life, trial
        which = rng.below(rng.word(key, 0), len(self.priors))
        sample = self.priors[0].draw(rng.word(key, 1), self.dt)
        for place, prior in enumerate(self.priors[1:], 1):
            sample = torch.where(which == place, prior.draw(rng.word(key, 1), self.dt), sample)
        gain = rng.below(rng.word(key, 2), len(self.gains))
        permille = constant(tuple(round(1000 * g) for g in self.gains), key.device, torch.int64)[gain]
        measured = sample.clone()
        if self.measure_noise:
            z = bell(key.device).sample(rng.word(key, 3))
            measured = (sample * (1 + self.measure_noise * z)).round().to(torch.int64)
        goal = (sample * permille + 500) // 1000
        return which * len(self.gains) + gain, Interval(sample, measured, goal, which, gain)

    def edges(self, key: Int[Tensor, "*B"], conditions: Interval) -> Sequence[Int[Tensor, "*B"]]:
        """Fixation as drawn, then t_m, then the time to answer."""
        ready = self.durations(key)[0]
        set_ = ready + conditions.measured
        return ready, set_, set_ + self.time_to_answer(conditions.goal)

    def trial_length(self) -> tuple[int, int, float]:
        """Exact, over fixation, priors, gains and noise."""
        low, high, mean = self.timing["fixation"].ends(self.dt)
        ends, means = [], []
        for goals, joint in self._courses():
            spans = torch.arange(joint.shape[1]) + self.time_to_answer(goals)[:, None]
            ends += spans[joint > 0].aminmax()
            means.append(float((spans * joint).sum()))
        return low + int(min(ends)), high + int(max(ends)), mean + sum(means) / len(means)

    def mean_input(self, conditions: Interval, when: When) -> Float[Tensor, "*T I"]:
        """Fixation until set, ready and set, and the lines that tell prior and gain."""
        flash = when.since * self.dt < self.pulse
        rows = [when.epoch < 2, (when.epoch == 1) & flash, (when.epoch == 2) & flash]
        for told, options in ((conditions.prior, self.priors), (conditions.gain, self.gains)):
            if len(options) > 1:
                rows += [(told == k).expand(when.epoch.shape) for k in range(len(options))]
        return torch.stack(rows, -1).to(torch.float32)

    def goal(self, conditions: Interval) -> Int[Tensor, "*B"]:
        """t_g."""
        return conditions.goal

    def best_production(self, prior: int = 0, gain: int = 0) -> tuple[Tensor, Tensor]:
        """The ideal observer's time in ms [M] after having measured t_m ms [M], where t_m can occur."""
        course = self._courses()[prior * len(self.gains) + gain]
        best, _ = best_production(course, self.dt, self.margin, self.slack)
        measured = course.joint.sum(0).nonzero().squeeze(-1)
        return measured * self.dt, best[measured] * self.dt

    def _widths(self) -> dict[str, int]:
        told = {"prior": len(self.priors), "gain": len(self.gains)}
        return {"fixation": 1, "ready": 1, "set": 1, **{name: n for name, n in told.items() if n > 1}}

    def _scores(self) -> dict[str, Any]:
        mean = expected_scores(*self._drawn_from, self.margin, self.slack)
        kinds = len(self.priors) * len(self.gains)
        return {"trial_types": kinds, "chance": mean.chance, "ceiling": mean.ceiling, "criterion": mean.learned}

    @property
    def _drawn_from(self) -> tuple[tuple[Duration, ...], tuple[float, ...], float, float]:
        return self.priors, self.gains, self.measure_noise, self.dt

    def _courses(self) -> tuple[Course, ...]:
        return courses(*self._drawn_from)


class ReadySetGo(IntervalTask):
    """Wait (0), and go (1) when as much time has passed since set as between ready and set."""

    kind: Literal["ReadySetGo-v0"] = "ReadySetGo-v0"

    @property
    def spec(self) -> TaskSpec:
        """Chance is going at set; ceiling (2) and criterion (3) of `interval_values.py`."""
        return self.describe_choice(self._widths(), ("wait", "go"), **self._scores())


class ReadySetGoRamp(IntervalTask):
    """The same, answered by one output that goes when it first reaches 1."""

    tags = (*IntervalTask.tags, "readout")
    presets = MappingProxyType({name: IntervalTask.presets[name] for name in ("js15", "sohn19", "remington18")})

    kind: Literal["ReadySetGoRamp-v0"] = "ReadySetGoRamp-v0"
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "decision"
    """how much each step counts in supervised learning"""
    ramp_tau: float | None = Field(default=None, gt=0)
    """ms; None: the target rises linearly, (2)"""

    @property
    def spec(self) -> TaskSpec:
        """As it is, but random outputs never reach 1."""
        scores = {**self._scores(), "chance": 0.0, "response": "readout", "action_names": ()}
        return self.describe_choice(self._widths(), ("go",), **scores)

    def wanted(self, conditions: Interval, when: When) -> Float[Tensor, "*T 1"]:
        """(2)."""
        since, goal = when.since.to(torch.float32), conditions.goal.to(torch.float32)
        if self.ramp_tau is None:
            rise = since / goal
        else:
            rise = torch.expm1(since * (self.dt / self.ramp_tau)) / torch.expm1(goal * (self.dt / self.ramp_tau))
        return (rise.clamp(max=1) * self.within(when.epoch, self.responses))[..., None]

    def outputs(self, y: Float[Tensor, "*B 1"]) -> Float[Tensor, "*B 1"]:
        """Targets are outputs."""
        return y

    def fresh_tally(self, now: Frame) -> Tensor:
        """The last action and how often it came in a row; nothing if one step is enough."""
        return super().fresh_tally(now._replace(y=now.w.to(torch.int64)))

    def count(self, state: TrialState, action: Float[Tensor, "*B 1"]) -> Count:
        """Going is an output of 1 or more."""
        return super().count(state, (action[..., 0] >= 1).to(torch.int64))

    def judge(self, output: Float[Tensor, "T *B 1"], batch: TrialBatch) -> Judgement:
        """Reward and score of the first time that the output reaches 1."""
        return super().judge(one_hot((output[..., 0] >= 1).to(torch.int64), 2), batch)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Float[Tensor, "..."]:
        """An output from U(-1, 1), fresh at every step."""
        del epoch
        return rng.uniforms(rng.noise_keys(rng.trial_keys(key, trial), step), 1) * 2 - 1
