"""The water maze as a grid: the pool, moves, trials and places by hand, and exact scores."""

import numpy as np
import pytest
import torch
from one_graph import check_one_graph

from metaplastic.core import ConfigError
from metaplastic.tasks.navigation.grid_maze_tables import free_cells, grid
from metaplastic.tasks.navigation.grid_maze_values import first_passages
from metaplastic.tasks.navigation.water_maze_grid import WaterMazeGrid, mean_scores, pool
from metaplastic.tasks.registry import make

UP, DOWN, LEFT, RIGHT = range(4)
SMALL = """
#######
##.0.##
#.....#
#3...1#
#.....#
##.2.##
#######
"""


def test_the_pool_is_a_disc():
    assert list(pool(5).rows) == SMALL.split()
    rows, starts, platforms = pool(11)
    cells = free_cells(rows)
    assert len(cells) == 97
    assert [cells[f] for f in starts] == [(1, 6), (6, 11), (11, 6), (6, 1)]
    assert sorted(starts + platforms) == list(range(97))


def test_a_trial_starts_at_a_side_and_ends_on_the_platform_by_hand():
    task = WaterMazeGrid(size=5, limit=20, trials=1)
    cells = free_cells(pool(5).rows)
    state, now = task.reset(torch.arange(200))
    south = (state.world.setting.start == 2) & (state.world.setting.platform == cells.index((3, 3)))
    assert south.sum() > 1
    seen = now.observation[south]
    assert seen.shape[-1] == 21 + 5
    assert seen.nonzero()[:, 1].eq(cells.index((5, 3))).all()
    up = torch.full((200,), UP)
    state, now = task.step(state, up)
    assert not now.info.trial_end[south].any()
    state, now = task.step(state, up)
    assert now.info.trial_end[south].all()
    assert (now.reward[south] == 1).all()
    assert torch.allclose(now.info.score[south], torch.tensor(1 - 2 / 20))
    assert now.terminated[south].all()


def test_walls_stop():
    task = WaterMazeGrid(size=5)
    state, _ = task.reset(torch.arange(60))
    north = state.world.setting.start == 0
    stopped, now = task.step(state, torch.full((60,), UP))
    assert torch.equal(stopped.world.cell[north], state.world.cell[north])
    assert not now.reward[north].any()


def test_platforms_are_in_every_other_cell_alike_and_move_with_matching_to_place():
    task = make("WaterMazeGrid-v0", preset="dmp")
    assert isinstance(task, WaterMazeGrid)
    places = task.anywhere(torch.arange(93_000) * 7919)
    counts = places.bincount(minlength=97).double()
    assert (counts[list(pool(11).starts)] == 0).all()
    kept = counts[list(pool(11).platforms)]
    assert ((kept - 1000) ** 2 / 1000).sum() < 150  # chi-square of 92 degrees of freedom
    state, _ = task.reset(torch.arange(50))
    world, platforms = None, []
    for n in range(8):
        world = task._begun(state.key, state.life, torch.full_like(state.trial, n), world)
        platforms.append(world.setting.platform)
    assert all(torch.equal(platforms[n], platforms[n - n % 4]) for n in range(8))
    assert (platforms[0] != platforms[4]).sum() > 40


def test_the_oracle_takes_the_shortest_way():
    task = WaterMazeGrid(trials=4)
    state, _ = task.reset(torch.arange(30))
    cells = np.array(free_cells(pool(11).rows))
    away = np.abs(cells[state.world.cell] - cells[state.world.setting.platform]).sum(-1)
    seen = task.rollout(task.oracle_policy(), torch.arange(30), 30)
    assert ((seen.info.trial_end.long().argmax(0) + 1).numpy() == away).all()  # a disc: the way is never round a corner


def test_first_passages_of_a_corridor_by_hand():
    maze = grid(("#####", "#...#", "#####"), "cpu")
    arrived = first_passages(maze, (0, 1), (2,), 4)
    # from beside: right at once, 1/4; else stays (1/2) or goes left (1/4)
    one = [1 / 4, 1 / 8, 1 / 16 + 1 / 64]
    assert arrived[1, 0, :3].tolist() == pytest.approx(one)
    # from the end: p2 = 1/4 1/4; p3 = 1/4 1/8 + 3/4 1/4 1/4
    assert arrived[0, 0, :3].tolist() == pytest.approx([0, 1 / 16, 1 / 32 + 3 / 64])


def test_the_random_walk_scores_chance():
    task = WaterMazeGrid(size=7, limit=30, trials=4)
    lives = torch.arange(400)
    seen = task.rollout(task.random_policy(lives), lives, 120)
    mean = seen.info.score.sum(0).double() / 4
    chance, oracle = mean_scores(7, 30)
    assert abs(mean.mean() - chance) < 4 * mean.std() / 20
    assert chance < oracle


def test_the_ceiling_counts_searches_by_hand():
    spec = WaterMazeGrid(trials=6, every=3).spec
    found = np.minimum(1, np.arange(1, 200) / 93)
    assert spec.ceiling == pytest.approx(found.sum() / 200 / 3 + float(spec.oracle or 0) * 2 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 10}, "size is 10, wanted an odd number, so that there is a middle: use 11"),
        ({"limit": 20}, "limit is 20 steps, wanted at least twice the size of the pool, 22"),
    ],
)
def test_wrong_settings_name_what_was_wanted(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("WaterMazeGrid-v0", **settings)
    assert words in str(caught.value)


def test_a_step_is_one_graph():
    check_one_graph(("WaterMazeGrid-v0", {"every": 4}), ("MetaMaze-v0", {}))
