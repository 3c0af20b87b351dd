"""The T-mazes as tables: where each action leads from each position, what is seen there, and the shortest way.

A position is a cell and a heading (0 up, 1 right, 2 down, 3 left), number 4 cell + heading. With passages of p cells
the stem goes up from (p + 3, 2) to the junction (p + 3, p + 3), the arms from there to x = 2 and x = 2 p + 4; in a
double maze two arms more lead from each end to y = 2 and y = 2 p + 4. The grid and its steps are those of the T-maze
in AHNI (Coleman 2013), which follows Soltoggio et al. 2008 and Risi & Stanley 2010.

The abstract maze has no grid: its positions are the junctions and the ends, its actions left and right.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""what a step forward adds to (x, y), by heading"""
LEFT, FORWARD, RIGHT = range(3)


class Maze(NamedTuple):
    """Tables over S positions and A actions."""

    after: Int[Tensor, " SA"]
    """the position that action a leads to from position s, at s A + a"""
    end: Int[Tensor, " S"]
    """which of the K ends it is; -1 elsewhere"""
    is_home: Bool[Tensor, " S"]
    is_wall: Bool[Tensor, " S"]
    features: Float[Tensor, "S 3"]
    """turning point, maze end, home"""
    ranges: Float[Tensor, "S 3"]
    """a wall to the left, ahead, to the right"""
    way: Int[Tensor, " KS"]
    """the action that is first on a shortest way from s to end k, or home (k = K), at k S + s"""


_MAZES: dict[tuple[int, bool, bool, str], Maze] = {}
"""(passage, double, abstract, device) -> tables, made once a process. A plain dict: torch.compile sees through it"""


def maze(passage: int, double: bool, abstract: bool, device: torch.device | str) -> Maze:
    """The tables on a device."""
    key = (passage, double, abstract, str(device))
    if key not in _MAZES:
        made = _abstract(double) if abstract else _grid(passage, double)
        _MAZES[key] = Maze(*(table.to(device) for table in made))
    return _MAZES[key]


def start(passage: int, abstract: bool) -> int:
    """The position in which a trial begins: the foot of the stem, facing up."""
    return 0 if abstract else 4 * (2 * (2 * passage + 7) + passage + 3)


def step_limit(passage: int, double: bool, home: bool, abstract: bool) -> int:
    """Actions that a trial allows: a shortest way has just as many."""
    if abstract:
        return 2 if double else 1
    if home:
        return 6 * passage + 12 if double else 4 * passage + 8
    return 3 * passage + 5 if double else 2 * passage + 3


def _passages(passage: int, double: bool) -> tuple[set[tuple[int, int]], list[tuple[int, int]]]:
    """The open cells, and the ends among them."""
    far, bar = 2 * passage + 4, passage + 3
    cells = {(bar, y) for y in range(2, bar + 1)} | {(x, bar) for x in range(2, far + 1)}
    if not double:
        return cells, [(2, bar), (far, bar)]
    cells |= {(x, y) for x in (2, far) for y in range(2, far + 1)}
    return cells, [(2, 2), (2, far), (far, 2), (far, far)]


def _grid(passage: int, double: bool) -> Maze:
    side, foot = 2 * passage + 7, (passage + 3, 2)
    cells, ends = _passages(passage, double)
    places = [(x, y) for y in range(side) for x in range(side)]

    def leads(position: int, action: int) -> int:
        (x, y), heading = places[position // 4], position % 4
        if (x, y) not in cells:
            return position  # nobody goes on from a wall
        if action != FORWARD:
            return position - heading + (heading + action - 1) % 4
        return 4 * ((y + MOVES[heading][1]) * side + x + MOVES[heading][0]) + heading

    walls = [[(x + dx, y + dy) not in cells for dx, dy in MOVES] for x, y in places]
    turning = [sum(around) == 1 for around in walls]
    features = [
        (t, not t and p in ends, not t and p not in ends and p == foot) for t, p in zip(turning, places, strict=True)
    ]
    ranges = [[around[(h + turn) % 4] for turn in (-1, 0, 1)] for around in walls for h in range(4)]
    return Maze(
        after=_table(leads, 4 * len(places), 3),
        end=_each([ends.index(p) if p in ends else -1 for p in places], torch.int64),
        is_home=_each([p == foot for p in places], torch.bool),
        is_wall=_each([p not in cells for p in places], torch.bool),
        features=_each(features, torch.float32),
        ranges=torch.tensor(ranges, dtype=torch.float32),
        way=_ways(leads, [[4 * places.index(p) + h for h in range(4)] for p in (*ends, foot)], 4 * len(places), 3),
    )


def _abstract(double: bool) -> Maze:
    """Junction 0; in a double maze the arms' junctions 1 and 2; then the ends. Nothing leads on from an end."""
    junctions = 3 if double else 1
    size = 2 * junctions + 1
    ends = list(range(junctions, size))

    def leads(position: int, action: int) -> int:
        return 2 * position + 1 + action if position < junctions else position

    features = [(p < junctions, p >= junctions, False) for p in range(size)]
    nowhere = torch.zeros(size, dtype=torch.bool)
    return Maze(
        after=_table(leads, size, 2),
        end=torch.tensor([p - junctions if p >= junctions else -1 for p in range(size)]),
        is_home=nowhere,
        is_wall=nowhere.clone(),
        features=torch.tensor(features, dtype=torch.float32),
        ranges=torch.zeros(size, 3),
        way=_ways(leads, [[p] for p in (*ends, 0)], size, 2),
    )


def _each(values: list, dtype: torch.dtype) -> Tensor:
    """A table over cells as one over cells and headings."""
    return torch.tensor(values, dtype=dtype).repeat_interleave(4, 0)


def _table(leads: Callable[[int, int], int], size: int, actions: int) -> Int[Tensor, " SA"]:
    return torch.tensor([leads(position, action) for position in range(size) for action in range(actions)])


def _ways(leads: Callable[[int, int], int], goals: list[list[int]], size: int, actions: int) -> Int[Tensor, " KS"]:
    """Breadth-first search back from each goal; 0 where no way leads there."""
    back: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    for position in range(size):
        for action in range(actions):
            back[leads(position, action)].append((position, action))
    rows = []
    for goal in goals:
        first, queue = dict.fromkeys(goal, FORWARD % actions), deque(goal)
        while queue:
            here = queue.popleft()
            for position, action in back[here]:
                if position not in first:
                    first[position] = action
                    queue.append(position)
        rows.extend(first.get(position, 0) for position in range(size))
    return torch.tensor(rows)
