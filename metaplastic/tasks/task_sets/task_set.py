"""Several tasks as one: lifetimes, or the trials of a lifetime, meet different tasks in one layout.

    {kind: TaskSet, tasks: [{kind: yang19.go-v0}, {kind: yang19.anti-v0}], schedule: interleaved}
    {kind: TaskSet, preset: brainset, split: train}

`layouts` says how observations and actions are joined, `schedules` which task comes when, `named_sets` what the presets
are. Every task keeps a life of its own inside, which stands still while another one is on, so anything goes together
that is answered in the same way: actions (each, choice, act) or outputs (readout, control). Tasks draw from streams of
their own: task m from the seed's child 96 + m.

Whole trials can be rendered and judged where every task can, blocks of decisions where all tasks are one-step decisions
whose score is the payoff; both under every schedule. Scores are those of the tasks; chance, ceiling and criterion their
means over the trials of a life, each as in a life of as many trials of that task alone.

Parts of a set (`splits`) share its layout, so a network that lived one of them can live another: train on some tasks,
test on the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Decisions, Judgement, TaskSpec, TrialBatch, near_miss, wrong
from metaplastic.tasks.base import Policy, TensorTask, TimeStep, one_hot, one_of
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.task_sets import set_blocks, set_loop
from metaplastic.tasks.task_sets.layouts import OUTPUTS, Joined, joined
from metaplastic.tasks.task_sets.named_sets import NAMED_SETS
from metaplastic.tasks.task_sets.schedules import Place, Plan, Stage, place, plan_of
from metaplastic.tasks.task_sets.set_loop import SetState
from metaplastic.tasks.wrappers.wrapper import InnerTask

STREAM = 96
"""child of the seed's key that task 0 draws from; the next ones take the numbers above it"""
CODE = "task"
"""channel that says which task it is"""
TEST = "test"
"""name of the split that is held out"""

Schedule = Literal["per_lifetime", "interleaved", "blocked", "sequential"]


