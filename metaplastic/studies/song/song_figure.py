"""Figures of the Song studies: how learning went, and one or two panels of what the pairs do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from metaplastic.inner_loop.agents.pair_training import History
from metaplastic.platform.figure_style import CHAMPION, OFF, START, new_figure, styled
from metaplastic.studies.study import Drawing

COLOURS = (CHAMPION, START, "#009e73", OFF)


class Panel(NamedTuple):
    """One pair of axes: a function that draws into them."""

    draw: Callable[[Any], None]


class Line(NamedTuple):
    """Points with a line or a fitted curve, under a name."""

    name: str
    x: np.ndarray
    y: np.ndarray
    curve: tuple[np.ndarray, np.ndarray] | None = None
    """fine x and y of a fit; None: the points are joined"""


def course(history: History) -> Panel:
    """Validation: share right of the answered (thick), share answered (thin), over thousand trials; one line a pair."""

    def draw(axes: Any) -> None:
        each = float(history.trials.max()) / max(1.0, float(history.updates.max()))
        x = np.array([look.update for look in history.looks]) * each / 1000
        for part, width, colour in (("p_answered", 0.9, OFF), ("p_correct", 1.4, CHAMPION)):
            if history.looks:
                rows = np.stack([getattr(look, part).numpy() for look in history.looks])
                for pair in range(rows.shape[1]):
                    own = x <= float(history.trials[pair]) / 1000 + 1e-9
                    axes.plot(x[own], rows[own, pair], color=colour, linewidth=width)
        axes.set(xlabel="thousand trials", ylabel="share", ylim=(0, 1.03), title="answered (grey), right (blue)")

    return Panel(draw)


def lines(
    shown: Sequence[Line], title: str, xlabel: str, ylabel: str, *, log: bool = False, unit: bool = True
) -> Panel:
    """Some lines with a key."""

    def draw(axes: Any) -> None:
        for line, colour in zip(shown, COLOURS * 3, strict=False):
            joined = "-" if line.curve is None else ""
            axes.plot(line.x, line.y, "o" + joined, color=colour, markersize=3.5, linewidth=1.3, label=line.name)
            if line.curve is not None:
                axes.plot(*line.curve, color=colour, linewidth=1.3)
        if len(shown) > 1:
            axes.legend(frameon=False, fontsize=7, handlelength=1.2)
        if unit:
            axes.set_ylim(-0.03, 1.03)
        if log:
            axes.set_xscale("log")
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)

    return Panel(draw)


def drawing(name: str, panels: Sequence[Panel], alt: str, caption: str) -> Drawing:
    """Panels side by side, at most two in a row."""
    return Drawing(name, _grid(panels), alt, caption)


@styled
def _grid(panels: Sequence[Panel]) -> Any:
    rows = (len(panels) + 1) // 2
    figure = new_figure(2.4 * rows)
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for one, panel in zip(axes, panels, strict=False):
        panel.draw(one)
    for one in axes[len(panels) :]:
        one.axis("off")
    return figure
