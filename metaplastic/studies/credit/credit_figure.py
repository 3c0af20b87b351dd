"""Figures of the study of credit assignment: where rules lie in bias and variance; what is along the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.platform.figure_style import CHAMPION, INK, OFF, OTHERS, QUIET, START, ink, new_figure, styled
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.credit.contestants import ERROR, EXACT, OTHER, PERTURBED, REWARDED, SETTLED, TRANSPORT
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.credit.credit_assignment import Course

COLOURS = {
    EXACT: INK,
    TRANSPORT: CHAMPION,
    PERTURBED: START,
    REWARDED: OTHERS[0],
    SETTLED: OTHERS[1],
    OTHER: OTHERS[2],
}
TITLES = ("A  at birth", "B  midway", "C  after learning")
LETTER, HEIGHT = 5.2, 8.5
"""points (1/72 inch) that a letter of a label takes"""
KEY_COLUMNS = 3


def draw_all(courses: Sequence[Course]) -> list[Drawing]:
    """The two of them."""
    return [
        Drawing(
            "bias-variance",
            places(courses),
            "Learning rules as points: how biased and how scattered their changes are, at three moments.",
            "Counterpart of figure 2 of Richards et al. 2019, measured. To the right: bias, the cosine of a rule's "
            "expected change to the gradient of the squared error falls. Upwards: the scatter of single changes, "
            "v / |m|^2. Open points: against the rule's own objective. Mean ± s.e.m. over seeds; letters: see D.",
        ),
        Drawing(
            "aligned-parts",
            shares(courses),
            "Part of a change that lies along the gradient, for each rule, and what a step of it brings.",
            "Counterpart of figure 3 of Richards et al. 2019, measured, for the squared error. Bars: the part of a "
            "change that is aligned with the gradient (1: all of it; the rest, sqrt(1 - x^2), is orthogonal), of a "
            "single decision (dark) and of the mean of 100 (pale). Points: what a step of fixed length really gained, "
            "in units of what the gradient promises for that length: open, of a single change; full, of the mean.",
        ),
    ]


@styled
def places(courses: Sequence[Course]) -> Any:
    """Bias and variance at three moments, and the key."""
    figure = new_figure(9.6)
    grid = figure.add_gridspec(4, 1, height_ratios=(1, 1, 1, 0.42))
    panels = [figure.add_subplot(grid[place]) for place in range(3)]
    scatter = [over_seeds(course.of("noise", moment)).mean for course in courses for moment in range(3)]
    seen = [float(value) for value in scatter if np.isfinite(value) and value > 0]
    low, high = (min(seen) / 3, max(seen) * 4) if seen else (0.1, 10.0)
    for moment, axes in enumerate(panels):
        axes.set(yscale="log", ylim=(low, high), xlim=(1.25, -0.4), title=TITLES[moment], ylabel="scatter  v / |m|²")
        for cosine in (0, 1):
            axes.axvline(cosine, color=OFF, linewidth=0.8, linestyle=":")
    panels[-1].set(xlabel="cosine of the expected change to the gradient  (bias →)")
    _key(figure.add_subplot(grid[3]), courses)
    figure.draw_without_rendering()  # places, which labels are told by
    for moment, axes in enumerate(panels):
        _points(axes, courses, moment)
    return figure


def _points(axes: Any, courses: Sequence[Course], moment: int) -> None:
    """One rule after the other, own objectives open; then the labels."""
    labels: list[tuple[float, float, str, str]] = []
    for course in courses:
        colour = COLOURS[course.contestant.family]
        noise, common = over_seeds(course.of("noise", moment)), over_seeds(course.of("common_cosine", moment))
        x, y, error = float(common.mean), float(noise.mean), float(np.nan_to_num(noise.sem))
        if not (np.isfinite(x) and y > 0):
            continue
        if course.contestant.objective != ERROR:
            own = min(float(over_seeds(course.of("cosine", moment)).mean), 1.2)
            axes.plot([x, own], [y, y], color=colour, linewidth=0.7, linestyle=(0, (1, 2)))
            axes.plot(own, y, "o", color=colour, markersize=4, markerfacecolor="white", markeredgewidth=0.8)
        axes.errorbar(
            min(x, 1.2), y, yerr=[[min(error, 0.9 * y)], [error]], xerr=float(np.nan_to_num(common.sem)),
            color=colour, marker="o", markersize=4, linewidth=0.8, zorder=3 if course.contestant.family == EXACT else 2,
        )  # fmt: skip
        labels.append((min(x, 1.2), y, course.contestant.short, colour))
    _label(axes, labels)


def _label(axes: Any, labels: list[tuple[float, float, str, str]]) -> None:
    """Write each label beside its point, where it covers least; points of a family that touch share one."""
    to_points = 72 / axes.figure.dpi
    spots = [axes.transData.transform((x, y)) * to_points for x, y, _, _ in labels]
    heaps: list[tuple[Any, list[str], str]] = []
    for spot, (_, _, text, colour) in zip(spots, labels, strict=True):
        same = [(other, texts) for other, texts, own in heaps if own in (colour, COLOURS[EXACT])]
        close = [texts for other, texts in same if np.hypot(*(spot - other)) < HEIGHT]
        if close:
            close[0].append(text)
        else:
            heaps.append((spot, [text], colour))
    taken = [(*(spot - 3), *(spot + 3)) for spot in spots]
    for spot, texts, colour in heaps:
        rows = [" ".join(texts[first : first + 4]) for first in range(0, len(texts), 4)]
        size = np.array([LETTER * max(map(len, rows)), HEIGHT * len(rows)])
        shift = _free(spot, size, taken, axes.bbox.get_points() * to_points)
        taken.append((*(spot + shift), *(spot + shift + size)))
        where = axes.transData.inverted().transform(spot / to_points)
        axes.annotate(
            "\n".join(rows), where, xytext=tuple(shift), textcoords="offset points", fontsize=7,
            color=ink(colour), linespacing=1.0, va="bottom", ha="left",
        )  # fmt: skip


def _free(spot: Any, size: Any, taken: list[tuple[float, float, float, float]], frame: Any) -> Any:
    """How far from a point its label's lower left corner stands inside the frame, in points (1/72 inch)."""
    width, height = size
    places = [
        np.array([dx, dy])
        for far in (4.0, 12.0, 20.0, 28.0)
        for dx, dy in (
            (far, far - 3), (far, -height - far + 3), (-width - far, far - 3), (-width - far, -height - far + 3),
            (-width / 2, far), (-width / 2, -height - far),
        )
    ]  # fmt: skip

    def covered(shift: Any) -> float:
        low, high = spot + shift, spot + shift + size
        outside = bool((low < frame[0]).any() or (high > frame[1]).any())
        met = sum(low[0] < x1 and x0 < high[0] and low[1] < y1 and y0 < high[1] for x0, y0, x1, y1 in taken)
        return float(met + 100 * outside)

    return min(places, key=covered)


