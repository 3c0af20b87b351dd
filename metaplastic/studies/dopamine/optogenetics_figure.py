"""Figure of the optogenetics study: risky choices under each manipulation, over the free trials, and the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.platform.figure_style import CHAMPION, OFF, OTHERS, START, new_figure, styled
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.optogenetics import Found, Play

CHANCES = ("p = .125", "p = .5")
COLOURS = (CHAMPION, START)
OUTCOMES = ("risky\nreward", "risky\nloss", "safe\nreward")


def draw(found: Found) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "optogenetics",
            panels(found),
            "Risky choices fall when dopamine is blocked at risky rewards and rise with the two other manipulations.",
            "A: per cent of risky choices in free trials (bars: means, dots: seeds) when what the actor hears is "
            "changed, weights fixed. B: the same by free trial, control and controls that cannot learn (mean ± s.e.m. "
            "over seeds; dashed: p = .125). C: the critic's prediction error by outcome.",
        )
    ]


@styled
def panels(found: Found) -> Any:
    """Three of them."""
    figure = new_figure(5.0)
    top, bottom = figure.subfigures(2, 1)
    _bars(top.subplots(), found)
    left, right = bottom.subplots(1, 2, width_ratios=(1.25, 1))
    _course(left, found)
    _errors(right, found.plays["control"])
    return figure


def _dots(axes: Any, at: float, values: np.ndarray) -> None:
    jitter = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(at + jitter, values, s=7, color="white", edgecolor="#222222", linewidth=0.6, zorder=3)


def _bars(axes: Any, found: Found) -> None:
    names = list(found.plays)
    for which, (label, colour) in enumerate(zip(CHANCES, COLOURS, strict=True)):
        for place, name in enumerate(names):
            values, at = found.plays[name].risky[:, which], place + 0.4 * which - 0.2
            axes.bar(at, values.mean(), 0.36, color=colour, alpha=0.75, label=label if place == 0 else None)
            _dots(axes, at, values)
    axes.set_xticks(range(len(names)), [name.replace(" risky", "\nrisky").replace(" safe", "\nsafe") for name in names])
    axes.set(ylabel="risky choices (%)", ylim=(0, 105), title="A  what the actor hears is changed")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0.28, 1.0))


def _course(axes: Any, found: Found) -> None:
    shown = (
        (found.plays["control"], "agent", CHAMPION),
        (found.forgetful, "state reset", OTHERS[2]),
        (found.blind, "reward withheld", OTHERS[1]),
        (found.untrained, "untrained", OFF),
    )
    for one, label, colour in shown:
        for which, dashes in ((1, "-"), (0, "--")):
            curve = over_seeds(one.course[:, which])
            trials = np.arange(1, len(curve.mean) + 1)
            axes.plot(trials, curve.mean, color=colour, linestyle=dashes, label=label if which else None, linewidth=1.4)
            sem = np.nan_to_num(curve.sem)
            axes.fill_between(trials, curve.mean - sem, curve.mean + sem, color=colour, alpha=0.2, linewidth=0)
    axes.set(title="B  over the free trials", xlabel="free trial", ylabel="risky choices (%)", ylim=(0, 105))
    axes.legend(frameon=False, fontsize=7.5, loc="center", bbox_to_anchor=(0.6, 0.67), ncols=2, columnspacing=1)


def _errors(axes: Any, control: Play) -> None:
    for which, (label, colour) in enumerate(zip(CHANCES, COLOURS, strict=True)):
        for place in range(len(OUTCOMES)):
            values, at = control.errors[:, which, place], place + 0.4 * which - 0.2
            axes.bar(at, np.nanmean(values), 0.36, color=colour, alpha=0.75, label=label)
            _dots(axes, at, values)
    axes.axhline(0, color=OFF, linewidth=0.8)
    axes.set_xticks(range(len(OUTCOMES)), OUTCOMES)
    axes.set(title="C  the critic's error", ylabel="error (reward)")
