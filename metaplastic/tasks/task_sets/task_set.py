"""Several tasks as one: lifetimes, or the trials of a lifetime, meet different tasks in one layout.

    {kind: TaskSet, tasks: [{kind: yang19.go-v0}, {kind: yang19.anti-v0}], schedule: interleaved}

`layouts` says how observations and actions are joined, `schedules` which task comes when. Every task keeps a life of
its own inside, which stands still while another one is on, so anything goes together that is answered in the same way:
actions (each, choice, act) or outputs (readout, control). Tasks draw from streams of their own: task m from the seed's
child 96 + m. Named sets are in `named_sets.py`.

Whole trials can be rendered and judged where every task can, blocks of one-step decisions where, besides, each lifetime
has one task. Scores are those of the tasks; chance, ceiling and criterion their means over the trials of a life.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Decisions, Judgement, TaskSpec, TrialBatch, wrong
from metaplastic.tasks.base import Info, Policy, TensorTask, TimeStep, one_hot, one_of, renew, settled
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.task_sets.layouts import OUTPUTS, Joined, coded, joined
from metaplastic.tasks.task_sets.schedules import Place, Plan, Stage, place, plan_of
from metaplastic.tasks.task_sets.set_blocks import decide, judge_trials, render_trials
from metaplastic.tasks.wrappers.wrapper import InnerTask

STREAM = 96
"""child of the seed's key that task 0 draws from; the next ones take the numbers above it"""
CODE = "task"
"""channel that says which task it is"""

Schedule = Literal["per_lifetime", "interleaved", "blocked", "sequential"]


