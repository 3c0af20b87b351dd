"""What a T-maze is worth: to a random walk, and to a searcher who knows the maze but not where the high reward is.

The random walk is a Markov chain over (position, whether a reward was collected), followed for as many steps as a trial
allows. A searcher stays with an end while it pays the high reward, and else tries the others one by one; in a segment
of n trials it misses

    M(n, K) = sum_{j = 1 .. n} max(K - j, 0) / K                          first segment, K ends                  (1)
    1 + M(n - 1, K - 1)                                                  after a move                            (2)

times. A move is real with probability 1 - sum_k c_k (c_k - 1) / (S + 1) S, where place k is c_k times in the list of
S + 1 places that a lifetime shuffles. Exact as long as a segment has at least K trials; who also counts trials to know
when a move is due can do a little better.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import torch

from metaplastic.tasks.navigation.t_maze_tables import maze, start


@lru_cache
def random_walk(
    place: tuple[int, bool, bool, bool], odds: tuple[float, ...], limit: int, prices: tuple[float, float, float, float]
) -> float:
    """Expected reward of a trial whose actions are drawn with these odds; `place`: passage, double, home, abstract."""
    passage, double, home, abstract = place
    high, low, crash, late = prices
    tables = maze(passage, double, abstract, "cpu")
    after, count = tables.after.reshape(-1, len(odds)), 4 if double else 2
    at_end, is_wall = tables.end >= 0, tables.is_wall
    collects = high / count + low * (count - 1) / count
    seeking, going_home = torch.zeros(2, len(after), dtype=torch.float64)
    seeking[start(passage, abstract)] = 1.0
    earned = 0.0
    for _ in range(limit):
        seeking, going_home = (_spread(mass, after, odds) for mass in (seeking, going_home))
        arrived = seeking * at_end
        crashed = (seeking + going_home) * is_wall
        earned += collects * float(arrived.sum()) + crash * float(crashed.sum())
        seeking = seeking * ~(at_end | is_wall)
        going_home = going_home * ~(is_wall | tables.is_home) + (arrived if home else 0.0)
    return earned + late * float((seeking + going_home).sum())


def _spread(mass: torch.Tensor, after: torch.Tensor, odds: tuple[float, ...]) -> torch.Tensor:
    """The distribution after one more action."""
    moved = torch.zeros_like(mass)
    for action, chance in enumerate(odds):
        moved.index_add_(0, after[:, action], mass * chance)
    return moved


def searched(ends: int, trials: int, moves: int, shuffled: bool) -> float:
    """Expected number of trials in which a searcher misses the high reward, (1) and (2)."""
    places = [move % ends for move in range(moves + 1)]
    repeats = sum(n * (n - 1) for n in Counter(places).values()) / max(moves * (moves + 1), 1)
    real = 1 - repeats if shuffled else 1.0
    segment = trials // (moves + 1)
    first = sum(max(ends - j, 0) / ends for j in range(1, segment + 1))
    later = 1 + sum(max(ends - 1 - j, 0) / (ends - 1) for j in range(1, segment))
    return first + moves * real * later
