"""Flip-flops: hold the sign of the last pulse on each of several inputs (Sussillo & Barak 2013).

Pulses of +1 or -1, each alike, begin on every input at `rate` Hz, independently of the others, and last `pulse` ms; a
new one replaces the old. Every input begins a trial with a pulse, so that there is always something to hold (as in the
code of Golub & Sussillo's FixedPointFinder). Output i should be the sign of the last pulse on input i, at once.

    score = part of the (step, output) pairs with the right sign (an output of 0: half right)                     (1)
    reward = - mean squared error of the outputs

`lines`: signed, one input a bit; on_off, two inputs a bit, one that switches it to +1 and one that switches it to -1.

Presets (recalled): `sussillo13`, three bits; `memory4`, four bits with separate lines for on and off, as in Sussillo &
Abbott (2009). Rates and durations of pulses are those of the first in both.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.readouts import ReadoutTask
from metaplastic.tasks.trials import Drawn, Frame

Lines = Literal["signed", "on_off"]

HELD = 0.95
"""score from which the bits count as held"""


class Pulses(NamedTuple):
    """What a trial draws."""

    state: Float[Tensor, "*B T N"]
    """sign of the last pulse on every input at every step"""
    shown: Float[Tensor, "*B T N"]
    """the same while the pulse lasts, then 0"""


class FlipFlop(ReadoutTask):
    """Say of each input which sign its last pulse had."""

    references = (
        "Sussillo & Barak 2013, Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural "
        "networks, Neural Comput 25:626",
        "Sussillo & Abbott 2009, Generating coherent patterns of activity from chaotic neural networks, Neuron 63:544",
    )
    tags = ("memory", "trials", "readout")
    epochs = ("run",)
    best_reward = 0.0
    presets = MappingProxyType(
        {
            "sussillo13": MappingProxyType({}),
            "memory4": MappingProxyType({"bits": 4, "lines": "on_off"}),
        }
    )

    kind: Literal["FlipFlop-v0"] = "FlipFlop-v0"
    bits: int = Field(default=3, ge=1, le=64)
    """N"""
    lines: Annotated[Lines, BeforeValidator(one_of(Lines))] = "signed"
    """signed: one input a bit; on_off: two"""
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide every duration"""
    duration: float = Field(default=3000.0, gt=0)
    """ms of a trial"""
    rate: float = Field(default=2.0, ge=0)
    """Hz of the pulses of an input: .02 a step of 10 ms"""
    pulse: float = Field(default=20.0, gt=0)
    """ms of a pulse"""

    @model_validator(mode="after")
    def _fits(self) -> FlipFlop:
        for name in ("duration", "pulse"):
            why = Duration.read(getattr(self, name)).complaint(self.dt)
            if why:
                raise wrong(f"{name} {why}")
        if self.rate * self.dt > 1000:
            most = 1000 / self.dt
            raise wrong(f"rate is {self.rate:g} Hz, wanted at most {most:g}: one pulse in every {self.dt:g} ms")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Random outputs have either sign alike; who holds the signs earns all."""
        names = ("bits",) if self.lines == "signed" else ("on", "off")
        return TaskSpec(
            id=self.kind,
            channels={name: (self.bits * k, self.bits * (k + 1)) for k, name in enumerate(names)},
            observations=self.bits * len(names),
            actions=self.bits,
            response="readout",
            dt=self.dt,
            trial_steps=round(self.duration / self.dt),
            trial_types=1,
            chance=0.5,
            ceiling=1.0,
            criterion=HELD,
            oracle=1.0,
            tags=self.tags,
            cite=self.references,
            epochs=self.epochs,
            reward_range=(-4.0, 0.0),
        )

    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """All pulses of a trial."""
        del life
        steps = self.facts.trial_steps
        own = rng.condition_keys(rng.trial_keys(key, trial))
        t = rng.numbers(steps, key.device)
        words = rng.each_word(rng.fold(own[..., None], t), 2 * self.bits)
        begins = rng.coin(words[..., : self.bits], self.rate * self.dt / 1000) | (t == 0)[:, None]
        signs = torch.where(rng.coin(words[..., self.bits :], 0.5), 1.0, -1.0)
        last = torch.where(begins, t[:, None], 0).cummax(-2).values
        state = signs.gather(-2, last)
        shown = state * (t[:, None] - last < round(self.pulse / self.dt))
        return Drawn(torch.zeros_like(trial), torch.full_like(trial, steps), Pulses(state, shown))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """The pulses that are on, and what is held."""
        now = t.clamp(max=self.facts.trial_steps - 1)
        state, shown = (row(table, now) for table in drawn.values)
        if self.lines == "on_off":
            shown = torch.cat((shown.clamp(min=0), (-shown).clamp(min=0)), -1)
        return Frame(shown, state, torch.ones_like(state[..., 0]), torch.zeros_like(t, dtype=torch.int8))

    def tally(self, output: Float[Tensor, "*B N"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums over steps of the mean agreement in sign, the mean squared error, and the weight."""
        agrees = (output * y).sign().mean(-1).double() * w
        error = (output - y).square().mean(-1).double() * w
        return torch.stack((agrees, error, w.double().expand_as(error)), -1)

    def verdict(self, tally: Float[Tensor, "*B 3"]) -> Judgement:
        """(1); a trial is right from a score of .95 on."""
        agrees, error, count = tally.unbind(-1)
        count = count.clamp(min=1)
        score = ((agrees / count + 1) / 2).to(torch.float32)
        return Judgement(-(error / count).to(torch.float32), score, (score >= HELD).to(torch.float32))