def _key(axes: Any, courses: Sequence[Course]) -> None:
    """What the letters stand for."""
    axes.set_axis_off()
    axes.set(xlim=(0, KEY_COLUMNS), ylim=(0, 1))
    rows = -(-len(courses) // KEY_COLUMNS)
    for place, course in enumerate(courses):
        one, left, height = course.contestant, place // rows, 1 - (place % rows) / rows
        colour = ink(COLOURS[one.family])
        axes.text(left, height, one.short, fontsize=7.5, color=colour, va="top", weight="bold")
        axes.text(left + 0.2, height, one.name, fontsize=7.5, color=colour, va="top")


@styled
def shares(courses: Sequence[Course]) -> Any:
    """Aligned parts and gains, at birth and after learning."""
    figure = new_figure(0.6 + 0.24 * max(len(courses), 4))
    figure.get_layout_engine().set(rect=(0.03, 0, 0.97, 1))
    panels = figure.subplots(1, 2, sharey=True)
    heights = np.arange(len(courses))[::-1]
    for axes, moment, title in zip(panels, (0, 2), ("A  at birth", "B  after learning"), strict=True):
        for height, course in zip(heights, courses, strict=True):
            colour = COLOURS[course.contestant.family]
            for name, width, alpha in (("mean", 0.72, 0.35), ("single", 0.4, 1.0)):
                aligned = over_seeds(course.of(f"{name}_aligned", moment))
                axes.barh(height, float(aligned.mean), height=width, color=colour, alpha=alpha, linewidth=0)
            for name, face in (("single", "white"), ("mean", INK)):
                gain = over_seeds(course.of(f"{name}_realised", moment))
                axes.errorbar(
                    float(gain.mean), height, xerr=float(np.nan_to_num(gain.sem)), color=INK, marker="D",
                    markersize=3, markerfacecolor=face, markeredgewidth=0.7, linewidth=0.7,
                )  # fmt: skip
        axes.axvline(0, color=QUIET, linewidth=0.8)
        axes.set(title=title, xlim=(-0.6, 1.05), ylim=(-0.7, len(courses) - 0.3), xlabel="along the gradient; gain")
        axes.set_yticks(heights, [course.contestant.name for course in courses], fontsize=7.5)
    return figure
