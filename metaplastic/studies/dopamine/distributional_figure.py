"""Figures of the distributional study: reversal points, asymmetries, the decoded distribution, optimists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.platform.figure_style import CEILING, CHAMPION, OFF, START, new_figure, styled
from metaplastic.studies.analysis.distributional import (
    CHANCES,
    MAGNITUDES,
    Decoding,
    asymmetry,
    expectile,
    halves,
    reversal_points,
)
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.distributional import Found, Population

OWN, SAME = CHAMPION, START


def draw(found: Found) -> list[Drawing]:
    """The one figure."""
    return [
        Drawing(
            "distributional",
            panels(found),
            "Reversal points rise with the asymmetry of cells; the decoded distribution follows the true one.",
            "A: V of every cell against tau (population 0; blue distributional, orange classical) and the exact "
            "expectiles. B: the same from noisy answers, reversal points of one half of the trials against asymmetries "
            "of the other (rewards are seven, so reversal points are few). C: cumulative distribution of rewards, the "
            "true one and what is decoded from cells. D: cells by where their answer to the 50 % cue lies between "
            "those to 10 % and 90 %; all populations.",
        )
    ]


@styled
def panels(found: Found) -> Any:
    """Four of them."""
    figure = new_figure(5.2)
    (a, b), (c, d) = figure.subplots(2, 2)
    own, same = found.distributional[0], found.classical[0]
    _learned(a, own, same)
    _estimated(b, own, same)
    _decoded(c, found.decoded[0])
    _hopes(d, found)
    for axes, letter in ((a, "A"), (b, "B"), (c, "C"), (d, "D")):
        axes.set_title(f"{letter}  {axes.get_title(loc='left')}", loc="left")
    return figure


def _learned(axes: Any, own: Population, same: Population) -> None:
    tau = np.linspace(0.02, 0.98, 97)
    exact = [expectile(MAGNITUDES, CHANCES, t) for t in tau]
    axes.plot(tau, exact, color=CEILING, linewidth=1, linestyle="--", label="exact expectile")
    axes.scatter(own.tau, own.value, s=12, color=OWN, label="distributional")
    axes.scatter(same.tau, same.value, s=12, color=SAME, marker="s", label="classical")
    axes.set(title="learned", xlabel="tau = up / (up + down)", ylabel="V (µl)", xlim=(0, 1))
    axes.legend(frameon=False, fontsize=8, loc="upper left", handletextpad=0.4)


def _estimated(axes: Any, own: Population, same: Population) -> None:
    for one, colour, mark in ((own, OWN, "o"), (same, SAME, "s")):
        first, second = halves(len(one.reward))
        z = reversal_points(one.response[first], one.reward[first])
        tau = asymmetry(
            one.response[second], one.reward[second], reversal_points(one.response[second], one.reward[second])
        )
        axes.scatter(tau, z, s=12, color=colour, marker=mark, alpha=0.8)
    axes.set(title="estimated, halves apart", xlabel="asymmetry, half 2", ylabel="reversal point, half 1 (µl)")
    axes.set_xlim(0, 1)


def _decoded(axes: Any, decoded: Decoding) -> None:
    top = MAGNITUDES.max()
    axes.step([0, *MAGNITUDES, top * 1.05], [0, *np.cumsum(CHANCES), 1], where="post", color=CEILING, label="true")
    samples = np.sort(decoded.samples)
    axes.step(samples, np.arange(1, len(samples) + 1) / len(samples), where="post", color=OWN, label="decoded")
    axes.set(title="distribution", xlabel="reward (µl)", ylabel="share below", xlim=(0, top * 1.05), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    text = f"W1: {decoded.real:.2f} µl\ntau shuffled {decoded.shuffled:.2f}\nGaussian {decoded.gaussian:.2f}"
    axes.annotate(text, (0.98, 0.32), xycoords="axes fraction", fontsize=8, ha="right", va="bottom")


def _hopes(axes: Any, found: Found) -> None:
    edges = np.linspace(0, 1, 21)
    for populations, colour, label in (
        (found.distributional, OWN, "distributional"),
        (found.classical, SAME, "classical"),
    ):
        values = np.concatenate([one.optimism for one in populations])
        counts = np.histogram(values, edges)[0] / len(values)
        axes.stairs(counts, edges, color=colour, fill=True, alpha=0.55, label=label)
    axes.axvline(0.5, color=OFF, linewidth=1, linestyle=":")
    axes.set(title="variable probability", ylabel="share of cells", xlim=(0, 1))
    axes.set_xlabel("50 % cue: 0 as 10 %, 1 as 90 %")
    axes.text(0.02, 0.97, "pessimists", transform=axes.transAxes, fontsize=8, va="top")
    axes.text(0.98, 0.97, "optimists", transform=axes.transAxes, fontsize=8, va="top", ha="right")
