"""Trials that are answered by an action: 0 waits (fixates), 1 .. A - 1 choose; the first answer in time is judged.

    an answer in a response epoch      ends the trial; right if it is the label
    an answer before it (`early`)      abort: ends the trial; penalise: costs a reward, the trial goes on; ignore
    no answer until the end            an omission; right where the label is 0 (a no-go trial)

An answer is an action other than 0, given `hold` steps in a row. Rewards are named schemes or four numbers:

    scheme      correct  error  early  omission
    song17           1      0     -1        -1     Song, Yang & Wang 2017, eLife 6:e21492
    neurogym         1      0   -0.1         0     Molano-Mazon et al. 2022
    signed           1     -1     -1        -1
    shaped           1      0   -0.1         0     the score itself, for evolution

`judge` reads actions from outputs: the largest acts (the first of equals), so a network's outputs and an agent's
actions earn the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, TrialBatch, near_miss, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.constants import constant
from metaplastic.tasks.epochs import EpochTask, When
from metaplastic.tasks.trials import Count, Drawn, Frame, TrialState
from metaplastic.values import Value

Early = Literal["abort", "penalise", "ignore"]


class Rewards(Value):
    """What a trial pays."""

    correct: float = 1.0
    """for the right answer"""
    error: float = 0.0
    """for a wrong one"""
    early: float = -1.0
    """for an answer before its time"""
    omission: float = -1.0
    """for none, where one was due"""


SCHEMES = MappingProxyType(
    {
        "song17": Rewards(),
        "neurogym": Rewards(early=-0.1, omission=0.0),
        "signed": Rewards(error=-1.0),
        "shaped": Rewards(early=-0.1, omission=0.0),
    }
)
"""name -> rewards"""


def _read_rewards(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in SCHEMES:
        names = list(SCHEMES)
        raise wrong(f"is {value!r}, wanted one of {', '.join(names)}{near_miss(value, names)}, or four numbers")
    return SCHEMES[value]


Paid = Annotated[Rewards, BeforeValidator(_read_rewards)]
"""rewards as a file may give them: the name of a scheme, or four numbers"""


class Answered(NamedTuple):
    """The answer of a whole trial."""

    action: Int[Tensor, "*B"]
    t: Int[Tensor, "*B"]
    """its step"""
    given: Bool[Tensor, "*B"]
    """there was one, early or in time"""


class ChoiceTask(EpochTask, ABC):
    """A task of epochs that is answered by an action."""

    rewards: Paid = Rewards()
    """song17, neurogym, signed, shaped, or {correct, error, early, omission}"""
    early: Annotated[Early, BeforeValidator(one_of(Early))] = "abort"
    """what an answer before its time does"""
    hold: int = Field(default=1, ge=1)
    """steps in a row that an action must be given to be an answer"""

    @abstractmethod
    def label(self, conditions: Any) -> Int[Tensor, "*B"]:
        """The right action of a trial; 0 to wait."""

    def answer(self, conditions: Any, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """What an answer in time earns; `action` may have leading axes before those of the conditions."""
        del when
        right = (action == self.label(conditions)).to(torch.float32)
        reward = right * (self.rewards.correct - self.rewards.error) + self.rewards.error
        return Judgement(reward, right, right)

    def omission(self, conditions: Any) -> Judgement:
        """What no answer earns."""
        right = (self.label(conditions) == 0).to(torch.float32)
        reward = right * (self.rewards.correct - self.rewards.omission) + self.rewards.omission
        return Judgement(reward, right, right)

    def answers(self) -> tuple[int, ...]:
        """The actions that can be right: what the random policy guesses among."""
        return tuple(range(1, self.facts.actions))

    def best(self, drawn: Drawn) -> Tensor | float:
        """Reward of the right answer."""
        del drawn
        return self.rewards.correct

    def wanted(self, conditions: Any, when: When) -> Int[Tensor, "*T"]:
        """The label where an answer is due, 0 elsewhere."""
        return self.label(conditions) * self.within(when.epoch, self.responses)

    def outputs(self, y: Int[Tensor, "*B"]) -> Float[Tensor, "*B A"]:
        """An action as outputs: 1 for it, 0 for the others."""
        return one_hot(y, self.facts.actions)

    def fresh_tally(self, now: Frame) -> Tensor:
        """The last action and how often it came in a row; nothing if one step is enough."""
        return now.y.new_zeros(*now.y.shape, 2 if self.hold > 1 else 0)

    def count(self, state: TrialState, action: Int[Tensor, "*B"]) -> Count:
        """Judge an answer, or none at the trial's end."""
        conditions = state.drawn.values.conditions
        when = self.when(state.drawn, state.step)
        tally, given = self._held(state.tally, action)
        due = self.within(when.epoch, self.responses)
        answered, early = given & due, given & ~due
        aborted = early if self.early == "abort" else torch.zeros_like(early)
        ends = answered | aborted | (state.step + 1 >= state.drawn.length)
        verdict = self._verdict(conditions, Answered(action, state.step, given), when, answered, aborted)
        reward = torch.where(ends & ~aborted, verdict.reward, 0.0)
        if self.early != "ignore":
            reward = reward + self.rewards.early * early
        return Count(tally, ends, ends, reward, verdict.score, verdict.correct)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward (summed over the trial) and score of a rendered trial; the largest output of a step acts."""
        drawn: Drawn = batch.drawn
        action = output.argmax(-1)
        t = torch.arange(len(action), device=action.device).reshape(-1, *(1,) * (action.ndim - 1))
        epoch = batch.epoch.reshape(len(action), *(1,) * (action.ndim - batch.epoch.ndim), *batch.epoch.shape[1:])
        given = self._held_throughout(action) & (t < drawn.length)
        due = self.within(epoch, self.responses)
        first = _first(action, given if self.early == "abort" else given & due)
        when = self.when(drawn, first.t)
        answered = first.given & self.within(when.epoch, self.responses)
        aborted = first.given & ~answered
        verdict = self._verdict(drawn.values.conditions, first, when, answered, aborted)
        reward = torch.where(aborted, 0.0, verdict.reward)
        if self.early != "ignore":
            counted = given & ~due & (t <= first.t)
            reward = reward + self.rewards.early * counted.sum(0)
        return verdict._replace(reward=reward)

    def random_answer(self, key: Int[Tensor, "*B"], trial: Any, step: Any, epoch: Any) -> Int[Tensor, "..."]:
        """One of the possible answers, each alike, as soon as it is due."""
        del step
        possible = self.answers()
        word = rng.words(rng.trial_keys(key, trial), 1)[..., 0]
        guess = constant(possible, word.device, torch.int64)[rng.below(word, len(possible))]
        return guess * self.within(epoch, self.responses)

    def describe_choice(self, widths: dict[str, int], names: tuple[str, ...], **more: Any) -> TaskSpec:
        """The spec of a task whose actions have these names, the first of them waiting."""
        pay = self.rewards
        low, high = min(pay.error, pay.early, pay.omission, 0.0), max(pay.correct, 0.0)
        facts = {"response": "choice", "action_names": names, "oracle": 1.0, "reward_range": (low, high)}
        return self.describe(widths, len(names), **{**facts, **more})

    def _verdict(self, conditions: Any, first: Answered, when: When, answered: Tensor, aborted: Tensor) -> Judgement:
        """The answer's judgement, or that of none; an aborted trial scores 0."""
        given, none = self.answer(conditions, first.action, when), self.omission(conditions)
        picked = (torch.where(answered, yes, no) for yes, no in zip(given, none, strict=True))
        reward, score, correct = picked
        return Judgement(reward, torch.where(aborted, 0.0, score), torch.where(aborted, 0.0, correct))

    def _held(self, tally: Tensor, action: Int[Tensor, "*B"]) -> tuple[Tensor, Bool[Tensor, "*B"]]:
        """The tally after an action, and whether it is an answer."""
        if self.hold == 1:
            return tally, action != 0
        run = torch.where(action == tally[..., 0], tally[..., 1], 0) + 1
        return torch.stack((action, run), -1), (action != 0) & (run >= self.hold)

    def _held_throughout(self, action: Int[Tensor, "T *B"]) -> Bool[Tensor, "T *B"]:
        """Whether each step's action ends `hold` equal ones that are not 0."""
        given = action != 0
        for back in range(1, self.hold):
            same = torch.zeros_like(given)
            same[back:] = action[back:] == action[:-back]
            given = given & same
        return given


def pick(table: Float[Tensor, "*B N"], index: Int[Tensor, "*A"]) -> Float[Tensor, "*A"]:
    """table[..., index], where the index may have leading axes that the table lacks."""
    return table.expand(*index.shape, table.shape[-1]).gather(-1, index[..., None]).squeeze(-1)


def _first(action: Int[Tensor, "T *B"], given: Bool[Tensor, "T *B"]) -> Answered:
    """The first answer; step T - 1 where there is none."""
    there = given.any(0)
    t = torch.where(there, given.to(torch.int8).argmax(0), len(given) - 1)
    return Answered(action.gather(0, t[None])[0], t, there)
