"""Few-shot regression: a new sine wave in every trial, from a few of its points (Finn, Abbeel & Levine 2017).

    y = A sin(x - phi),   A ~ U(0.1, 5),  phi ~ U(0, pi),  x ~ U(-5, 5) at every step                              (1)

A trial gives `shots` points, each with its y one step later (as recurrent meta-learners are told), then asks for the y
of `queries` others, which are not told. Inputs: x, the y of the step before, and 1 while one is told.

    score = mean over queries of 1 / (1 + (z - y)^2),   reward = - mean over queries of (z - y)^2                 (2)

(1) is linear in A cos(phi) and A sin(phi), so two points tell the wave and an ideal observer errs by nothing. The score
of random outputs, z from U(-1, 1), has its integral over z in closed form,

    chance = E [atan(1 - y) + atan(1 + y)] / 2,                                                                    (3)

and the rest on a grid. `finn17` is the published one, recalled; a trial of ours is one wave. Outputs that cannot reach
5, such as those of tanh units, want a smaller `highest`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.readouts import ReadoutTask
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

REACH = 5.0
"""largest |x|"""
CLOSE = 0.9
"""mean score from which a trial counts as right: errors of about a third"""
GRID = 128
"""points of the grid for (3), in amplitude, phase and x each"""


class Wave(NamedTuple):
    """What a trial draws."""

    shown: Float[Tensor, "*B S 3"]
    """inputs of each step"""
    wanted: Float[Tensor, "*B S 1"]
    """y of each step"""


class FewShotRegression(ReadoutTask):
    """Continue a sine wave of which a few points were told."""

    references = ("Finn, Abbeel & Levine 2017, Model-agnostic meta-learning, ICML, arXiv:1703.03400",)
    tags = ("meta-learning", "association", "trials", "readout")
    epochs = ("support", "query")
    best_reward = 0.0
    presets = MappingProxyType(
        {
            "finn17": MappingProxyType({}),
            "finn17_5shot": MappingProxyType({"shots": 5}),
            "unit": MappingProxyType({"highest": 1.0}),
        }
    )

    kind: Literal["FewShotRegression-v0"] = "FewShotRegression-v0"
    shots: int = Field(default=10, ge=2)
    """K, points that are told"""
    queries: int = Field(default=10, ge=1)
    """points that are asked for"""
    lowest: float = Field(default=0.1, ge=0)
    """smallest amplitude"""
    highest: float = Field(default=5.0, gt=0)
    """largest amplitude"""

    @model_validator(mode="after")
    def _has_amplitudes(self) -> FewShotRegression:
        if self.lowest > self.highest:
            raise wrong(f"lowest is {self.lowest:g}, wanted at most highest = {self.highest:g}")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Chance (3); an ideal observer is exact."""
        chance = random_score(self.lowest, self.highest)
        return step_spec(
            self,
            {"x": 1, "previous_y": 1, "told": 1},
            1,
            self.shots + self.queries,
            chance=chance,
            criterion=max(CLOSE, (1 + chance) / 2),
            reward_range=(-((1 + self.highest) ** 2), 0.0),
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """The wave and its points (1)."""
        del life
        own, steps = rng.condition_keys(rng.trial_keys(key, trial)), self.facts.trial_steps
        amplitude, phase = rng.uniform(rng.words(rng.fold(own, 0), 2)).unbind(-1)
        amplitude = self.lowest + (self.highest - self.lowest) * amplitude
        x = (2 * rng.uniforms(rng.fold(own, 1), steps) - 1) * REACH
        y = amplitude[..., None] * torch.sin(x - math.pi * phase[..., None])
        step = torch.arange(steps, device=key.device)
        told = ((step > 0) & (step <= self.shots)).to(x.dtype).expand_as(x)
        shown = torch.stack((x, y.roll(1, -1) * told, told), -1)
        length = torch.full_like(trial, steps)
        return Drawn(torch.zeros_like(trial), length, Wave(shown, y[..., None]))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A point; queries are judged."""
        place, asks = t.clamp(max=self.facts.trial_steps - 1), t >= self.shots
        return Frame(
            row(drawn.values.shown, place), row(drawn.values.wanted, place), asks.to(torch.float32), asks.to(torch.int8)
        )

    def tally(self, output: Float[Tensor, "*B 1"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums of (2)."""
        error, weight = (output - y).double().square().squeeze(-1), w.double()
        return torch.stack((weight / (1 + error), weight * error), -1)

    def verdict(self, tally: Float[Tensor, "*B 2"]) -> Judgement:
        """(2)."""
        score, error = (tally / self.queries).to(torch.float32).unbind(-1)
        return Judgement(-error, score, (score >= CLOSE).to(torch.float32))


@lru_cache
def random_score(lowest: float, highest: float) -> float:
    """(3)."""
    middle = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
    amplitude = lowest + (highest - lowest) * middle
    angle = (2 * middle[:, None] - 1) * REACH - math.pi * middle
    y = amplitude[:, None, None] * angle.sin()
    return float((torch.atan(1 - y) + torch.atan(1 + y)).mean() / 2)
