"""How long a random walk takes to a cell of a maze, exactly: a Markov chain that ends there."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.tasks.navigation.grid_maze_tables import MOVES, Grid


def first_passages(
    maze: Grid, starts: tuple[int, ...], goals: tuple[int, ...], steps: int
) -> Float[Tensor, "S G steps"]:
    """Probability that a walk whose four moves are alike comes from a start to a goal first in step 1 .. `steps`.

    Where start and goal are one, it is that of coming back (or of being stopped there).
    """
    count, moves = len(maze.view), len(MOVES)
    here = torch.arange(count).repeat_interleave(moves)
    chain = torch.zeros(count, count, dtype=torch.float64)
    chain.index_put_((here, maze.after.cpu()), torch.tensor(1 / moves, dtype=torch.float64), accumulate=True)
    is_goal = torch.arange(count)[:, None] == torch.tensor(goals)
    arrives, rows = is_goal.double(), []
    for _ in range(steps):
        arrives = chain @ arrives  # from each cell, to each goal, first in so many steps
        rows.append(arrives[list(starts)])
        arrives = arrives.masked_fill(is_goal, 0.0)
    return torch.stack(rows, -1)
