"""Figure of the Harlow study: right picks by trial over the training, and errors of prediction at the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.platform.figure_style import CEILING, CHAMPION, OFF, OTHERS, START, label_ends, new_figure, styled
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.harlow import Found


FLAT = 0.53
"""below it a curve counts as one of chance, for its label"""


def draw(found: Found) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "harlow",
            panels(found),
            "Right picks by trial: flat at one half before training, one half and then nearly all after it.",
            "A: share of right picks by trial with objects that no training had, at eight moments of the training "
            "(darker: later; the number is updates). B: at its end, after a right and a wrong first pick, and the "
            "controls. C: the agent's prediction error at the outcome: large in trial 1, when nothing is known, then "
            "only for the rare mistakes. Means ± s.e.m. over seeds.",
        )
    ]


@styled
def panels(found: Found) -> Any:
    """Three of them."""
    figure = new_figure(5.6)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.25))
    axes, left, right = (figure.add_subplot(grid[place]) for place in (slice(0, 2), 2, 3))
    _course(axes, found)
    _end(left, found)
    _surprise(right, found)
    for each in (axes, left):
        each.axhline(0.5, color=OFF, linewidth=0.8, linestyle=":")
        each.set(ylim=(0.42, 1.03), ylabel="share right")
    for each in (axes, left, right):
        each.set(xlabel="trial", xticks=range(1, found.last.shape[1] + 1))
    figure.draw_without_rendering()  # places, which the labels at the ends are told by
    label_ends(axes, _labels(found))
    return figure


def _labels(found: Found) -> list[tuple[float, str, str]]:
    """Updates at the end of each curve; one label for all that are flat."""
    ends = found.course.mean(1)[:, -1]
    flat = [number for number, end in zip(found.updates, ends, strict=True) if end < FLAT]
    shown = [
        (float(end), f"{number:,}", CHAMPION) for number, end in zip(found.updates, ends, strict=True) if end >= FLAT
    ]
    return [*shown, (0.5, f"{flat[0]:,} to {flat[-1]:,}", CHAMPION)] if flat else shown


def _course(axes: Any, found: Found) -> None:
    from matplotlib import colormaps

    trials = np.arange(1, found.course.shape[2] + 1)
    for place, values in enumerate(found.course):
        curve = over_seeds(values)
        colour = colormaps["Blues"](0.25 + 0.75 * place / max(len(found.course) - 1, 1))
        axes.errorbar(
            trials, curve.mean, np.nan_to_num(curve.sem), color=colour, marker="o", markersize=3, linewidth=1.4
        )
    axes.set_title("A  over the training (updates)")


def _end(axes: Any, found: Found) -> None:
    trials = np.arange(1, found.last.shape[1] + 1)
    for values, label, colour, dashes in (
        (found.last, "trained", CHAMPION, "-"),
        (found.blind, "reward withheld", OTHERS[1], "--"),
        (found.forgetful, "state reset", OTHERS[2], "--"),
        (found.course[0], "untrained", OFF, "--"),
    ):
        curve = over_seeds(values)
        axes.errorbar(trials, curve.mean, np.nan_to_num(curve.sem), color=colour, linestyle=dashes, label=label)
    for which, (label, mark) in enumerate((("first pick wrong", "v"), ("first pick right", "^"))):
        curve = over_seeds(found.second[:, which])
        axes.plot(2, curve.mean, mark, color=CEILING, markersize=5, label=label, zorder=3)
    axes.set_title("B  at its end")
    axes.legend(frameon=False, fontsize=8, loc="center right", bbox_to_anchor=(1, 0.61), labelspacing=0.25)


def _surprise(axes: Any, found: Found) -> None:
    trials = np.arange(1, found.last.shape[1] + 1)
    for which, label, colour in ((1, "right picks", CHAMPION), (0, "wrong picks", START)):
        curve = over_seeds(found.surprise[:, :, which])
        axes.errorbar(trials, curve.mean, np.nan_to_num(curve.sem), color=colour, marker="o", markersize=3, label=label)
    axes.axhline(0, color=OFF, linewidth=0.8, linestyle=":")
    axes.set(title="C  prediction error", ylabel="error (reward)")
    axes.legend(frameon=False, fontsize=8)
