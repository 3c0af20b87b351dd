"""The trials of Yang et al. 2019 for networks with outputs, as they were published: one of fixation, one a ring unit.

    target  z*_fix = 0.8 until an answer is due, then 0.05; all the time where none is wanted                       (1)
            z*_i   = 0.05, and while an answer is due 0.05 + 0.8 exp(-(d_i / w)^2 / 2), w = pi / 8                  (2)
    reward  -sum m (z - z*)^2 / sum m over steps and outputs, m the step's weight, twice as much for fixation      (3)

The network fixates where z_fix > 0.5, and points to the angle of sum z_i exp(i theta_i). A trial is right if on its
last step the network fixates where no answer is wanted, and otherwise does not and points less than `tolerance`
(published 36 degrees) away from the goal. `make("yang19.readout-v0", task={"kind": "yang19.ctxdm1-v0"})`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Judgement, TaskSpec, TrialBatch, lookup, wrong
from metaplastic.fields import Slot
from metaplastic.tasks.constants import ring
from metaplastic.tasks.readouts import ReadoutTask
from metaplastic.tasks.trials import Count, Drawn, Frame, TrialState
from metaplastic.tasks.yang19.ring import TURN, Yang19, apart, bump
from metaplastic.tasks.yang19.rules import EPOCHS
from metaplastic.tasks.yang19.tasks import YANG19

LOW, HIGH = 0.05, 0.8
FIXATES = 0.5
"""output from which a network fixates"""


class OneOfTwenty(Slot):
    """Field annotation: one of the twenty tasks, by its kind."""

    def __init__(self) -> None:
        super().__init__(lambda kind: lookup(YANG19, kind, "task of yang19"), lambda: list(YANG19))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": list(YANG19)}}}

    def validate(self, value: Any) -> Any:
        """One of them, or an error that says what was wanted."""
        found = super().validate(value)
        if not isinstance(found, Yang19):
            raise wrong(f"is {type(found).__name__}, wanted one of the twenty tasks, like {{kind: yang19.go-v0}}")
        return found


class Yang19Readout(ReadoutTask):
    """One of the twenty tasks of Yang et al. 2019, answered by outputs, with the published targets."""

    references = Yang19.references
    tags = ("yang19", "trials", "readout", "supervised")
    epochs = EPOCHS
    best_reward = 0.0

    kind: Literal["yang19.readout-v0"] = "yang19.readout-v0"
    task: Annotated[Any, OneOfTwenty()] = Field(default_factory=lambda: YANG19["yang19.go-v0"].model_validate({}))
    """which of the twenty, with its settings"""

    @property
    def spec(self) -> TaskSpec:
        """Chance: outputs from U(-1, 1) fixate in 1 of 4 trials and point anywhere alike."""
        inner = self.task.facts
        goes = 0.5 if self.task.row.family == "match" else 1.0
        return inner._replace(
            id=self.kind,
            response="readout",
            action_names=(),
            chance=goes * 0.75 * 2 * self.task.tolerance / 360 + (1 - goes) * 0.25,
            tags=self.tags,
            reward_range=(-((1 + LOW + HIGH) ** 2), 0.0),  # of outputs in [-1, 1]
        )

    def draw(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> Drawn:
        """The task's own draws."""
        return self.task.draw(key, life, trial)

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """The task's frame, with targets (1) and (2)."""
        frame = self.task.frame(drawn, t)
        answers = (frame.y > 0).to(torch.float32)[..., None]
        goal = bump(drawn.values.conditions.goal, self.task.units)
        y = torch.cat((HIGH + (LOW - HIGH) * answers, LOW + answers * goal), -1)
        return frame._replace(y=y)

    def tally(self, output: Float[Tensor, "*B A"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Sums of (3)."""
        error = (output - y).double().square()
        loss = (error.sum(-1) + error[..., 0]) * w
        weight = w.double() * (output.shape[-1] + 1)
        return torch.stack((loss, weight.expand_as(loss)), -1)

    def verdict(self, tally: Float[Tensor, "*B 2"]) -> Judgement:
        """(3); score and correct follow from the last step alone."""
        loss = (tally[..., 0] / tally[..., 1].clamp(min=1e-9)).to(torch.float32)
        return Judgement(-loss, torch.zeros_like(loss), torch.zeros_like(loss))

    def is_right(self, conditions: Any, output: Float[Tensor, "*B A"]) -> Float[Tensor, "*B"]:
        """1 where the outputs of a last step are right."""
        angles, units = ring(self.task.units, output.device), output[..., 1:]
        pointed = torch.atan2((units * angles.sin()).sum(-1), (units * angles.cos()).sum(-1)) % TURN
        near = apart(pointed, conditions.goal) < math.radians(self.task.tolerance)
        fixates = output[..., 0] > FIXATES
        goes = self.task.goes(conditions)
        right = near & ~fixates if goes is None else torch.where(goes, near & ~fixates, fixates)
        return right.to(torch.float32)

    def judge(self, output: Float[Tensor, "T *B A"], batch: TrialBatch) -> Judgement:
        """(3) over all steps, right or wrong on the last."""
        drawn: Drawn = batch.drawn
        last = (drawn.length - 1).expand(output.shape[1:-1])[None, ..., None]
        right = self.is_right(drawn.values.conditions, output.gather(0, last.expand(1, *output.shape[1:]))[0])
        return super().judge(output, batch)._replace(score=right, correct=right)

    def count(self, state: TrialState, action: Float[Tensor, "*B A"]) -> Count:
        """(3) so far; right or wrong where the trial ends."""
        right = self.is_right(state.drawn.values.conditions, action)
        return super().count(state, action)._replace(score=right, correct=right)
