"""Figures of a champion: how it compares, how it learns within a life, what each term of its rule is for.

Each function takes what `run_results` read and gives a matplotlib `Figure`; nothing is shown, nothing is written.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any

from metaplastic.platform.figure_style import (
    CEILING,
    CHAMPION,
    LINE,
    OFF,
    OTHERS,
    QUIET,
    START,
    ink,
    label_ends,
    literal,
    new_figure,
    styled,
    whole_numbers,
)
from metaplastic.platform.run_results import Ablation, Comparison, Entry, finite

GOLDEN = 0.618033988749895
"""multiples of it, modulo 1, spread evenly: the dots' scatter, the same on every drawing"""


def entry_colours(entries: list[Entry]) -> list[str]:
    """One colour an entry, the same in every figure: by role, controls in order."""
    fixed = {"champion": CHAMPION, "start": START, "ceiling": CEILING}
    others = iter(OTHERS * (len(entries) // len(OTHERS) + 1))
    return [fixed.get(e.role) or (OFF if e.name == "plasticity off" else next(others)) for e in entries]


def ranked(entries: list[Entry]) -> list[int]:
    """Places of the entries, best mean first; those without a mean come last."""
    return sorted(range(len(entries)), key=lambda i: -entries[i].mean if math.isfinite(entries[i].mean) else math.inf)


@styled
def comparison(data: Comparison) -> Any:
    """Horizontal bars of the mean score, best on top, a dot for every lifetime, chance and ceiling as lines."""
    order, colours = ranked(data.entries)[::-1], entry_colours(data.entries)
    figure = new_figure(0.95 + 0.48 * len(order))
    axes = figure.add_subplot()
    for row, index in enumerate(order):
        entry, colour = data.entries[index], colours[index]
        axes.barh(row, entry.mean, height=0.62, color=colour, alpha=0.3, linewidth=0)
        _dots(axes, row, entry.scores, colour)
        if math.isfinite(entry.mean):
            axes.plot([entry.mean] * 2, [row - 0.31, row + 0.31], color=ink(colour), linewidth=2)
        axes.annotate(
            plus_minus(entry.mean, entry.sd),
            (1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=ink(colour),
        )
    names = ["\n".join(textwrap.wrap(literal(data.entries[i].name, 48), 24)) for i in order]
    axes.set_yticks(range(len(order)), names)
    for label, index in zip(axes.get_yticklabels(), order, strict=True):
        label.set_fontweight("bold" if data.entries[index].role == "champion" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(order) - 0.4)
    _reference_lines(axes, data)
    axes.set_xlabel(f"{literal(data.score_name)} in the test trials")
    return figure


def _dots(axes: Any, row: int, scores: list[float], colour: str) -> None:
    """One dot a lifetime, scattered a little across its bar."""
    scatter = [row + 0.4 * ((n * GOLDEN) % 1 - 0.5) for n in range(len(scores))]
    axes.scatter(scores, scatter, s=9, color=colour, alpha=0.65, linewidths=0)


def _reference_lines(axes: Any, data: Comparison) -> None:
    """Chance and ceiling, named above the axes."""
    low, high = axes.get_xlim()
    lines = [("chance", data.chance), ("ceiling", data.ceiling)]
    wide = [value for _, value in lines if math.isfinite(value)]
    low, high = min([low, 0.0, *wide]), max([high, *wide])
    axes.set_xlim(low if low == 0 else low - 0.02 * (high - low), high + 0.02 * (high - low))
    axes.axvline(0, color=QUIET, linewidth=0.8)
    close = abs(data.ceiling - data.chance) < 0.25 * (high - low)
    for (name, value), side in zip(lines, ("right", "left") if close else ("center", "center"), strict=True):
        if math.isfinite(value):
            axes.axvline(value, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=0.5)
            axes.annotate(
                f"{name} {value:.3g}",
                (value, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha=side,
                va="bottom",
                fontsize=8.5,
                color=QUIET,
            )


def plus_minus(mean: float, sd: float) -> str:
    """`0.912 ± 0.031`, the way numbers stand in figures and tables; a dash for what is missing."""
    return f"{shown(mean)} ± {shown(sd)}" if math.isfinite(sd) else shown(mean)


def shown(value: float) -> str:
    """Three decimals, or four digits for large and tiny numbers; a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value == 0 or 1e-3 <= abs(value) < 1000 else f"{value:.4g}"


@styled
def learning_curves(data: Comparison) -> Any:
    """Score against trials of a lifetime: mean over lifetimes, band ± sd, each line named at its end."""
    figure = new_figure(max(3.3, 0.8 + LINE * len(data.entries)))
    axes = figure.add_subplot()
    ends: list[tuple[float, str, str]] = []
    for entry, colour in zip(data.entries, entry_colours(data.entries), strict=True):
        if not finite(entry.curve):
            continue
        blocks = len(entry.curve)
        x = [(block + 0.5) * (data.trials or blocks) / blocks for block in range(blocks)]
        champion = entry.role == "champion"
        axes.plot(x, entry.curve, color=colour, linewidth=2.4 if champion else 1.6, marker="" if blocks > 1 else "o")
        if len(entry.curve_sd) == blocks:
            low, high = zip(*[(m - s, m + s) for m, s in zip(entry.curve, entry.curve_sd, strict=True)], strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)
        ends.append((finite(entry.curve)[-1], literal(entry.name, 26), colour))
    for name, value in (("chance", data.chance), ("ceiling", data.ceiling)):
        if math.isfinite(value):
            axes.axhline(value, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=0.5)
            ends.append((value, name, QUIET))
    axes.set_xlim(0, data.trials or None)
    whole_numbers(axes)
    axes.set_xlabel("trials lived" if data.trials else "block of trials")
    axes.set_ylabel(literal(data.score_name))
    label_ends(axes, ends)
    return figure


@styled
def ablation(rows: list[Ablation], whole: float, score_name: str = "score") -> Any:
    """Horizontal bars of the score without each term, and the score of the whole rule as a line."""
    from metaplastic.platform.figure_formula import fits

    figure = new_figure(0.95 + 0.42 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(reversed(rows)):
        axes.barh(place, row.mean, height=0.6, color=CHAMPION, alpha=0.35, linewidth=0)
        _dots(axes, place, row.scores, CHAMPION)
        if math.isfinite(row.mean):
            axes.plot([row.mean] * 2, [place - 0.3, place + 0.3], color=ink(CHAMPION), linewidth=2)
    drawn = [bool(row.latex) and fits(row.latex) for row in reversed(rows)]
    names = [f"${row.latex}$" if ok else literal(row.without, 36) for row, ok in zip(rows[::-1], drawn, strict=True)]
    axes.set_yticks(range(len(rows)), names)
    for label, ok in zip(axes.get_yticklabels(), drawn, strict=True):
        label.set_fontsize(11 if ok else 8.5)
    axes.annotate(
        "without", (0.0, 1.0), xycoords="axes fraction", xytext=(-6, 3), textcoords="offset points", ha="right",
        va="bottom", fontsize=8.5, color=QUIET,
    )  # fmt: skip
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if math.isfinite(whole):
        axes.axvline(whole, color=CHAMPION, linewidth=1.4)
        axes.annotate(
            f"whole rule {whole:.3g}",
            (whole, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8.5,
            color=ink(CHAMPION),
        )
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), None)
    axes.set_xlabel(literal(score_name))
    return figure
