"""Figures of a search: fitness and genes over generations, the Pareto front, the archive of kinds of brains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from metaplastic.platform.figure_style import (
    CHAMPION,
    LINE,
    OFF,
    QUIET,
    START,
    label_ends,
    literal,
    new_figure,
    styled,
    whole_numbers,
)
from metaplastic.platform.run_results import Archive, FitnessHistory, GeneHistory, Pareto, finite

POINTS = 400
"""of a line; a longer search is thinned, its first and last generation kept"""
PANELS = 24
"""genes that are drawn; a report of hundreds would not be read"""
ROW = 1.35
"""inches of a row of gene panels"""

Item = TypeVar("Item")


def thin(values: Sequence[Item]) -> list[Item]:
    """At most POINTS of the values, evenly spaced, the first and the last among them."""
    if len(values) <= POINTS:
        return list(values)
    return [values[round(place * (len(values) - 1) / (POINTS - 1))] for place in range(POINTS)]


@styled
def fitness(histories: list[FitnessHistory]) -> Any:
    """A panel an objective: quantile bands of the population, its median, the generation's best and the best so far."""
    figure = new_figure(0.5 + 2.7 * len(histories))
    panels = figure.subplots(len(histories), 1, sharex=True, squeeze=False)[:, 0]
    for index, (axes, history) in enumerate(zip(panels, histories, strict=True)):
        x = thin(history.generation)
        quantile = {percent: thin(values) for percent, values in history.quantiles.items()}
        marker = "o" if len(x) == 1 else ""
        axes.fill_between(x, quantile[5], quantile[95], color=CHAMPION, alpha=0.13, linewidth=0)
        axes.fill_between(x, quantile[25], quantile[75], color=CHAMPION, alpha=0.25, linewidth=0)
        who = "best so far" if index == 0 else f"best by {literal(histories[0].name, 12)}"
        lines = [
            (who, history.best_so_far, START, 1.8),
            ("best", history.best, OFF, 1.0),
            ("median", quantile[50], CHAMPION, 1.8),
        ]
        for _, values, colour, width in lines:
            axes.plot(x, thin(values), color=colour, linewidth=width, marker=marker, markersize=4)
        axes.set_ylabel(f"fitness ({literal(history.name, 24)})")
        axes.margins(x=0)
        label_ends(axes, [(finite(v)[-1], name, colour) for name, v, colour, _ in lines if finite(v)])
    panels[-1].set_xlabel("generation")
    whole_numbers(panels[-1])
    return figure


@styled
def genes(histories: list[GeneHistory]) -> Any:
    """Small panels, one a gene: the population's bands and middle, the champion's value; the axis is the range."""
    shown = histories[:PANELS]
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    two_lines = any(len(_title(history.name)) > 1 for history in shown)
    figure = new_figure(0.35 + (ROW + LINE * two_lines) * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for axes, history in zip(panels, shown, strict=False):
        _gene(axes, history)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(shown) - columns) : len(shown)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("generation", fontsize=9)
    return figure


def _gene(axes: Any, history: GeneHistory) -> None:
    x, log = thin(history.generation), history.log and history.low > 0
    low, middle, high = bands(history)
    floor = history.low if log else -math.inf  # a log axis has no place for what lies at or below 0
    for bottom, top, alpha in zip(low, high, (0.13, 0.25), strict=False):
        axes.fill_between(x, np.fmax(thin(bottom), floor), thin(top), color=CHAMPION, alpha=alpha, linewidth=0)
    axes.plot(x, thin(middle), color=CHAMPION, linewidth=1.5, marker="o" if len(x) == 1 else "", markersize=3)
    axes.plot(x[-1], history.champion, color=START, marker="o", markersize=5, clip_on=False, zorder=3)
    if log:
        axes.set_yscale("log")
    if history.low < history.high:
        _limits(axes, history.low, history.high, log)
    axes.margins(x=0)
    whole_numbers(axes)
    axes.set_title("\n".join(literal(line) for line in _title(history.name)), fontsize=8)
    axes.tick_params(labelsize=7.5)


