"""Wrappers: a task inside a task that changes what is seen, done, paid or timed, and leaves the rest alone.

    {kind: WithFeedback, task: {kind: PermuteChannels, task: {kind: Bandit-v0, arms: 3}}}

A wrapper is a task itself, so wrappers nest in any order. It draws from a stream of its own: with K the key of the
lifetime (rng.py) and d the wrappers inside it, `fold(K, 64 + d)` stands where K would, so wrapping changes no number of
the task inside. `trials` and `test_trials` are those of the task inside; given to a wrapper, they go inwards.

A `Lens` changes observations by what was drawn alone; blocks (`decisions`, `render`) stay possible, with equal numbers.
Other wrappers say themselves whether they keep blocks. Chance, ceiling and criterion stay those of the task inside:
where a wrapper hides something (noise, delay, a slip of the hand) its ceiling is a bound that nobody need reach.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Component, Decisions, Judgement, TaskSpec, TrialBatch, lookup, wrong
from metaplastic.fields import Slot, own_class
from metaplastic.tasks.base import Policy, TensorTask, TimeStep, settled

STREAM = 64
"""child of a lifetime's key that the innermost wrapper draws from; the next ones take the numbers above it"""


def _kind(kind: Any) -> type[Component]:
    from metaplastic.tasks.registry import KINDS  # the registry names the wrappers, too

    return own_class("task", kind) if isinstance(kind, str) and ":" in kind else lookup(KINDS, kind, "task")


def _kinds() -> list[str]:
    from metaplastic.tasks.registry import KINDS

    return list(KINDS)


class InnerTask(Slot):
    """Field annotation: the task inside a wrapper, by its `kind`."""

    def __init__(self) -> None:
        super().__init__(_kind, _kinds)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}

    def validate(self, value: Any) -> Any:
        """A tensor task, or an error that says what was wanted."""
        found = super().validate(value)
        if not isinstance(found, TensorTask):
            what = getattr(found, "kind", type(found).__name__)
            raise wrong(
                f"is {what}, wanted one tensor task; a choice of tasks goes outside: "
                "{choice: [{kind: …, task: a}, {kind: …, task: b}]}"
            )
        if not found.pure:
            raise wrong(f"is {found.kind}, which runs outside of tensors, wanted a task made of tensors")
        return found


