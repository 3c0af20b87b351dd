"""Figures of the bandits study: regret beside known algorithms, how choices settle, trajectories, eleven arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from metaplastic.inner_loop.agents.training import History
from metaplastic.platform.figure_style import CEILING, CHAMPION, INK, OFF, OTHERS, START, label_ends, new_figure, styled
from metaplastic.studies.analysis.decoding import trajectories
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.dopamine.training_figure import training_panel
from metaplastic.studies.study import Drawing
from metaplastic.tasks.bandits.dependent import ideal, search

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.bandits import Found, Play

LINES = {"Bayes, independent": ("optimum", CEILING), "Thompson": ("Thompson", OTHERS[0]), "UCB 1": ("UCB", OTHERS[1])}
"""references that are drawn"""
ROWS = 200
"""episodes of the raster"""
GROUPS = 5
"""of episodes, by p of the first arm less that of the second"""


def draw(
    found: Found, history: History, hidden: Float[np.ndarray, "T E H"], means: Float[np.ndarray, "E 2"]
) -> list[Drawing]:
    """All of them."""
    return [
        Drawing(
            "regret",
            regret(found, history),
            "Regret over 100 trials of the agents, of the optimum, Thompson sampling and UCB.",
            "Above: expected regret summed over trials (mean ± s.e.m. over seeds) with independent arms, and on (.25, "
            ".75) of agents that were trained on independent arms or on p and 1 - p. Below: training, "
            "from random (0) to the optimum (1), a line a seed; and regret after 100 trials by test, a dot a seed.",
        ),
        Drawing(
            "choices",
            choices(found.independent["independent"], hidden, means),
            "Choices of one agent settle on the better arm; its states part by the arms' probabilities.",
            "One agent (seed 0). Left: wrong choices (dark) in episodes sorted by the difference of the arms. Right: "
            "the state's two principal components over the trials (dot: the last), means of episodes grouped by the "
            "probability of the first arm less that of the second.",
        ),
        Drawing(
            "eleven",
            eleven(found),
            "With eleven arms the agent asks the poorest first and then takes the target.",
            "Left: what is pulled, by pull (mean over seeds). Right: payoff of five pulls, a dot a seed, beside the "
            "ideal, who asks first, and a search without asking.",
        ),
    ]


@styled
def regret(found: Found, history: History) -> Any:
    """Four panels."""
    figure = new_figure(5.4)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    ends = _references(first, found, "independent")
    ends.append((_course(first, found.independent["independent"], CHAMPION), "LSTM", CHAMPION))
    first.set_title("independent arms")
    _settle(first, ends, 6.0)
    ends = _references(second, found, "medium", ("Thompson",))
    ends.append((_course(second, found.independent["medium"], START), "independent", START))
    ends.append((_course(second, found.correlated["medium"], CHAMPION), "p, 1 - p", CHAMPION))
    second.set_title("arms of .25 and .75, trained on")
    _settle(second, ends, 4.0)
    range_of_reward = 0.5, found.ideal / len(found.independent["medium"].regret)
    training_panel(third, history, {"random": 0.0, "optimum": 1.0}, range_of_reward)
    third.set_title("training, independent arms")
    _tests(fourth, found)
    return figure


def _references(
    axes: Any, found: Found, test: str, names: Sequence[str] = tuple(LINES)
) -> list[tuple[float, str, str]]:
    """Draws them; (height of the end, name, colour)."""
    ends = []
    for name in names:
        curve, (label, colour) = found.known[test][name].mean, LINES[name]
        axes.plot(np.arange(1, len(curve) + 1), curve, color=colour, linewidth=1.2, linestyle="--")
        ends.append((float(curve[-1]), label, colour))
    return ends


def _course(axes: Any, one: Play, colour: str) -> float:
    """Mean and error over seeds; its end."""
    curve = over_seeds(one.regret.T)
    trial, error = np.arange(1, len(curve.mean) + 1), np.nan_to_num(curve.sem)
    axes.plot(trial, curve.mean, color=colour)
    axes.fill_between(trial, curve.mean - error, curve.mean + error, color=colour, alpha=0.25, linewidth=0)
    return float(curve.mean[-1])


def _settle(axes: Any, ends: list[tuple[float, str, str]], least: float) -> None:
    axes.set_ylim(0, max(least, 1.05 * max(height for height, _, _ in ends)))
    axes.set_xlim(0, 100)
    axes.set_xlabel("trial")
    axes.set_ylabel("regret")
    label_ends(axes, ends)


def _tests(axes: Any, found: Found) -> None:
    names = ("easy", "medium", "hard")
    for offset, plays, colour in ((-0.17, found.independent, START), (0.17, found.correlated, CHAMPION)):
        for place, name in enumerate(names):
            values = np.array(plays[name].last)
            spread = np.linspace(-0.08, 0.08, len(values)) if len(values) > 1 else np.zeros(1)
            axes.scatter(place + offset + spread, values, s=10, color=colour)
    ends = []
    for name, label, colour in (("Thompson", "Thompson", OTHERS[0]), ("Bayes, p and 1 - p", "optimum", CEILING)):
        heights = [float(found.known[test][name].mean[-1]) for test in names]
        axes.plot(range(3), heights, color=colour, linewidth=1, linestyle="--")
        ends.append((heights[-1], label, colour))
    axes.set_xticks(range(3), ("easy\n.1, .9", "medium\n.25, .75", "hard\n.4, .6"))
    axes.set_xlim(-0.5, 2.5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("regret")
    axes.set_title("after 100 trials")
    label_ends(axes, ends)


@styled
def choices(one: Play, hidden: Float[np.ndarray, "T E H"], means: Float[np.ndarray, "E 2"]) -> Any:
    """Raster and trajectories."""
    figure = new_figure(2.9)
    left, right = figure.subplots(1, 2)
    gap = np.abs(one.means[:, 0] - one.means[:, 1])[:ROWS]
    order = np.argsort(gap)
    is_wrong = (one.action != one.means.argmax(1))[:, :ROWS][:, order].T
    left.imshow(is_wrong, aspect="auto", cmap="Greys", origin="lower", interpolation="nearest", extent=(0, 100, 0, 1))
    ticks = np.array([0.1, 0.3, 0.5, 0.7])
    left.set_yticks(np.searchsorted(gap[order], ticks) / len(order), [f"{tick:.1f}" for tick in ticks])
    left.set_xlabel("trial")
    left.set_ylabel("difference of the arms")
    left.set_title("wrong choices")
    _paths(right, hidden, means)
    return figure


def _paths(axes: Any, hidden: Float[np.ndarray, "T E H"], means: Float[np.ndarray, "E 2"]) -> None:
    from matplotlib import colormaps

    lead = means[:, 0] - means[:, 1]
    group = np.minimum(((lead + 1) / 2 * GROUPS).astype(int), GROUPS - 1)
    found = trajectories(hidden, group)
    for number, path in enumerate(found.paths):
        colour = colormaps["cividis"](number / (GROUPS - 1))
        axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=1)
        axes.scatter(*path[-1], s=22, color=[colour], edgecolor=INK, linewidth=0.5, zorder=3)
        axes.annotate(
            f"{2 * (number + 0.5) / GROUPS - 1:+.1f}",
            tuple(path[-1]),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlabel(f"component 1 ({found.explained[0]:.0%} of variance)")
    axes.set_ylabel(f"component 2 ({found.explained[1]:.0%})")
    axes.set_title("states, by difference of the arms")
    axes.margins(0.15)


@styled
def eleven(found: Found) -> Any:
    """Shares of pulls, and payoffs."""
    figure = new_figure(2.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    shares, pull = found.eleven.shares, np.arange(1, len(found.eleven.shares) + 1)
    below = np.zeros(len(pull))
    for column, label, colour in ((0, "the arm that tells", START), (1, "target", CHAMPION), (2, "others", OFF)):
        left.bar(pull, shares[:, column], 0.7, bottom=below, color=colour, label=label)
        below = below + shares[:, column]
    left.set_xlabel("pull")
    left.set_ylabel("share of pulls")
    left.set_ylim(0, 1)
    left.legend(
        frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1, columnspacing=1
    )
    earned = found.eleven.earned
    spread = np.linspace(-0.15, 0.15, len(earned)) if len(earned) > 1 else np.zeros(1)
    right.scatter(spread, earned, s=14, color=CHAMPION)
    right.set_xlim(-0.5, 0.5)
    right.set_xticks([])
    for height, label in ((ideal(5), "ideal"), (search(5), "search")):
        right.axhline(height, color=CEILING, linestyle="--", linewidth=1)
        right.annotate(label, (0.5, height), xytext=(-2, 2), textcoords="offset points", fontsize=8, ha="right")
    right.set_ylim(0, 22.5)
    right.set_ylabel("payoff of five pulls")
    return figure
