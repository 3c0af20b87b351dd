"""The contract of scores: a random policy earns `chance`, an oracle `ceiling`; four standard errors are allowed.

The lifetimes are always the same, so the verdict on a task never changes from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task
from metaplastic.tasks.base import Policy, TensorTask
from metaplastic.tasks.decisions import DecisionTask, Question
from metaplastic.tasks.trials import TrialTask

LIVES = 256
TRIALS = {"each": 50, "readout": 4, "choice": 4}
"""trials of each lifetime, by the kind of response"""
STEPS = 1500
"""steps of a life in a closed loop, about"""


def random_earns_chance(task: Task) -> Iterator[str]:
    """The random policy scores `spec.chance`; every score is in [0, 1]."""
    if isinstance(task, DecisionTask):
        scores = task.score(_questions(task).payoff)
    elif isinstance(task, TrialTask):
        scores = _trial_scores(task, is_oracle=False)
    elif isinstance(task, TensorTask) and task.spec.response != "each":
        task = _shortened(task)
        scores = _life_scores(task, task.random_policy(_lifetimes()))
    else:
        return
    if scores.min() < 0 or scores.max() > 1:
        yield f"scores reach from {scores.min():.4g} to {scores.max():.4g}, wanted them in [0, 1]"
    low, high = _range(scores)
    if not low <= task.spec.chance <= high:
        yield f"a random policy scores {low:.4g} to {high:.4g}, but spec.chance is {task.spec.chance:.4g}"


def oracle_earns_ceiling(task: Task) -> Iterator[str]:
    """The oracle scores at least `spec.ceiling`, and what it earns is `best`."""
    if isinstance(task, DecisionTask):
        asked = _questions(task)
        earned = asked.payoff.gather(-1, asked.target[..., None]).squeeze(-1)
        scores = task.score(earned)
        low, high = _range(asked.best - earned)
        if not low <= 0 <= high:
            yield f"`best` is {low:.4g} to {high:.4g} above what the oracle earns, wanted 0"
        if not task.is_right(asked, asked.target).all():
            yield "an action of the oracle does not count as correct"
    elif isinstance(task, TrialTask):
        scores = _trial_scores(task, is_oracle=True)
    elif isinstance(task, TensorTask) and task.spec.response != "each":
        task = _shortened(task)
        scores = _life_scores(task, task.oracle_policy())
    else:
        return
    low, high = _range(scores)
    spec = task.spec
    if high < spec.ceiling:
        yield f"the oracle scores {low:.4g} to {high:.4g}, but spec.ceiling is {spec.ceiling:.4g}"
    if spec.oracle is not None and not low <= spec.oracle <= high:
        yield f"the oracle scores {low:.4g} to {high:.4g}, but spec.oracle is {spec.oracle:.4g}"


def _range(values: Float[Tensor, "T L *A"]) -> tuple[float, float]:
    """The mean minus and plus four standard errors over lifetimes, and 1e-6 for rounding."""
    lives = values.double().flatten(2).mean((0, 2)) if values.ndim > 2 else values.double().mean(0)
    mean, margin = lives.mean().item(), 4 * lives.std().item() / math.sqrt(len(lives)) + 1e-6
    return mean - margin, mean + margin


def _lifetimes() -> Tensor:
    return torch.arange(LIVES) + 10_000


def _questions(task: DecisionTask) -> Question:
    """The first questions of many lifetimes, with the best actions, which `decisions` does not tell."""
    key = rng.lifetime_keys(0, _lifetimes())
    trial = torch.arange(min(task.trials, TRIALS["each"]))[:, None].expand(-1, LIVES)
    return task.question(key, task.birth(rng.parameter_keys(key)), trial)


def _trial_scores(task: TrialTask, *, is_oracle: bool) -> Float[Tensor, "T L"]:
    lifetimes, rows = _lifetimes(), []
    for trial in range(min(task.trials, TRIALS[task.spec.response])):
        batch = task.render(lifetimes, trial)
        output = batch.y if is_oracle else task.random_outputs(lifetimes, trial, batch)
        rows.append(task.judge(output, batch).score)
    return torch.stack(rows)


def _shortened(task: TensorTask) -> TensorTask:
    """The task with so few trials that a life takes about `STEPS` steps."""
    total = max(1, STEPS // task.spec.trial_steps)
    trials = min(task.trials, max(1, total - task.test_trials))
    short = {"trials": trials, "test_trials": min(task.test_trials, total - min(trials, total))}
    return type(task).model_validate({**task.model_dump(), **short})


def _life_scores(task: TensorTask, policy: Policy) -> Float[Tensor, "1 L"]:
    """Mean score of the trials of each life."""
    seen = task.rollout(policy, _lifetimes(), task.lifetime_trials * task.spec.trial_steps)
    return (seen.info.score.sum(0) / seen.info.trial_end.sum(0))[None]
