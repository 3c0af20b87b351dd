"""The pillar maze: its map, moves by hand, shortest ways, what is drawn, and exact scores."""

import numpy as np
import pytest
import torch
from one_graph import check_one_graph
from scipy.sparse.csgraph import shortest_path
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.navigation.grid_maze_tables import Grid, free_cells, grid, pillar_rows
from metaplastic.tasks.navigation.meta_maze import MetaMaze
from metaplastic.tasks.navigation.meta_maze_values import mean_scores, standard
from metaplastic.tasks.registry import make


def pillars(size: int) -> Grid:
    return grid(pillar_rows(size), "cpu")


UP, DOWN, LEFT, RIGHT = range(4)
MAP = """
#########
#.......#
#.#.#.#.#
#.......#
#.#...#.#
#.......#
#.#.#.#.#
#.......#
#########
"""


def test_the_map_is_the_published_one():
    assert list(pillar_rows(9)) == MAP.split()


def test_moves_and_views_are_those_of_the_map():
    free, maze = free_cells(pillar_rows(9)), pillars(9)
    rows = np.array([[mark == "#" for mark in row] for row in MAP.split()])
    for f, (r, c) in enumerate(free):
        assert maze.view[f].reshape(3, 3).tolist() == rows[r - 1 : r + 2, c - 1 : c + 2].astype(float).tolist()
        for action, (dr, dc) in enumerate([(-1, 0), (1, 0), (0, -1), (0, 1)]):
            there = (r + dr, c + dc)
            assert free[int(maze.after[4 * f + action])] == ((r, c) if rows[there] else there)
            assert bool(maze.is_blocked[4 * f + action]) == bool(rows[there])


@pytest.mark.parametrize("size", [5, 9, 11])
def test_ways_are_shortest(size):
    maze = pillars(size)
    count = len(maze.view)
    links = np.zeros((count, count))
    links[np.arange(count).repeat(4), maze.after.numpy()] = 1
    np.fill_diagonal(links, 0)
    assert (maze.distance.numpy() == shortest_path(links, unweighted=True)).all()
    here, goal = torch.meshgrid(torch.arange(count), torch.arange(count), indexing="ij")
    there = maze.after[4 * here + maze.way[goal * count + here]]
    closer = maze.distance[here, goal] - maze.distance[there, goal]
    assert (closer[here != goal] == 1).all()


def test_a_visit_pays_and_leads_elsewhere():
    task = MetaMaze(size=5, steps=30)
    lives = torch.arange(300)
    state, _ = task.reset(lives)
    beside = state.life.goal == 1  # above the middle of 3 x 3 free cells
    assert beside.sum() > 20
    state, now = task.step(state, torch.full((300,), UP))
    assert torch.equal(now.reward, beside.float())
    assert (state.world.cell[~beside] == 1).all()
    put = state.world.cell[beside]
    assert (put != 1).all()
    assert torch.equal(state.world.visits, beside.long())


def test_a_wall_stops_and_costs_what_is_asked():
    task = MetaMaze(size=5, wall_penalty=0.25)
    state, now = task.reset(torch.arange(50))
    for _ in range(2):
        state, now = task.step(state, torch.full((50,), LEFT))
    still = (state.life.goal != 3) & (state.world.cell == 3)
    assert still.sum() > 20
    assert (now.reward[still] == -0.25).all()


def test_what_is_seen_is_the_walls_a_constant_the_time_and_what_was_done():
    task = MetaMaze(size=9, steps=8)
    state, now = task.reset(torch.arange(3))
    assert now.observation.shape == (3, 16)
    assert now.observation[0].tolist() == [0.0] * 9 + [1, 0] + [0] * 5
    state, now = task.step(state, torch.full((3,), RIGHT))
    assert now.observation[0, 9:].tolist() == [1, 1 / 8, 0, 0, 0, 1, float(now.reward[0])]


def test_the_reward_is_anywhere_but_in_the_middle_each_alike():
    task = MetaMaze(size=9)
    goals = task.birth(rng.parameter_keys(rng.lifetime_keys(0, torch.arange(20_000)))).goal
    counts = goals.bincount(minlength=41)
    centre = pillars(9).centre
    assert free_cells(pillar_rows(9))[centre] == (4, 4)
    assert counts[centre] == 0
    assert chisquare(np.delete(counts.numpy(), centre)).pvalue > 1e-4


def test_the_reward_stays_for_a_lifetime_and_the_score_counts_visits():
    task = MetaMaze(size=9, steps=50, trials=2)
    seen = task.rollout(task.oracle_policy(), torch.arange(20), 100)
    for trial in (seen.reward[:50], seen.reward[50:]):
        first = trial.argmax(0) + 1
        assert torch.equal(first, pillars(9).distance[pillars(9).centre][task.reset(torch.arange(20))[0].life.goal])
    visits = seen.reward[:50].sum(0)
    wanted = (visits / standard(pillars(9), 50)).clamp(max=1)
    assert torch.allclose(seen.info.score[49], wanted)
    assert standard(pillars(9), 50) == pytest.approx(50 / pillars(9).mean_way)


def test_scores_of_one_and_two_steps_by_hand():
    # nine free cells, four of eight places beside the middle: one step finds a quarter of those
    assert mean_scores(5, 1) == pytest.approx((4 / 8 / 4, 4 / 8))
    # two steps. Beside: found at once (1/4), or, from another side (3/4), not: from those three, back to the middle or
    # on to a corner or stay. V = 1. The walk finds a corner by 2 of 4 x 4 paths. Paths to a side in exactly two: from
    # the middle none lead there, for sides neighbour corners and the middle alone
    chance = 4 / 8 * (1 / 4) + 4 / 8 * (2 / 16)
    assert mean_scores(5, 2) == pytest.approx((chance, 1.0))


def test_presets_have_the_published_values():
    for preset, size in (("miconi18", 9), ("miconi19", 11)):
        task = make("MetaMaze-v0", preset=preset)
        assert isinstance(task, MetaMaze)
        assert (task.size, task.steps, task.reward, task.wall_penalty) == (size, 200, 10.0, 0.0)


def test_an_even_size_is_refused():
    with pytest.raises(ConfigError, match="size is 10, wanted an odd number"):
        make("MetaMaze-v0", size=10)


def test_a_step_is_one_graph():
    check_one_graph(("MetaMaze-v0", {"size": 7, "wall_penalty": 0.1}))
