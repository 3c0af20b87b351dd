"""How training went, as a panel: a line a seed, their mean, and the levels that bound it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaplastic.inner_loop.agents.training import History
from metaplastic.platform.figure_style import CEILING, CHAMPION


def training_panel(
    axes: Any, history: History, levels: Mapping[str, float], ends: tuple[float, float] | None = None
) -> None:
    """Reward a trial over updates; `levels` are drawn across, by name. With `ends`, these become 0 and 1."""
    score = history.score.numpy()
    if ends is not None:
        score = (score - ends[0]) / (ends[1] - ends[0])
    axes.plot(history.update, score, color=CHAMPION, linewidth=0.6, alpha=0.5)
    axes.plot(history.update, score.mean(1), color=CHAMPION)
    for label, height in levels.items():
        axes.axhline(height, color=CEILING, linestyle="--", linewidth=1)
        place = {"xycoords": ("axes fraction", "data"), "xytext": (-2, 2), "textcoords": "offset points"}
        axes.annotate(label, (1, height), fontsize=8, ha="right", **place)
    axes.set_xlabel("updates")
    axes.set_ylabel("reward a trial" if ends is None else "reward, normalised")
