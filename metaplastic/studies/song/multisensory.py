"""Rates of events that are seen, heard or both: `song-multisensory`.

    1 / sigma_both^2 = 1 / sigma_seen^2 + 1 / sigma_heard^2       if both are used as well as can be           (1)

sigma of cumulative Gaussians on the rate. Song, Yang & Wang 2017, figure 3 and table; Raposo et al. 2014.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from metaplastic.inner_loop.networks.modified_gru import ModifiedGRU
from metaplastic.studies.analysis.behaviour import Psychometric
from metaplastic.studies.song.laboratory import Tested, Trained
from metaplastic.studies.song.song_figure import Line, lines
from metaplastic.studies.song.song_study import Behaviour, SongStudy, by_level, curve_of
from metaplastic.studies.study import Claim, Run, mean_and_error

HIGH = 2
"""the action"""
MODALITIES = ("seen", "heard", "both")


class SongMultisensory(SongStudy):
    """Two senses."""

    name: ClassVar[str] = "song-multisensory"
    title: ClassVar[str] = "Reward-trained networks combine two senses"
    question: ClassVar[str] = "Do networks that see and hear events judge their rate as precisely as both senses allow?"
    kind: ClassVar[str] = "MultiSensoryIntegration-v0"

    def network(self) -> ModifiedGRU:
        """150 units; a third of them sees, another third hears."""
        return ModifiedGRU(units=150, shares={"visual": (0, 1 / 3), "auditory": (2 / 3, 1)})

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Thresholds of each modality, and (1)."""
        del run, trained
        fits = [[fitted(tested, modality, pair) for modality in range(3)] for pair in range(len(tested.answer))]
        sigma = np.array([[fit.sigma for fit in row] for row in fits])
        wanted, found = (1 / sigma[:, :2] ** 2).sum(1), 1 / sigma[:, 2] ** 2
        miss = np.abs(found - wanted) / wanted
        shown = [line(tested, modality) for modality in range(3)]
        known = ("2.08 to 2.28", "2.09 to 2.17", "1.45 to 1.58")
        rows = [
            Claim(f"threshold, {name} (events a second)", text, "published", mean_and_error(one.tolist()), None)
            for name, text, one in zip(MODALITIES, known, sigma.T, strict=True)
        ]
        rows += [
            Claim("1/seen² + 1/heard²", "0.414 to 0.455", "published", mean_and_error(wanted.tolist()), None),
            Claim("1/both²", "0.400 to 0.477", "published", mean_and_error(found.tolist()), None),
            Claim("they differ by", "≤ 15 %", "our bound", mean_and_error(miss.tolist()), bool((miss <= 0.15).all())),
        ]
        return Behaviour(
            rows,
            [lines(shown, "choices", "events a second", "P(high)")],
            {"sigma": sigma.tolist()},
            "Choices follow the rate, most steeply where events are seen and heard.",
            "Left: validation during training. Right: choices in the test, all pairs, with cumulative Gaussians.",
        )


def fitted(tested: Tested, modality: int, pair: int | None = None) -> Psychometric:
    """The curve of one pair, or of all."""
    levels, hits, trials = counts(tested, modality)
    some = slice(None) if pair is None else slice(pair, pair + 1)
    return curve_of(levels, hits[some].sum(0), trials[some].sum(0))


def counts(tested: Tested, modality: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates, choices of `high` and trials."""
    where = tested.given["modality"] == modality
    return by_level(tested, tested.given["rate"], tested.answer == HIGH, where)


def line(tested: Tested, modality: int) -> Line:
    """All pairs together, with the fit."""
    levels, hits, trials = counts(tested, modality)
    fine = np.linspace(levels.min(), levels.max(), 200)
    with np.errstate(invalid="ignore"):
        share = hits.sum(0) / trials.sum(0)
    return Line(MODALITIES[modality], levels, share, (fine, fitted(tested, modality).at(fine)))
