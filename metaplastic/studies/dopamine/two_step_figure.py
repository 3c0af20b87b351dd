"""Figures of the two-step study: choices and errors, as in Fig. 5 of Wang et al. 2018, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from metaplastic.inner_loop.agents.training import History
from metaplastic.platform.figure_style import CEILING, CHAMPION, OFF, OTHERS, START, new_figure, styled
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.analysis.two_step_errors import model_based_errors, model_free_errors
from metaplastic.studies.dopamine.training_figure import training_panel
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.two_step import Controls, Found, Reference, Seen

COMMON, UNCOMMON = CHAMPION, START
POINTS = 1500
"""dots of a scatter"""


def draw(
    found: Sequence[Found],
    seen: Sequence[Seen],
    known: Mapping[str, Reference],
    controls: Controls,
    history: History,
    kept: Bool[np.ndarray, " T"],
) -> list[Drawing]:
    """All of them; `kept` are the trials whose errors are shown."""
    return [
        Drawing(
            "choices",
            choices(found, known),
            "Stay probabilities of the agent, of an ideal planner and of SARSA, and weights of past trials.",
            "Above: probability of the same first choice again, by reward and transition of the trial before; bars are "
            "means, dots seeds. The agent stays as the ideal planner does. Below: weights of the last five trials "
            "(mean ± s.e.m. over seeds): what matters is reward by transition, not reward.",
        ),
        Drawing(
            "errors",
            errors(found, seen, kept),
            "The agent's prediction errors against those of a planner and of SARSA, and the shares they explain.",
            "Above: errors of one agent (seed 0) at both stages, against those of the references that lived the same "
            "trials. Below: explained variance, a dot a seed, and the agent's mean errors by event (± s.e.m.). Raw r² "
            "of MF is high because both references have the same error at the outcome; its unique share counts.",
        ),
        Drawing(
            "training",
            training(history, controls),
            "Reward a trial over training, rising from chance to the ideal.",
            "Reward a trial during training (lines: seeds; thick: mean), and of the controls after it (dots: seeds).",
        ),
    ]


@styled
def choices(found: Sequence[Found], known: Mapping[str, Reference]) -> Any:
    """Stay probabilities beside the references, and weights over lags."""
    figure = new_figure(4.9)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1))
    panels = top.subplots(1, 3, sharey=True)
    agents = np.array([f.stays for f in found])
    for axes, (name, values) in zip(
        panels, [("agent", agents), *((name, np.array([r.stays])) for name, r in known.items())], strict=True
    ):
        _stay_bars(axes, values)
        axes.set_title({"agent": "LSTM", "Bayes": "ideal planner"}.get(name, name))
    panels[0].set_ylabel("stay probability")
    panels[1].legend(frameon=False, fontsize=7.5, ncols=2, loc="upper right", handlelength=0.7, columnspacing=0.8)
    left, right = bottom.subplots(1, 2, sharey=True)
    _lag_lines(left, [f.lags for f in found])
    left.set_title("LSTM")
    left.set_ylabel("weight (log odds)")
    _lag_lines(right, [known["SARSA(1)"].lags])
    right.set_title("SARSA(1)")
    right.legend(frameon=False, fontsize=7.5, handlelength=2.2, loc="upper right", borderaxespad=0, labelspacing=0.2)
    return figure


def _stay_bars(axes: Any, values: np.ndarray) -> None:
    """Columns CR, UR, CU, UU."""
    for place, colour, offset, label in ((0, COMMON, -0.2, "common"), (1, UNCOMMON, 0.2, "uncommon")):
        columns = values[:, [place, place + 2]]
        at = np.arange(2) + offset
        axes.bar(at, columns.mean(0), 0.36, color=colour, alpha=0.75, label=label)
        if len(columns) > 1:
            jitter = np.linspace(-0.09, 0.09, len(columns))
            axes.scatter(np.add.outer(jitter, at), columns, s=7, color="white", edgecolor="#222222", linewidth=0.6)
    axes.axhline(0.5, color=OFF, linewidth=0.8, linestyle=":")
    axes.set_xticks((0, 1), ("rewarded", "unrewarded"))
    axes.set_ylim(0, 1.25)
    axes.set_yticks((0, 0.5, 1))


def _lag_lines(axes: Any, lags: Sequence[Any]) -> None:
    kinds = (
        ("common_rewarded", "common, rewarded", COMMON, "-"),
        ("uncommon_rewarded", "uncommon, rewarded", UNCOMMON, "-"),
        ("common_unrewarded", "common, unrewarded", COMMON, "--"),
        ("uncommon_unrewarded", "uncommon, unrewarded", UNCOMMON, "--"),
    )
    back = np.arange(1, len(lags[0].common_rewarded) + 1)
    for field, label, colour, dashes in kinds:
        curve = over_seeds(np.array([getattr(one, field) for one in lags]))
        error = np.nan_to_num(curve.sem)
        axes.errorbar(back, curve.mean, error, color=colour, linestyle=dashes, marker="o", markersize=3, label=label)
    axes.axhline(0, color=OFF, linewidth=0.8, linestyle=":")
    axes.set_xlabel("trials back")
    axes.set_xticks(back)


@styled
def errors(found: Sequence[Found], seen: Sequence[Seen], kept: Bool[np.ndarray, " T"]) -> Any:
    """Scatters of one seed, shares of all, means by event."""
    figure = new_figure(5.2)
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1))
    panels = above.subplots(1, 2, sharey=True)
    one, alpha = seen[0], found[0].shares.alpha
    lived = one.recorded
    for axes, name, reference, column in (
        (panels[0], "planner (MB)", model_based_errors(lived, alpha), 0),
        (panels[1], "SARSA(1) (MF)", model_free_errors(lived, alpha), 1),
    ):
        _scatter(axes, reference, one.errors, kept)
        axes.set_title(f"{name}: r² = {found[0].shares.pooled[column]:.2f}")
        axes.set_xlabel("reference's error (reward)")
    panels[0].set_ylabel("agent's error (reward)")
    panels[1].legend(frameon=False, fontsize=8, loc="lower right", markerscale=2, handletextpad=0.2)
    left, right = below.subplots(1, 2, width_ratios=(1.15, 1.5))
    _shares(left, [f.shares.pooled for f in found])
    _means(right, [f.means for f in found])
    return figure


def _scatter(axes: Any, reference: Any, agent: Any, kept: Bool[np.ndarray, " T"]) -> None:
    for stage, label, colour in (("outcome", "outcome", OTHERS[1]), ("stage2", "second stage", OTHERS[0])):
        x, y = getattr(reference, stage)[kept].ravel(), getattr(agent, stage)[kept].ravel()
        every = max(1, len(x) // POINTS)
        axes.scatter(x[::every], y[::every], s=4, color=colour, alpha=0.35, linewidth=0, label=label, rasterized=True)
    axes.axhline(0, color=OFF, linewidth=0.6)
    axes.axvline(0, color=OFF, linewidth=0.6)


def _shares(axes: Any, shares: Sequence[Any]) -> None:
    names = ("MB", "MF", "MB,\nunique", "MF,\nunique")
    values = np.array(shares)
    colours = (COMMON, UNCOMMON, COMMON, UNCOMMON)
    axes.bar(range(4), values.mean(0), 0.6, color=colours, alpha=0.75)
    jitter = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(np.add.outer(jitter, np.arange(4)), values, s=7, color="white", edgecolor="#222222", linewidth=0.6)
    axes.set_xticks(range(4), names, fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("explained variance r²")


def _means(axes: Any, means: Sequence[Mapping[str, float]]) -> None:
    names = list(means[0])
    curve = over_seeds(np.array([[one[name] for name in names] for one in means]))
    colours = [OTHERS[0]] * 4 + [OTHERS[1]] * 4
    axes.barh(range(len(names)), curve.mean, 0.7, xerr=np.nan_to_num(curve.sem), color=colours, alpha=0.8)
    axes.axvline(0, color=OFF, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("agent's mean error (reward)")


@styled
def training(history: History, controls: Controls) -> Any:
    """Reward a trial over updates, and the controls' at the end."""
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1), sharey=True)
    training_panel(left, history, {"chance": 0.5, "ideal": 0.705})
    for height in (0.5, 0.705):
        right.axhline(height, color=CEILING, linestyle="--", linewidth=1)
    names = ("reward\nwithheld", "state\nreset", "untrained")
    for place, values in enumerate(controls[:3]):
        jitter = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(1)
        right.scatter(place + jitter, values, s=12, color=OTHERS[place])
    right.set_xticks(range(3), names, fontsize=8)
    right.set_xlim(-0.6, 2.6)
    return figure
