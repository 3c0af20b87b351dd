"""T-mazes: the map, trials walked by hand, when the reward moves, and what a searcher earns."""

import math

import pytest
import torch
from one_graph import check_one_graph
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.navigation.t_maze import TMaze, TMazeSteering
from metaplastic.tasks.navigation.t_maze_tables import maze, start
from metaplastic.tasks.navigation.t_maze_values import searched
from metaplastic.tasks.registry import make

LIVES = 9
LEFT, FORWARD, RIGHT = 0, 1, 2
OUT = [FORWARD] * 4 + [LEFT] + [FORWARD] * 4
BACK = [LEFT] * 2 + [FORWARD] * 4 + [RIGHT] + [FORWARD] * 4

SINGLE = """
.............
.............
.............
.............
.............
.............
..0#######1..
......#......
......#......
......#......
......H......
.............
.............
"""
DOUBLE = """
.............
.............
..1.......3..
..#.......#..
..#.......#..
..#.......#..
..#########..
..#...#...#..
..#...#...#..
..#...#...#..
..0...H...2..
.............
.............
"""


def walk(task, actions, lives=LIVES):
    """The steps of lives that all do the same, and the place of the high reward in each."""
    state, first = task.reset(torch.arange(lives))
    good, seen = state.world.good, [first]
    for action in actions:
        given = torch.full((lives,), action)
        state, now = task.step(state, given)
        seen.append(now)
    return good, seen


def rewards(seen):
    return torch.stack([now.reward for now in seen[1:]])


@pytest.mark.parametrize(("double", "drawing"), [(False, SINGLE), (True, DOUBLE)])
def test_the_map_is_the_published_one(double, drawing):
    tables = maze(3, double, False, "cpu")
    marks = []
    for cell in range(13 * 13):
        end = int(tables.end[4 * cell])
        here = "." if tables.is_wall[4 * cell] else "H" if tables.is_home[4 * cell] else "#"
        marks.append(str(end) if end >= 0 else here)
    rows = ["".join(marks[13 * y : 13 * y + 13]) for y in range(13)]
    assert rows[::-1] == drawing.split()
    assert start(3, False) == 4 * (2 * 13 + 6)


def test_a_trial_to_the_left_end_and_home_by_hand():
    good, seen = walk(TMaze(), [*OUT, *BACK, FORWARD])
    paid = rewards(seen)
    high = good == 0
    assert 0 < high.sum() < LIVES
    assert torch.equal(paid[8], torch.where(high, 1.0, 0.1))
    assert (paid.sum(0) == paid[8]).all()
    end = torch.stack([now.info.trial_end for now in seen])
    assert end[:, 0].tolist() == [False] * 21 + [True]
    assert torch.allclose(seen[21].info.score, torch.where(high, 1.0, 0.5 / 1.4))
    assert torch.equal(seen[21].info.correct.bool(), high)


def test_what_is_seen_on_the_way():
    good, seen = walk(TMaze(), [*OUT, *BACK, FORWARD])
    shown = torch.stack([now.observation for now in seen])
    assert (shown[0] == 0).all()  # home is not marked in the first step
    assert (shown[1:4] == 0).all()
    turning, end, home, colour = shown.unbind(-1)
    assert turning[:, 0].nonzero().flatten().tolist() == [4, 5, 15, 16]
    assert end[:, 0].nonzero().flatten().tolist() == [9, 10, 11]
    assert home[:, 0].nonzero().flatten().tolist() == [20]
    assert torch.equal(colour[9], torch.where(good == 0, 1.0, 0.2))
    assert (colour.sum(0) == colour[9]).all()


def test_range_finders_see_walls_to_the_left_ahead_and_to_the_right():
    shown = torch.stack([now.observation[0, :3] for now in walk(TMaze(inputs="range"), OUT)[1]])
    assert shown[0].tolist() == [1, 0, 1]  # in the stem
    assert shown[4].tolist() == [0, 1, 0]  # before the bar of the T
    assert shown[5].tolist() == [0, 0, 1]  # turned to the left: behind the left shoulder the stem, ahead the arm
    assert shown[9].tolist() == [1, 1, 1]


