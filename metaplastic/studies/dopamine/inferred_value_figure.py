"""Figures of the inferred-value study: errors at the cue and the outcome, states at fixation, training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from metaplastic.inner_loop.agents.training import History
from metaplastic.platform.figure_style import CHAMPION, OFF, OTHERS, START, new_figure, styled
from metaplastic.studies.analysis.decoding import trajectories
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.study import Drawing

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.inferred_value import Controls, Found, Signals, Trials

PAYS, NOT = CHAMPION, START
GROUPS = ("stable", "experienced", "inferred")
DOTS = 1200


def draw(
    found: Sequence[Found],
    seen: Trials,
    hidden: Float[np.ndarray, "T E N"],
    controls: Controls,
    history: History,
) -> list[Drawing]:
    """All of them; `seen` and `hidden` (h at fixation) are of one seed."""
    return [
        Drawing(
            "errors",
            errors(found),
            "Errors at the cue's onset in stable trials and after a reversal, of agents and of a tabular critic.",
            "Error at the cue's onset for a target that pays now (blue) and one that does not (orange): in stable "
            "trials, and in the trial after a reversal for the target that was shown in it (experienced) and the other "
            "one (inferred). Bars are means, dots seeds. The tabular critic has the old sign for the target that it "
            "has not seen; the agents have the new one. Right: mean size of the agents' errors at the outcome.",
        ),
        Drawing(
            "states",
            states(hidden, seen),
            "States of one agent at fixation in the plane of two principal components, by the side that paid last.",
            "h at fixation of one agent (seed 0) in its two main principal components, one dot a trial, coloured by "
            "the side that is rewarded in that trial. In a reversal's trial the state is still at the old side's "
            "place, in the next one at the new side's.",
        ),
        Drawing(
            "training",
            training(history, controls),
            "Share of returns that the critic knows over training, and contrasts of the controls.",
            "Left: variance of returns that V explains during training (thin lines: seeds); the plateau is the critic "
            "that knows the mean alone. Right: half the difference between cues that pay and cues that do not, in "
            "stable trials, of agents and controls.",
        ),
    ]


@styled
def errors(found: Sequence[Found]) -> Any:
    """Agents, the tabular critic, and outcomes."""
    figure = new_figure(2.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.6, 1.6, 0.9))
    _cues(left, [f.agent for f in found], "LSTM")
    _cues(middle, [f.tabular for f in found], "tabular TD(0)")
    low, high = (f(a, b) for f, a, b in zip((min, max), left.get_ylim(), middle.get_ylim(), strict=True))
    for axes in (left, middle):
        axes.set_ylim(low, high)
    middle.set_yticklabels([])
    left.set_ylabel("error at the cue (reward)")
    middle.legend(frameon=False, fontsize=8, loc="lower left", handlelength=0.8)
    size = np.array([(f.agent.outcome_stable, f.agent.outcome_reversal) for f in found])
    right.bar((0, 1), size.mean(0), 0.6, color=OTHERS[1], alpha=0.8)
    _dots(right, np.arange(2.0), size)
    right.set_xticks((0, 1), ("stable", "reversal"), fontsize=8)
    right.set_ylabel("|error| at the outcome (reward)")
    right.set_title("LSTM")
    return figure


def _cues(axes: Any, signals: Sequence[Signals], title: str) -> None:
    values = np.array([[getattr(one, group) for group in GROUPS] for one in signals])
    for sign, colour, label in ((0, PAYS, "pays now"), (1, NOT, "does not")):
        at = np.arange(len(GROUPS)) + (-0.2, 0.2)[sign]
        axes.bar(at, values[:, :, sign].mean(0), 0.36, color=colour, alpha=0.75, label=label)
        _dots(axes, at, values[:, :, sign])
    axes.axhline(0, color=OFF, linewidth=0.8)
    axes.set_xticks(range(len(GROUPS)), ("stable", "experi-\nenced", "inferred"), fontsize=8)
    axes.set_title(title)


def _dots(axes: Any, at: Float[np.ndarray, " C"], values: Float[np.ndarray, "S C"]) -> None:
    """One a seed."""
    jitter = np.linspace(-0.1, 0.1, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(np.add.outer(jitter, at), values, s=7, color="white", edgecolor="#222222", linewidth=0.6, zorder=3)


@styled
def states(hidden: Float[np.ndarray, "T E N"], seen: Trials) -> Any:
    """h at fixation of all trials, of trials of a reversal, and of those after."""
    figure = new_figure(2.3)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    whole = trajectories(hidden, np.zeros(hidden.shape[1], dtype=np.int64))
    plane = whole.project(hidden)
    reversal, after = seen.reversal, np.zeros_like(seen.reversal)
    after[1:] = reversal[:-1]
    kinds = (("stable", ~reversal & ~after), ("trial of a reversal", reversal), ("trial after", after))
    for axes, (title, where) in zip(panels, kinds, strict=True):
        for side, colour, label in ((1, OTHERS[0], "left pays"), (2, OTHERS[1], "right pays")):
            dots = plane[where & seen.kept & (seen.rewarded == side)]
            dots = dots[:: max(1, len(dots) // DOTS)]
            axes.scatter(dots[:, 0], dots[:, 1], s=4, color=colour, alpha=0.4, linewidth=0, label=label)
        axes.set_title(title)
        axes.set_xlabel(f"component 1 ({whole.explained[0]:.0%})")
        axes.set_xticks([])
        axes.set_yticks([])
    panels[0].set_ylabel(f"component 2 ({whole.explained[1]:.0%})")
    panels[2].legend(frameon=False, fontsize=8, markerscale=2.5, handletextpad=0.1)
    return figure


@styled
def training(history: History, controls: Controls) -> Any:
    """The critic's share over updates, and the controls."""
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    curves = history.explained.numpy()
    left.plot(history.update, curves, color=CHAMPION, linewidth=0.6, alpha=0.5)
    left.plot(history.update, curves.mean(1), color=CHAMPION)
    left.axhline(0, color=OFF, linestyle=":", linewidth=1)
    left.set_xlabel("updates")
    left.set_ylabel("variance of returns explained")
    left.set_ylim(min(-0.1, float(curves[len(curves) // 20 :].min())), 1)
    names = ("no\nreward", "reset, no\nreward", "reset", "un-\ntrained")
    for place, values in enumerate(controls):
        curve = over_seeds(np.array(values))
        right.bar(place, curve.mean, 0.6, color=OFF, alpha=0.6)
        _dots(right, np.array([float(place)]), np.array(values)[:, None])
    right.axhline(0, color=OFF, linewidth=0.8)
    right.set_xticks(range(4), names, fontsize=8)
    right.set_ylabel("contrast at the cue (reward)")
    low, high = right.get_ylim()
    right.set_ylim(min(low, -0.1), max(high, 0.5))
    return figure
