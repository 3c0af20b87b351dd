"""What a bandit can earn: of chance, of an ideal observer, and of who knows the arms; per trial, over T trials.

With two independent arms, beliefs are four counts (s and f, successes and failures of each arm), and the value of the
best policy obeys Bellman's equation (Gittins 1979; with uniform priors, m_a = (s_a + 1) / (s_a + f_a + 2)):

    V_n(s1, f1, s2, f2) = max_a  m_a (1 + V_{n+1}(s_a + 1)) + (1 - m_a) V_{n+1}(f_a + 1),   V_T = 0       (1)

Where the second arm pays with 1 - p, both arms teach the same about p, so the greedy choice is ideal:

    E[reward of trial n] = sum_s max( E[p; s], E[1 - p; s] ),   E[x; s] = C(n, s) E_p[ x p^s (1 - p)^(n-s) ]   (2)

Phi(r / sqrt 2), the score of a Gaussian payoff, has E[Phi(r / sqrt 2) | mu] = Phi(mu / sqrt 3).                (3)
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

from metaplastic import rng
from metaplastic.tasks.bandits.arms import GOOD_ARM, STRUCTURES

_LONGEST_EXACT = 128
"""trials up to which (1) is solved; its cost grows with the fourth power"""

THOMPSON_REGRET = {
    ("independent", 2): 2.8,
    ("independent", 10): 13.8,
    ("correlated", 2): 2.8,
    ("easy", 2): 2.1,
    ("medium", 2): 3.0,
    ("hard", 2): 4.1,
}
"""(structure, arms) -> regret of Thompson sampling with uniform priors over 100 trials; tests measure it again"""


def chance(structure: str, arms: int, trials: int) -> float:
    """Expected score of a random arm."""
    del trials
    if structure in GOOD_ARM:
        good = GOOD_ARM[structure]
        return (good + (arms - 1) * (1 - good)) / arms
    return 1 / arms if structure == "sum1" else 0.5


@lru_cache
def best_arm(structure: str, arms: int, trials: int) -> float:
    """Expected score of who knows every arm's expected payoff, and takes the best."""
    if structure == "independent":
        return arms / (arms + 1)
    if structure == "correlated":
        return 0.75
    if structure in GOOD_ARM:
        return GOOD_ARM[structure]
    if structure == "gaussian":
        return _gaussian_best_arm(arms)
    return _measured_best_arm(structure, arms, trials)


@lru_cache
def ceiling(structure: str, arms: int, trials: int) -> float:
    """Expected score of an ideal observer over the learning trials.

    Exact for two Bernoulli arms that do not drift (independent ones up to 128 trials). For other bandits nobody has a
    closed form, and it is what the best arm gives: a bound that no learner reaches. A test after learning without
    plasticity can lie above it, up to `best_arm`.
    """
    if arms == 2 and structure == "independent" and trials <= _LONGEST_EXACT:
        return ideal_independent(trials) / trials
    if arms == 2 and structure in ("correlated", "sum1", *GOOD_ARM):
        return ideal_mirrored(*_prior(structure), trials) / trials
    return best_arm(structure, arms, trials)


def criterion(structure: str, arms: int, trials: int) -> float:
    """Score from which a bandit counts as learned: regret of at most 1.5 times Thompson's, over 100 trials.

    Where Thompson's regret is not in the table: five sixths of the way from chance to the ceiling, half of it where
    the arms drift.
    """
    regret = THOMPSON_REGRET.get((structure, arms))
    if regret is not None and trials == 100:
        return best_arm(structure, arms, trials) - 1.5 * regret / 100
    low, high = chance(structure, arms, trials), ceiling(structure, arms, trials)
    return low + (high - low) * (1 / 2 if structure in ("restless", "walk") else 5 / 6)


@lru_cache
def ideal_independent(trials: int) -> float:
    """(1): expected successes of the ideal observer of two independent arms over `trials` trials."""
    return _solve(trials, keep=False)[0]