class TaskSet(TensorTask):
    """Several tasks under one observation and one action."""

    tags = ("task set",)
    presets = NAMED_SETS

    kind: Literal["TaskSet"] = "TaskSet"
    tasks: tuple[Annotated[Any, InnerTask()], ...] = Field(min_length=1)
    """the tasks, answered in the same way"""
    schedule: Annotated[Schedule, BeforeValidator(one_of(Schedule))] = "per_lifetime"
    """which comes when: one a lifetime, in random order, in blocks, or in stages"""
    frequencies: tuple[int, ...] = ()
    """how often each task comes, relative to the others; alike, if absent"""
    block: int = Field(default=1, ge=1)
    """trials in a row of one task (blocked), or of each stage's task (sequential without `stages`)"""
    stages: tuple[Stage, ...] = ()
    """what comes after what (sequential); each task once, if absent"""
    splits: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """named parts of the set: the numbers of their tasks; `test` is held out"""
    split: str | None = None
    """the part whose tasks come; all, if absent"""
    rule: bool = True
    """show which task it is, one-hot on a channel `task`"""
    test_trials: int = Field(default=20, ge=0)
    """trials of test after learning, plasticity off; the schedule goes on"""

    @model_validator(mode="after")
    def _fits(self) -> TaskSet:
        for complaint in (*self._odd_tasks(), *self._odd_schedule(), *self._odd_splits()):
            raise wrong(complaint)
        lengths = {"trials": self.trials, "test_trials": max(1, self.test_trials)}
        vars(self).update(tasks=tuple(_with(task, number, lengths) for number, task in enumerate(self.tasks)))
        return self

    def _odd_tasks(self) -> Iterator[str]:
        kinds = [task.facts.response for task in self.tasks]
        if len({kind in OUTPUTS for kind in kinds}) > 1:
            ids = ", ".join(f"{task.kind} ({kind})" for task, kind in zip(self.tasks, kinds, strict=True))
            yield f"tasks are {ids}: wanted all answered by actions (each, choice, act), or all by outputs"
        steps = {task.facts.dt for task in self.tasks if task.facts.response in ("choice", "readout")}
        if len(steps) > 1:
            yield f"tasks have steps of {sorted(steps)} ms, wanted one dt: give each of them the same dt"
        if self.rule and any(CODE in task.facts.channels for task in self.tasks):
            yield f"a task has a channel '{CODE}' already; use rule: false"

    def _odd_schedule(self) -> Iterator[str]:
        count = len(self.tasks)
        if self.frequencies and (len(self.frequencies) != count or min(self.frequencies) < 1):
            yield f"frequencies are {self.frequencies}, wanted {count} whole numbers from 1 on, one a task"
        if self.frequencies and self.schedule == "sequential":
            yield "frequencies do not go with schedule: sequential; name a task twice in a stage instead"
        if self.stages and self.schedule != "sequential":
            yield f"stages are given with schedule: {self.schedule}, wanted schedule: sequential"
        for number, stage in enumerate(self.stages):
            if not all(0 <= task < count for task in stage.tasks):
                yield f"stage {number} has tasks {stage.tasks}, wanted numbers in [0, {count})"
            if number + 1 < len(self.stages) and stage.trials % len(stage.tasks):
                yield f"stage {number} has {stage.trials} trials, wanted a multiple of {len(stage.tasks)}: whole rounds"

    def _odd_splits(self) -> Iterator[str]:
        names, count = list(self.splits), len(self.tasks)
        for name, part in self.splits.items():
            if not part or not all(0 <= task < count for task in part):
                yield f"splits.{name} is {part}, wanted numbers in [0, {count}), at least one"
        if self.split is not None and self.split not in names:
            yield f"split is {self.split!r}, wanted one of {', '.join(names) or '(none)'}{near_miss(self.split, names)}"
        if self.split is not None and self.stages:
            yield f"split is {self.split!r} with stages, which name their tasks themselves; give one of them"

    @cached_property
    def specs(self) -> tuple[TaskSpec, ...]:
        """The specs of the tasks."""
        return tuple(task.facts for task in self.tasks)

    @cached_property
    def layout(self) -> Joined:
        """How they are joined."""
        return joined(self.specs, CODE if self.rule else None)

    @cached_property
    def plan(self) -> Plan:
        """Which comes when; per lifetime, the places that it is drawn from."""
        numbers = tuple(range(len(self.tasks))) if self.split is None else self.splits[self.split]
        if self.schedule == "sequential":
            each = tuple(Stage(tasks=(number,), trials=self.block) for number in numbers)
            return plan_of(self.stages or each, 1)
        often = self.frequencies or (1,) * len(self.tasks)
        places = tuple(number for number in numbers for _ in range(often[number]))
        block = self.block if self.schedule == "blocked" else 1
        return plan_of((Stage(tasks=places, trials=1),), block)

    @property
    def shares(self) -> tuple[float, ...]:
        """The expected share of each task in the trials of a life."""
        return self.plan.shares(len(self.tasks), self.lifetime_trials)

    @property
    def has_blocks(self) -> bool:
        """Whether whole trials, or blocks of decisions, can be drawn ahead."""
        kinds = {spec.response for spec in self.specs}
        if len(kinds) > 1 or not all(spec.open_loop for spec in self.specs):
            return False
        one = torch.tensor([0.0, 1.0])
        return kinds != {"each"} or all(torch.equal(task.score(one), one) for task in self.tasks)

    @property
    def responses(self) -> tuple[str, ...]:
        """Epochs in which an answer counts, in some task."""
        return tuple(dict.fromkeys(name for task in self.tasks for name in getattr(task, "responses", ())))

    @property
    def spec(self) -> TaskSpec:
        """Scores are means over the trials of a life."""
        specs, layout = self.specs, self.layout
        kinds = {spec.response for spec in specs}
        trial_dt = [spec.dt for spec in specs if spec.response in ("choice", "readout")]
        return TaskSpec(
            id=self.kind,
            channels=layout.channels,
            observations=layout.observations,
            actions=layout.actions,
            response=specs[0].response if len(kinds) == 1 else "control" if layout.gives_outputs else "act",
            dt=trial_dt[0] if trial_dt else specs[0].dt,
            trial_steps=max(spec.trial_steps for spec in specs),
            trial_types=sum(spec.trial_types for spec in specs),
            chance=self._mean([spec.chance for spec in specs]),
            ceiling=self._mean([spec.ceiling for spec in specs]),
            criterion=self._mean([spec.criterion for spec in specs]),
            tags=self.tags,
            cite=tuple(dict.fromkeys(reference for spec in specs for reference in spec.cite)),
            epochs=layout.epochs,
            oracle=self._mean([spec.ceiling if spec.oracle is None else spec.oracle for spec in specs]),
            open_loop=self.has_blocks,
            reward_range=(min(spec.reward_range[0] for spec in specs), max(spec.reward_range[1] for spec in specs)),
            differentiable=all(spec.differentiable for spec in specs),
        )

    def _mean(self, values: list[float]) -> float:
        parts = [share * value for share, value in zip(self.shares, values, strict=True)]
        return math.fsum(parts) / math.fsum(self.shares)  # of equal values exactly that value

    def held_out(self) -> TaskSet:
        """The split `test`, where the set has one and lives another; and what each task holds out."""
        split = TEST if self.split is not None and TEST in self.splits else self.split
        return self.model_copy(update={"tasks": tuple(task.held_out() for task in self.tasks), "split": split})

    # ---- which task comes when
    def own_key(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor) -> Int[Tensor, "*B"]:
        """What the schedule draws from."""
        return rng.fold(rng.lifetime_keys(seed, lifetime), STREAM)

    def seed_of(self, number: int, seed: int | Tensor) -> Tensor:
        """The seed of a task."""
        return rng.fold(rng.root(seed) if isinstance(seed, int) else seed, STREAM + number)

    def place(self, key: Int[Tensor, "*B"], trial: Int[Tensor, "*T"]) -> Place:
        """Which task comes in a trial ([*B], or [T, *B]), and which of its own it is; `key` is the schedule's."""
        if self.schedule != "per_lifetime":
            return place(self.plan, len(self.tasks), key, trial)
        places = self.plan.stages[0]
        drawn = rng.below(rng.word(rng.parameter_keys(key), 0), len(places))
        return Place(torch.zeros_like(trial) + look_up(places, drawn, torch.int64), trial.clone())

    def task_of(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> Int[Tensor, "*B"]:
        """The number of the task that comes in a trial."""
        key = self.own_key(lifetime, seed)
        return self.place(key, torch.full_like(key, trial)).task

    # ---- the closed loop
    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[SetState, TimeStep]:
        """The start of every lifetime, in every task."""
        return set_loop.begin(self, lifetime, seed)

    def step(self, state: SetState, action: Tensor) -> tuple[SetState, TimeStep]:
        """Act in the task that is on; another one may be on after its trial's end."""
        return set_loop.advance(self, state, action)

    def observe(self, state: SetState) -> Float[Tensor, "*B I"]:
        """What the task that is on shows, and which one it is with `rule`."""
        return set_loop.shown(self, state)

    def oracle(self, state: SetState) -> Tensor:
        """The best answer in the task that is on."""
        return set_loop.best_answer(self, state)

    def epoch_of(self, state: SetState) -> Int[Tensor, "*B"]:
        """The epoch of the frame that is shown."""
        return set_loop.epoch_now(self, state)

    def random_policy(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> Policy:
        """The random policy of the task that is on."""
        return set_loop.guessing(self, lifetime, seed)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """None: which task is on is in the state; `random_policy` reads it."""
        raise NotImplementedError("what a task set's random policy does depends on its state; use random_policy")

    # ---- whole blocks
    def outputs(self, y: Tensor) -> Float[Tensor, "*B A"]:
        """The targets of a frame as outputs."""
        return y if self.layout.gives_outputs else one_hot(y, self.layout.actions)

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial of every lifetime, whichever task it is of.

        Raises:
            ValueError: if not all tasks have whole trials, or the trial is not in [0, trials + test_trials).
        """
        self._refuse_blocks(("choice", "readout"))
        if not 0 <= trial < self.lifetime_trials:
            raise ValueError(f"trial is {trial}, wanted one in [0, {self.lifetime_trials})")
        return set_blocks.render_trials(self, lifetime, trial, seed)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward and score of a rendered trial, by the task that it is of."""
        return set_blocks.judge_trials(self, output, batch)

    def decisions(self, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """Trials [first, first + count) of every lifetime, whichever task each is of.

        Raises:
            ValueError: if not all tasks are one-step decisions, or the trials are not all in a life.
        """
        self._refuse_blocks(("each",))
        if first < 0 or count < 1 or first + count > self.lifetime_trials:
            raise ValueError(f"trials are [{first}, {first + count}), wanted some in [0, {self.lifetime_trials})")
        return set_blocks.decide(self, lifetime, first, count, seed)

    def _refuse_blocks(self, kinds: tuple[str, ...]) -> None:
        if not self.has_blocks or self.specs[0].response not in kinds:
            ids = ", ".join(f"{task.kind} ({spec.response})" for task, spec in zip(self.tasks, self.specs, strict=True))
            what = "block of decisions" if "each" in kinds else "whole trial"
            raise ValueError(f"no {what} of {ids} can be drawn ahead; use reset and step")


def _with(task: TensorTask, number: int, lengths: dict[str, int]) -> TensorTask:
    """The task with lives of this length."""
    if all(getattr(task, name) == value for name, value in lengths.items()):
        return task
    try:
        return type(task).model_validate({**task.model_dump(), **lengths})
    except (ValidationError, PydanticCustomError) as why:
        text = why.errors()[0]["msg"] if isinstance(why, ValidationError) else str(why)
        raise wrong(f"task {number}, {task.kind}, cannot have {lengths}: {text}") from None
