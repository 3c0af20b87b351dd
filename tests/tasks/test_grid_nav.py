"""Grid navigation: the maps, moves, the barrier, scores by hand and by search, and exact chance."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from one_graph import check_one_graph
from scipy.sparse.csgraph import connected_components

from metaplastic.core import ConfigError
from metaplastic.tasks.navigation import grid_nav_values as values
from metaplastic.tasks.navigation.grid_maze_tables import free_cells, grid
from metaplastic.tasks.navigation.grid_nav import GridNav
from metaplastic.tasks.navigation.grid_nav_maps import BARRIER, Template, chart
from metaplastic.tasks.registry import make

UP, DOWN, LEFT, RIGHT = range(4)
LIVES = torch.arange(200)


@pytest.mark.parametrize("template", get_args(Template))
def test_maps_are_closed_and_every_goal_can_be_reached(template):
    known = chart(template)
    rows = np.array([list(row) for row in known.rows])
    assert (rows[[0, -1]] == "#").all()
    assert (rows[:, [0, -1]] == "#").all()
    for closed in ("", BARRIER):
        maze = grid(known.rows, "cpu", closed)
        links = np.zeros((known.cells, known.cells))
        links[np.arange(known.cells).repeat(4), maze.after.numpy()] = 1
        count, part = connected_components(links)
        assert count == 1 + (known.has_barrier and closed == BARRIER)  # the barrier's own cell is cut off
        assert len({part[f] for f in known.starts + known.goals}) == 1


def test_starts_goals_and_ways_are_those_of_the_literature():
    assert chart("four_rooms").cells == 104  # Sutton, Precup & Singh 1999
    assert chart("empty").cells == 81
    expected: tuple[tuple[Template, int, int], ...] = (
        ("t_maze", 2, 8),
        ("two_step", 4, 9),
        ("u_maze", 1, 14),
        ("hairpin", 1, 38),
    )
    for template, goals, longest in expected:
        assert (len(chart(template).starts), len(chart(template).goals)) == (1, goals)
        assert values.longest_way(template) == longest
    known = chart("detour")
    ways = [int(grid(known.rows, "cpu", closed).distance[known.goals[0], known.starts[0]]) for closed in ("", BARRIER)]
    assert ways == [8, 14]


def test_a_way_in_the_t_maze_by_hand():
    task = make("GridNav-v0", preset="t_maze", trials=2)
    state, now = task.reset(LIVES)
    cells = free_cells(chart("t_maze").rows)
    assert now.observation.shape == (200, 13 + 5)
    assert (now.observation[:, :13].argmax(-1) == cells.index((5, 5))).all()
    is_left = state.life.goal == cells.index((1, 1))
    assert abs(is_left.double().mean() - 0.5) < 0.15
    state, now = task.step(state, torch.full((200,), LEFT))  # into a wall
    assert (state.world.cell == cells.index((5, 5))).all()
    for action in [UP] * 4 + [LEFT] * 4:
        assert not now.info.trial_end.any()
        state, now = task.step(state, torch.full((200,), action))
    assert torch.equal(now.info.trial_end, is_left)
    assert torch.equal(now.reward, is_left.float())
    assert torch.allclose(now.info.score, is_left.float() * 8 / 9)
    for _ in range(8):
        state, now = task.step(state, torch.full((200,), RIGHT))
    assert torch.allclose(now.info.score[~is_left], torch.tensor(8 / 17))
    assert (state.trial[~is_left] == 1).all()
    assert (state.life.goal == torch.where(is_left, cells.index((1, 1)), cells.index((1, 9)))).all()


def test_goals_stay_for_a_lifetime_and_starts_are_any_other_cell():
    task = GridNav(template="empty")
    state, _ = task.reset(torch.arange(4000))
    goals = state.life.goal.bincount(minlength=81)
    assert ((goals - 4000 / 81) ** 2 / (4000 / 81)).sum() < 130  # chi-square of 80 degrees of freedom
    starts = [task._begun(state.key, state.life, torch.full_like(state.trial, n), None).start for n in range(3)]
    for one, other in pairwise(starts):
        assert (one != other).double().mean() > 0.95
    assert all((start != state.life.goal).all() for start in starts)
    assert all((start.bincount(minlength=81) > 10).all() for start in starts)


def test_the_barrier_closes_after_half_of_the_trials():
    task = GridNav(template="detour", trials=4)
    barrier = free_cells(chart("detour").rows).index((4, 5))
    seen = task.rollout(task.oracle_policy(), LIVES[:3], 44)
    ends = seen.info.trial_end[:, 0].nonzero().flatten().tolist()
    assert np.diff([-1, *ends]).tolist() == [8, 8, 14, 14]
    on_barrier = seen.observation[:, 0, barrier].bool()
    assert on_barrier[:16].sum() == 2
    assert not on_barrier[16:].any()
    straight = task.rollout(lambda state, _: torch.full_like(state.trial, RIGHT), LIVES[:3], 16 + 100)
    assert straight.info.trial_end[16:, 0].nonzero().flatten().tolist() == [99]
    assert straight.info.score[-1, 0] == 0
    assert straight.observation[40:, 0, barrier - 1].all()


def test_walls_are_seen_around_and_the_barrier_too_when_it_is_closed():
    task = GridNav(template="detour", trials=2, inputs="walls", feedback=False)
    state, now = task.reset(LIVES[:2])
    assert now.observation[0].reshape(3, 3).tolist() == [[1, 0, 1], [1, 0, 0], [1, 1, 1]]
    right = torch.full((2,), RIGHT)
    for _ in range(8):
        state, now = task.step(state, right)
    assert (state.trial == 1).all()
    for _ in range(3):
        state, now = task.step(state, right)
    assert now.observation[0].reshape(3, 3).tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("template", ["empty", "detour", "two_step"])
def test_the_random_walk_scores_chance(template):
    task = GridNav(template=template, trials=2, steps=60)
    lives = torch.arange(600)
    seen = task.rollout(task.random_policy(lives), lives, 120)
    mean = seen.info.score.sum(0).double() / 2
    assert abs(mean.mean() - task.spec.chance) < 4 * mean.std() / 600**0.5


def test_the_best_search_by_hand():
    # two ends: the first after 8 steps, the other after 8 more
    assert values.best_search("t_maze") == pytest.approx((1 + 8 / 16) / 2) == pytest.approx(0.75)
    # four ends, each 9 away: 4 between neighbours, and 14 from one pair to the other by 2 + 2 + 6 + 2 + 2
    assert values.best_search("two_step") == pytest.approx((1 + 9 / 13 + 9 / 27 + 9 / 31) / 4)
    assert values.best_search("hairpin") == 1
    # a known goal leaves nothing to learn; else one trial in ten is a search
    assert GridNav(template="t_maze", trials=10).spec.ceiling == pytest.approx(1 - 0.25 / 10)
    assert GridNav(template="hairpin").spec.ceiling == 1


def test_no_sweep_beats_the_bound_of_the_first_trial():
    task = GridNav(template="empty", trials=1)
    known = chart("empty")
    maze, cells = grid(known.rows, "cpu"), free_cells(known.rows)
    snake = [(r, c) for r in range(1, 10) for c in (range(1, 10) if r % 2 else range(9, 0, -1))]
    order = [cells.index(cell) for cell in snake]
    score = [int(maze.distance[order[0], f]) / rank for rank, f in enumerate(order) if rank]
    assert task.spec.chance < np.mean(score) < values.best_search("empty")


def test_presets_are_the_templates():
    for name in get_args(Template):
        task = make("GridNav-v0", preset=name)
        assert isinstance(task, GridNav)
        assert task.template == name
    assert set(GridNav.presets) == set(get_args(Template))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"template": "hairpins"}, "'hairpins', wanted one of empty, four_rooms"),
        ({"template": "hairpin", "steps": 37}, "steps is 37, wanted at least the longest way of hairpin, 38"),
        ({"inputs": "smell"}, "'smell', wanted one of place, walls"),
    ],
)
def test_wrong_settings_name_what_was_wanted(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("GridNav-v0", **settings)
    assert words in str(caught.value)


def test_a_step_is_one_graph():
    check_one_graph(("GridNav-v0", {"template": "detour", "inputs": "walls"}), ("GridNav-v0", {"template": "empty"}))
