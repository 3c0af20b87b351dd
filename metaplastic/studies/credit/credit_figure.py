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
NEAR = (0.045, 0.14)
"""of the panel's width and height: points nearer than that share a label"""


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
            "in units of what the gradient promises for that length: open, of a single change; full, of the mean of 100.",
        ),
    ]


@styled
def places(courses: Sequence[Course]) -> Any:
    """Bias and variance at three moments, and the key."""
    figure = new_figure(6.4)
    grid = figure.add_gridspec(2, 2)
    panels = [figure.add_subplot(grid[place]) for place in range(3)]
    scatter = [over_seeds(course.of("noise", moment)).mean for course in courses for moment in range(3)]
    seen = [float(value) for value in scatter if np.isfinite(value) and value > 0]
    low, high = (min(seen) / 2, max(seen) * 3) if seen else (0.1, 10.0)
    for moment, axes in enumerate(panels):
        axes.set(yscale="log", ylim=(low, high), xlim=(1.12, -0.35), xticks=(1, 0.5, 0), title=TITLES[moment])
        axes.axvline(1, color=OFF, linewidth=0.8, linestyle=":")
        axes.axvline(0, color=OFF, linewidth=0.8, linestyle=":")
        axes.set(xlabel="cosine to the gradient  (bias →)", ylabel="scatter  v / |m|²")
        _points(axes, courses, moment)
    _key(figure.add_subplot(grid[3]), courses)
    return figure


def _points(axes: Any, courses: Sequence[Course], moment: int) -> None:
    labels: list[tuple[float, float, str, str]] = []
    for course in courses:
        colour = COLOURS[course.contestant.family]
        noise = over_seeds(course.of("noise", moment))
        x, y = over_seeds(course.of("common_cosine", moment)), float(noise.mean)
        if not (np.isfinite(x.mean) and y > 0):
            continue
        spread = [[min(float(np.nan_to_num(noise.sem)), 0.9 * y)], [float(np.nan_to_num(noise.sem))]]
        if course.contestant.objective != ERROR:
            own = over_seeds(course.of("cosine", moment))
            axes.plot([float(x.mean), float(own.mean)], [y, y], color=colour, linewidth=0.6, alpha=0.6)
            axes.errorbar(
                float(own.mean), y, xerr=float(np.nan_to_num(own.sem)),
                color=colour, marker="o", markersize=4, markerfacecolor="white", linewidth=0.8,
            )  # fmt: skip
        axes.errorbar(
            float(x.mean), y, yerr=spread, xerr=float(np.nan_to_num(x.sem)),
            color=colour, marker="o", markersize=4, linewidth=0.8,
        )  # fmt: skip
        labels.append((float(x.mean), y, course.contestant.short, colour))
    _label(axes, labels)


def _label(axes: Any, labels: list[tuple[float, float, str, str]]) -> None:
    """A label at each point; points that lie together have one."""
    right, left = axes.get_xlim()
    bottom, top = (np.log(value) for value in axes.get_ylim())
    heaps: list[tuple[float, float, list[str], str]] = []
    for x, y, text, colour in labels:
        for place_x, place_y, texts, _ in heaps:
            near_x = abs(x - place_x) / abs(right - left) < NEAR[0]
            if near_x and abs(np.log(y / place_y)) / (top - bottom) < NEAR[1] / 2:
                texts.append(text)
                break
        else:
            heaps.append((x, y, [text], colour))
    for x, y, texts, colour in heaps:
        rows = [" ".join(texts[first : first + 3]) for first in range(0, len(texts), 3)]
        axes.annotate(
            "\n".join(rows), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7, color=ink(colour),
            linespacing=1.0, annotation_clip=True,
        )  # fmt: skip


def _key(axes: Any, courses: Sequence[Course]) -> None:
    """What the letters stand for."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1), title="D  rules")
    for place, course in enumerate(courses):
        one, height = course.contestant, 0.98 - place / max(len(courses), 12)
        colour = ink(COLOURS[one.family])
        axes.text(0.0, height, one.short, fontsize=7.5, color=colour, va="top", weight="bold")
        axes.text(0.13, height, one.name, fontsize=7.5, color=colour, va="top")


@styled
def shares(courses: Sequence[Course]) -> Any:
    """Aligned parts and gains, at birth and after learning."""
    figure = new_figure(0.6 + 0.24 * max(len(courses), 4))
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
