"""Sequences of eye movements that a cue names (Averbeck & Lee 2007, in the form of Song, Yang & Wang 2016).

Nine dots lie on a grid of three by three. The eye rests on the middle one and makes three moves, each to one of two
neighbours, so that eight sequences are possible; the cue says which, from the trial's start to its end. In each move
the dot that the eye is on and the two that it may go to are lit. The two outputs should be the position of the dot that
the move goes to,

    x = (k mod 3 - 1) / 2,  y = (1 - k div 3) / 2,   dot k = 0 .. 8, row by row from the top left                 (1)

judged by (1) of `trace_readout.py` from fixation on; in the rest before it nothing is wanted. Whoever knows the time
but not the cue does best at the mean of all sequences, which is the middle dot, and scores 0.

Preset `pycog` (checked with its code, examples/models/lee.py).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import EpochTask, Weights, When
from metaplastic.tasks.trace_readout import TRACE, TraceReadout

DOTS = 9
SEQUENCES = (
    (4, 5, 1, 0),
    (4, 3, 1, 2),
    (4, 3, 7, 8),
    (4, 5, 7, 6),
    (4, 5, 1, 2),
    (4, 3, 1, 0),
    (4, 3, 7, 6),
    (4, 5, 7, 8),
)
"""the dots that the eye is on, at fixation and after each move"""
OPTIONS = {1: (0, 2), 3: (1, 7), 4: (3, 5), 5: (1, 7), 7: (6, 8)}
"""dot -> where a move may go from it"""


def _lit() -> tuple[tuple[float, ...], ...]:
    """One row for each sequence and epoch: which dots are lit."""
    rows = []
    for path in SEQUENCES:
        shown = [(), path[:1], *((dot, *OPTIONS[dot]) for dot in path[:-1])]
        rows += [tuple(float(dot in dots) for dot in range(DOTS)) for dots in shown]
    return tuple(rows)


LIT = tuple(zip(*_lit(), strict=True))
"""by dot, then by sequence and epoch"""
GAZE = tuple(float(dot) for path in SEQUENCES for dot in (path[0], *path))
"""the wanted dot, by sequence and epoch"""


class Cued(NamedTuple):
    """Conditions of a trial."""

    sequence: Int[Tensor, "*B"]


class SequenceExecution(EpochTask, TraceReadout):
    """Make the three eye movements that the cue stands for."""

    references = (
        "Averbeck & Lee 2007, Prefrontal neural correlates of memory for sequences, J Neurosci 27:2204",
        "Song, Yang & Wang 2016, Training excitatory-inhibitory recurrent neural networks for cognitive tasks, PLoS "
        "Comput Biol 12:e1004792",
    )
    tags = ("pattern", "sequence", "trials", "readout")
    epochs = ("rest", "fixation", "move1", "move2", "move3")
    responses = ("fixation", "move1", "move2", "move3")
    presets = MappingProxyType({"pycog": MappingProxyType({})})

    kind: Literal["SequenceExecution-v0"] = "SequenceExecution-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(rest=1000, fixation=1000, move1=500, move2=500, move3=500)
    """epoch -> ms, or how it is drawn"""
    weights: Annotated[Weights, BeforeValidator(one_of(Weights))] = "decision"
    """decision: all but the rest is judged, and nothing else"""

    @model_validator(mode="after")
    def _is_judged(self) -> SequenceExecution:
        if self.weights != "decision":
            raise wrong(f"weights is {self.weights!r}, wanted 'decision': nothing is wanted in the rest")
        for name in self.responses[1:]:
            if not self.timing[name].ends(self.dt)[0]:
                raise wrong(f"timing.{name} may last 0 ms, wanted at least one step: every move is judged")
        return self

    @property
    def spec(self) -> TaskSpec:
        """Random outputs explain nothing; whoever follows the trace earns all."""
        return self.describe(
            {"dots": DOTS, "sequence": len(SEQUENCES)},
            2,
            trial_types=len(SEQUENCES),
            **TRACE,
        )

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Cued]:
        """The sequence, each alike."""
        del life, trial
        sequence = rng.below(rng.word(key, 0), len(SEQUENCES))
        return sequence, Cued(sequence)

    def mean_input(self, conditions: Cued, when: When) -> Float[Tensor, "*T I"]:
        """The dots that are lit, and the cue."""
        place = conditions.sequence * len(self.epochs) + when.epoch
        dots = torch.stack([look_up(rows, place) for rows in LIT], -1)
        return torch.cat((dots, one_hot(conditions.sequence.expand(when.epoch.shape), len(SEQUENCES))), -1)

    def wanted(self, conditions: Cued, when: When) -> Float[Tensor, "*T 2"]:
        """(1)."""
        dot = look_up(GAZE, conditions.sequence * len(self.epochs) + when.epoch, torch.int64)
        return torch.stack((dot % 3 - 1, 1 - dot // 3), -1) * 0.5
