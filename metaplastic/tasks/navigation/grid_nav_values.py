"""Scores in the mazes of grid navigation: of the random walk, exactly, and of the best search for an unknown goal.

Both are means over goals and starts, each alike, of shortest way / steps taken.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import torch

from metaplastic.tasks.navigation.grid_maze_tables import Grid, grid
from metaplastic.tasks.navigation.grid_maze_values import first_passages
from metaplastic.tasks.navigation.grid_nav_maps import BARRIER, Template, chart


@lru_cache
def random_score(template: Template, steps: int, shut: float) -> float:
    """Expected score of the random walk; `shut` is the part of the trials in which the barrier is closed."""
    return sum(share * _walked(template, steps, closed) for share, closed in ((1 - shut, ""), (shut, BARRIER)))


@lru_cache
def _walked(template: Template, steps: int, closed: str) -> float:
    known = chart(template)
    maze = grid(known.rows, "cpu", closed)
    arrived = first_passages(maze, known.starts, known.goals, steps)
    shortest = maze.distance[list(known.starts)][:, list(known.goals)].double()
    scores = (arrived / torch.arange(1, steps + 1)).sum(-1) * shortest  # 0 where start and goal are one
    return (scores.sum() / (shortest > 0).sum()).item()


@lru_cache
def best_search(template: Template) -> float:
    """What nobody beats who does not know the goal: the best order of the goals, or, where any cell is one, a bound:
    no step can find more than one cell, and no shortest way is longer than that to the farthest cell."""
    known = chart(template)
    maze = grid(known.rows, "cpu")
    if not known.is_open:
        return max(_searched(maze, known.starts[0], order) for order in permutations(known.goals))
    rank = torch.arange(1, known.cells)
    return (maze.distance.amax(-1, keepdim=True) / rank).clamp(max=1).mean().item()


def _searched(maze: Grid, start: int, order: tuple[int, ...]) -> float:
    """Mean score of who visits the goals in this order."""
    score, steps, here = 0.0, 0, start
    for goal in order:
        steps += int(maze.distance[here, goal])
        score += int(maze.distance[start, goal]) / steps
        here = goal
    return score / len(order)


@lru_cache
def longest_way(template: Template) -> int:
    """The longest of all shortest ways from a start to a goal."""
    known = chart(template)
    mazes = [grid(known.rows, "cpu", closed) for closed in ("", BARRIER)]
    return max(int(maze.distance[list(known.starts)][:, list(known.goals)].max()) for maze in mazes)
