"""The pillar maze of Miconi et al. as tables: cells, moves, views and shortest ways.

Odd size n: walls all round, a pillar at every interior cell whose row and column are both even, the centre cleared.
Cells are numbered row n + column; the F free cells also in this order.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""up, down, left, right: (rows, columns)"""


class Pillars(NamedTuple):
    """Tables of a maze; free cells are counted 0 .. F - 1."""

    after: Int[Tensor, " FA"]
    """the free cell that action a leads to from cell f, at 4 f + a: f itself before a wall"""
    is_blocked: Bool[Tensor, " FA"]
    """a wall is there"""
    view: Float[Tensor, "F 9"]
    """1 for each wall among the 3 x 3 cells around, row by row"""
    distance: Int[Tensor, "F F"]
    """moves from a cell to another on a shortest way"""
    way: Int[Tensor, " FF"]
    """the first action on it, from cell f to goal g, at g F + f"""
    centre: int
    """the free cell in the middle"""
    mean_way: float
    """mean of `distance` over pairs of different cells"""


_MAZES: dict[tuple[int, str], Pillars] = {}
"""(size, device) -> tables, made once a process. A plain dict: torch.compile sees through it"""


def pillars(size: int, device: torch.device | str) -> Pillars:
    """The tables of a maze of this size."""
    key = (size, str(device))
    if key not in _MAZES:
        _MAZES[key] = _made(size, device)
    return _MAZES[key]


def free_cells(size: int) -> list[tuple[int, int]]:
    """The cells without a wall, row by row."""
    inner, middle = range(1, size - 1), (size // 2, size // 2)
    return [(r, c) for r in inner for c in inner if r % 2 or c % 2 or (r, c) == middle]


def _made(size: int, device: torch.device | str) -> Pillars:
    free = free_cells(size)
    number = {cell: f for f, cell in enumerate(free)}
    leads = [[number.get((r + dr, c + dc), f) for dr, dc in MOVES] for f, (r, c) in enumerate(free)]
    around = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    views = [[(r + dr, c + dc) not in number for dr, dc in around] for r, c in free]
    distances, ways = zip(*(_search(leads, goal) for goal in range(len(free))), strict=True)
    after = torch.tensor(leads).flatten()
    here = torch.arange(len(free)).repeat_interleave(4)
    distance, way = torch.tensor(distances), torch.tensor(ways).flatten()
    view = torch.tensor(views, dtype=torch.float32)
    mean = distance.sum().item() / (len(free) * (len(free) - 1))
    after, bumps, view, distance, way = (table.to(device) for table in (after, after == here, view, distance, way))
    return Pillars(after, bumps, view, distance, way, number[(size // 2, size // 2)], mean)


def _search(leads: list[list[int]], goal: int) -> tuple[list[int], list[int]]:
    """Breadth first from the goal (moves are reversible): distances, and first actions towards it."""
    distance, way, queue = {goal: 0}, {goal: 0}, deque([goal])
    while queue:
        here = queue.popleft()
        for action, there in enumerate(leads[here]):
            if there not in distance:
                distance[there], way[there] = distance[here] + 1, action ^ 1  # up and down, left and right are pairs
                queue.append(there)
    return [distance[f] for f in range(len(leads))], [way[f] for f in range(len(leads))]
