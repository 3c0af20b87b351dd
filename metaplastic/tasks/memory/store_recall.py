"""Store and recall: keep a bit that came with STORE until RECALL asks for it (Bellec et al. 2018).

A trial shows `symbols` symbols, each for `symbol` ms. A symbol is a random bit (one of two lines); a bit may come with
STORE (a third line), and a symbol may be RECALL (the fourth line alone). While nothing is stored STORE comes with
probability `p` at every symbol, then RECALL with probability `p` at every symbol but the first after STORE. So that
every trial asks, STORE comes at the third last symbol if it never came, not after it, and RECALL at the last if it is
due. At RECALL the outputs name the stored bit; nothing else is judged:

    score = part of the steps of RECALL at which the larger of two outputs is that of the bit                     (1)

(`class_readout.py`). `neurons` makes each line a group of spiking neurons (`spiking_lines.py`).

Presets: `bellec18` (100 neurons at 50 Hz, steps of 1 ms, p = 1/5; recalled), `eprop` (p = 1/7; checked with the code
that came with Bellec et al. 2020), `rate` (lines of 0 and 1, the default). Departures from that code: it draws trials
until one is valid; its stored bit is repeated or inverted at the next symbol, which here is a bit like all others; it
counts a recall as wrong or right by the mean of the outputs' signs. Criterion: an error of at most .05 there.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.class_readout import REWARDS, ClassReadout
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.memory import spiking_lines
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

LINES = ("zero", "one", "store", "recall")
LEARNED = 0.95
"""score of an error of .05"""


class Symbols(NamedTuple):
    """What a trial draws."""

    lines: Float[Tensor, "*B S 4"]
    """which lines are on at each symbol"""
    wanted: Float[Tensor, "*B S 2"]
    """the stored bit, one-hot, at RECALL"""
    key: Int[Tensor, "*B"]
    """of the spikes"""


class StoreRecall(ClassReadout):
    """Keep a bit until it is asked for."""

    references = (
        "Bellec et al. 2018, Long short-term memory and learning-to-learn in networks of spiking neurons, NeurIPS 31",
        "Bellec et al. 2020, A solution to the learning dilemma for recurrent networks of spiking neurons, Nat Commun",
    )
    tags = ("memory", "trials", "readout")
    epochs = ("symbols",)
    presets = MappingProxyType(
        {
            "rate": MappingProxyType({}),
            "bellec18": MappingProxyType({"neurons": 25, "dt": 1.0}),
            "eprop": MappingProxyType({"neurons": 25, "dt": 1.0, "p": 1 / 7}),
        }
    )

    kind: Literal["StoreRecall-v0"] = "StoreRecall-v0"
    symbols: int = Field(default=12, ge=3, le=1000)
    """of a trial"""
    symbol: float = Field(default=200.0, gt=0)
    """ms of each"""
    dt: float = Field(default=20.0, gt=0)
    """ms a step; must divide `symbol`"""
    p: float = Field(default=0.2, ge=0, le=1)
    """probability of STORE, or of RECALL, at a symbol where it may come"""
    neurons: int = Field(default=0, ge=0, le=2500)
    """spiking neurons of each line; 0: the line itself"""
    rate: float = Field(default=50.0, gt=0)
    """Hz of a neuron whose line is on"""

    @model_validator(mode="after")
    def _fits(self) -> StoreRecall:
        why = Duration.read(self.symbol).complaint(self.dt)
        if why:
            raise wrong(f"symbol {why}")
        why = spiking_lines.complaint(self.neurons, self.rate, self.dt, self.symbol)
        if why:
            raise wrong(why)
        return self

    @property
    def spec(self) -> TaskSpec:
        """Random outputs name either bit; whoever keeps it is always right."""
        return step_spec(
            self,
            dict.fromkeys(LINES, max(1, self.neurons)),
            2,
            self.symbols * self._steps,
            dt=self.dt,
            chance=0.5,
            criterion=LEARNED,
            oracle=1.0,
            reward_range=REWARDS,
        )

    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """All symbols of a trial, one after the other."""
        del life
        trial_key = rng.trial_keys(key, trial)
        words = rng.each_word(rng.condition_keys(trial_key), 2 * self.symbols)
        comes, bits = rng.coin(words[..., : self.symbols], self.p), rng.coin(words[..., self.symbols :], 0.5)
        never = torch.zeros_like(comes[..., 0])
        stored, since, ever, kept = never, torch.zeros_like(trial), never, never
        shown, wanted = [], []
        for k in range(self.symbols):
            left = self.symbols - 1 - k
            recall = stored & (since >= 2) & (comes[..., k] | (left == 0))
            store = ~stored & (comes[..., k] & (left >= 2) | ~ever & (left == 2))
            kept = torch.where(store, bits[..., k], kept)
            one, zero = bits[..., k] & ~recall, ~bits[..., k] & ~recall
            shown.append(torch.stack((zero, one, store, recall), -1))
            wanted.append(torch.stack((recall & ~kept, recall & kept), -1))
            stored, ever = stored & ~recall | store, ever | store
            since = torch.where(store, 1, since + 1)
        lines, asked = (torch.stack(part, -2).to(torch.float32) for part in (shown, wanted))
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Symbols(lines, asked, rng.fold(trial_key, 1)))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """The lines, or their neurons' spikes; the stored bit at RECALL."""
        number = (t // self._steps).clamp(max=self.symbols - 1)
        lines, wanted = row(drawn.values.lines, number), row(drawn.values.wanted, number)
        x = lines
        if self.neurons:
            x = spiking_lines.fired(lines, drawn.values.key, t, self.neurons, self.rate * self.dt / 1000)
        return Frame(x, wanted, lines[..., 3], torch.zeros_like(t, dtype=torch.int8))

    @property
    def _steps(self) -> int:
        """Of a symbol."""
        return round(self.symbol / self.dt)
