"""Known players of bandits, as baselines: pure functions of counts and keys, for thousands of lifetimes at once.

With s_k rewards in n_k pulls of arm k after t trials:

    random     any arm alike
    Thompson   the arm whose draw from Beta(1 + s_k, 1 + n_k - s_k) is largest (Thompson 1933)                     (1)
    UCB        each arm once, then the largest s_k / n_k + sqrt(chi ln t / n_k) (Auer et al. 2002: chi = 2)        (2)
    Bayes      the optimum for two independent arms with uniform priors: `bandit_values`, (1) there
    mirrored   two arms that pay with p and 1 - p: the arm with more rewards of its own and failures of the other

`play` lives them on any task of one-step decisions; rewards between 0 and 1 count as parts of a reward. They are made
for arms that stay as they are. Who knows what is hidden is `task.oracle_policy()`.

A Beta is a quotient of gamma variates (Marsaglia & Tsang 2000). Each takes the first of 8 proposals that is accepted;
one in 20 is refused, so all 8 are with probability below 1e-10, and then the last is taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.bandits import values as bandit_values
from metaplastic.tasks.bandits.independent import ArmsTask
from metaplastic.tasks.base import TensorTask

_PROPOSALS = 8


class Counts(NamedTuple):
    """What a player remembers."""

    rewards: Float[Tensor, "*B K"]
    pulls: Float[Tensor, "*B K"]


class Player(ABC):
    """Chooses an arm from what was earned so far."""

    @abstractmethod
    def choose(self, counts: Counts, trial: int, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """The arm at trial number `trial`; `key` is this trial's own."""


