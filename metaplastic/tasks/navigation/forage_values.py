"""What a patch forager can earn: the marginal value theorem, solved numerically.

The first harvest of a patch is r0 ~ N(1, spread); each later one is the last one times kappa, drawn anew from a Beta
distribution that is cut into `CELLS` cells, each at its middle. A harvest takes a step, going to another patch `travel`
steps. Harvests only shrink, so it is best to leave as soon as the next one is expected to fall below the long-run rate
(Charnov 1976; Constantino & Daw 2015):

    leave after harvest r  if  E[kappa] r < rate                                                                   (1)
    rate = E[sum of a patch's harvests] / (E[their number] + travel),  under (1)                                   (2)

(2) is a fixed point; iterating it from below climbs to the best rate (Dinkelbach 1967). Expectations follow

    S(r) = 0 under (1), else E[kappa r + S(kappa r)],   N(r) = 0, else E[1 + N(kappa r)]                           (3)

on a grid of log r, as linear equations; r0 by Gauss and Hermite.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from metaplastic import rng

CELLS = 64
_LOG_R = np.linspace(np.log(0.02), np.log(2.0), 600)
"""where (3) is solved"""
BLOCKS = 1024
"""blocks that `block_score` averages"""


@lru_cache
def decay(a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of kappa, the middles of equal cells of [0, 1], and their probabilities, by 200 points a cell."""
    x = (np.arange(CELLS * 200) + 0.5) / (CELLS * 200)
    log_density = (a - 1) * np.log(x) + (b - 1) * np.log1p(-x)
    mass = np.exp(log_density - log_density.max()).reshape(CELLS, 200).sum(1)
    return (np.arange(CELLS) + 0.5) / CELLS, mass / mass.sum()


@lru_cache
def mean_decay(a: float, b: float) -> float:
    """E[kappa]."""
    kappa, chance = decay(a, b)
    return float(kappa @ chance)


@lru_cache
def best_rate(a: float, b: float, spread: float, travel: int) -> float:
    """(2): reward a step in the long run."""
    node, weight = np.polynomial.hermite_e.hermegauss(21)
    first, weight = 1 + spread * node, weight / weight.sum()
    mean, shrinks = mean_decay(a, b), _shrinking(a, b)
    rate = 1 / (1 + travel)  # of who harvests once
    for _ in range(50):
        stays = mean * np.exp(_LOG_R) >= rate
        gains = np.stack((np.where(stays, mean * np.exp(_LOG_R), 0.0), stays.astype(float)), 1)
        after = np.linalg.solve(np.eye(len(_LOG_R)) - stays[:, None] * shrinks, gains)  # (3)
        harvests, number = (np.interp(np.log(first), _LOG_R, column) for column in after.T)
        before = rate
        rate = float((weight * (first + harvests)).sum() / ((weight * (1 + number)).sum() + travel))
        if abs(rate - before) < 1e-9:
            break
    return rate


@lru_cache
def _shrinking(a: float, b: float) -> np.ndarray:
    """From each log r to log kappa r, shared between its neighbours on the grid; below it nothing is kept."""
    size = len(_LOG_R)
    moves = np.zeros((size, size))
    for kappa, chance in zip(*decay(a, b), strict=True):
        place = np.arange(size) + np.log(kappa) / (_LOG_R[1] - _LOG_R[0])
        low = np.floor(place).astype(int)
        for cell, share in ((low, 1 - (place - low)), (low + 1, place - low)):
            rows = np.flatnonzero(cell >= 0)
            moves[rows, cell[rows]] += chance * share[rows]
    return moves


@lru_cache
def random_total(a: float, b: float, travel: int, steps: int) -> float:
    """Expected reward of a block of so many steps, stay or leave by a coin; exact."""
    mean = mean_decay(a, b)
    here, away = np.zeros(steps + 1), np.zeros(travel)  # by harvests so far; by steps still to go
    here[0], total = 1.0, 0.0
    for _ in range(steps):
        total += float((here * mean ** np.arange(steps + 1)).sum()) / 2
        arrives, left = away[0], here.sum() / 2
        here = np.concatenate(([0.0], here[:-1] / 2))
        away = np.concatenate((away[1:], [0.0]))
        here[0] += arrives + (left if travel == 1 else 0.0)
        if travel > 1:
            away[travel - 2] += left
    return total


@lru_cache
def block_score(a: float, b: float, spread: float, travel: int, steps: int) -> float:
    """E min(1, reward / (rate steps)) of (1) in a block: mean over simulated ones, drawn from a fixed key."""
    kappa, chance = decay(a, b)
    rate, mean = best_rate(a, b, spread, travel), mean_decay(a, b)
    keys = rng.fold(rng.root(0), torch.arange(BLOCKS))
    drawn = rng.Table(kappa.tolist(), chance.tolist()).sample(rng.words(rng.fold(keys, 0), steps)).double().numpy()
    first = 1 + spread * rng.normal_int(rng.words(rng.fold(keys, 1), steps)).double().numpy()
    level, wait, total = np.zeros(BLOCKS), np.zeros(BLOCKS, dtype=int), np.zeros(BLOCKS)
    for n in range(steps):
        is_here = wait == 0
        leaves = is_here & (level > 0) & (mean * level < rate)
        stays = is_here & ~leaves
        level = np.where(stays, np.where(level > 0, level * drawn[:, n], first[:, n]), 0.0)
        wait = np.where(leaves, travel - 1, np.maximum(wait - 1, 0))
        total += level * stays
    return float(np.minimum(1, total / (rate * steps)).mean())
