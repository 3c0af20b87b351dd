"""Continual learning: stages of tasks one after the other, and what is left of the first ones in the end.

A sequence of N stages is scored by a matrix R[i, j]: the score on task j after stage i, row 0 before any. With s_j the
first stage that has task j,

    mean final accuracy   mean_j R[N, j]                                                                          (1)
    backward transfer     mean_j R[N, j] - R[s_j, j],             over tasks with s_j < N                         (2)
    forgetting            mean_j max_i R[i, j] - R[N, j],         i = s_j .. N - 1, over the same tasks           (3)
    forward transfer      mean_j R[s_j - 1, j] - R[0, j],         over tasks with s_j > 1                         (4)
    area under a curve    its mean by the trapezoid rule, equal steps apart                                       (5)

Boundaries come in two flavours. Outer: an optimiser sees the stages in turn (`Sequence.outer`, `transfer_matrix`).
Inner: one life has all of them and plasticity must cope (`Sequence.inner`); its matrix is made of lives that are cut
after a stage and tested on one task (`Sequence.probe`). All of them share one layout of observations and answers.

(1), (2) and (4): Lopez-Paz & Ranzato 2017, NeurIPS (arXiv:1706.08840); (3): Chaudhry et al. 2018, ECCV
(arXiv:1801.10112), whose maximum is over all earlier stages. Axes behind the first two of R, and behind the first of a
curve, are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.tasks.task_sets.schedules import Stage
from metaplastic.tasks.task_sets.task_set import TaskSet

Learner = TypeVar("Learner")


class Sequence(NamedTuple):
    """Stages of the tasks of a set."""

    tasks: TaskSet
    """all of them: the layout that every stage has"""
    stages: tuple[Stage, ...]

    @property
    def first_stages(self) -> tuple[int, ...]:
        """s_j by task: the first stage that has it, from 1 on; N + 1 if none has."""
        return tuple(
            next((n for n, stage in enumerate(self.stages, 1) if number in stage.tasks), len(self.stages) + 1)
            for number in range(len(self.tasks.tasks))
        )

    def outer(self) -> list[TaskSet]:
        """A set for each stage, its tasks interleaved or one a lifetime, as the whole set has them."""
        return [self._only(stage.tasks) for stage in self.stages]

    def alone(self, task: int) -> TaskSet:
        """Lives with one of the tasks: the test of column j."""
        return self._only((task,))

    def inner(self, test_trials: int | None = None) -> TaskSet:
        """Lives with all stages, test trials after them in the last one; as many as the set has, if not given."""
        tests = self.tasks.test_trials if test_trials is None else test_trials
        trials = sum(stage.trials for stage in self.stages)
        return self._lived(self.stages, trials, tests)

    def probe(self, stage: int, task: int, test_trials: int = 20) -> TaskSet:
        """Lives with the first stages up to number `stage`, then test trials of one task: R[stage, task].

        A life needs a trial of learning, so R[0, task] is measured after one of the task itself.
        """
        lived = self.stages[:stage] or (Stage(tasks=(task,), trials=1),)
        trials = sum(each.trials for each in lived)
        return self._lived((*lived, Stage(tasks=(task,), trials=test_trials)), trials, test_trials)

    def recall(self, tasks: tuple[int, ...] = (), test_trials: int = 200) -> TaskSet:
        """Lives with all stages, then test trials of these tasks by turns; all, if absent: the score is (1).

        `test_trials` is rounded down to whole rounds of the tasks. A task goes on where it was: one with a finite
        pool shows what was learned from, so its `held_out` must judge what is known of the unseen.
        """
        tasks = tasks or tuple(range(len(self.tasks.tasks)))
        count = test_trials - test_trials % len(tasks)
        trials = sum(stage.trials for stage in self.stages)
        return self._lived((*self.stages, Stage(tasks=tasks, trials=count)), trials, count)

    def _only(self, numbers: tuple[int, ...]) -> TaskSet:
        name = "stage " + " ".join(map(str, numbers))
        schedule = "per_lifetime" if self.tasks.schedule == "per_lifetime" else "interleaved"
        own = {"schedule": schedule, "stages": (), "splits": {name: numbers}, "split": name, "preset": None}
        return TaskSet.model_validate({**self.tasks.model_dump(), **own})

    def _lived(self, stages: tuple[Stage, ...], trials: int, test_trials: int) -> TaskSet:
        own = {"schedule": "sequential", "stages": stages, "split": None, "frequencies": (), "preset": None}
        lengths = {"trials": trials, "test_trials": test_trials}
        return TaskSet.model_validate({**self.tasks.model_dump(), **own, **lengths})


def transfer_matrix(
    sequence: Sequence,
    learner: Learner,
    learn: Callable[[Learner, TaskSet], Learner],
    score: Callable[[Learner, TaskSet], Float[Tensor, "*B"]],
) -> Float[Tensor, "S J *B"]:
    """R of an outer sequence: `learn` takes a learner through a stage, `score` tests it on one task."""
    columns = [sequence.alone(number) for number in range(len(sequence.tasks.tasks))]
    rows = [torch.stack([score(learner, column) for column in columns])]
    for stage in sequence.outer():
        learner = learn(learner, stage)
        rows.append(torch.stack([score(learner, column) for column in columns]))
    return torch.stack(rows)


def mean_final_accuracy(scores: Float[Tensor, "S J *B"]) -> Float[Tensor, "*B"]:
    """(1)."""
    return scores[-1].mean(0)


def backward_transfer(scores: Float[Tensor, "S J *B"], first: tuple[int, ...] = ()) -> Float[Tensor, "*B"]:
    """(2); `first` is s_j by task, 1, 2, 3 … if absent. NaN where no task came before the last stage."""
    first = _first(scores, first)
    return _mean([scores[-1, j] - scores[s, j] for j, s in enumerate(first) if s < len(scores) - 1], scores)


def forgetting(scores: Float[Tensor, "S J *B"], first: tuple[int, ...] = ()) -> Float[Tensor, "*B"]:
    """(3)."""
    first, last = _first(scores, first), len(scores) - 1
    return _mean([scores[s:last, j].amax(0) - scores[last, j] for j, s in enumerate(first) if s < last], scores)


def forward_transfer(scores: Float[Tensor, "S J *B"], first: tuple[int, ...] = ()) -> Float[Tensor, "*B"]:
    """(4); NaN where no task came after the first stage."""
    first = _first(scores, first)
    return _mean([scores[s - 1, j] - scores[0, j] for j, s in enumerate(first) if s > 1], scores)


def area_under_curve(curve: Float[Tensor, "K *B"]) -> Float[Tensor, "*B"]:
    """(5); of a curve of one point, the point."""
    if len(curve) == 1:
        return curve[0]
    return (curve.sum(0) - (curve[0] + curve[-1]) / 2) / (len(curve) - 1)


def savings(curve: Float[Tensor, "K *B"], again: Float[Tensor, "K *B"]) -> Float[Tensor, "*B"]:
    """How much better a task is learned the second time: the difference of the areas (5) of two equally long curves."""
    return area_under_curve(again) - area_under_curve(curve)


def _first(scores: Tensor, first: tuple[int, ...]) -> tuple[int, ...]:
    """s_j, checked against the matrix."""
    stages, tasks = len(scores) - 1, scores.shape[1]
    first = first or tuple(range(1, tasks + 1))
    if len(first) != tasks or min(first) < 1 or (max(first) > stages + 1):
        raise ValueError(
            f"first stages are {first} for a matrix of {stages} stages (and row 0) by {tasks} tasks, wanted a number "
            f"in [1, {stages}] for each task, or {stages + 1} where no stage has it"
        )
    return first


def _mean(parts: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(parts).mean(0) if parts else torch.full_like(like[0, 0], float("nan"))
