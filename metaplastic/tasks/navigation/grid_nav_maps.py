"""Maps of grid navigation: `S` starts, `G` goals, `B` a barrier that closes; without `S` and `G` any cell is either.

`four_rooms` is the one of Sutton, Precup & Singh 1999; the others are drawn here, after the templates of neuro-nav
(Juliani et al. 2022), not copied.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from metaplastic.tasks.navigation.grid_maze_tables import free_cells, marked

Template = Literal["empty", "four_rooms", "u_maze", "t_maze", "two_step", "detour", "hairpin"]

BARRIER = "B"

_DRAWN: dict[str, str] = {
    "empty": """
###########
#.........#
#.........#
#.........#
#.........#
#.........#
#.........#
#.........#
#.........#
#.........#
###########
""",
    "four_rooms": """
#############
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#.....#.....#
##.####.....#
#.....###.###
#.....#.....#
#.....#.....#
#...........#
#.....#.....#
#############
""",
    "u_maze": """
#########
#S#####G#
#.#####.#
#.#####.#
#.#####.#
#.......#
#########
""",
    "t_maze": """
###########
#G.......G#
#####.#####
#####.#####
#####.#####
#####S#####
###########
""",
    "two_step": """
#############
#G...G#G...G#
###.#####.###
###.......###
######.######
######S######
#############
""",
    "detour": """
###########
#.........#
#.#######.#
#.#######.#
#S...B...G#
###########
""",
    "hairpin": """
###########
#S........#
#########.#
#.........#
#.#########
#.........#
#########.#
#G........#
###########
""",
}
"""template -> its drawing"""


class Map(NamedTuple):
    """A template and its cells."""

    rows: tuple[str, ...]
    cells: int
    """F, free cells, the barrier's too"""
    starts: tuple[int, ...]
    goals: tuple[int, ...]
    is_open: bool
    """any cell is a start and a goal"""
    has_barrier: bool


_MAPS: dict[str, Map] = {}
"""template -> map, made once a process. A plain dict: torch.compile sees through it"""


def chart(template: Template) -> Map:
    """The map of a template."""
    if template not in _MAPS:
        rows = tuple(_DRAWN[template].split())
        count = len(free_cells(rows))
        starts, goals = marked(rows, "S"), marked(rows, "G")
        every = tuple(range(count))
        _MAPS[template] = Map(rows, count, starts or every, goals or every, not goals, bool(marked(rows, BARRIER)))
    return _MAPS[template]