def bands(history: GeneHistory) -> tuple[list[list[float]], list[float], list[list[float]]]:
    """Lower borders, middle, upper borders: 5, 25, 50, 75, 95 %; mean ± sd of records that have no quantiles.

    Quantiles mean the same on a linear and on a log axis, mean ± sd does not.
    """
    quantile = history.quantiles
    if finite(quantile[50]):
        return [quantile[5], quantile[25]], quantile[50], [quantile[95], quantile[75]]
    pairs = list(zip(history.mean, history.sd, strict=True))
    return [[mean - sd for mean, sd in pairs]], history.mean, [[mean + sd for mean, sd in pairs]]


def _title(name: str, room: int = 22) -> list[str]:
    """A gene's name in a panel's width: where it is long, the place on one line and the last part on another."""
    if len(name) <= room:
        return [name]
    place, dot, last = name.rpartition(".")
    return [_end_of(line, room) for line in (place + dot, last) if line]


def _end_of(text: str, room: int) -> str:
    return text if len(text) <= room else "…" + text[1 - room :]


def _limits(axes: Any, low: float, high: float, log: bool) -> None:
    """The axis is the range, a little more so that lines at its ends are seen; ticks at its ends and its middle."""
    from matplotlib.ticker import NullLocator

    middle = math.sqrt(low * high) if log else (low + high) / 2
    margin = (high / low) ** 0.03 if log else 0.03 * (high - low)
    axes.set_ylim(*((low / margin, high * margin) if log else (low - margin, high + margin)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks([low, middle, high], [f"{value:.3g}".replace("-", "−") for value in (low, middle, high)])
    for end in (low, high):
        axes.axhline(end, color=QUIET, linewidth=0.6, alpha=0.5, zorder=0.5)


@styled
def pareto(data: Pareto) -> Any:
    """The first objective against each of the others: everybody in grey, whom nobody dominates in colour."""
    count = len(data.objectives) - 1
    figure = new_figure(3.6 if count == 1 else 0.4 + 2.9 * count)
    points, front = np.array(data.points, dtype=float), np.array(sorted(set(data.front)), dtype=int)
    for number, axes in enumerate(figure.subplots(count, 1, squeeze=False)[:, 0], start=1):
        rest = np.delete(points, front, axis=0)
        axes.scatter(rest[:, 0], rest[:, number], s=14, color=OFF, alpha=0.5, linewidths=0)
        best = points[front][np.argsort(points[front][:, 0])]
        if count == 1:
            axes.plot(best[:, 0], best[:, 1], color=CHAMPION, linewidth=1, alpha=0.6)
        axes.scatter(best[:, 0], best[:, number], s=26, color=CHAMPION, linewidths=0, zorder=3)
        axes.set_xlabel(literal(data.objectives[0]))
        axes.set_ylabel(literal(data.objectives[number]))
    return figure


@styled
def archive(data: Archive) -> Any:
    """Fitness by cell of behaviour; of more than two measures the first two, with the best over the others."""
    figure = new_figure(2.6 if len(data.shape) == 1 else 3.8)
    axes = figure.add_subplot()
    limits = data.ranges or [[0, size] for size in data.shape]
    unit = "" if data.ranges else " (cell)"
    if len(data.shape) == 1:
        width = (limits[0][1] - limits[0][0]) / data.shape[0]
        centres = [limits[0][0] + (cell[0] + 0.5) * width for cell in data.cells]
        axes.scatter(centres, [cell[-1] for cell in data.cells], color=CHAMPION, s=18, linewidths=0)
        axes.set_xlim(*limits[0])
        axes.set_ylabel("fitness")
    else:
        grid = np.full(data.shape[:2], np.nan)
        for cell in data.cells:
            place = int(cell[0]), int(cell[1])
            grid[place] = np.fmax(grid[place], cell[-1])
        axes.set_facecolor("#f1f1f1")
        look: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "cmap": "viridis"}
        cells = axes.imshow(grid.T, extent=(*limits[0], *limits[1]), **look)
        bar = figure.colorbar(cells, ax=axes, label="fitness", pad=0.02)
        bar.outline.set_visible(False)
        axes.set_ylabel(literal(data.measures[1]) + unit)
    axes.set_xlabel(literal(data.measures[0]) + unit)
    axes.tick_params(color=QUIET)
    return figure