@lru_cache(maxsize=2)
def ideal_choices(trials: int) -> tuple[np.ndarray, ...]:
    """The policy of (1): for each trial n, which arm after so many pulls and successes [pulls of arm 1, s1, s2].

    Arm 0 where both are as good; 0 where the counts cannot be.
    """
    return _solve(trials, keep=True)[1]


def _solve(trials: int, *, keep: bool) -> tuple[float, tuple[np.ndarray, ...]]:
    """(1) backwards: its value, and the choices of every trial if `keep`."""
    value = [np.zeros((pulls + 1, trials - pulls + 1)) for pulls in range(trials + 1)]  # [pulls of arm 1][s1, s2]
    choices = []
    for n in range(trials - 1, -1, -1):
        worth = [_worths(value[pulls + 1], value[pulls], pulls, n - pulls) for pulls in range(n + 1)]
        value = [np.maximum(first, second) for first, second in worth]
        if keep:
            choices.append(np.zeros((n + 1, n + 1, n + 1), dtype=np.uint8))
            for pulls, (first, second) in enumerate(worth):
                choices[-1][pulls, : pulls + 1, : n - pulls + 1] = second > first
    return value[0].item(), tuple(reversed(choices))


def _worths(after1: np.ndarray, after2: np.ndarray, pulls1: int, pulls2: int) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of one maximum of (1), for all successes [s1, s2]; `after` are the values after one more pull."""
    mean1 = (np.arange(pulls1 + 1.0)[:, None] + 1) / (pulls1 + 2)
    mean2 = (np.arange(pulls2 + 1.0)[None, :] + 1) / (pulls2 + 2)
    first = mean1 * (1 + after1[1:]) + (1 - mean1) * after1[:-1]
    second = mean2 * (1 + after2[:, 1:]) + (1 - mean2) * after2[:, :-1]
    return first, second


def ideal_mirrored(p: np.ndarray, weight: np.ndarray, trials: int) -> float:
    """(2): expected successes with arms p and 1 - p over `trials` trials; prior `weight` on the values `p`."""
    total, chance_of_s = 0.0, weight[None]  # [s, values of p]: C(n, s) p^s (1 - p)^(n - s) weight
    for _ in range(trials):
        total += np.maximum((chance_of_s * p).sum(1), (chance_of_s * (1 - p)).sum(1)).sum()
        none = np.zeros_like(weight)[None]
        chance_of_s = np.concatenate((none, chance_of_s * p)) + np.concatenate((chance_of_s * (1 - p), none))
    return float(total)


def _prior(structure: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of p and their weights: the two there are, or Gauss-Legendre nodes in each half of [0, 1]."""
    if structure in GOOD_ARM:
        good = GOOD_ARM[structure]
        return np.array([good, 1 - good]), np.array([0.5, 0.5])
    nodes, weights = np.polynomial.legendre.leggauss(100)
    half = (nodes + 1) / 4
    p, weight = np.concatenate((half, half + 0.5)), np.concatenate((weights, weights)) / 4
    density = np.ones_like(p) if structure == "correlated" else 0.5 / np.maximum(p, 1 - p) ** 2  # of u1 / (u1 + u2)
    return p, weight * density


def _gaussian_best_arm(arms: int) -> float:
    """E Phi(m / sqrt 3) by (3), m the largest of `arms` standard normals; trapezoids over [-8, 8]."""
    m = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    phi = (-m.square() / 2).exp() / math.sqrt(2 * math.pi)
    density = arms * phi * torch.special.ndtr(m) ** (arms - 1)
    return torch.trapezoid(density * torch.special.ndtr(m / math.sqrt(3)), m).item()


def _measured_best_arm(structure: str, arms: int, trials: int, lifetimes: int = 8192) -> float:
    """The mean over many lifetimes, where there is no closed form (standard error below .002)."""
    keys = rng.parameter_keys(rng.lifetime_keys(0, torch.arange(lifetimes)))
    means = (STRUCTURES[structure](some, arms, trials)[..., :trials, :] for some in keys.split(512))
    return torch.stack([block.amax(-1).double().mean() for block in means]).mean().item()
