"""A picture of one trial of a task: what is shown, what is wanted or done, what it pays.

Trials that do not depend on actions are drawn with their targets; the first decisions of a life with what each action
would pay; closed loops as the oracle lives them (the random policy, where there is no oracle).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metaplastic.core import TaskSpec
from metaplastic.platform.figure_style import CHAMPION, INK, OTHERS, QUIET, START, literal, new_figure, styled
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.decisions import DecisionTask
from metaplastic.tasks.trials import TrialTask

DECISIONS = 24
"""decisions of a life that are drawn"""
LONGEST = 200
"""steps of a closed loop that are drawn"""


class Shown(NamedTuple):
    """What is drawn of a trial; T steps."""

    x: Tensor
    """observations [T, I]"""
    y: Tensor
    """wanted outputs, payoffs or what was done [T, A]"""
    reward: Tensor | None
    """[T]"""
    epoch: Tensor
    """[T]"""
    what: str
    """what y is"""
    unit: str
    """of the time axis"""
    step: float
    """one step in that unit"""
    judged: Tensor | None = None
    """steps of a readout that are judged [T]"""


def one_trial(task: TensorTask, lifetime: int = 0, seed: int = 0) -> Shown:
    """The first trial (or decisions) of a lifetime."""
    lives, spec = torch.tensor([lifetime]), task.spec
    if isinstance(task, TrialTask):
        batch = task.render(lives, 0, seed)
        steps = int(batch.drawn.length[0])
        what = "wanted action" if spec.response == "choice" else "wanted output"
        x, y, epoch = (field[:steps, 0] for field in (batch.x, batch.y, batch.epoch))
        judged = batch.w[:steps, 0] > 0 if spec.response == "readout" else None
        return Shown(x, y, None, epoch, what, "ms", spec.dt, judged)
    if isinstance(task, DecisionTask) and spec.open_loop:
        block = task.decisions(lives, 0, min(DECISIONS, task.lifetime_trials), seed)
        nothing = torch.zeros(len(block.observation), dtype=torch.int64)
        return Shown(block.observation[:, 0], block.payoff[:, 0], None, nothing, "what each action pays", "trial", 1.0)
    return _lived(task, lives, seed)


def _lived(task: TensorTask, lives: Tensor, seed: int) -> Shown:
    spec = task.spec
    try:
        task.oracle(task.reset(lives, seed)[0])
        policy, who = task.oracle_policy(), "oracle"
    except NotImplementedError:
        policy, who = task.random_policy(lives, seed), "random policy"
    is_short = spec.trial_steps < 12
    steps = min(DECISIONS, task.lifetime_trials * spec.trial_steps) if is_short else min(spec.trial_steps, LONGEST)
    seen = task.rollout(policy, lives, steps, seed)
    if not is_short and bool(seen.info.trial_end.any()):
        steps = int(seen.info.trial_end[:, 0].to(torch.int8).argmax()) + 1
    action = seen.action[:steps, 0]
    if action.ndim == 1:
        action = torch.nn.functional.one_hot(action, spec.actions).float()
    epoch = seen.info.epoch[:steps, 0]
    unit, step = ("step", 1.0) if spec.dt == 1 else ("ms", spec.dt)
    return Shown(seen.observation[:steps, 0], action, seen.reward[:steps, 0], epoch, f"done by the {who}", unit, step)


@styled
def trial_figure(task: TensorTask, lifetime: int = 0, seed: int = 0) -> Any:
    """The picture of `one_trial`, as a matplotlib Figure."""
    shown, spec = one_trial(task, lifetime, seed), task.spec
    parts = 3 if shown.reward is not None else 2
    rows = max(2.2, min(8.0, 0.28 * shown.x.shape[1] + 0.6))
    below = max(1.3, min(3.2, 0.22 * shown.y.shape[1] + 0.7))
    heights = [rows, below, 1.1][:parts]
    figure = new_figure(0.42 * sum(heights) + 1.1)
    axes = figure.subplots(parts, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    _observations(axes[0], shown, spec)
    _outputs(axes[1], shown, spec)
    if shown.reward is not None:
        times = [shown.step * t for t in range(len(shown.reward) + 1)]
        axes[2].stairs(shown.reward.tolist(), times, color=START, linewidth=1.4, baseline=None)
        axes[2].set_ylabel("reward")
    axes[-1].set_xlabel({"ms": "time (ms)", "trial": "trial", "step": "step"}[shown.unit])
    for part in axes:
        _epochs(part, shown, spec, named=part is axes[0])
    return figure


def _observations(axes: Any, shown: Shown, spec: TaskSpec) -> None:
    """One row a channel, dark where it is high; the groups of channels are named."""
    end = shown.step * len(shown.x)
    image = shown.x.T.float()
    low, high = min(float(image.min()), 0.0), max(float(image.max()), 1e-6)
    axes.imshow(
        image.numpy(),
        aspect="auto",
        interpolation="nearest",
        cmap="Greys" if low >= 0 else "RdBu_r",
        vmin=low if low >= 0 else -max(high, -low),
        vmax=high if low >= 0 else max(high, -low),
        extent=(0, end, image.shape[0], 0),
    )
    groups = list(spec.channels.items())
    axes.set_yticks([(first + last) / 2 for _, (first, last) in groups])
    axes.set_yticklabels([literal(name.replace("_", " "), 18) for name, _ in groups], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    for _, (first, _) in groups[1:]:
        axes.axhline(first, color="#cccccc", linewidth=0.6)
    axes.set_title(f"shown, {low:.3g} to {high:.3g}", color=QUIET, fontsize=8, pad=14 if len(spec.epochs) > 1 else 6)


def _outputs(axes: Any, shown: Shown, spec: TaskSpec) -> None:
    """Few outputs as lines, many as an image."""
    y, end = shown.y.float(), shown.step * len(shown.y)
    is_action = shown.what.startswith(("wanted action", "done")) and spec.response in ("choice", "act", "each")
    if is_action:
        names = spec.action_names or tuple(str(action) for action in range(spec.actions))
        times = [shown.step * t for t in range(len(y) + 1)]
        axes.stairs(y.argmax(-1).tolist(), times, color=CHAMPION, linewidth=1.6, baseline=None)
        if len(names) <= 10:
            axes.set_yticks(range(len(names)), [literal(name, 16) for name in names], fontsize=7.5)
        axes.set_ylim(-0.5, spec.actions - 0.5)
    elif y.shape[1] <= 6 and shown.unit != "trial":
        times = [shown.step * (t + 0.5) for t in range(len(y))]
        for column, colour in zip(y.T, (CHAMPION, *OTHERS), strict=False):
            axes.plot(times, column.tolist(), color=colour, linewidth=1.3)
    else:
        axes.imshow(y.T.numpy(), aspect="auto", interpolation="nearest", cmap="Greys", extent=(0, end, y.shape[1], 0))
        axes.set_ylabel("action" if spec.response == "each" else "output")
    if shown.judged is not None and not bool(shown.judged.all()):
        times = [shown.step * t for t in range(len(y) + 1)]
        axes.stairs(
            shown.judged.float().tolist(), times, fill=True, color="#eeeeee", transform=axes.get_xaxis_transform()
        )
    what = shown.what if shown.judged is None else f"{shown.what} (grey: judged)"
    axes.set_title(what, color=QUIET, fontsize=8)


def _epochs(axes: Any, shown: Shown, spec: TaskSpec, *, named: bool) -> None:
    """A thin line where an epoch begins; its name on top."""
    if len(spec.epochs) < 2:
        return
    changes = [0, *(int(t) + 1 for t in (shown.epoch[1:] != shown.epoch[:-1]).nonzero().flatten()), len(shown.epoch)]
    for first, last in pairwise(changes):
        if first:
            axes.axvline(first * shown.step, color=INK, linewidth=0.5, alpha=0.6)
        if named and last - first > 0.04 * len(shown.epoch):
            name = spec.epochs[int(shown.epoch[first])]
            place = (first + last) / 2 * shown.step
            text = literal(name, max(4, int(60 * (last - first) / len(shown.epoch))))
            axes.annotate(
                text,
                (place, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color=START,
            )