def test_a_wall_costs_and_ends_the_trial():
    _, seen = walk(TMaze(), [FORWARD] * 6)
    assert torch.allclose(rewards(seen)[:, 0], torch.tensor([0, 0, 0, 0, -0.4, 0]))
    assert seen[6].info.trial_end.all()
    assert (seen[6].info.score == 0).all()
    assert not seen[5].info.trial_end.any()


def test_who_turns_on_the_spot_is_late_after_twenty_steps():
    _, seen = walk(TMaze(), [RIGHT] * 21)
    assert torch.allclose(rewards(seen)[:, 0], torch.tensor([0.0] * 19 + [-0.3, 0]))
    assert seen[21].info.trial_end.all()
    assert torch.allclose(seen[21].info.score, torch.tensor(0.1 / 1.4))


def test_without_a_way_home_the_trial_ends_at_the_first_end():
    good, seen = walk(TMaze(home=False), [*OUT, FORWARD])
    assert seen[10].info.trial_end.all()
    assert torch.allclose(seen[10].info.score, torch.where(good == 0, 1.0, 0.5 / 1.4))
    _, seen = walk(TMaze(home=False), [LEFT] * 10)
    assert (rewards(seen) == 0).all()  # nothing is said of being late


@pytest.mark.parametrize(
    ("double", "home", "limit"), [(False, True, 20), (False, False, 9), (True, True, 30), (True, False, 14)]
)
def test_a_shortest_way_takes_every_step_that_is_allowed(double, home, limit):
    task = TMaze(double=double, home=home)
    assert task.limit == limit
    seen = task.rollout(task.oracle_policy(), torch.arange(40), limit + 1)
    assert (seen.info.trial_end.sum(0) == 1).all()
    assert seen.info.trial_end[limit].all()
    assert (seen.info.score[limit] == 1).all()


def places(task, lives, trials):
    """Where the high reward is in every trial [T, L]."""
    key = rng.lifetime_keys(0, torch.arange(lives))
    life = task.birth(rng.parameter_keys(key))
    return life, torch.stack([task.begin(key, life, torch.full_like(key, n), None).good for n in range(trials)])


def test_the_reward_moves_at_fifty_a_hundred_and_hundred_fifty_give_or_take_ten():
    life, _ = places(TMaze(), 8000, 1)
    for move, middle in enumerate((50, 100, 150)):
        shift = life.moves[:, move] - middle
        assert (shift.min(), shift.max()) == (-10, 10)
        assert chisquare((shift + 10).bincount(minlength=21).numpy()).pvalue > 1e-4
    double, _ = places(TMaze(double=True), 8000, 1)
    code = (double.order * torch.tensor([64, 16, 4, 1])).sum(-1).bincount(minlength=256)
    assert (code > 0).sum() == 24  # each end once, in every order
    assert chisquare(code[code > 0].numpy()).pvalue > 1e-4
    code = (life.order * torch.tensor([8, 4, 2, 1])).sum(-1).bincount(minlength=16)
    assert (code > 0).sum() == 6  # two ends, each twice
    assert chisquare(code[code > 0].numpy()).pvalue > 1e-4


def test_without_variation_the_schedule_is_fixed():
    _, good = places(TMaze(variation=0.0, trials=10, moves=3), 5, 12)
    assert good.T.tolist() == [[0] * 2 + [1] * 3 + [0] * 3 + [1] * 4] * 5  # 2.5, 5 and 7.5, rounded to even


