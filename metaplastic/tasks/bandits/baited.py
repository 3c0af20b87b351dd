"""Baited arms: an arm that is left alone becomes ever more likely to pay, so the best is to divide one's choices.

With n_k trials since arm k was last chosen (0 just after), and base probabilities p_0 + p_1 = 1/2,

    P(arm k pays) = 1 - (1 - p_k)^(n_k + 1)                                                                        (1)

p of one arm is drawn from U(0, .1), U(.2, .3) or U(.4, .5), each alike, and which arm it is by a coin. Simulation 1 of
Wang et al. 2018 (after Tsutsui et al. 2016; formula and intervals as two re-implementations have them, recalled).
`base` gap draws from (.1, .2) and (.3, .4), which that paper held out, and whole from all of (0, .5).

Who knows p chooses the richer arm m times and then the other once, m of the largest mean over such a cycle (Houston &
McNamara 1981); with rich p and lean q,

    mean(m) = [1 - (1 - p)^2 + (m - 1) p + 1 - (1 - q)^(m + 1)] / (m + 1)                                          (2)

The choices of such an agent, and of a good learner, come near to the matching law: log2 of the ratio of choices follows
log2 of the ratio of rewards (`matching`). The ceiling is what (2) earns, a bound: nobody has solved for unknown p.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec
from metaplastic.tasks.base import one_of
from metaplastic.tasks.constants import look_up
from metaplastic.tasks.worlds import Happening, WorldTask

Base = Literal["published", "gap", "whole"]

TOTAL = 0.5
"""sum of the base probabilities"""
INTERVALS = {"published": (0.0, 0.2, 0.4), "gap": (0.1, 0.3), "whole": (0.0, 0.1, 0.2, 0.3, 0.4)}
"""where the intervals begin that p is drawn from; each is .1 wide"""
LONGEST_CYCLE = 200
"""most choices of the richer arm in a row"""


class Baits(NamedTuple):
    """What a lifetime draws once."""

    first: Float[Tensor, "*B"]
    """p_0"""
    second: Float[Tensor, "*B"]
    """p_1"""
    rich: Int[Tensor, "*B"]
    """the arm with the larger p"""
    cycle: Int[Tensor, "*B"]
    """m of (2)"""


class Left(NamedTuple):
    """How long the arms were left alone."""

    first: Float[Tensor, "*B"]
    """(1 - p_0)^(n_0 + 1)"""
    second: Float[Tensor, "*B"]
    """(1 - p_1)^(n_1 + 1)"""
    run: Int[Tensor, "*B"]
    """choices of the richer arm in a row"""


class BaitedBandit(WorldTask):
    """Two arms that are baited while they are left alone."""

    references = (
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
        "Tsutsui et al. 2016, A dynamic code for economic object valuation in prefrontal cortex neurons, Nat Commun 7",
        "Lau & Glimcher 2005, Dynamic response-by-response models of matching behavior, J Exp Anal Behav 84:555",
        "Houston & McNamara 1981, How to maximize reward rate on two variable-interval paradigms, "
        "J Exp Anal Behav 35:367",
    )
    tags = ("bandit", "reward", "meta-learning")
    presets = MappingProxyType({"wang18": MappingProxyType({}), "wang18_held_out": MappingProxyType({"base": "gap"})})

    kind: Literal["BaitedBandit-v0"] = "BaitedBandit-v0"
    trials: int = Field(default=100, ge=1)
    """trials of a lifetime in which a learner may learn; 50 to 100 in the published training"""
    feedback: bool = True
    """add the last action and reward to the observation"""
    base: Annotated[Base, BeforeValidator(one_of(Base))] = "published"
    """which base probabilities are drawn"""

    @property
    def spec(self) -> TaskSpec:
        """Chance is exact, the ceiling what (2) earns."""
        chance, ceiling = random_pays(self.base, self.lifetime_trials), best_pays(self.base, self.lifetime_trials)
        return self.describe(
            {"constant": 1}, 2, chance=chance, ceiling=ceiling, criterion=chance + (ceiling - chance) / 2
        )

    def birth(self, key: Int[Tensor, "*B"]) -> Baits:
        """The base probabilities, on the grid of 2^-24."""
        words = rng.words(key, 3)
        starts = tuple(INTERVALS[self.base])
        start = look_up(starts, rng.below(words[..., 0], len(starts)))
        p = start + rng.uniform(words[..., 1]) / 10
        other = TOTAL - p
        swapped = rng.below(words[..., 2], 2) == 1
        first, second = torch.where(swapped, other, p), torch.where(swapped, p, other)
        pair = torch.maximum(p, other).double(), torch.minimum(p, other).double()
        cycle = mean_of_cycle(pair[0][..., None], pair[1][..., None]).argmax(-1) + 1
        return Baits(first, second, (second > first).to(torch.int64), cycle)

    def begin(self, key: Int[Tensor, "*B"], life: Baits, trial: Int[Tensor, "*B"], before: Left | None) -> Left:
        """Nothing was left alone at birth; later all goes on."""
        del key
        return Left(1 - life.first, 1 - life.second, torch.zeros_like(trial)) if before is None else before

    def advance(
        self, key: Int[Tensor, "*B"], life: Baits, world: Left, action: Int[Tensor, "*B"], step: Int[Tensor, "*B"]
    ) -> Happening:
        """Pay by (1); the other arm is left alone once more."""
        del step
        is_first = action == 0
        unpaid = torch.where(is_first, world.first, world.second)
        reward = rng.coin(rng.word(key, 0), 1 - unpaid).to(torch.float32)
        keep, held = 1 - life.first, 1 - life.second
        first = torch.where(is_first, keep, world.first * keep)
        second = torch.where(is_first, world.second * held, held)
        run = torch.where(action == life.rich, world.run + 1, 0)
        is_best = (action == self.target(life, world)).to(torch.int64)
        best = 1 - torch.minimum(world.first, world.second)
        return Happening(Left(first, second, run), reward, torch.ones_like(is_first), reward, is_best, best)

    def look(self, life: Baits, world: Left, step: Int[Tensor, "*B"]) -> Float[Tensor, "*B 1"]:
        """A constant 1."""
        del life, world
        return torch.ones_like(step, dtype=torch.float32)[..., None]

    def target(self, life: Baits, world: Left) -> Int[Tensor, "*B"]:
        """The richer arm m times, then the other once."""
        return torch.where(world.run < life.cycle, life.rich, 1 - life.rich)


def mean_of_cycle(rich: Float[Tensor, "*B 1"], lean: Float[Tensor, "*B 1"]) -> Float[Tensor, "*B M"]:
    """(2) for m = 1 .. `LONGEST_CYCLE`."""
    m = torch.arange(1, LONGEST_CYCLE + 1, device=rich.device, dtype=rich.dtype)
    return (1 - (1 - rich) ** 2 + (m - 1) * rich + 1 - (1 - lean) ** (m + 1)) / (m + 1)


def _drawn(base: str) -> np.ndarray:
    """Values of p that stand for their distribution, 500 an interval."""
    return (np.array(INTERVALS[base])[:, None] + (np.arange(500) + 0.5) / 5000).ravel()


@lru_cache
def random_pays(base: str, trials: int) -> float:
    """Mean reward of a random arm, exact but for the grid of p."""
    p = _drawn(base)
    unpaid, total = 1 - p, 0.0  # E (1 - p)^(n + 1) of the arm that has p
    for _ in range(trials):
        total += float((1 - unpaid).mean())
        unpaid = (1 - p) * (1 + unpaid) / 2
    return total / trials  # the other arm's p has the same distribution, but for the sides


@lru_cache
def best_pays(base: str, trials: int) -> float:
    """Mean reward of (2) from birth on, exact but for the grid of p."""
    p = np.maximum(_drawn(base), TOTAL - _drawn(base))
    q = TOTAL - p
    m = mean_of_cycle(torch.from_numpy(p)[:, None], torch.from_numpy(q)[:, None]).argmax(-1).numpy() + 1
    run, total = np.zeros_like(m), 0.0
    rich, lean = 1 - p, 1 - q
    for _ in range(trials):
        goes_on = run < m
        total += float(np.where(goes_on, 1 - rich, 1 - lean).mean())
        rich, lean = np.where(goes_on, 1 - p, rich * (1 - p)), np.where(goes_on, lean * (1 - q), 1 - q)
        run = np.where(goes_on, run + 1, 0)
    return total / trials


class Matching(NamedTuple):
    """The generalised matching law, log2(C_1 / C_0) = slope log2(R_1 / R_0) + bias, over lifetimes."""

    slope: float
    bias: float
    correlation: float


def matching(action: Int[Tensor, "T L"], reward: Float[Tensor, "T L"]) -> Matching:
    """Its least-squares fit to the lifetimes in which both arms were chosen and paid.

    Raises:
        ValueError: if there are fewer than two of them.
    """
    ratios: list[Any] = []
    for weight in (torch.ones_like(reward), reward):
        second = (weight * action).sum(0).double()
        ratios.append((second / (weight.sum(0) - second)).log2().numpy())
    choices, rewards = ratios
    usable = np.isfinite(choices) & np.isfinite(rewards)
    if usable.sum() < 2:
        raise ValueError(f"both arms were paid in {usable.sum()} of {len(usable)} lifetimes, wanted at least 2")
    choices, rewards = choices[usable], rewards[usable]
    slope, bias = np.polyfit(rewards, choices, 1)
    return Matching(float(slope), float(bias), float(np.corrcoef(rewards, choices)[0, 1]))
