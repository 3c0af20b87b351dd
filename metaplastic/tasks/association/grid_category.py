"""Categories on a grid of two features, of which one counts: trees that grow, or not, for their leaves or branches.

    features a, b, each alike one of n values from -1 to 1, equally far apart;  r = the one that is relevant        (1)
    right: to accept (1) where r > 0, to leave (0) where r < 0; at r = 0 either pays 1/2                            (2)

With n odd a share 1 / n of the stimuli is on the border, so the most that can be earned is 1 - 1 / (2 n).

The form of Flesch, Balaguer, Dekker, Nili & Summerfield 2018, whose people planted trees in two gardens: leaves counted
in one, branches in the other, both on five levels. There the payoff grows with the distance from the border; here it is
1 or 0. Two of these tasks in a task set, in blocks or mixed, are the experiment (`blocked_vs_interleaved`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_of
from metaplastic.tasks.decisions import DecisionTask, Question

Feature = Literal["first", "second"]


class GridCategory(DecisionTask):
    """Accept or leave a stimulus by one of its two features."""

    references = (
        "Flesch, Balaguer, Dekker, Nili & Summerfield 2018, Comparing continual task learning in minds and machines, "
        "PNAS 115:E10313",
    )
    tags = ("decisions", "reward", "continual learning")

    kind: Literal["GridCategory-v0"] = "GridCategory-v0"
    relevant: Annotated[Feature, BeforeValidator(one_of(Feature))] = "first"
    """the feature that counts"""
    levels: int = Field(default=5, ge=2, le=100)
    """n, values of a feature"""

    @property
    def spec(self) -> TaskSpec:
        """A trial type for every stimulus."""
        ceiling = 1 - self.levels % 2 / (2 * self.levels)
        described = self.describe(
            {"features": 2}, 2, chance=0.5, ceiling=ceiling, criterion=0.5 + 0.9 * (ceiling - 0.5)
        )
        return described._replace(trial_types=self.levels**2, action_names=("leave", "accept"))

    def birth(self, key: Int[Tensor, "*B"]) -> tuple[()]:
        """Nothing: the rule is the same in all lives."""
        del key
        return ()

    def question(self, key: Int[Tensor, "*B"], life: tuple[()], trial: Int[Tensor, "*T"]) -> Question:
        """(1) and (2)."""
        del life
        now = rng.condition_keys(rng.trial_keys(key, trial))
        first, second = (rng.below(rng.word(now, place), self.levels) for place in (0, 1))
        twice = 2 * torch.stack((first, second), -1) - (self.levels - 1)  # whole numbers: the border is exactly 0
        side = twice[..., 0 if self.relevant == "first" else 1].sign()
        accepts = (1 + side).to(torch.float32) / 2
        payoff = torch.stack((1 - accepts, accepts), -1)
        features = twice.to(torch.float32) / (self.levels - 1)
        return Question(features, payoff, payoff.amax(-1), first * self.levels + second, (side > 0).to(torch.int64))

    def is_right(self, question: Question, action: Int[Tensor, "*B"]) -> Tensor:
        """Whether nothing pays more: on the border both are right."""
        return question.payoff.gather(-1, action[..., None]).squeeze(-1) == question.best