class SetState(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    """of the schedule's draws"""
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    task: Int[Tensor, "*B"]
    """which task is on"""
    inner: tuple[Any, ...]
    """state of every task"""


class TaskSet(TensorTask):
    """Several tasks under one observation and one action."""

    tags = ("task set",)

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
    rule: bool = True
    """show which task it is, one-hot on a channel `task`"""
    test_trials: int = Field(default=20, ge=0)
    """trials of test after learning, plasticity off; the schedule goes on"""

    @model_validator(mode="after")
    def _fits(self) -> TaskSet:
        for complaint in self._complaints():
            raise wrong(complaint)
        lengths = {"trials": self.trials, "test_trials": max(1, self.test_trials)}
        vars(self).update(tasks=tuple(_with(task, number, lengths) for number, task in enumerate(self.tasks)))
        return self

    def _complaints(self) -> list[str]:
        found, count = [], len(self.tasks)
        kinds = [task.facts.response for task in self.tasks]
        if len({kind in OUTPUTS for kind in kinds}) > 1:
            ids = ", ".join(f"{task.kind} ({kind})" for task, kind in zip(self.tasks, kinds, strict=True))
            found.append(f"tasks are {ids}: wanted all answered by actions (each, choice, act), or all by outputs")
        steps = {task.facts.dt for task in self.tasks if task.facts.response in ("choice", "readout")}
        if len(steps) > 1:
            found.append(f"tasks have steps of {sorted(steps)} ms, wanted one dt: give each of them the same dt")
        if self.frequencies and (len(self.frequencies) != count or min(self.frequencies) < 1):
            found.append(f"frequencies are {self.frequencies}, wanted {count} whole numbers from 1 on, one a task")
        if self.schedule == "sequential" and self.frequencies:
            found.append("frequencies do not go with schedule: sequential; name a task twice in a stage instead")
        if self.stages and self.schedule != "sequential":
            found.append(f"stages are given with schedule: {self.schedule}, wanted schedule: sequential")
        for number, stage in enumerate(self.stages):
            if not all(0 <= task < count for task in stage.tasks):
                found.append(f"stage {number} has tasks {stage.tasks}, wanted numbers in [0, {count})")
            if number + 1 < len(self.stages) and stage.trials % len(stage.tasks):
                found.append(
                    f"stage {number} has {stage.trials} trials, wanted a multiple of {len(stage.tasks)}: whole rounds"
                )
        if CODE in {name for task in self.tasks for name in task.facts.channels} and self.rule:
            found.append(f"a task has a channel '{CODE}' already; use rule: false")
        return found

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
        """Which comes when, unless lifetimes have one task."""
        if self.schedule == "sequential":
            each = tuple(Stage(tasks=(number,), trials=self.block) for number in range(len(self.tasks)))
            return plan_of(self.stages or each, 1)
        often = self.frequencies or (1,) * len(self.tasks)
        places = tuple(number for number, times in enumerate(often) for _ in range(times))
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
        one, two = torch.tensor([0.0, 1.0]), self.schedule == "per_lifetime"
        return kinds != {"each"} or (two and all(torch.equal(task.score(one), one) for task in self.tasks))

    @property
    def spec(self) -> TaskSpec:
        """Scores are means over the trials of a life."""
        specs, layout = self.specs, self.layout
        kinds = {spec.response for spec in specs}
        loop = "control" if layout.gives_outputs else "act"
        trial_dt = [spec.dt for spec in specs if spec.response in ("choice", "readout")]
        longest = max(spec.trial_steps for spec in specs)
        return TaskSpec(
            id=self.kind,
            channels=layout.channels,
            observations=layout.observations,
            actions=layout.actions,
            response=specs[0].response if len(kinds) == 1 else loop,
            dt=trial_dt[0] if trial_dt else specs[0].dt,
            trial_steps=longest,
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
        return sum(share * value for share, value in zip(self.shares, values, strict=True))

    def held_out(self) -> TaskSet:
        """The same set of held-out tasks."""
        return self.model_copy(update={"tasks": tuple(task.held_out() for task in self.tasks)})

    # ---- which task comes when
    def own_key(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor) -> Int[Tensor, "*B"]:
        """What the schedule draws from."""
        return rng.fold(rng.lifetime_keys(seed, lifetime), STREAM)

    def seed_of(self, number: int, seed: int | Tensor) -> Tensor:
        """The seed of a task."""
        return rng.fold(rng.root(seed) if isinstance(seed, int) else seed, STREAM + number)

    def place(self, key: Int[Tensor, "*B"], trial: Int[Tensor, "*B"]) -> Place:
        """Which task comes in a trial, and which trial of its own it is; `key` is the schedule's."""
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
        key = self.own_key(lifetime, seed)
        zero = torch.zeros_like(key)
        begun = [task.reset(lifetime, self.seed_of(number, seed)) for number, task in enumerate(self.tasks)]
        inner = tuple(state for state, _ in begun)
        state = SetState(key, zero, zero, zero == 0, self.place(key, zero).task, inner)
        state = settled(state, fresh=True)
        first = self._told(0, begun[0][1])
        for number, (_, seen) in enumerate(begun[1:], 1):
            told = self._told(number, seen)
            first = renew(lambda one: one, (told,), first, state.task == number)
        return state, first._replace(observation=self.observe(state))

    def step(self, state: SetState, action: Tensor) -> tuple[SetState, TimeStep]:
        """Act in the task that is on; another one may be on after its trial's end."""
        inner, seen = list(state.inner), None
        for number in range(len(self.tasks)):
            blank = self._blank(state) if seen is None else seen
            act = self._actor(number)
            inner[number], seen = renew(act, (inner[number], action), (inner[number], blank), state.task == number)
        assert seen is not None
        ends = seen.info.trial_end
        alive = state.alive & (state.trial + ends < self.lifetime_trials)
        trial = (state.trial + ends).clamp(max=self.lifetime_trials - 1)
        task = state.task
        if self.schedule != "per_lifetime":
            task = renew(lambda *given: (self.place(*given).task,), (state.key, trial), (task,), ends)[0]
        step = torch.where(ends, 0, state.step + 1)
        info = self._while_alive(state, seen.info)
        after = settled(SetState(state.key, trial, step, alive, task, tuple(inner)))
        over = torch.zeros_like(alive)
        return after, TimeStep(self.observe(after), seen.reward * state.alive, ~alive, over, info)

    def _while_alive(self, state: SetState, info: Info) -> Info:
        """Nothing counts after a life's end, though its tasks could go on."""
        alive = state.alive
        return info._replace(
            trial=state.trial,
            step=state.step,
            trial_end=info.trial_end & alive,
            responded=info.responded & alive,
            correct=torch.where(alive, info.correct, -1),
            score=info.score * alive,
            best=info.best * alive,
            weight=info.weight * alive,
        )

    def _actor(self, number: int) -> Callable[[Any, Tensor], tuple[Any, TimeStep]]:
        """One step of a task, in the joint layout."""
        task, own = self.tasks[number], self.specs[number].actions

        def act(state: Any, action: Tensor) -> tuple[Any, TimeStep]:
            after, seen = task.step(state, self.layout.done(action, own))
            return after, self._told(number, seen)

        return act

    def _told(self, number: int, seen: TimeStep) -> TimeStep:
        """What a task gave, in the joint layout; the observation follows later."""
        nothing = seen.observation[..., :0]
        return seen._replace(observation=nothing, info=self.layout.told(number, seen.info))

    def _blank(self, state: SetState) -> TimeStep:
        """A time step in which nothing was told yet."""
        zero, no = torch.zeros_like(state.trial), torch.zeros_like(state.alive)
        small, number = zero.to(torch.int8), zero.to(torch.float32)
        nothing = number[..., None].expand(*zero.shape, 0)
        target = self._no_answer(state.trial)
        info = Info(small, zero, zero, zero, no, no, small, number, number, target, number)
        return TimeStep(nothing, number, no, no, info)

    def _no_answer(self, like: Tensor) -> Tensor:
        if not self.layout.gives_outputs:
            return torch.zeros_like(like)
        return like[..., None].to(torch.float32).expand(*like.shape, self.layout.actions) * 0

    def _of_the_one(self, state: SetState, ask: Callable[[int, Any], Tensor], start: Tensor) -> Tensor:
        """What `ask` gives for the task that is on, in every lifetime."""
        found = start
        for number, inner in enumerate(state.inner):
            answer = renew(lambda one, number=number: (ask(number, one),), (inner,), (found,), state.task == number)
            found = answer[0]
        return found

    def observe(self, state: SetState) -> Float[Tensor, "*B I"]:
        """What the task that is on shows, and which one it is with `rule`."""
        own = self.layout.observations - (len(self.tasks) if self.rule else 0)
        dark = state.trial[..., None].to(torch.float32).expand(*state.trial.shape, own) * 0
        x = self._of_the_one(state, lambda number, inner: self._shown(number, inner), dark)
        x = coded(x, state.task, len(self.tasks)) if self.rule else x
        return x * state.alive[..., None]

    def _shown(self, number: int, inner: Any) -> Tensor:
        return self.layout.shown(number, self.tasks[number].observe(inner))

    def oracle(self, state: SetState) -> Tensor:
        """The best answer in the task that is on."""

        def ask(number: int, inner: Any) -> Tensor:
            return self.layout.answer(self.tasks[number].oracle(inner))

        return self._of_the_one(state, ask, self._no_answer(state.trial))

    def epoch_of(self, state: SetState) -> Int[Tensor, "*B"]:
        """The epoch of the frame that is shown."""

        def ask(number: int, inner: Any) -> Tensor:
            return self.layout.epoch(number, self.tasks[number].epoch_of(inner).to(torch.int8))

        return self._of_the_one(state, ask, torch.zeros_like(state.trial, dtype=torch.int8))

    def random_policy(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> Policy:
        """The random policy of the task that is on."""
        policies = [task.random_policy(lifetime, self.seed_of(number, seed)) for number, task in enumerate(self.tasks)]

        def policy(state: SetState, observation: Tensor) -> Tensor:
            answer = self._no_answer(state.trial)
            for number, (own, inner) in enumerate(zip(policies, state.inner, strict=True)):
                given = self.layout.answer(own(inner, observation))
                here = (state.task == number).reshape(*state.task.shape, *(1,) * (given.ndim - state.task.ndim))
                answer = torch.where(here, given, answer)
            return answer

        return policy

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """None: which task is on is in the state; `random_policy` reads it."""
        raise NotImplementedError("what a task set's random policy does depends on its state; use random_policy")

    # ---- whole blocks
    def outputs(self, y: Tensor) -> Float[Tensor, "*B A"]:
        """The targets of a frame as outputs."""
        return y if self.layout.gives_outputs else one_hot(y, self.layout.actions)

    def _needs_blocks(self) -> None:
        if not self.has_blocks:
            kinds = ", ".join(
                f"{task.kind} ({spec.response})" for task, spec in zip(self.tasks, self.specs, strict=True)
            )
            raise ValueError(
                f"no block of {kinds} with schedule {self.schedule} can be drawn ahead; use reset and step"
            )

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial of every lifetime, whichever task it is of.

        Raises:
            ValueError: if a task is lived in a closed loop, or the trial is not in [0, trials + test_trials).
        """
        self._needs_blocks()
        if not 0 <= trial < self.lifetime_trials:
            raise ValueError(f"trial is {trial}, wanted one in [0, {self.lifetime_trials})")
        return render_trials(self, lifetime, trial, seed)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward and score of a rendered trial, by the task that it is of."""
        return judge_trials(self, output, batch)

    def decisions(self, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """Trials [first, first + count) of lifetimes that have one task each.

        Raises:
            ValueError: if tasks change within a life or are lived in a closed loop.
        """
        self._needs_blocks()
        return decide(self, lifetime, first, count, seed)


def _with(task: TensorTask, number: int, lengths: dict[str, int]) -> TensorTask:
    """The task with lives of this length."""
    if all(getattr(task, name) == value for name, value in lengths.items()):
        return task
    try:
        return type(task).model_validate({**task.model_dump(), **lengths})
    except (ValidationError, PydanticCustomError) as why:
        text = why.errors()[0]["msg"] if isinstance(why, ValidationError) else str(why)
        raise wrong(f"task {number}, {task.kind}, cannot have {lengths}: {text}") from None
