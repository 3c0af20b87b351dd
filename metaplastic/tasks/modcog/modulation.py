"""What Khona et al. 2023 add to the tasks of Yang et al. 2019: a delay that shifts the goal, and a goal that moves.

    int   goal = place + s floor(omega d) units after a delay of d ms                                              (1)
    seq   goal = place + s floor(omega t) units, t ms since the answer became due                                  (2)

s is 1 (r) or -1 (l), omega 0.01 units of the ring a ms: at 16 units and dt 100 one unit a step. A moving goal is to be
followed: the trial lasts until its end, and its score is the share of the steps of the decision with the right action
(none, where the goal is not to go); the reward is that of a right answer times the score.

With `published_quirks` it is as in their code: (1) in the go family turns the stimulus instead, by 0.01 radians a ms,
and the other way round; in comparisons its delay is always 500 ms; the last unit of the ring has no answer, there one
fixates; go and anti have a delay of 500 ms; a moving goal does not last longer where the stimulus is the cue; and the
first answer ends the trial, so that nobody need follow. The chance level is corrected for the last unit.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic.core import Judgement, TaskSpec, TrialBatch, wrong
from metaplastic.tasks.epochs import When
from metaplastic.tasks.trials import Count, Drawn, Frame, TrialState
from metaplastic.tasks.yang19.families import One
from metaplastic.tasks.yang19.ring import TURN, Yang19

RADIANS = 0.01
"""of the published shift in the go family, a ms"""
TINY = 1e-4
"""of a unit: what rounding of a product may miss"""


class Modulated(Yang19, ABC):
    """A task whose goal a delay shifts, or time moves."""

    references = (
        *Yang19.references,
        "Khona, Chandra, Ma & Fiete 2023, Winning the lottery with neural connectivity constraints: faster learning "
        "across cognitive tasks with spatially constrained sparse RNNs, Neural Computation 35:1850",
    )
    shifts: ClassVar[int] = 0
    """s of (1); 0: the delay does not count"""
    moves: ClassVar[int] = 0
    """s of (2); 0: the goal stays"""
    published: ClassVar[Mapping[str, Any]]
    """timing of the published code where it differs"""

    omega: float = Field(default=0.01, ge=0)
    """units of the ring a ms by which the goal shifts or moves"""
    published_quirks: bool = False
    """as in the published code"""

    @classmethod
    def complete(cls, preset: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        """The published timing with `published_quirks`."""
        if {**preset, **given}.get("published_quirks") is True:
            preset = {**preset, "timing": {**cls.published, **preset.get("timing", {})}}
        return super().complete(preset, given)

    @model_validator(mode="after")
    def _one_step_is_an_answer(self) -> Modulated:
        if self.follows and self.hold > 1:
            raise wrong(f"hold is {self.hold}, wanted 1: every step of a goal that moves is judged")
        return self

    @property
    def follows(self) -> bool:
        """Every step of the decision counts."""
        return self.moves != 0 and not self.published_quirks

    @property
    def spec(self) -> TaskSpec:
        """That of the family: who knows place and time knows the goal."""
        spec = super().spec
        if not self.published_quirks:
            return spec
        may_wait = self.row.family == "match"
        waits = 1 / (self.units + 1) if may_wait else 0.0  # guessing to fixate, which the last unit wants
        goes = 0.5 if may_wait else 1.0
        stays = (1 - goes) * waits
        chance = stays + ((spec.chance - stays) * (self.units - 1) + goes * waits) / self.units
        return spec._replace(chance=chance)

    # ---- the goal
    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """The family's draws, with (1)."""
        drawn = super().draw(key, life, trial)
        if not self.shifts:
            return drawn
        edges, conditions, place = drawn.values.edges, drawn.values.conditions, self.epochs.index("delay")
        delay = (edges[place] - edges[place - 1]).to(torch.float32) * self.dt
        if self.published_quirks and isinstance(conditions, One):
            conditions = conditions._replace(angle=(conditions.angle + self.shifts * RADIANS * delay) % TURN)
        else:
            conditions = conditions._replace(goal=self.moved(conditions.goal, self.shifts, delay))
        return drawn._replace(values=drawn.values._replace(conditions=conditions))

    def moved(self, goal: Float[Tensor, "*B"], sign: int, ms: Float[Tensor, "*T"]) -> Float[Tensor, "*T"]:
        """A goal after this time."""
        units = (ms * self.omega + TINY).floor()
        return (goal + sign * units * (TURN / self.units)) % TURN

    def now(self, conditions: Any, when: When) -> Any:
        """The conditions with the goal of this moment, (2)."""
        if not self.moves:
            return conditions
        since = when.since * self.within(when.epoch, self.responses)
        return conditions._replace(goal=self.moved(conditions.goal, self.moves, since.to(torch.float32) * self.dt))

    def label(self, conditions: Any) -> Int[Tensor, "*B"]:
        """The unit nearest to the goal; published, the last one is none."""
        label = super().label(conditions)
        return label % self.units if self.published_quirks else label

    def wanted(self, conditions: Any, when: When) -> Int[Tensor, "*T"]:
        """The label of this moment where an answer is due, 0 elsewhere."""
        return super().wanted(self.now(conditions, when), when)

    def answer(self, conditions: Any, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """Right near the goal of this moment; published, never where it is the last unit."""
        now = self.now(conditions, when)
        told = super().answer(now, action, when)
        if not self.published_quirks:
            return told
        right = told.correct * (self.label(now) > 0)
        return Judgement(right * (self.rewards.correct - self.rewards.error) + self.rewards.error, right, right)

    # ---- a goal that moves is followed
    def right(self, conditions: Any, action: Int[Tensor, "*A"], when: When) -> Bool[Tensor, "*A"]:
        """Whether an action is right at this moment of the decision."""
        stays = self.label(conditions) == 0
        right = torch.where(stays, action == 0, self.answer(conditions, action, when).correct > 0)
        return right & self.within(when.epoch, self.responses)

    def fresh_tally(self, now: Frame) -> Tensor:
        """Steps that were right."""
        return now.y.new_zeros(*now.y.shape, 1) if self.follows else super().fresh_tally(now)

    def count(self, state: TrialState, action: Int[Tensor, "*B"]) -> Count:
        """Count right steps; judge at the trial's end."""
        if not self.follows:
            return super().count(state, action)
        when = self.when(state.drawn, state.step)
        early = (action != 0) & ~self.within(when.epoch, self.responses)
        tally = state.tally + self.right(state.drawn.values.conditions, action, when)[..., None]
        aborted = early if self.early == "abort" else torch.zeros_like(early)
        ends = aborted | (state.step + 1 >= state.drawn.length)
        verdict = self._followed(tally[..., 0], state.drawn, aborted)
        reward = torch.where(ends, verdict.reward, 0.0)
        if self.early != "ignore":
            reward = reward + self.rewards.early * early
        return Count(tally, ends, ends, reward, verdict.score, verdict.correct)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """Reward and score of a rendered trial; the largest output of a step acts."""
        if not self.follows:
            return super().judge(output, batch)
        drawn: Drawn = batch.drawn
        action = output.argmax(-1)
        t = torch.arange(len(action), device=action.device).reshape(-1, *(1,) * (action.ndim - 1)).expand(action.shape)
        when = self.when(drawn, t)
        lasts = t < drawn.length
        early = (action != 0) & ~self.within(when.epoch, self.responses) & lasts
        right = self.right(drawn.values.conditions, action, when) & lasts
        aborted = early.any(0) if self.early == "abort" else torch.zeros_like(early[0])
        verdict = self._followed(right.sum(0), drawn, aborted)
        if self.early == "ignore":
            return verdict
        count = torch.where(aborted, 1, early.sum(0))
        return verdict._replace(reward=verdict.reward + self.rewards.early * count)

    def _followed(self, right: Int[Tensor, "*A"], drawn: Drawn, aborted: Bool[Tensor, "*A"]) -> Judgement:
        """The judgement of a trial with so many right steps; nothing is paid for an aborted one."""
        edges = drawn.values.edges
        share = torch.where(aborted, 0.0, right / (edges[-1] - edges[-2]))
        pay = self.rewards
        reward = torch.where(aborted, 0.0, pay.error + (pay.correct - pay.error) * share)
        return Judgement(reward, share, (share == 1).to(torch.float32))
