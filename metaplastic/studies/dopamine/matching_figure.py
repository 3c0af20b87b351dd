"""Figures of the matching study: matching, weights of the past, what units code (Fig. 2 of Wang et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from metaplastic.inner_loop.agents.training import History
from metaplastic.platform.figure_style import CEILING, CHAMPION, OFF, OTHERS, START, label_ends, new_figure, styled
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.dopamine.training_figure import training_panel
from metaplastic.studies.study import Drawing
from metaplastic.tasks.bandits.baited import BaitedBandit

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.matching import Found

UNIT_LABELS = ("last\naction", "last\nreward", "action ×\nreward", "value")


def draw(
    found: Sequence[Found], is_held_out: Bool[np.ndarray, " E"], history: History, test: BaitedBandit
) -> list[Drawing]:
    """All of them."""
    return [
        Drawing(
            "matching",
            behaviour(found, is_held_out),
            "Ratios of choices follow ratios of rewards, and choices follow the rewards of several trials.",
            "Left: an episode a point (seed 0), logarithms to base 2, with its line; probabilities that training held "
            "out lie on the same line. The dashed line is perfect matching. Right: weights of past rewards and choices "
            "(log odds, mean ± s.e.m. over seeds).",
        ),
        Drawing(
            "units",
            units(found, history, test),
            "Units code the last action, the last reward and the value; training of all seeds.",
            "Left: partial correlation of each unit of seed 0 (dots) with a variable, the others partialled out; bars "
            "are means over units and seeds. Right: reward a trial in training, a line a seed.",
        ),
    ]


@styled
def behaviour(found: Sequence[Found], is_held_out: Bool[np.ndarray, " E"]) -> Any:
    """Matching and kernels."""
    figure = new_figure(2.9)
    left, right = figure.subplots(1, 2)
    one = found[0].all
    for part, colour, label in ((~is_held_out, CHAMPION, "held in"), (is_held_out, START, "held out")):
        x, y = one.log_rewards[part], one.log_choices[part]
        left.scatter(x, y, s=5, color=colour, alpha=0.5, linewidth=0, label=label, rasterized=True)
    ends = np.array([-4.0, 4.0])
    left.plot(ends, ends, color=CEILING, linestyle="--", linewidth=1)
    left.plot(ends, one.slope * ends + one.intercept, color=CEILING, linewidth=1.2)
    left.annotate(f"slope {one.slope:.2f}", (0.97, 0.05), xycoords="axes fraction", ha="right", fontsize=8.5)
    left.set_xlim(-4, 4)
    left.set_ylim(-4, 4)
    left.set_xlabel("log₂ ratio of rewards")
    left.set_ylabel("log₂ ratio of choices")
    left.legend(frameon=False, fontsize=8, loc="upper left", handletextpad=0.2, markerscale=2)
    _kernels(right, found)
    return figure


def _kernels(axes: Any, found: Sequence[Found]) -> None:
    names = []
    for name, colour in (("reward", CHAMPION), ("choice", OTHERS[1])):
        curve = over_seeds(np.array([getattr(one.kernels, name) for one in found]))
        back = np.arange(1, len(curve.mean) + 1)
        axes.errorbar(back, curve.mean, np.nan_to_num(curve.sem), color=colour, marker="o", markersize=3)
        names.append((float(curve.mean[-1]), name, colour))
    axes.axhline(0, color=OFF, linewidth=0.8, linestyle=":")
    axes.set_xlabel("trials back")
    axes.set_ylabel("weight (log odds)")
    label_ends(axes, names)


@styled
def units(found: Sequence[Found], history: History, test: BaitedBandit) -> Any:
    """Partial correlations and training."""
    figure = new_figure(2.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    each = np.abs(found[0].coding)
    means = over_seeds(np.array([np.abs(one.coding).mean(0) for one in found]))
    left.bar(range(4), means.mean, 0.6, yerr=np.nan_to_num(means.sem), color=CHAMPION, alpha=0.45)
    for place in range(4):
        left.scatter(place + np.linspace(-0.22, 0.22, len(each)), each[:, place], s=4, color=CHAMPION, linewidth=0)
    left.set_xticks(range(4), UNIT_LABELS)
    left.set_ylim(0, 1)
    left.set_ylabel("|partial r| of units")
    training_panel(right, history, {"random": test.spec.chance, "knows p": test.spec.ceiling})
    return figure
