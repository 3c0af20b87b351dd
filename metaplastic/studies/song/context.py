"""Motion or colour, as the context says: `song-context`.

    logit P(right) = b + w_m m + w_c c,    m and c signed coherences, one fit for each context                 (1)

Song, Yang & Wang 2017, figure 3; Mante et al. 2013.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from metaplastic.studies.analysis.behaviour import logistic
from metaplastic.studies.song.laboratory import Tested, Trained
from metaplastic.studies.song.song_figure import Line, lines
from metaplastic.studies.song.song_study import Behaviour, SongStudy, by_level
from metaplastic.studies.study import Claim, Run, mean_and_error

RIGHT = 2
"""the action"""
NAMES = ("motion", "colour")
LEAST = 3.0
"""times that the cued modality must outweigh the other"""


class SongContext(SongStudy):
    """Context-dependent integration."""

    name: ClassVar[str] = "song-context"
    title: ClassVar[str] = "Reward-trained networks integrate what the context asks for"
    question: ClassVar[str] = "Do choices follow the cued modality, and the other one not?"
    kind: ClassVar[str] = "ContextDecisionMaking-v0"

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Weights of both modalities in both contexts."""
        del run, trained
        weights = np.array(
            [[weighed(tested, pair, context) for context in (0, 1)] for pair in range(len(tested.answer))]
        )
        cued = np.stack([weights[:, context, context] for context in (0, 1)], 1)
        other = np.stack([weights[:, context, 1 - context] for context in (0, 1)], 1)
        ratio = np.abs(cued).min(1) / np.abs(other).max(1).clip(1e-9)
        shown = [curve(tested, context, modality) for context in (0, 1) for modality in (0, 1)]
        return Behaviour(
            [
                Claim(
                    "weight of the cued modality (1)",
                    "> 0",
                    "published",
                    mean_and_error(cued.min(1).tolist(), 1),
                    bool((cued > 0).all()),
                ),
                Claim(
                    "times the weight of the other",
                    f"≥ {LEAST:g}",
                    "our bound",
                    mean_and_error(ratio.tolist(), 1),
                    bool((ratio >= LEAST).all()),
                ),
            ],
            [lines(shown, "choices", "coherence (%), right", "P(right)")],
            {"weights": weights.tolist()},
            "Choices follow the cued modality and hardly the other.",
            "Left: validation during training. Right: choices in the test, over the coherence of one modality.",
        )


def signed(tested: Tested, modality: int) -> np.ndarray:
    """Coherence, above 0 to the right."""
    name = NAMES[modality]
    return np.round(tested.given[f"{name}_coherence"] * (2 * tested.given[name] - 1), 4)


def weighed(tested: Tested, pair: int, context: int) -> np.ndarray:
    """(1) of one pair of networks: weights of motion and colour; NaN if it always answers alike."""
    where = tested.in_time[pair] & (tested.given["context"] == context)
    right = (tested.answer[pair] == RIGHT)[where]
    if len(np.unique(right)) < 2:
        return np.full(2, np.nan)
    both = np.stack([signed(tested, modality)[where] for modality in (0, 1)], -1)
    return logistic(both, right.astype(float), 1e-3).weights


def curve(tested: Tested, context: int, modality: int) -> Line:
    """P(right) over one modality in one context, all pairs."""
    where = tested.given["context"] == context
    levels, hits, trials = by_level(tested, signed(tested, modality), tested.answer == RIGHT, where)
    with np.errstate(invalid="ignore"):
        share = hits.sum(0) / trials.sum(0)
    return Line(f"{NAMES[modality]}, {NAMES[context]} counts", 100 * levels, share)
