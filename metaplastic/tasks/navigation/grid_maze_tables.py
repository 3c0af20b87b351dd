"""Mazes drawn as text, as tables: cells, moves, views and shortest ways.

A wall is `#`, everything else a free cell; the F free cells are counted row by row. Cells of a letter in `closed` keep
their number, but nobody gets in or out. Moves are up, down, left and right, and a wall stops them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""up, down, left, right: (rows, columns)"""
MOVE_NAMES = ("up", "down", "left", "right")


class Grid(NamedTuple):
    """Tables of a maze; free cells are counted 0 .. F - 1."""

    after: Int[Tensor, " FA"]
    """the free cell that action a leads to from cell f, at 4 f + a: f itself before a wall"""
    is_blocked: Bool[Tensor, " FA"]
    """a wall is there"""
    view: Float[Tensor, "F 9"]
    """1 for each wall among the 3 x 3 cells around, row by row"""
    distance: Int[Tensor, "F F"]
    """moves from a cell to another on a shortest way; F where there is none"""
    way: Int[Tensor, " FF"]
    """the first action on it, from cell f to goal g, at g F + f"""
    centre: int
    """the free cell nearest to the middle"""
    mean_way: float
    """mean of `distance` over pairs of different cells"""


_GRIDS: dict[tuple[tuple[str, ...], str, str], Grid] = {}
"""(rows, closed, device) -> tables, made once a process. A plain dict: torch.compile sees through it"""
_PILLARS: dict[int, tuple[str, ...]] = {}
"""size -> rows, likewise"""


def pillar_rows(size: int) -> tuple[str, ...]:
    """The maze of Miconi et al., odd size: walls all round, a pillar at every interior cell whose row and column are
    both even, the centre cleared."""
    if size not in _PILLARS:
        every, ends, middle = range(size), (0, size - 1), (size // 2, size // 2)
        walls = {(r, c) for r in every for c in every if r in ends or c in ends or (r % 2 == 0 == c % 2)} - {middle}
        _PILLARS[size] = tuple("".join("#" if (r, c) in walls else "." for c in every) for r in every)
    return _PILLARS[size]


def free_cells(rows: Sequence[str]) -> list[tuple[int, int]]:
    """The cells without a wall, row by row."""
    return [(r, c) for r, row in enumerate(rows) for c, mark in enumerate(row) if mark != "#"]


def marked(rows: Sequence[str], letter: str) -> tuple[int, ...]:
    """The numbers of the free cells with this letter."""
    return tuple(f for f, (r, c) in enumerate(free_cells(rows)) if rows[r][c] == letter)


def grid(rows: tuple[str, ...], device: torch.device | str, closed: str = "") -> Grid:
    """The tables of a maze."""
    key = (rows, closed, str(device))
    if key not in _GRIDS:
        _GRIDS[key] = _made(rows, closed, device)
    return _GRIDS[key]


def _made(rows: tuple[str, ...], closed: str, device: torch.device | str) -> Grid:
    free = free_cells(rows)
    number = {(r, c): f for f, (r, c) in enumerate(free) if rows[r][c] not in closed}
    count = len(free)
    leads = [
        [number.get((r + dr, c + dc), f) if (r, c) in number else f for dr, dc in MOVES]
        for f, (r, c) in enumerate(free)
    ]
    around = [(dr, dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    views = [[(r + dr, c + dc) not in number for dr, dc in around] for r, c in free]
    distances, ways = zip(*(_search(leads, goal) for goal in range(count)), strict=True)
    after = torch.tensor(leads).flatten()
    here = torch.arange(count).repeat_interleave(4)
    distance, way = torch.tensor(distances), torch.tensor(ways).flatten()
    view = torch.tensor(views, dtype=torch.float32)
    mean = distance.sum().item() / (count * (count - 1))
    middle = (len(rows) - 1) / 2, (len(rows[0]) - 1) / 2
    centre = min(number.values(), key=lambda f: abs(free[f][0] - middle[0]) + abs(free[f][1] - middle[1]))
    after, bumps, view, distance, way = (table.to(device) for table in (after, after == here, view, distance, way))
    return Grid(after, bumps, view, distance, way, centre, mean)


def _search(leads: list[list[int]], goal: int) -> tuple[list[int], list[int]]:
    """Breadth first from the goal (moves are reversible): distances, and first actions towards it."""
    distance, way, queue = {goal: 0}, {goal: 0}, deque([goal])
    while queue:
        here = queue.popleft()
        for action, there in enumerate(leads[here]):
            if there not in distance:
                distance[there], way[there] = distance[here] + 1, action ^ 1  # up and down, left and right are pairs
                queue.append(there)
    return [distance.get(f, len(leads)) for f in range(len(leads))], [way.get(f, 0) for f in range(len(leads))]


def at(table: Tensor, index: Int[Tensor, "*B"]) -> Tensor:
    """Rows of a table, for indices of any shape."""
    return table.index_select(0, index.reshape(-1)).reshape(*index.shape, *table.shape[1:])


def other(word: Int[Tensor, "*B"], than: int | Int[Tensor, "*B"], count: int) -> Int[Tensor, "*B"]:
    """A number below `count` other than one, from a random word."""
    drawn = rng.below(word, count - 1)
    return drawn + (drawn >= than)
