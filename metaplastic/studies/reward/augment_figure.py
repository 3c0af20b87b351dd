"""Figure of the AuGMEnT study: share right over the trials, and how many networks are done after how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.platform.figure_style import CHAMPION, INK, OFF, START, label_ends, new_figure, styled
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.reward.augment import Found

COLOURS = (CHAMPION, START, OFF, INK)
PUBLISHED = 4100
FORGETS = "memory units forget at once"
SHOWN = ("with shaping", "without shaping", FORGETS, "nothing is written")


def draw(found: dict[str, Found]) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "augment",
            panels(found),
            "Most networks learn within a few thousand trials, fewer without the small reward, none without memory.",
            "Left: share of right trials in each hundred, mean over networks; at the bottom nothing is written. Right: "
            "share of networks that have learned by then; the dotted line is the published median. Same colours, same "
            "populations.",
        )
    ]


@styled
def panels(found: dict[str, Found]) -> Any:
    """Two of them."""
    figure = new_figure(3.0)
    left, right = figure.subplots(1, 2)
    ends = []
    for name, colour in zip(SHOWN, COLOURS, strict=True):
        one = found[name]
        trials = 100 * np.arange(1, 1 + len(one.curve))
        left.plot(trials / 1000, one.curve, color=colour, linewidth=1.2)
        if name == FORGETS:
            left.text(25, one.curve[-1] - 0.03, "memory forgets", color=colour, ha="right", va="top", fontsize=8)
        when = np.sort(one.when[one.when > 0])
        share = np.arange(1, 1 + len(when)) / len(one.when)
        right.step([0, *(when / 1000), 25], [0, *share, share[-1] if len(when) else 0], color=colour, where="post")
        if name in ("with shaping", "without shaping"):
            ends.append((share[-1] if len(when) else 0.0, name, colour))
    right.axvline(PUBLISHED / 1000, color=INK, linewidth=0.8, linestyle=":")
    left.set(xlabel="thousand trials", ylabel="share right", ylim=(0, 1.02))
    right.set(xlabel="thousand trials", ylabel="share of networks", ylim=(0, 1.02), xlim=(0, 25))
    figure.draw_without_rendering()  # places, which the labels at the ends are told by
    label_ends(right, ends)
    return figure
