"""Economic choice: one drop of juice A, or three of juice B?

    value = n_A v_A or n_B v_B;   the amounts are shown as n / 5 with noise, the juices without                (1)

Padoa-Schioppa & Assad 2006; `song17` is Song, Yang & Wang 2017 and its code, where A is worth 2.2 of B; `ratio4.1`
is their second pair of juices, worth 4.1, with its offers.

A choice pays the value of what was chosen. Its score is that value in units of the better one, and it is correct if
it is not the smaller one. The ceiling is the ideal observer's, (3) of `ideal.py` with a z for each amount. The ratio
at which choices are indifferent is found by `indifference`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.durations import Duration, times
from metaplastic.tasks.epochs import When
from metaplastic.tasks.perception import ideal
from metaplastic.tasks.trials import Drawn

SCALE = 5.0
"""drops that are shown as 1"""

Offers = tuple[tuple[int, int], ...]


class Menu(NamedTuple):
    """Conditions of a trial."""

    drops_b: Float[Tensor, "*B"]
    drops_a: Float[Tensor, "*B"]
    a_is_right: Int[Tensor, "*B"]
    """1 if juice A is on the right"""


class EconomicDecisionMaking(ChoiceTask):
    """Choose between amounts of two juices."""

    references = (
        "Padoa-Schioppa & Assad 2006, Neurons in the orbitofrontal cortex encode economic value, Nature 441:223",
        "Song, Yang & Wang 2017, Reward-based training of recurrent neural networks, eLife 6:e21492",
    )
    tags = ("value", "decision", "trials")
    epochs = ("fixation", "offer", "decision")
    responses = ("decision",)
    noisy = ("amounts",)
    presets = MappingProxyType(
        {
            "song17": MappingProxyType({}),
            "ratio4.1": MappingProxyType(
                {
                    "value_a": 0.41,
                    "offers": ((0, 1), (1, 2), (1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (10, 1), (3, 0)),
                }
            ),
        }
    )

    kind: Literal["EconomicDecisionMaking-v0"] = "EconomicDecisionMaking-v0"
    dt: float = Field(default=10.0, gt=0)
    """ms a step; must divide fixed durations"""
    timing: dict[str, Duration] = times(fixation=750, offer={"uniform": [1000, 2000]}, decision=750)
    """epoch -> ms, or how it is drawn"""
    sigma: float = Field(default=math.sqrt(0.2), ge=0)
    """noise of the amounts in sqrt(ms), in the offer"""
    offers: Offers = Field(
        default=((0, 1), (1, 3), (1, 2), (1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (2, 0)), min_length=1
    )
    """drops (of B, of A), each alike"""
    value_a: float = Field(default=0.22, gt=0)
    """reward of a drop of juice A"""
    value_b: float = Field(default=0.10, gt=0)
    """reward of a drop of juice B"""

    @model_validator(mode="after")
    def _tempting(self) -> EconomicDecisionMaking:
        for b, a in self.offers:
            if min(a, b) < 0 or a + b == 0:
                raise wrong(f"offers has ({b}, {a}), wanted drops (of B, of A) from 0 on, one of them above 0")
        return self

    def noisy_in(self) -> tuple[str, ...]:
        """Where amounts are shown."""
        return ("offer",)

    @property
    def spec(self) -> TaskSpec:
        """Ceiling and chance in units of the better offer; the published criterion is .99 answered, .95 correct."""
        worth = self.worth()
        chance = float(worth.mean())
        ceiling = optimal(self.offers, worth_key(worth), self.timing["offer"], self.dt, self.sigma)
        most = max(max(b * self.value_b, a * self.value_a) for b, a in self.offers)
        return self.describe_choice(
            {"fixation": 1, "juices": 4, "amounts": 2},
            ("fixate", "left", "right"),
            trial_types=2 * len(self.offers),
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
            criteria=(("p_answered", 0.99), ("p_correct", 0.95)),
            reward_range=(min(self.rewards.early, self.rewards.omission, 0.0), most),
        )

    def worth(self) -> Float[Tensor, "N 2"]:
        """Scores of choosing B and A in each offer."""
        value = torch.tensor(self.offers, dtype=torch.float64) * torch.tensor((self.value_b, self.value_a)).double()
        return value / value.amax(-1, keepdim=True)

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Menu]:
        """Offer and the side of A, each alike."""
        del life, trial
        which, side = rng.below(rng.word(key, 0), len(self.offers)), rng.below(rng.word(key, 1), 2)
        drops_b, drops_a = (look_up(column, which) for column in zip(*self.offers, strict=True))
        return side * len(self.offers) + which, Menu(drops_b, drops_a, side)

    def mean_input(self, conditions: Menu, when: When) -> Float[Tensor, "*T 7"]:
        """Fixation until the decision; juices and amounts (1) in the offer: L-A, L-B, R-A, R-B, N-left, N-right."""
        waits = (~self.within(when.epoch, self.responses)).to(torch.float32)
        shown = self.within(when.epoch, ("offer",)).to(torch.float32)
        a_right = shown * conditions.a_is_right
        a_left = shown - a_right
        drops_a, drops_b = conditions.drops_a / SCALE, conditions.drops_b / SCALE
        left, right = a_left * drops_a + a_right * drops_b, a_left * drops_b + a_right * drops_a
        return torch.stack((waits, a_left, a_right, a_right, a_left, left, right), -1)

    def label(self, conditions: Menu) -> Int[Tensor, "*B"]:
        """The side of the larger value; the left if they are equal."""
        left, right = self._values(conditions)
        return (right > left).to(torch.int64) + 1

    def answer(self, conditions: Menu, action: Int[Tensor, "*A"], when: When) -> Judgement:
        """The value of what was chosen."""
        del when
        left, right = self._values(conditions)
        best = torch.maximum(left, right)
        chosen = torch.where(action == 1, left, right)
        return Judgement(chosen, chosen / best, (chosen >= best).to(torch.float32))

    def best(self, drawn: Drawn) -> Tensor:
        """The larger value."""
        return torch.maximum(*self._values(drawn.values.conditions))

    def _values(self, conditions: Menu) -> tuple[Tensor, Tensor]:
        """Of what is on the left and on the right."""
        a, b = conditions.drops_a * self.value_a, conditions.drops_b * self.value_b
        is_right = conditions.a_is_right == 1
        return torch.where(is_right, b, a), torch.where(is_right, a, b)


def worth_key(worth: Float[Tensor, "N 2"]) -> Offers | tuple[tuple[float, ...], ...]:
    """The scores as something that a cache can look up."""
    return tuple(map(tuple, worth.tolist()))


@lru_cache
def optimal(offers: Offers, worth: tuple[tuple[float, ...], ...], shown: Duration, dt: float, sigma: float) -> float:
    """Mean score of the ideal observer."""
    drops, prizes = torch.tensor(offers, dtype=torch.float64), torch.tensor(worth, dtype=torch.float64)
    chances = torch.full((len(offers),), 1 / len(offers), dtype=torch.float64)
    table, total = shown.table(dt), 0.0
    for steps, chance in zip(table.support.tolist(), table.probabilities.tolist(), strict=True):
        means = ideal.evidence(drops / SCALE, 2 * steps * dt, sigma)
        total += chance * ideal.expected_best(means, chances, prizes)
    return total


def indifference(drops_b: Tensor, drops_a: Tensor, chose_b: Tensor, steps: int = 50) -> float:
    """n_B / n_A at which B is chosen as often as A: where the logistic curve fitted to the choices passes 1/2.

    The curve is P(B) = 1 / (1 + exp(-(a + b ln(n_B / n_A)))), fitted by Newton's method with a weak prior on a and b
    (deviation 30), so that choices without a mistake have a fit too. Offers of one juice alone say nothing of it.
    """
    both = (drops_b > 0) & (drops_a > 0)
    x = torch.stack((torch.ones_like(drops_b[both]), (drops_b[both] / drops_a[both]).log()), -1).double()
    y, weights = chose_b[both].double(), torch.zeros(2, dtype=torch.float64)
    prior = torch.eye(2, dtype=torch.float64) / 30.0**2
    for _ in range(steps):
        p = torch.sigmoid(x @ weights)
        slope = x.T @ (y - p) - prior @ weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + prior
        weights = weights + torch.linalg.solve(curvature, slope).clamp(-3, 3)
    return float(torch.exp(-weights[0] / weights[1]))
