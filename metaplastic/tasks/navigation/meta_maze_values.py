"""Exact scores in the pillar maze of a random walk and of who knows where the reward is.

For each place g of the reward: the random walk is a Markov chain over (cell, visits) in which a step to g adds a visit
and leads to any other cell; who knows the way visits after d(centre, g) steps, and then again after d(c, g) steps for
a random cell c other than g, a renewal process. Visits are counted up to V, where the score is 1.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.tasks.navigation.grid_maze_tables import Grid, grid, pillar_rows


def standard(maze: Grid, steps: int) -> float:
    """V: T over the mean shortest way between two cells, at least 1."""
    return max(1.0, steps / maze.mean_way)


@lru_cache
def mean_scores(size: int, steps: int) -> tuple[float, float]:
    """Expected scores of the random walk and of the oracle."""
    maze = grid(pillar_rows(size), "cpu")
    most = min(math.ceil(standard(maze, steps)), steps)
    score = (torch.arange(most + 1, dtype=torch.float64) / standard(maze, steps)).clamp(max=1)
    goals = [g for g in range(len(maze.view)) if g != maze.centre]
    walked = _random_visits(maze, goals, steps, most)
    known = torch.stack([_known_visits(maze.distance[g], maze.centre, g, steps, most) for g in goals])
    return (walked @ score).mean().item(), (known @ score).mean().item()


def _random_visits(maze: Grid, goals: list[int], steps: int, most: int) -> Float[Tensor, "G V"]:
    """Distribution of the visits of a random walk, for each goal."""
    count = len(maze.view)
    moves = torch.zeros(count, count, dtype=torch.float64)
    moves.view(-1).index_add_(0, torch.arange(count).repeat_interleave(4) * count + maze.after, _quarters(count))
    goal = torch.tensor(goals)[:, None, None]
    mass = torch.zeros(len(goals), most + 1, count, dtype=torch.float64)
    mass[:, 0, maze.centre] = 1.0
    elsewhere = (torch.arange(count) != goal).double() / (count - 1)
    for _ in range(steps):
        mass = mass @ moves
        index = goal.expand(-1, most + 1, 1)
        found = mass.gather(-1, index)
        mass = mass.scatter(-1, index, 0.0)
        found = torch.cat((torch.zeros_like(found[:, :1]), found[:, :-2], found[:, -2:].sum(1, keepdim=True)), 1)
        mass = mass + found * elsewhere
    return mass.sum(-1)


def _quarters(count: int) -> Tensor:
    return torch.full((4 * count,), 0.25, dtype=torch.float64)


def _known_visits(distance: Int[Tensor, " F"], centre: int, goal: int, steps: int, most: int) -> Float[Tensor, " V"]:
    """Distribution of the visits of who goes straight to the goal."""
    others = torch.cat((distance[:goal], distance[goal + 1 :]))
    lengths = torch.bincount(others, minlength=steps + 1)[: steps + 1].double() / len(others)
    when = torch.zeros(steps + 1, dtype=torch.float64)  # probability of the n-th visit at each step
    if int(distance[centre]) <= steps:
        when[int(distance[centre])] = 1.0
    reached = [1.0]
    longest = min(int(others.max()), steps)
    for _ in range(most):
        reached.append(when.sum().item())
        shifted = torch.zeros_like(when)
        for length in range(1, longest + 1):
            shifted[length:] += lengths[length] * when[: steps + 1 - length]
        when = shifted
    reached.append(0.0)
    at_least = torch.tensor(reached, dtype=torch.float64)
    return at_least[:-1] - at_least[1:]