@pytest.mark.parametrize("preset", ["choice", "choice_double"])
def test_a_searcher_scores_the_ceiling(preset):
    task = make("TMaze-v0", preset=preset)
    assert isinstance(task, TMaze)
    lives = 600
    good = places(task, lives, 200)[1].T.tolist()
    misses = []
    for lane, row in enumerate(good):
        tries, count = [(lane + k) % task.ends for k in range(task.ends)], 0
        for place in row:
            if place != tries[0]:
                count += 1
                tries = [*tries[1:], tries[0]]  # on to the one that was left longest ago
        misses.append(count)
    misses = torch.tensor(misses, dtype=torch.float64)
    wanted = (1 - task.spec.ceiling) / (0.9 / 1.4) * 200
    assert abs(misses.mean() - wanted) < 4 * misses.std() / math.sqrt(lives)
    assert wanted == pytest.approx(searched(task.ends, 200, 3, True))


def test_a_searcher_misses_by_hand():
    assert searched(2, 200, 3, True) == pytest.approx(0.5 + 3 * 2 / 3)
    assert searched(4, 200, 3, True) == pytest.approx(1.5 + 3 * 2)
    assert searched(2, 200, 3, False) == pytest.approx(0.5 + 3)
    assert searched(4, 8, 3, True) == pytest.approx(3 / 4 + 2 / 4 + 3 * (1 + 2 / 3))  # two trials a segment


def test_the_criterion_is_the_published_performance_of_one():
    assert TMaze().spec.criterion == pytest.approx(1 - 4 * 1 * (0.9 / 1.4) / 200)
    assert TMaze(double=True).spec.criterion == pytest.approx(1 - 4 * 3 * (0.9 / 1.4) / 200)


def test_the_abstract_maze_shows_the_last_reward_at_the_next_turn():
    task = make("TMaze-v0", preset="choice_double")
    good, seen = walk(task, [1, 0, 0, 0])  # right, left: end 2; left, left: end 0
    shown = torch.stack([now.observation for now in seen])
    assert (shown[..., 0] == 1).all()  # every step is a turning point
    assert torch.equal(shown[2, :, 3], torch.where(good == 2, 1.0, 0.2))
    assert torch.equal(seen[2].reward, torch.where(good == 2, 1.0, 0.1))
    assert torch.equal(seen[4].reward, torch.where(good == 0, 1.0, 0.1))
    assert (shown[[0, 1, 3], :, 3] == 0).all()
    assert seen[2].info.trial_end.all()
    assert task.spec.chance == pytest.approx((1 / 4 + 3 / 40 + 0.4) / 1.4)


@pytest.mark.parametrize(("output", "heading"), [(-0.31, 3), (-0.29, 0), (0.29, 0), (0.31, 1), (1.0, 1), (-1.0, 3)])
def test_one_output_steers(output, heading):
    task = TMazeSteering()
    state, _ = task.reset(torch.arange(3))
    state, _ = task.step(state, torch.full((3, 1), output))
    moved = 13 if heading == 0 else 0
    assert state.world.position.tolist() == [4 * (2 * 13 + 6 + moved) + heading] * 3


def test_presets_have_the_published_values():
    usual, soltoggio, risi = (make("TMaze-v0", preset=name) for name in (None, "soltoggio08", "risi10"))
    values = ("trials", "moves", "variation", "high", "low", "crash", "late", "high_colour", "low_colour", "passage")
    assert [getattr(usual, name) for name in values] == [200, 3, 0.2, 1.0, 0.1, -0.4, -0.3, 1.0, 0.2, 3]
    assert soltoggio.trials == 100
    assert (getattr(risi, "inputs", None), getattr(risi, "home", None)) == ("range", False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"inputs": "ranges"}, ["inputs", "did you mean 'range'?"]),
        ({"variation": 0.5}, ["variation"]),
        ({"abstract": True, "inputs": "range"}, ["inputs is 'range', wanted 'features'"]),
        ({"preset": "tripple"}, ["'tripple'", "double"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("TMaze-v0", **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_step_is_one_graph():
    check_one_graph(
        ("TMaze-v0", {"double": True, "feedback": True}),
        ("TMaze-v0", {"preset": "choice_double"}),
        ("TMaze-v0", {"preset": "risi10"}),
        ("TMazeSteering-v0", {}),
    )
