"""Two vibrations, a delay apart: `song-romo`. Which was of higher frequency?

The first frequency alone gives .70 (the lowest and the highest tell), so accuracy is also looked at where it tells
nothing. Song, Yang & Wang 2017, figure 4; Romo et al. 1999.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from metaplastic.studies.song.laboratory import Tested, Trained
from metaplastic.studies.song.song_figure import Line, lines
from metaplastic.studies.song.song_study import Behaviour, SongStudy
from metaplastic.studies.study import Claim, Run, mean_and_error

AMBIGUOUS = (18.0, 22.0, 26.0)
"""Hz of a first vibration after which both answers are possible"""


class SongRomo(SongStudy):
    """Parametric working memory."""

    name: ClassVar[str] = "song-romo"
    title: ClassVar[str] = "Reward-trained networks compare two frequencies"
    question: ClassVar[str] = "Do networks that are told nothing but rewards learn to keep a frequency in mind?"
    kind: ClassVar[str] = "DelayComparison-v0"
    learning_rate: ClassVar[float] = 0.002

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Accuracy for every pair of frequencies."""
        del run, trained
        first, second = tested.given["first"], tested.given["second"]
        right = tested.p_correct()
        memory = tested.p_correct(np.isin(first, AMBIGUOUS))
        higher = first > second
        shown = [
            Line(name, np.unique(first[where]), accuracy(tested, first, where))
            for name, where in (("first higher", higher), ("second higher", ~higher))
        ]
        return Behaviour(
            [
                Claim("right, all pairs", "≥ 0.97", "published", mean_and_error(right), min(right) >= 0.97),
                Claim("right after 18, 22 and 26 Hz", "> 0.5", "derived", mean_and_error(memory), min(memory) > 0.9),
            ],
            [lines(shown, "right answers", "first vibration (Hz)", "share")],
            {"memory": memory},
            "Share of right answers for every first vibration.",
            "Left: validation during training. Right: share of right answers in the test.",
        )


def accuracy(tested: Tested, first: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean share right for each first vibration."""
    return np.array([np.nanmean(tested.p_correct(where & (first == hz))) for hz in np.unique(first[where])])
