"""How long a random walk takes to a cell of a maze, exactly: a Markov chain that ends there."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.tasks.navigation.grid_maze_tables import MOVES, Grid


def first_passages(
    maze: Grid, starts: tuple[int, ...], goals: tuple[int, ...], steps: int
) -> Float[Tensor, "S G steps"]:
    """Probability that a walk whose four moves are alike comes from a start to a goal first in step 1 .. `steps`."""
    count, moves = len(maze.view), len(MOVES)
    here = torch.arange(count).repeat_interleave(moves)
    chain = torch.zeros(count, count, dtype=torch.float64)
    chain.index_put_((here, maze.after.cpu()), torch.tensor(1 / moves, dtype=torch.float64), accumulate=True)
    goal = torch.tensor(goals).expand(len(starts), -1)[..., None]
    mass = torch.eye(count, dtype=torch.float64)[list(starts), None].expand(-1, len(goals), -1)
    arrived = []
    for _ in range(steps):
        mass = mass @ chain
        arrived.append(mass.gather(-1, goal))
        mass = mass.scatter(-1, goal, 0.0)
    return torch.cat(arrived, -1)
