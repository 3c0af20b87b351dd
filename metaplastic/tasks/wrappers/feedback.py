"""Wrappers that show what came of an answer: the inputs of a meta-learner, and a pulse of reward after a trial.

`WithFeedback` adds the last action (one-hot; outputs as they are), the last reward, how much of the life is over and
whether a trial begins: the inputs of RL^2 (Duan et al. 2016) and of Wang et al. 2016, 2018. `WithRewardPulse` shows the
summed reward of a trial for some ms after its end (Miconi 2023 shows it within the trial); `InterTrial` around the
task inside it makes room for the pulse.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import TimeStep, one_hot
from metaplastic.tasks.wrappers.wrapper import Wrapped, Wrapper

OUTPUTS = ("readout", "control")
"""kinds of response with continuous outputs"""


class Last(NamedTuple):
    """What came last."""

    action: Tensor
    """[*B], -1 before the first; or outputs [*B, A]"""
    reward: Float[Tensor, "*B"]
    age: Int[Tensor, "*B"]
    """steps lived"""
    begins: Float[Tensor, "*B"]
    """1 on the first frame of a trial"""


class WithFeedback(Wrapper):
    """Shows the last action and reward, and if asked the time of life and a trial's beginning."""

    references = (
        "Duan et al. 2016, RL^2: fast reinforcement learning via slow reinforcement learning, arXiv:1611.02779",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    kind: Literal["WithFeedback"] = "WithFeedback"
    action: bool = True
    """the last action, channel `previous_action`"""
    reward: bool = True
    """the last reward, channel `previous_reward`"""
    time: bool = False
    """steps lived, as a part of the longest life, channel `time`"""
    trial_start: bool = False
    """1 on the first frame of a trial, channel `trial_start`"""

    @model_validator(mode="after")
    def _new(self) -> WithFeedback:
        self.refuse_channels(list(self._widths()))
        if not self._widths():
            raise wrong("shows nothing; set one of action, reward, time, trial_start to true")
        return self

    def _widths(self) -> dict[str, int]:
        shown = {"previous_action": self.action, "previous_reward": self.reward, "time": self.time}
        shown["trial_start"] = self.trial_start
        return {
            name: self.task.facts.actions if name == "previous_action" else 1 for name, is_on in shown.items() if is_on
        }

    @property
    def spec(self) -> TaskSpec:
        """More channels."""
        return self.described(open_loop=False, **self.extended(self._widths()))

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Last:
        """Nothing came yet."""
        del inner
        nothing = torch.zeros_like(key, dtype=torch.float32)
        is_output = self.task.facts.response in OUTPUTS
        action = torch.zeros(*key.shape, self.task.facts.actions, device=key.device) if is_output else key * 0 - 1
        return Last(action, nothing, torch.zeros_like(key), nothing + 1)

    def remember(self, state: Wrapped, action: Tensor, inner: Any, seen: TimeStep) -> Last:
        """The answer and what it earned."""
        age = state.kept.age + state.alive
        return Last(action.clone(), seen.reward.clone(), age, (inner.step == 0).to(torch.float32))

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B J"]:
        """x and what came last."""
        last, facts, parts = state.kept, self.task.facts, [x]
        if self.action:
            parts.append(last.action if facts.response in OUTPUTS else one_hot(last.action, facts.actions))
        if self.reward:
            parts.append(last.reward[..., None])
        if self.time:
            parts.append(last.age[..., None] * (1.0 / (self.lifetime_trials * facts.trial_steps)))
        if self.trial_start:
            parts.append(last.begins[..., None])
        return torch.cat(parts, -1)


class Pulse(NamedTuple):
    """A reward on show."""

    earned: Float[Tensor, "*B"]
    """reward of this trial so far"""
    shown: Float[Tensor, "*B"]
    left: Int[Tensor, "*B"]
    """steps for which it is still shown"""


class WithRewardPulse(Wrapper):
    """Shows the reward of a trial on a channel of its own after the trial's end."""

    references = (
        "Miconi 2023, Learning to acquire novel cognitive tasks with evolution, plasticity and meta-learning",
    )
    kind: Literal["WithRewardPulse"] = "WithRewardPulse"
    ms: float = Field(default=100.0, gt=0)
    """how long it is shown; must be a multiple of dt"""

    @model_validator(mode="after")
    def _new(self) -> WithRewardPulse:
        self.refuse_channels(["reward"])
        dt = self.task.facts.dt
        if not 1 <= round(self.ms / dt, 6) == round(self.ms / dt):
            raise wrong(f"ms is {self.ms:g}, wanted a multiple of dt = {dt:g} ms")
        return self

    @property
    def spec(self) -> TaskSpec:
        """A channel more."""
        return self.described(open_loop=False, **self.extended({"reward": 1}))

    def memory(self, key: Int[Tensor, "*B"], inner: Any) -> Pulse:
        """Nothing is shown."""
        del inner
        nothing = torch.zeros_like(key, dtype=torch.float32)
        return Pulse(nothing, nothing, torch.zeros_like(key))

    def remember(self, state: Wrapped, action: Tensor, inner: Any, seen: TimeStep) -> Pulse:
        """Add the reward; show the sum where the trial ended."""
        del action, inner
        pulse, ended = state.kept, seen.info.trial_end
        earned = pulse.earned + seen.reward
        shown = torch.where(ended, earned, pulse.shown)
        left = torch.where(ended, round(self.ms / self.task.facts.dt), (pulse.left - 1).clamp(min=0))
        return Pulse(torch.where(ended, 0.0, earned), shown, left)

    def look(self, x: Float[Tensor, "*B I"], state: Wrapped) -> Float[Tensor, "*B J"]:
        """x and the reward on show."""
        return torch.cat((x, (state.kept.shown * (state.kept.left > 0))[..., None]), -1)
