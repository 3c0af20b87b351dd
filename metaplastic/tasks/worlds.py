"""Closed loops: what is seen depends on what was done (mazes, arms, poles, two-step decisions).

An author writes how a trial begins (`begin`), what an answer leads to (`advance`) and what is seen (`look`); the base
class counts steps and trials and ends a life. A trial is one episode; it ends when the author says so, or after
`spec.trial_steps` steps. What outlives a trial (a reward's place, baited arms) goes through `begin`, which is handed
the world that just ended.

    K = key of the lifetime; life drawn from fold(K, 0); trial n begins from the condition key of n;
    step t of trial n draws from fold(fold(Kn, 1), t)

With `feedback` the last action (one-hot; outputs as they are) and its reward are added to the observation, the inputs
of a meta-learner (Duan et al. 2016; Wang et al. 2016).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import Info, TensorTask, TimeStep, one_hot, renew, settled, slices_of


class Happening(NamedTuple):
    """What an answer led to."""

    world: Any
    reward: Float[Tensor, "*B"]
    ends: Bool[Tensor, "*B"]
    """the trial is over; it is, too, after its last step"""
    score: Float[Tensor, "*B"]
    """graded performance of the trial in [0, 1]; read where the trial ends"""
    correct: Int[Tensor, "*B"]
    """-1 not judged, 0 wrong, 1 right; read where the trial ends"""
    best: Tensor | float = 0.0
    """expected reward of the best answer to what was seen, where it is known"""


class WorldState(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    action: Tensor
    """the last action [*B], -1 before the first; or the last outputs [*B, A], 0 before the first"""
    reward: Float[Tensor, "*B"]
    """what it earned"""
    life: Any
    """what `birth` gave"""
    world: Any
    """what `begin` and `advance` gave"""


class WorldTask(TensorTask, ABC):
    """A task in a closed loop."""

    answered_by: ClassVar[Literal["act", "control"]] = "act"
    """act: one of A actions a step; control: A outputs in [-1, 1] a step"""

    trials: int = Field(default=100, ge=1)
    """trials of a lifetime in which a learner may learn"""
    test_trials: int = Field(default=0, ge=0)
    """trials of test after learning, plasticity off"""
    feedback: bool = False
    """add the last action and reward to the observation"""

    def birth(self, key: Int[Tensor, "*B"]) -> Any:
        """Parameters of lifetimes, tensors [*B, ...], from their parameter keys; none here."""
        del key

    @abstractmethod
    def begin(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"], before: Any) -> Any:
        """The world at a trial's start, a NamedTuple of tensors [*B, ...], from the trial's condition keys; `before`
        is the world that just ended, None at birth."""

    @abstractmethod
    def advance(
        self, key: Int[Tensor, "*B"], life: Any, world: Any, action: Tensor, step: Int[Tensor, "*B"]
    ) -> Happening:
        """What an answer leads to; `key` is the step's own, `step` counts within the trial."""

    @abstractmethod
    def look(self, life: Any, world: Any, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B I"]:
        """What is seen, without feedback."""

    def target(self, life: Any, world: Any) -> Tensor:
        """The best answer to what is seen, knowing what is hidden."""
        raise NotImplementedError(f"{self.kind} has no oracle")

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[WorldState, TimeStep]:
        """The start of every lifetime."""
        key = rng.lifetime_keys(seed, lifetime)
        zero, yes = torch.zeros_like(key), torch.ones_like(key, dtype=torch.bool)
        life = self.birth(rng.parameter_keys(key))
        world = self.begin(rng.condition_keys(rng.trial_keys(key, zero)), life, zero, None)
        nothing = torch.zeros_like(key, dtype=torch.float32)
        action = zero - 1
        if self.answered_by == "control":
            action = torch.zeros(*key.shape, self.facts.actions, device=key.device)
        state = WorldState(key, zero, zero, yes, action, nothing, life, world)
        unjudged = (zero - 1).to(torch.int8)
        epoch = self.epoch_of(state).to(torch.int8)
        info = Info(epoch, zero, zero, zero, ~yes, ~yes, unjudged, nothing, nothing, self.oracle(state), nothing)
        state = settled(state, fresh=True)
        return state, settled(TimeStep(self.observe(state), nothing, ~yes, ~yes, info), fresh=True)

    def step(self, state: WorldState, action: Tensor) -> tuple[WorldState, TimeStep]:
        """Act; the next trial begins where this one ends."""
        trial_key = rng.trial_keys(state.key, state.trial)
        told = self.advance(rng.noise_keys(trial_key, state.step), state.life, state.world, action, state.step)
        alive, last = state.alive, state.step + 1 >= self.facts.trial_steps
        ends = told.ends | last
        reward = torch.where(alive, told.reward, 0.0)
        over = alive & ends
        info = Info(
            epoch=self.epoch_of(state).to(torch.int8),
            step=state.step,
            trial=state.trial,
            kind=torch.zeros_like(state.trial),
            trial_end=over,
            responded=over & (told.correct >= 0),
            correct=torch.where(over, told.correct.to(torch.int8), -1),
            score=torch.where(over, told.score, 0.0),
            best=torch.where(alive, told.best, 0.0).to(reward.dtype),
            target=self.oracle(state),
            weight=alive.to(reward.dtype),
        )
        alive = alive & (state.trial + ends < self.lifetime_trials)
        trial = (state.trial + ends).clamp(max=self.lifetime_trials - 1)
        world = renew(self._begun, (state.key, state.life, trial, told.world), told.world, ends)
        step = torch.where(ends, 0, state.step + 1)
        state = WorldState(state.key, trial, step, alive, action, reward, state.life, world)
        state = settled(state)
        return state, TimeStep(self.observe(state), reward, ~alive, torch.zeros_like(alive), info)

    def _begun(self, key: Tensor, life: Any, trial: Tensor, before: Any) -> Any:
        return self.begin(rng.condition_keys(rng.trial_keys(key, trial)), life, trial, before)

    def observe(self, state: WorldState) -> Float[Tensor, "*B I"]:
        """What is seen, and the last action and reward with `feedback`."""
        seen = self.look(state.life, state.world, state.step)
        if self.feedback:
            last = one_hot(state.action, self.facts.actions) if self.answered_by == "act" else state.action
            seen = torch.cat((seen, last, state.reward[..., None]), -1)
        return seen * state.alive[..., None]

    def oracle(self, state: WorldState) -> Tensor:
        """The best answer, knowing what is hidden."""
        return self.target(state.life, state.world)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Tensor:
        """Any action alike; outputs from U(-1, 1)."""
        del epoch
        now = rng.noise_keys(rng.trial_keys(key, trial), step)
        if self.answered_by == "control":
            return rng.uniforms(now, self.facts.actions) * 2 - 1
        return rng.below(rng.words(now, 1)[..., 0], self.facts.actions)

    def describe(self, widths: Mapping[str, int], actions: int, **more: Any) -> TaskSpec:
        """The spec, from the widths of the channels and what the scores mean (chance, ceiling, criterion, …)."""
        channels = {**widths, **({"previous_action": actions, "previous_reward": 1} if self.feedback else {})}
        return TaskSpec(
            **{
                "id": self.kind,
                "channels": slices_of(channels),
                "observations": sum(channels.values()),
                "actions": actions,
                "response": self.answered_by,
                "dt": 1.0,
                "trial_steps": 1,
                "trial_types": 1,
                "tags": self.tags,
                "cite": self.references,
                "open_loop": False,
                **more,
            }
        )
