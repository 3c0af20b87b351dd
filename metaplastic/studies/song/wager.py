"""Random dots with a sure target: `song-wager`. Is it taken where the decision is unsure?

Song, Yang & Wang 2017, figure 5; Kiani & Shadlen 2009. A sure target that was not offered is no answer.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metaplastic.core import Task
from metaplastic.inner_loop.agents.pair_training import Met
from metaplastic.inner_loop.agents.pair_trials import Decided
from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.studies.song.laboratory import Tested, Trained
from metaplastic.studies.song.song_figure import Line, lines
from metaplastic.studies.song.song_study import Behaviour, SongStudy
from metaplastic.studies.study import Claim, Run, mean_and_error

SURE = 3
"""the action"""
MIDDLE = (0.064, 0.128, 0.256)
"""coherences between easy and impossible"""


class SongWager(SongStudy):
    """Post-decision wagering."""

    name: ClassVar[str] = "song-wager"
    title: ClassVar[str] = "Reward-trained networks know how sure they are"
    question: ClassVar[str] = (
        "Is a small but sure reward taken where the evidence was weak, and declined where it was good?"
    )
    kind: ClassVar[str] = "PostDecisionWager-v0"

    def network(self) -> ModifiedGRU:
        """One half of the units sees the dots, the other the sure target."""
        return ModifiedGRU(shares={"evidence": (0, 0.5), "sure": (0.5, 1)})

    def met(self) -> Met | None:
        """.99 answered, .79 of the directions right, the sure target taken in more than .4 and at most .5."""
        return met

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Sure choices and accuracy over coherence."""
        del run, trained
        coherence = tested.given["coherence"]
        levels = np.unique(coherence)
        sure, plain, waived = (
            np.stack([row(tested, coherence == c) for c in levels], 1) for row in (sure_of, plain_of, waived_of)
        )
        middle = np.isin(coherence, np.array(MIDDLE, dtype=coherence.dtype))
        gain = waived_of(tested, middle) - plain_of(tested, middle)
        whole = sure_of(tested, coherence >= 0)
        falls = bool((np.diff(sure, axis=1) <= 0.03).all() and (sure[:, 0] > sure[:, -1] + 0.1).all())
        ends = f"{mean_and_error(sure[:, 0].tolist())} to {mean_and_error(sure[:, -1].tolist())}"
        with np.errstate(invalid="ignore"):
            shown = [
                Line(name, 100 * levels, np.nanmean(rows, 0))
                for name, rows in (("not offered", plain), ("waived", waived))
            ]
        return Behaviour(
            [
                Claim("sure target taken, of offered", "0.4 to 0.5", "published", mean_and_error(whole.tolist()), None),
                Claim("taken, 0 % to 51.2 %: falls with coherence", "yes", "published", ends, falls),
                Claim(
                    "right: waived, less not offered; 6.4 to 25.6 %",
                    "> 0.02",
                    "our bound",
                    mean_and_error(gain.tolist()),
                    bool((gain > 0.02).all()),
                ),
            ],
            [
                lines([Line("", 100 * levels, sure.mean(0))], "sure target taken", "coherence (%)", "share"),
                lines(shown, "right answers", "coherence (%)", "share"),
            ],
            {"coherence": levels.tolist(), "sure": sure.tolist(), "plain": plain.tolist(), "waived": waived.tolist()},
            "The sure target is taken where coherence is low; accuracy is higher where it was waived.",
            "Left: validation during training, where a sure target that is taken is no right answer. Else: the test.",
        )


def met(task: Task, lived: list[Decided]) -> Bool[Tensor, " P"]:
    """The published criterion."""
    del task
    answer, in_time, correct = (
        torch.cat([getattr(one, part) for one in lived], 1) for part in ("answer", "in_time", "correct")
    )
    offered = torch.cat([_conditions(one).wager for one in lived], 1) == 1
    took = answer == SURE
    answered = in_time & (offered | ~took)
    direction = in_time & ~took
    shares = (
        answered.float().mean(1),
        (correct & direction).sum(1) / direction.sum(1).clamp(min=1),
        (took & offered & in_time).sum(1) / (offered & in_time).sum(1).clamp(min=1),
    )
    return (shares[0] >= 0.99) & (shares[1] >= 0.79) & (shares[2] > 0.4) & (shares[2] <= 0.5)


def _conditions(lived: Decided) -> Any:
    return lived.batch.drawn.values.conditions


def sure_of(tested: Tested, where: np.ndarray) -> Float[np.ndarray, " P"]:
    """Share of offered sure targets that were taken."""
    seen = tested.in_time & where & (tested.given["wager"] == 1)
    return _share(tested.answer == SURE, seen)


def plain_of(tested: Tested, where: np.ndarray) -> Float[np.ndarray, " P"]:
    """Share of right directions where there was no sure target."""
    return _share(tested.correct, tested.in_time & where & (tested.given["wager"] == 0) & (tested.answer != SURE))


def waived_of(tested: Tested, where: np.ndarray) -> Float[np.ndarray, " P"]:
    """Share of right directions where a sure target was declined."""
    return _share(tested.correct, tested.in_time & where & (tested.given["wager"] == 1) & (tested.answer != SURE))


def _share(what: np.ndarray, of: np.ndarray) -> Float[np.ndarray, " P"]:
    with np.errstate(invalid="ignore"):
        return (what & of).sum(1) / of.sum(1)
