"""Figure of the Q-AGREL study: accuracy over the training, at its end beside the paper's, and the digits one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metaplastic.platform.figure_style import (
    CEILING,
    CHAMPION,
    OFF,
    OTHERS,
    START,
    new_figure,
    styled,
    whole_numbers,
)
from metaplastic.studies.credit.q_agrel_training import Protocol, Row, Trained
from metaplastic.studies.study import Drawing

COLOURS = {
    ("errorBP", "symmetric"): CEILING,
    ("Q-AGREL", "symmetric"): CHAMPION,
    ("Q-AGREL", "learned"): OTHERS[0],
    ("Q-AGREL", "fixed"): START,
    ("errorBP", "fixed"): OTHERS[1],
}
"""(rule, feedback) -> colour"""
SHOWN = (300, 100)
"""the shape of panels A and C"""


def draw(rows: Sequence[Row], found: Trained, protocol: Protocol) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "q-agrel",
            panels(rows, found, protocol),
            "Accuracy by epoch of Q-AGREL and backprop, each with several kinds of feedback; accuracies at the end "
            "beside those of the paper; share of each digit that is named right by epoch.",
            "A: accuracy of validation over the training, two hidden layers, the faster rate of each kind, means over "
            "seeds. B: accuracy of the test images at the end (filled) beside the paper's (open); circles 300 units, "
            "squares 300-100. C: share of the training images of each digit that were named right, one network of "
            "300-100 units with Q-AGREL and symmetric feedback.",
        )
    ]


@styled
def panels(rows: Sequence[Row], found: Trained, protocol: Protocol) -> Any:
    """Three of them."""
    figure = new_figure(6.4)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.35))
    above, left, right = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    _course(above, rows, found, protocol)
    _ends(left, rows, found)
    _classes(right, rows, found)
    return figure


def _course(axes: Any, rows: Sequence[Row], found: Trained, protocol: Protocol) -> None:
    for (rule, feedback), colour in COLOURS.items():
        fitting = [index for index, row in enumerate(rows) if row[:3] == (rule, feedback, SHOWN)]
        index = max(fitting, key=lambda index: rows[index].eta)
        course = 100 * found.course[index].numpy()
        ends = np.isnan(course).any(0)
        mean = course[:, ~ends].mean(0)
        label = f"{rule}, {feedback}, {rows[index].eta:g}"
        axes.plot(protocol.every * np.arange(1, len(mean) + 1), mean, color=colour, label=label)
    axes.set(xlabel="epoch", ylabel="right, %", title="A  over the training, 300-100 units", ylim=(None, 101))
    axes.legend(frameon=False, fontsize=8, loc="lower right", title="rule, feedback, rate", title_fontsize=8)
    whole_numbers(axes)


def _ends(axes: Any, rows: Sequence[Row], found: Trained) -> None:
    for place, row in enumerate(rows):
        percent, colour = 100 * found.accuracy[place].numpy(), COLOURS[row.rule, row.feedback]
        mark = "o" if len(row.hidden) == 1 else "s"
        axes.plot(row.accuracy, -place, mark, color=colour, markerfacecolor="white", markersize=5)
        axes.plot(percent, [-place] * len(percent), mark, color=colour, markersize=3.5)
    names = [f"{row.rule.removeprefix('error')} {row.feedback[:3]}. {row.eta:g}" for row in rows]
    axes.set(xlabel="right, %", title="B  test images")
    axes.set_yticks([-place for place in range(len(rows))], names, fontsize=7)


def _classes(axes: Any, rows: Sequence[Row], found: Trained) -> None:
    from matplotlib import colormaps

    index = next(k for k, row in enumerate(rows) if row[:3] == ("Q-AGREL", "symmetric", SHOWN))
    hits = 100 * found.hits[index, 0].numpy()
    for digit in range(hits.shape[1]):
        axes.plot(np.arange(1, len(hits) + 1), hits[:, digit], color=colormaps["viridis"](digit / 10), linewidth=1.2)
    axes.axhline(50, color=OFF, linewidth=0.8, linestyle=":")
    axes.set(xlabel="epoch", ylabel="named right, %", title="C  the ten digits")
    whole_numbers(axes)
