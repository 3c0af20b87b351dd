"""Figure of the DNMS study: the error of every network over its trials, and when each had learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.platform.figure_style import CHAMPION, INK, OFF, START, new_figure, styled
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.reward.miconi_dnms import Found

SMOOTH = 100


def draw(found: Mapping[str, Found], bounds: Mapping[str, int]) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "miconi-dnms",
            panels(found, bounds),
            "Errors of single networks fall from about one to below one tenth, each at its own time.",
            "Error of each network, mean of 100 trials (thin), and the median network (thick). Marks below: when each "
            "had learned; dotted: the error below which a trial counts as right.",
        )
    ]


@styled
def panels(found: Mapping[str, Found], bounds: Mapping[str, int]) -> Any:
    """One for each rule."""
    figure = new_figure(2.2 * len(found))
    rows = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, (name, one), colour in zip(rows, found.items(), (CHAMPION, START), strict=True):
        smooth = smoothed(one.error)
        trials = (SMOOTH + np.arange(len(smooth))) / 1000
        axes.plot(trials, smooth, color=colour, linewidth=0.7, alpha=0.5)
        axes.plot(trials, np.median(smooth, 1), color=colour, linewidth=2)
        axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.axvline(bounds[name] / 1000, color=OFF, linewidth=0.8)
        when = [trial / 1000 for trial in one.when if trial is not None]
        axes.plot(when, [0.02] * len(when), "|", color=INK, markersize=7)
        axes.set(title=name, ylabel="error", ylim=(0, 1.5), xlim=(0, len(one.error) / 1000))
    rows[-1].set_xlabel("thousand trials")
    return figure


def smoothed(error: np.ndarray) -> np.ndarray:
    """Running means over `SMOOTH` trials (fewer, if there are fewer)."""
    width = min(SMOOTH, len(error))
    heaped = np.cumsum(np.vstack([np.zeros_like(error[:1]), error]), 0)
    return (heaped[width:] - heaped[:-width]) / width
