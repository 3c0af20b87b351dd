"""Figures of the volatility study: learning rates of every seed, choices around changes, two episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from metaplastic.inner_loop.agents.training import History
from metaplastic.platform.figure_style import CHAMPION, OFF, START, label_ends, new_figure, styled
from metaplastic.studies.analysis.events import over_seeds
from metaplastic.studies.analysis.fitting import RATES
from metaplastic.studies.dopamine.training_figure import training_panel
from metaplastic.studies.study import Drawing
from metaplastic.tasks.bandits.volatile import VolatileBandit

if TYPE_CHECKING:
    from metaplastic.studies.dopamine.volatility import Found, Seen

KINDS = (("stable", CHAMPION), ("volatile", START))


def draw(found: Sequence[Found], seen: Seen, history: History, task: VolatileBandit) -> list[Drawing]:
    """All of them."""
    return [
        Drawing(
            "rates",
            rates(found),
            "The learning rate of activity is higher in volatile episodes; choices turn sooner after a change.",
            "Left: learning rate in stable and volatile episodes, a line a seed. Middle: how well a Rescorla-Wagner "
            "learner of each rate follows the policy (mean over seeds; marks: the best). Right: probability of the "
            "better arm around a change (mean ± s.e.m. over seeds).",
        ),
        Drawing(
            "course",
            course(seen, history, task),
            "One stable and one volatile episode of an agent; training of all seeds.",
            "Left: the policy of seed 0 in one stable and one volatile episode (line) and the arm that is better "
            "(grey). Right: reward a trial in training, a line a seed.",
        ),
    ]


@styled
def rates(found: Sequence[Found]) -> Any:
    """Rates, fits, and choices after changes."""
    figure = new_figure(2.7)
    left, middle, right = figure.subplots(1, 3, width_ratios=(0.75, 1.1, 1.1))
    pairs = np.array([[one.stable.alpha, one.volatile.alpha] for one in found])
    left.plot((0, 1), pairs.T, color=OFF, linewidth=0.8)
    for place, (_, colour) in enumerate(KINDS):
        left.scatter(np.full(len(pairs), place), pairs[:, place], s=14, color=colour, zorder=3)
    left.set_xticks((0, 1), ("stable", "volatile"))
    left.set_xlim(-0.4, 1.4)
    left.set_ylim(bottom=0)
    left.set_ylabel("learning rate α")
    for name, colour in KINDS:
        curve = np.mean([getattr(one, name).curve for one in found], 0)
        middle.plot(RATES, curve, color=colour)
        middle.scatter(RATES[int(curve.argmax())], curve.max(), s=18, color=colour, zorder=3)
    middle.set_xlabel("learning rate α")
    middle.set_ylabel("correlation with log odds")
    ends = []
    for place, (name, colour) in enumerate(KINDS):
        after = over_seeds(np.array([one.switching[place] for one in found]))
        trial, error = np.arange(len(after.mean)) - 5, np.nan_to_num(after.sem)
        right.plot(trial, after.mean, color=colour)
        right.fill_between(trial, after.mean - error, after.mean + error, color=colour, alpha=0.25, linewidth=0)
        ends.append((float(after.mean[-1]), name, colour))
    right.axvline(-0.5, color=OFF, linewidth=0.8, linestyle=":")
    right.set_ylim(0, 1)
    right.set_xlabel("trials from a change")
    right.set_ylabel("P(better arm)")
    label_ends(right, ends)
    return figure


@styled
def course(seen: Seen, history: History, task: VolatileBandit) -> Any:
    """Two episodes and the training."""
    figure = new_figure(2.9)
    first, last = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    panels = first.subplots(2, 1, sharex=True)
    for axes, (name, colour), group in zip(panels, KINDS, (~seen.is_volatile, seen.is_volatile), strict=True):
        changes = np.abs(np.diff(seen.good, axis=0)).sum(0)
        wanted = np.flatnonzero(group)
        episode = wanted[np.argmax(changes[wanted] > 0)]
        policy = 1 / (1 + np.exp(-seen.lead[:, episode]))
        trial = np.arange(1, len(policy) + 1)
        axes.fill_between(trial, 0, seen.good[:, episode] == 0, color=OFF, alpha=0.25, step="mid", linewidth=0)
        axes.plot(trial, policy, color=colour, linewidth=1.2)
        axes.set_title(name)
        axes.set_ylim(0, 1)
        axes.set_ylabel("P(arm 0)")
    panels[1].set_xlabel("trial")
    training_panel(last.subplots(), history, {"random": task.spec.chance, "ideal observer": task.spec.ceiling})
    return figure