class Random(Player):
    """Any arm alike."""

    def choose(self, counts: Counts, trial: int, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Drawn from the key."""
        del trial
        return rng.below(rng.word(key, 0), counts.pulls.shape[-1])


class Thompson(Player):
    """(1)."""

    def choose(self, counts: Counts, trial: int, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """The arm whose draw from its posterior is largest."""
        del trial
        lost = counts.pulls - counts.rewards
        return beta(key, 1 + counts.rewards, 1 + lost).argmax(-1)


class UCB(Player):
    """(2)."""

    def __init__(self, chi: float = 1.0) -> None:
        """`chi` weighs what is not known."""
        self.chi = chi

    def choose(self, counts: Counts, trial: int, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Arms that were never pulled first."""
        del key
        if trial < counts.pulls.shape[-1]:
            return torch.full_like(counts.pulls[..., 0], trial, dtype=torch.int64)
        bonus = (self.chi * torch.log(counts.pulls.sum(-1, keepdim=True)) / counts.pulls).sqrt()
        return (counts.rewards / counts.pulls + bonus).argmax(-1)


class Bayes(Player):
    """The optimum over `trials` trials of two independent arms."""

    def __init__(self, trials: int) -> None:
        """Solves Bellman's equation once: 100 trials take about a second and 25 MB."""
        self.choices = [torch.from_numpy(table) for table in bandit_values.ideal_choices(trials)]

    def choose(self, counts: Counts, trial: int, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Looked up by the pulls of the first arm and the rewards of both.

        Raises:
            ValueError: if there are not two arms, or no trial of this number was planned for.
        """
        del key
        if counts.pulls.shape[-1] != 2 or trial >= len(self.choices):
            raise ValueError(
                f"trial {trial} of {counts.pulls.shape[-1]} arms, wanted two arms and one of the {len(self.choices)} "
                "trials that were planned for; make Bayes(trials) with all of them"
            )
        table = self.choices[trial].to(counts.pulls.device)
        pulls, first, second = (x.to(torch.int64) for x in (counts.pulls[..., 0], *counts.rewards.unbind(-1)))
        return table[pulls, first, second].to(torch.int64)


class Mirrored(Player):
    """The optimum of two arms that pay with p and 1 - p."""

    def choose(self, counts: Counts, trial: int, key: Int[Tensor, "*B"]) -> Int[Tensor, "*B"]:
        """Both arms speak of the same p; a draw is settled by the key.

        Raises:
            ValueError: if there are not two arms.
        """
        del trial
        if counts.pulls.shape[-1] != 2:
            raise ValueError(f"there are {counts.pulls.shape[-1]} arms, wanted two that pay with p and 1 - p")
        net = 2 * counts.rewards - counts.pulls
        lead = net[..., 1] - net[..., 0]
        return torch.where(lead == 0, rng.below(rng.word(key, 0), 2), (lead > 0).to(torch.int64))


class Played(NamedTuple):
    """What came of a player's lives, time first."""

    action: Int[Tensor, "T *B"]
    reward: Float[Tensor, "T *B"]


def play(task: TensorTask, player: Player, lifetime: Int[Tensor, "*B"], trials: int, seed: int | Tensor = 0) -> Played:
    """A player in `trials` one-step trials of every lifetime."""
    state, _ = task.reset(lifetime, seed)
    keys = rng.lifetime_keys(seed, lifetime, rng.POLICY)
    zero = torch.zeros(*lifetime.shape, task.spec.actions, device=lifetime.device)
    counts, rows = Counts(zero, zero), []
    for trial in range(trials):
        action = player.choose(counts, trial, rng.trial_keys(keys, trial))
        state, seen = task.step(state, action)
        counts = learned(counts, action, seen.reward)
        rows.append((action, seen.reward))
    actions, rewards = zip(*rows, strict=True)
    return Played(torch.stack(actions), torch.stack(rewards))


def learned(counts: Counts, action: Int[Tensor, "*B"], reward: Float[Tensor, "*B"]) -> Counts:
    """The counts after one more pull."""
    pulled = torch.nn.functional.one_hot(action, counts.pulls.shape[-1]).to(counts.pulls.dtype)
    return Counts(counts.rewards + pulled * reward[..., None], counts.pulls + pulled)


def regret(
    task: ArmsTask, played: Played, lifetime: Int[Tensor, "*B"], seed: int | Tensor = 0
) -> Float[Tensor, "T *B"]:
    """Expected regret, summed up to each trial: how much less the arms pay that were pulled than the best ones."""
    life = task.birth(rng.parameter_keys(rng.lifetime_keys(seed, lifetime)))
    trial = torch.arange(len(played.action), device=lifetime.device).reshape(-1, *(1,) * lifetime.ndim)
    return summed_regret(task.expected(life, trial.expand_as(played.action)), played.action)


def summed_regret(means: Float[Tensor, "T *B K"], action: Int[Tensor, "T *B"]) -> Float[Tensor, "T *B"]:
    """Expected regret, summed up to each trial, from the expected payoffs of the arms [.., K] at that trial."""
    means = means.double()
    pulled = means.gather(-1, action[..., None]).squeeze(-1)
    return (means.amax(-1) - pulled).cumsum(0).to(torch.float32)


def beta(key: Int[Tensor, "*B"], a: Float[Tensor, "*B K"], b: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K"]:
    """Beta variates, for parameters of 1 or more."""
    x, y = _gamma(rng.fold(key, 0), a), _gamma(rng.fold(key, 1), b)
    return x / (x + y)


def _gamma(key: Int[Tensor, "*B"], shape: Float[Tensor, "*B K"]) -> Float[Tensor, "*B K"]:
    """Gamma variates of shape 1 or more: the first accepted of several proposals."""
    keys = rng.fold(key[..., None], torch.arange(shape.shape[-1], device=key.device))
    words = rng.words(keys, 2 * _PROPOSALS)
    d = shape[..., None] - 1 / 3
    z, u = rng.normal(words[..., :_PROPOSALS]), 1 - rng.uniform(words[..., _PROPOSALS:])
    v = (1 + z / (9 * d).sqrt()) ** 3
    fits = (v > 0) & (u.log() < z.square() / 2 + d - d * v + d * v.clamp(min=1e-30).log())
    last = torch.arange(_PROPOSALS, device=key.device) == _PROPOSALS - 1
    first = (fits | last).to(torch.uint8).argmax(-1, keepdim=True)
    return (d * v.clamp(min=1e-30)).gather(-1, first).squeeze(-1)
