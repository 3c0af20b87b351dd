"""Named sequences of tasks for continual learning: constructors of a `Sequence`, which gives sets or one life.

    yang19_seq            go, dlygo, {dm1, dm2}, multidm, {ctxdm1, ctxdm2}, easy coherences (Yang et al. 2019)
    yang19_transfer       three tasks, then a fourth that is made of their parts (Yang et al. 2019)
    driscoll15            fifteen of the twenty tasks, one after the other (Duncker et al. 2020; Driscoll et al. 2022)
    miconi23_seq          Boolean functions within a life, then the first again: savings (ours)
    bandit_seq            arms that stay, arms that change places, arms that stay (ours, numbers of Behrens et al. 2007)
    split_digits          five pairs of digits, one after the other, by two actions (Zenke et al. 2017, with MNIST)
    permuted              one task whose observations come in another order in every stage
    blocked_vs_interleaved    two rules on one grid of stimuli, by turns of 200 trials or mixed (Flesch et al. 2018)

The published remedy in yang19_seq is a penalty of synaptic intelligence with c of .1, 1 or 10 and xi of .001, .01 or
.1; in yang19_transfer either everything is trained or the new rule's input weights alone. Both are the learner's.
`trials` of a stage is rounded down to whole rounds of its tasks.
"""

from __future__ import annotations

from typing import Any

from metaplastic.core import ConfigError, near_miss
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.task_sets.continual import Sequence
from metaplastic.tasks.task_sets.named_sets import DRISCOLL15, a_task, boolean_tasks, yang19_tasks
from metaplastic.tasks.task_sets.schedules import Stage
from metaplastic.tasks.task_sets.task_set import TaskSet

PUBLISHED = 400_000
"""trials of a stage in Yang et al. 2019"""
STABLE, VOLATILE = 120, 170
"""trials of the parts in Behrens et al. 2007"""
TRANSFERS = {
    "context": (("ctxdm1", "ctxdm2", "ctxdlydm2"), "ctxdlydm1"),
    "anti": (("go", "anti", "dlygo"), "dlyanti"),
}
"""name -> tasks of the first stage, and the one of the second"""


def yang19_seq(trials: int = PUBLISHED) -> Sequence:
    """The published five stages."""
    names = (("go",), ("dlygo",), ("dm1", "dm2"), ("multidm",), ("ctxdm1", "ctxdm2"))
    flat = tuple(name for group in names for name in group)
    comparisons = {name for name in flat if "dm" in name}
    tasks = tuple(yang19_tasks((name,), **({"easy": True} if name in comparisons else {}))[0] for name in flat)
    return _sequence(tasks, tuple(tuple(flat.index(name) for name in group) for group in names), trials)


def yang19_transfer(which: str = "context", trials: int = PUBLISHED) -> Sequence:
    """Three tasks, then a fourth (`TRANSFERS`): ctxdlydm1 after its relatives, or dlyanti after go, anti and dlygo.

    Raises:
        ConfigError: if there is no transfer of this name.
    """
    if which not in TRANSFERS:
        names = list(TRANSFERS)
        raise ConfigError(f"transfer is {which!r}, wanted one of {', '.join(names)}{near_miss(which, names)}")
    first, then = TRANSFERS[which]
    return _sequence(yang19_tasks((*first, then)), (tuple(range(len(first))), (len(first),)), trials)


def driscoll15(trials: int = PUBLISHED) -> Sequence:
    """One task a stage."""
    return _sequence(yang19_tasks(DRISCOLL15), _one_by_one(len(DRISCOLL15)), trials)


def miconi23_seq(functions: tuple[str, ...] = ("and", "10", "nor", "watchstim2"), trials: int = 100) -> Sequence:
    """Boolean functions one after the other, then the first again."""
    stages = (*_one_by_one(len(functions)), (0,))
    return _sequence(boolean_tasks(functions), stages, trials)


def bandit_seq(blocks: tuple[int, int] = (30, 40)) -> Sequence:
    """Arms that stay (.75 and .25), arms that change places after blocks of these lengths, and the first arms again."""
    stays = a_task("Bandit-v0", feedback=True, structure="medium")
    changes = a_task("ReversalBandit-v0", feedback=True, good=0.8, shortest=blocks[0], longest=blocks[1])
    trials = ((0, STABLE), (1, VOLATILE), (0, STABLE))
    return _set((stays, changes), tuple(Stage(tasks=(task,), trials=count) for task, count in trials))


def split_digits(trials: int = 960, kind: str = "DigitsBandit-v0", **settings: Any) -> Sequence:
    """0 or 1, then 2 or 3 … 8 or 9, told by the same two actions; a channel says which pair it is."""
    tasks = tuple(a_task(kind, classes=(first, first + 1), **settings) for first in range(0, 10, 2))
    chained = _sequence(tasks, _one_by_one(len(tasks)), trials)
    return chained._replace(tasks=TaskSet.model_validate({**chained.tasks.model_dump(), "rule": True}))


def permuted(task: dict[str, Any] | TensorTask, stages: int = 10, trials: int = 1000) -> Sequence:
    """A task whose observations come in an order of its own in every stage."""
    tasks = tuple(a_task("PermuteChannels", task=task, per_lifetime=False, number=number) for number in range(stages))
    return _sequence(tasks, _one_by_one(stages), trials)


def blocked_vs_interleaved(*, blocked: bool, block: int = 200, trials: int = 400) -> TaskSet:
    """Lives with two rules on one grid of stimuli, each for `block` trials in a row, or mixed; 200 trials of test."""
    tasks = tuple(a_task("GridCategory-v0", relevant=which) for which in ("first", "second"))
    settings = {"schedule": "blocked", "block": block} if blocked else {"schedule": "interleaved"}
    return TaskSet.model_validate({"tasks": tasks, **settings, "trials": trials, "test_trials": 200})


def _one_by_one(count: int) -> tuple[tuple[int, ...], ...]:
    return tuple((number,) for number in range(count))


def _sequence(tasks: tuple[Any, ...], groups: tuple[tuple[int, ...], ...], trials: int) -> Sequence:
    """Stages of equal length."""
    return _set(tasks, tuple(Stage(tasks=group, trials=trials - trials % len(group)) for group in groups))


def _set(tasks: tuple[Any, ...], stages: tuple[Stage, ...]) -> Sequence:
    return Sequence(TaskSet.model_validate({"tasks": tasks, "schedule": "interleaved", "rule": False}), stages)