class Wrapped(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    """of the wrapper's own draws"""
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    inner: Any
    """state of the task inside"""
    kept: Any
    """what the wrapper remembers"""


class Wrapper(TensorTask, ABC):
    """A task around a task. What a subclass leaves out passes through."""

    task: Annotated[Any, InnerTask()]
    """the task inside"""
    trials: int = Field(default=0, ge=0)
    """trials of learning in a lifetime; those of the task inside, if absent"""
    test_trials: int = Field(default=0, ge=0)
    """trials of test after learning; those of the task inside, if absent"""

    @model_validator(mode="after")
    def _one_length(self) -> Wrapper:
        inner, names = self.task, ("trials", "test_trials")
        given = {name: getattr(self, name) for name in names if name in self.model_fields_set}
        if any(getattr(inner, name) != value for name, value in given.items()):
            try:
                inner = type(inner).model_validate({**inner.model_dump(), **given})
            except ValidationError as why:
                first = why.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise wrong(f"cannot give {given} to {inner.kind}: {place}: {first['msg']}") from None
        vars(self).update(task=inner, **{name: getattr(inner, name) for name in names})
        return self

    def held_out(self) -> Wrapper:
        """The same around material that no search ever sees."""
        return self.model_copy(update={"task": self.task.held_out()})

    @property
    def depth(self) -> int:
        """How many wrappers are inside."""
        return self.task.depth + 1 if isinstance(self.task, Wrapper) else 0

    @property
    def spec(self) -> TaskSpec:
        """That of the task inside, under this kind."""
        return self.described()

    def described(self, **changes: Any) -> TaskSpec:
        """The spec of the task inside with some facts changed."""
        inner = self.task.facts
        return inner._replace(**{"id": self.kind, "cite": (*inner.cite, *self.references), **changes})

    def extended(self, widths: Mapping[str, int]) -> dict[str, Any]:
        """The changes of a spec that gets more channels at the end of its observation."""
        end, channels = self.task.facts.observations, dict(self.task.facts.channels)
        for name, width in widths.items():
            channels[name] = (end, end + width)
            end += width
        return {"channels": channels, "observations": end}

    def refuse_channels(self, names: list[str]) -> None:
        """An error if the task inside has channels of these names already."""
        for name in names:
            if name in self.task.facts.channels:
                raise wrong(f"{self.task.kind} has a channel '{name}' already; leave it out here, or there")

    def tags_of_settings(self) -> tuple[str, ...]:
        """Those of the task inside."""
        return self.task.tags_of_settings()

    def own_key(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor) -> Int[Tensor, "*B"]:
        """What the wrapper draws from, in place of the lifetime's key."""
        return rng.fold(rng.lifetime_keys(seed, lifetime), STREAM + self.depth)

    # ---- what a subclass may change
    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Any:
        """What is remembered at birth, a nested tuple of tensors of their own."""
        del key, inner
        return ()

    def acted(self, state: Wrapped, action: Tensor) -> Tensor:
        """What is done inside when an answer is given."""
        del state
        return action

    def remember(self, state: Wrapped, action: Tensor, inner: Any, seen: TimeStep) -> Any:
        """What is remembered after a step: `inner` and `seen` are what the task inside gave."""
        del action, inner, seen
        return state.kept

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B J"]:
        """What is seen where the task inside shows x."""
        del state
        return x

    # ---- the closed loop
    def enclosed(self, key: Int[Tensor, "*B"], inner: Any, kept: Any, *, fresh: bool = False) -> Wrapped:
        """The state around a state of the task inside."""
        where = (inner.trial.clone(), inner.step.clone(), inner.alive.clone())
        return settled(Wrapped(key, *where, inner, kept), fresh=fresh)

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[Wrapped, TimeStep]:
        """The start of every lifetime."""
        inner, first = self.task.reset(lifetime, seed)
        key = self.own_key(lifetime, seed)
        state = self.enclosed(key, inner, self.memory(key, inner), fresh=True)
        return state, first._replace(observation=self.observe(state))

    def step(self, state: Wrapped, action: Tensor) -> tuple[Wrapped, TimeStep]:
        """Act inside; remember; see."""
        inner, seen = self.task.step(state.inner, self.acted(state, action))
        after = self.enclosed(state.key, inner, self.remember(state, action, inner, seen))
        return after, seen._replace(observation=self.observe(after))

    def observe(self, state: Wrapped) -> Float[Tensor, "*B J"]:
        """What is seen now."""
        return self.look(self.task.observe(state.inner), state) * state.alive[..., None]

    def oracle(self, state: Wrapped) -> Tensor:
        """The best answer inside."""
        return self.task.oracle(state.inner)

    def random_policy(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> Policy:
        """That of the task inside, which may have to know its state (a task set)."""
        inner = self.task.random_policy(lifetime, seed)
        return lambda state, observation: inner(state.inner, observation)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """The random answer inside."""
        return self.task.random_answer(key, trial, step, epoch)

    def epoch_of(self, state: Wrapped) -> Int[Tensor, "*B"]:
        """The epoch inside."""
        return self.task.epoch_of(state.inner)

    # ---- whole blocks
    def decisions(self, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """None: what is seen depends on what was done."""
        del lifetime, first, count, seed
        raise ValueError(self._closed())

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """None: what is seen depends on what was done."""
        del lifetime, trial, seed
        raise ValueError(self._closed())

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """None: there are no rendered trials."""
        del output, batch
        raise ValueError(self._closed())

    def _closed(self) -> str:
        return f"no block of {self.kind} can be drawn ahead: it depends on what is done; use reset and step"

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The score inside."""
        return self.task.score(payoff)

    def outputs(self, y: Tensor) -> Float[Tensor, "*B A"]:
        """The targets of a frame as outputs."""
        return self.task.outputs(y)

    def conditions(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> dict[str, Tensor]:
        """What one trial inside has drawn, by name."""
        return self.task.conditions(lifetime, trial, seed)


class Lens(Wrapper, ABC):
    """A wrapper of observations that keeps blocks.

    `see(x, key, trial, step)` gives what is seen of frames x [*T, I] at these trials and steps [*T] of lifetimes [*B],
    T ending in B; a lens with a memory of earlier frames of the trial writes `see_trial` and the loop's own methods.
    """

    def see(
        self, x: Float[Tensor, "*T I"], key: Int[Tensor, "*B"], trial: Int[Tensor, "..."], step: Int[Tensor, "..."]
    ) -> Float[Tensor, "*T J"]:
        """What is seen of single frames."""
        del key, trial, step
        return x

    def see_trial(
        self, x: Float[Tensor, "T *S I"], key: Int[Tensor, "*B"], trial: Int[Tensor, "..."], step: Int[Tensor, "..."]
    ) -> Float[Tensor, "T *S J"]:
        """What is seen of whole trials, time first."""
        return self.see(x, key, trial, step)

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B J"]:
        """`see`, now."""
        return self.see(x, state.key, state.trial, state.step)

    def decisions(self, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """Trials [first, first + count), seen through the lens."""
        block = self.task.decisions(lifetime, first, count, seed)
        trial = torch.arange(first, first + count, device=lifetime.device).reshape(-1, *(1,) * lifetime.ndim)
        key = self.own_key(lifetime, seed)
        x = self.see_trial(block.observation[None], key, trial[None], torch.zeros_like(trial)[None])[0]
        return block._replace(observation=x)

    def render(self, lifetime: Int[Tensor, "*B"], trial: int, seed: int | Tensor = 0) -> TrialBatch:
        """All frames of one trial, seen through the lens; nothing is seen after its end."""
        batch = self.task.render(lifetime, trial, seed)
        step = torch.arange(len(batch.w), device=lifetime.device).reshape(-1, *(1,) * lifetime.ndim)
        key = self.own_key(lifetime, seed)
        x = self.see_trial(batch.x, key, torch.full_like(step, trial), step)
        return batch._replace(x=x if batch.length is None else x * (step < batch.length)[..., None])

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """The judgement inside."""
        return self.task.judge(output, batch)


def bare(task: TensorTask) -> TensorTask:
    """The innermost task."""
    while isinstance(task, Wrapper):
        task = task.task
    return task
