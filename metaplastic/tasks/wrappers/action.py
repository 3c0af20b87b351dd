"""Wrappers of what is done and paid: slips of the hand, sticky actions, late rewards. All need the closed loop.

    ActionNoise   an action becomes any action with probability `slip`; outputs get N(0, sd) noise
    Sticky        the last action is done once more, with probability p (Machado et al. 2018)
    RewardDelay   a reward is paid some steps late; what is still owed at the life's end is paid with its last step

Where waiting is an action (`choice`), a slip only turns one answer into another: the hand errs, but it does not twitch.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import TimeStep
from metaplastic.tasks.wrappers.feedback import OUTPUTS
from metaplastic.tasks.wrappers.wrapper import Wrapped, Wrapper


class ActionNoise(Wrapper):
    """What is done is not always what was meant."""

    kind: Literal["ActionNoise"] = "ActionNoise"
    slip: float = Field(default=0.0, ge=0, le=1)
    """probability that any action, each alike, is done instead (tasks that are answered by actions)"""
    sd: float = Field(default=0.0, ge=0)
    """standard deviation of the noise of outputs, at every step (readout, control)"""

    @model_validator(mode="after")
    def _one(self) -> ActionNoise:
        response = self.task.facts.response
        wanted, other = ("sd", "slip") if response in OUTPUTS else ("slip", "sd")
        if not getattr(self, wanted) or getattr(self, other):
            raise wrong(
                f"slip is {self.slip:g} and sd is {self.sd:g}, wanted only {wanted} above 0: {self.task.kind} is "
                f"answered by '{response}'"
            )
        return self

    @property
    def spec(self) -> TaskSpec:
        """Of one-step decisions the ceiling follows the slips; elsewhere it is a bound."""
        facts = self.task.facts
        if facts.response != "each":
            return self.described(open_loop=False)
        oracle = facts.ceiling if facts.oracle is None else facts.oracle
        scores = {"ceiling": facts.ceiling, "oracle": oracle, "criterion": facts.criterion}
        mixed = {name: score + self.slip * (facts.chance - score) for name, score in scores.items()}
        return self.described(open_loop=False, **mixed)

    def acted(self, state: Wrapped, action: Tensor) -> Tensor:
        """What is done."""
        key, facts = rng.noise_keys(rng.trial_keys(state.key, state.trial), state.step), self.task.facts
        if facts.response in OUTPUTS:
            return action + self.sd * rng.normals(key, facts.actions)
        words = rng.words(key, 2)
        first = 1 if facts.response == "choice" else 0
        other = first + rng.below(words[..., 0], facts.actions - first)
        slips = rng.coin(words[..., 1], self.slip) & (action >= first)
        return torch.where(slips, other, action)


class Done(NamedTuple):
    """What was done last."""

    action: Tensor
    there: Bool[Tensor, "*B"]
    """something was, in this trial (in this life, where trials are one step)"""


class Sticky(Wrapper):
    """The last action sticks."""

    references = ("Machado et al. 2018, Revisiting the Arcade Learning Environment, JAIR 61:523",)
    kind: Literal["Sticky"] = "Sticky"
    p: float = Field(default=0.25, gt=0, lt=1)
    """probability that the last action is done once more"""

    @property
    def spec(self) -> TaskSpec:
        """No more blocks."""
        return self.described(open_loop=False)

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Done:
        """Nothing was done."""
        del inner
        facts = self.task.facts
        is_output = facts.response in OUTPUTS
        action = torch.zeros(*key.shape, facts.actions, device=key.device) if is_output else torch.zeros_like(key)
        return Done(action, torch.zeros_like(key, dtype=torch.bool))

    def acted(self, state: Wrapped, action: Tensor) -> Tensor:
        """What is done."""
        key = rng.noise_keys(rng.trial_keys(state.key, state.trial), state.step)
        sticks = rng.coin(rng.words(key, 1)[..., 0], self.p) & state.kept.there
        return torch.where(
            sticks.reshape(*sticks.shape, *(1,) * (action.ndim - sticks.ndim)), state.kept.action, action
        )

    def remember(self, state: Wrapped, action: Tensor, inner: Any, seen: TimeStep) -> Done:
        """What was done; forgotten with the trial."""
        del inner
        ended = seen.info.trial_end if self.task.facts.trial_steps > 1 else torch.zeros_like(seen.info.trial_end)
        return Done(self.acted(state, action).clone(), ~ended)


class RewardDelay(Wrapper):
    """Rewards come late; scores and what counts as right do not change."""

    kind: Literal["RewardDelay"] = "RewardDelay"
    steps: int = Field(default=1, ge=1)
    """how late"""

    @property
    def spec(self) -> TaskSpec:
        """No more blocks; all that is owed may come at once."""
        facts = self.task.facts
        low, high = facts.reward_range
        owed = (min(low, low * (self.steps + 1)), max(high, high * (self.steps + 1)))
        return self.described(open_loop=False, reward_range=owed)

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Float[Tensor, "*B D"]:
        """What is owed, the oldest first."""
        del inner
        return torch.zeros(*key.shape, self.steps, device=key.device)

    def step(self, state: Wrapped, action: Tensor) -> tuple[Wrapped, TimeStep]:
        """Act; be paid for what was done earlier."""
        inner, seen = self.task.step(state.inner, action)
        owed = torch.cat((state.kept, seen.reward[..., None]), -1)
        over = ~inner.alive
        reward = torch.where(over, owed.sum(-1), owed[..., 0])
        after = self.enclosed(state.key, inner, torch.where(over[..., None], 0.0, owed[..., 1:]))
        return after, seen._replace(reward=reward, observation=self.observe(after))
