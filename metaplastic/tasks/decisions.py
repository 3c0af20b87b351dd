"""Tasks of one-step decisions: every step shows an observation, takes an action and pays at once.

An author writes `birth` (what a lifetime draws once) and `question` (everything about trial n), both as functions of
keys that broadcast over any shape of trial numbers. `decisions` asks for a block of n at once, `step` for one n after
the other; the numbers are the same because the function is.

With `feedback` the last action (one-hot) and its reward are added to the observation, the inputs of a meta-learner
(Duan et al. 2016; Wang et al. 2016); then the observation depends on the actions and only the closed loop is left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Decisions, TaskSpec
from metaplastic.tasks.base import Info, TensorTask, TimeStep, one_hot, settled, slices_of


class Question(NamedTuple):
    """Everything about one trial."""

    observation: Float[Tensor, "*B I"]
    payoff: Float[Tensor, "*B A"]
    """reward that each action would get"""
    best: Float[Tensor, "*B"]
    """expected reward of the best action"""
    kind: Int[Tensor, "*B"]
    """trial type"""
    target: Int[Tensor, "*B"]
    """the best action, for an oracle"""


class DecisionState(NamedTuple):
    """Where every lifetime is."""

    key: Int[Tensor, "*B"]
    trial: Int[Tensor, "*B"]
    step: Int[Tensor, "*B"]
    alive: Bool[Tensor, "*B"]
    action: Int[Tensor, "*B"]
    """the last action; -1 before the first"""
    reward: Float[Tensor, "*B"]
    """what it earned"""
    life: Any
    """what `birth` gave"""
    now: Question


class DecisionTask(TensorTask, ABC):
    """A task of one-step decisions."""

    feedback: bool = False
    """add the last action (one-hot) and reward to the observation; then there are no open-loop blocks"""

    @abstractmethod
    def birth(self, key: Int[Tensor, "*B"]) -> Any:
        """Parameters of lifetimes, a tuple of tensors [*B, ...], from their parameter keys."""

    @abstractmethod
    def question(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*T"]) -> Question:
        """Trial number `trial` ([*B], or [T, *B]) of lifetimes with keys [*B]; the fields have the shape of `trial`."""

    def is_right(self, question: Question, action: Int[Tensor, "*B"]) -> Bool[Tensor, "*B"]:
        """Whether an action counts as correct: it is the best one."""
        return action == question.target

    def decisions(self, lifetime: Int[Tensor, "*B"], first: int, count: int, seed: int | Tensor = 0) -> Decisions:
        """Trials [first, first + count) of every lifetime.

        Raises:
            ValueError: with `feedback`, or if the trials are not all in [0, trials + test_trials).
        """
        if self.feedback:
            raise ValueError(
                f"{self.kind} has feedback: true, so what is seen depends on what was done and no block can be drawn "
                "ahead; use reset and step, or feedback: false"
            )
        if first < 0 or count < 1 or first + count > self.lifetime_trials:
            raise ValueError(
                f"trials [{first}, {first + count}) are not all in a lifetime of {self.kind}, which has "
                f"[0, {self.lifetime_trials}): {self.trials} of learning and {self.test_trials} of test"
            )
        key = rng.lifetime_keys(seed, lifetime)
        trial = torch.arange(first, first + count, device=lifetime.device)
        trial = trial.reshape(-1, *(1,) * lifetime.ndim).expand(count, *lifetime.shape)
        asked = self.question(key, self.birth(rng.parameter_keys(key)), trial)
        return Decisions(asked.observation, asked.payoff, asked.best, asked.kind)

    def reset(self, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0) -> tuple[DecisionState, TimeStep]:
        """The start of every lifetime, with the first question."""
        key = rng.lifetime_keys(seed, lifetime)
        trial = torch.zeros_like(key)
        life = self.birth(rng.parameter_keys(key))
        now = self.question(key, life, trial)
        alive, zero = trial == 0, torch.zeros_like(now.best)
        state = DecisionState(key, trial, trial, alive, trial - 1, zero, life, now)
        info = Info(
            epoch=trial.to(torch.int8),
            step=trial,
            trial=trial,
            kind=now.kind,
            trial_end=~alive,
            responded=~alive,
            correct=(trial - 1).to(torch.int8),
            score=zero,
            best=zero,
            target=now.target,
            weight=zero,
        )
        state = settled(state, fresh=True)
        return state, settled(TimeStep(self.observe(state), zero, ~alive, ~alive, info), fresh=True)

    def step(self, state: DecisionState, action: Int[Tensor, "*B"]) -> tuple[DecisionState, TimeStep]:
        """Pay the action, ask the next question."""
        asked, alive = state.now, state.alive
        payoff = asked.payoff.gather(-1, action[..., None]).squeeze(-1)
        reward = torch.where(alive, payoff, 0.0)
        info = Info(
            epoch=torch.zeros_like(action, dtype=torch.int8),
            step=state.step,
            trial=state.trial,
            kind=asked.kind,
            trial_end=alive,
            responded=alive,
            correct=torch.where(alive, self.is_right(asked, action).to(torch.int8), -1),
            score=torch.where(alive, self.score(payoff), 0.0),
            best=torch.where(alive, asked.best, 0.0),
            target=asked.target,
            weight=alive.to(reward.dtype),
        )
        trial = (state.trial + 1).clamp(max=self.lifetime_trials - 1)
        alive = alive & (state.trial + 1 < self.lifetime_trials)
        now = self.question(state.key, state.life, trial)
        state = DecisionState(state.key, trial, state.step, alive, action, reward, state.life, now)
        state = settled(state)
        return state, TimeStep(self.observe(state), reward, ~alive, torch.zeros_like(alive), info)

    def observe(self, state: DecisionState) -> Float[Tensor, "*B I"]:
        """The question's observation, and the last action and reward with `feedback`."""
        parts = [state.now.observation]
        if self.feedback:
            parts += [one_hot(state.action, state.now.payoff.shape[-1]), state.reward[..., None]]
        return torch.cat(parts, -1) * state.alive[..., None]

    def oracle(self, state: DecisionState) -> Int[Tensor, "*B"]:
        """The best action."""
        return state.now.target

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Int[Tensor, "..."]:
        """Any action alike."""
        del step, epoch
        return rng.below(rng.words(rng.trial_keys(key, trial), 1)[..., 0], self.facts.actions)

    def describe(
        self,
        channels: dict[str, int],
        actions: int,
        *,
        chance: float,
        ceiling: float,
        criterion: float,
        oracle: float | None = None,
        reward_range: tuple[float, float] = (0.0, 1.0),
    ) -> TaskSpec:
        """The spec, from the number of observations under each name and what the scores mean."""
        widths = channels | ({"previous_action": actions, "previous_reward": 1} if self.feedback else {})
        slices = slices_of(widths)
        return TaskSpec(
            id=self.kind,
            channels=slices,
            observations=sum(widths.values()),
            actions=actions,
            response="each",
            dt=1.0,
            trial_steps=1,
            trial_types=1,
            chance=chance,
            ceiling=ceiling,
            criterion=criterion,
            tags=self.tags,
            cite=self.references,
            oracle=oracle,
            open_loop=not self.feedback,
            reward_range=reward_range,
        )
