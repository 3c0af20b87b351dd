"""The water maze: swimming, walls, starts and platforms by hand, what is seen, scores, and searching for a platform."""

import math

import numpy as np
import pytest
import torch
from one_graph import check_one_graph

from metaplastic.core import ConfigError
from metaplastic.tasks.contract.check import check_task
from metaplastic.tasks.navigation.water_maze import Swim, WaterMaze, WaterMazeSteering, centres
from metaplastic.tasks.registry import make

EAST, NORTH, WEST, SOUTH = 0, 2, 4, 6
LIVES = torch.arange(40)


def put(state, x: float, y: float, platform: tuple[float, float] = (0.0, 0.7)):
    """The state with every swimmer and platform at these places."""
    count = len(state.trial)
    here = torch.tensor([x, y]).expand(count, 2).contiguous()
    goal = torch.tensor(platform).expand(count, 2).contiguous()
    setting = state.world.setting._replace(platform=goal)
    return state._replace(world=Swim(here, torch.zeros(count), setting))


@pytest.mark.parametrize(
    ("action", "dx", "dy"),
    [(EAST, 0.03, 0), (1, 0.03 / 2**0.5, 0.03 / 2**0.5), (NORTH, 0, 0.03), (WEST, -0.03, 0), (SOUTH, 0, -0.03)],
)
def test_a_step_covers_three_centimetres_in_its_direction(action, dx, dy):
    state, _ = WaterMaze().reset(LIVES)
    state, now = WaterMaze().step(put(state, 0.1, 0.2), torch.full((40,), action))
    torch.testing.assert_close(state.world.place, torch.tensor([0.1 + dx, 0.2 + dy]).expand(40, 2))
    assert not now.reward.any()


def test_the_wall_throws_back_as_light():
    task = WaterMaze()
    state, _ = task.reset(LIVES)
    state, _ = task.step(put(state, 0.0, -0.99), torch.full((40,), SOUTH))
    torch.testing.assert_close(state.world.place, torch.tensor([0.0, -0.98]).expand(40, 2))
    torch.testing.assert_close(state.world.heading, torch.full((40,), math.pi / 2))  # south became north
    slanted = math.sqrt(0.5) * 1.01  # where it would come to: the wall's normal is at 45 degrees there
    state, _ = task.step(put(state, slanted - 0.03, slanted), torch.full((40,), EAST))
    torch.testing.assert_close(state.world.place, torch.full((40, 2), math.sqrt(0.5) * 0.99))
    torch.testing.assert_close(state.world.heading, torch.full((40,), -math.pi / 2))  # east became south


def test_nobody_leaves_the_pool():
    for task in (WaterMaze(), WaterMazeSteering()):
        policy = task.random_policy(LIVES)
        state, now = task.reset(LIVES)
        for _ in range(300):
            state, now = task.step(state, policy(state, now.observation))
            assert (state.world.place.square().sum(-1) <= 1 + 1e-6).all()


def test_the_platform_ends_a_trial_and_pays_by_hand():
    task = WaterMaze(trials=2)
    state, _ = task.reset(LIVES)
    state, now = task.step(put(state, 0.0, 0.6), torch.full((40,), NORTH))  # .63: .07 away
    assert not now.info.trial_end.any()
    state, now = task.step(state, torch.full((40,), NORTH))  # .66: .04 away
    assert now.info.trial_end.all()
    assert (now.reward == 1).all()
    assert (now.info.correct == 1).all()
    assert torch.allclose(now.info.score, torch.tensor(1 - 2 / 1200))
    assert (state.step == 0).all()
    assert torch.allclose(state.world.place.square().sum(-1).sqrt(), torch.tensor(0.97))


def test_who_does_not_find_it_scores_nothing_after_120_s():
    task = WaterMaze(trials=1)
    seen = task.rollout(lambda state, _: torch.full_like(state.trial, WEST) * (state.step % 2), LIVES, 1200)
    lost = seen.reward.sum(0) == 0  # went to and fro between east and west
    assert lost.sum() > 30
    assert seen.info.trial_end[-1][lost].all()
    assert (seen.info.score[-1][lost] == 0).all()
    assert (seen.info.correct[-1][lost] == 0).all()


def places_by_trial(task, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Start directions and platforms of the first trials."""
    state, _ = task.reset(LIVES)
    starts, platforms, world = [], [], None
    for n in range(count):
        world = task._begun(state.key, state.life, torch.full_like(state.trial, n), world)
        starts.append(world.setting.start)
        platforms.append(world.setting.platform)
    return torch.stack(starts), torch.stack(platforms)


def test_each_start_comes_once_in_four_trials_in_an_order_of_its_own():
    starts, _ = places_by_trial(WaterMaze(), 8)
    for block in (starts[:4], starts[4:]):
        assert (block.sort(0).values == torch.arange(4)[:, None]).all()
    assert (starts[:4] != starts[4:]).any()
    assert (starts[0].bincount(minlength=4) > 3).all()
    state, _ = WaterMaze().reset(LIVES)
    wanted = torch.tensor([[0, 0.97], [0.97, 0], [0, -0.97], [-0.97, 0]])[state.world.setting.start]
    torch.testing.assert_close(state.world.place, wanted, atol=1e-6, rtol=0)


def test_the_platform_stays_in_reference_memory_and_moves_every_four_trials_in_matching_to_place():
    _, stays = places_by_trial(make("WaterMaze-v0", preset="rmw"), 8)
    assert (stays == stays[0]).all()
    _, moves = places_by_trial(make("WaterMaze-v0", preset="dmp"), 8)
    assert (moves[:4] == moves[0]).all()
    assert (moves[4:] == moves[4]).all()
    assert (moves[4] != moves[0]).any(-1).all()


def test_platforms_are_spread_evenly_away_from_the_wall():
    places = WaterMaze().anywhere(torch.arange(20_000) * 7919)
    away = places.square().sum(-1).sqrt()
    assert away.max() <= 0.8
    assert ((away / 0.8) ** 2).mean() == pytest.approx(0.5, abs=0.01)
    assert places.mean(0).abs().max() < 0.01


def test_place_cells_are_spread_evenly_and_fire_where_they_are():
    where = centres(493, 1.0, "cpu")
    away = where.square().sum(-1).sqrt().sort().values
    assert torch.allclose(away.square(), (torch.arange(493) + 0.5) / 493, atol=1e-5)
    gaps = (where[:, None] - where).square().sum(-1).sqrt().fill_diagonal_(9).amin(1)
    assert gaps.min() > 0.5 * gaps.max()
    task = WaterMaze(cells=493, feedback=False)
    state, _ = task.reset(LIVES)
    x, y = where[200].tolist()
    seen = task.observe(put(state, x, y))[0]
    assert seen.argmax() == 200
    assert seen[200] == pytest.approx(1)
    apart = math.dist(where[200].tolist(), where[10].tolist())
    assert seen[10] == pytest.approx(math.exp(-(apart**2) / (2 * 0.16**2)), rel=1e-4)


def test_steering_turns_and_shows_the_heading():
    task = WaterMazeSteering()
    state, now = task.reset(LIVES)
    assert now.observation.shape == (40, 104)
    outward = state.world.place / state.world.place.square().sum(-1, keepdim=True).sqrt()
    torch.testing.assert_close(now.observation[:, 100:102], outward, atol=1e-5, rtol=0)  # it faces the wall
    state, now = task.step(put(state, 0.0, 0.0), torch.full((40, 1), 5.0))  # 36 degrees, not more
    angle = math.radians(36)
    torch.testing.assert_close(now.observation[:, 100], torch.full((40,), math.cos(angle)))
    torch.testing.assert_close(state.world.place, 0.03 * torch.tensor([math.cos(angle), math.sin(angle)]).expand(40, 2))
    state, _ = task.step(state, torch.full((40, 1), -0.5))
    torch.testing.assert_close(state.world.heading, torch.full((40,), angle / 2))


@pytest.mark.parametrize("cls", [WaterMaze, WaterMazeSteering])
def test_the_oracle_swims_nearly_the_shortest_way(cls):
    task = cls(trials=1)
    state, _ = task.reset(torch.arange(200))
    straight = (state.world.place - state.world.setting.platform).square().sum(-1).sqrt() - 0.05
    seen = task.rollout(task.oracle_policy(), torch.arange(200), 200)
    latency = seen.info.trial_end.long().argmax(0) + 1
    assert (seen.reward.sum(0) == 1).all()
    assert (latency >= straight / 0.03 - 0.01).all()
    assert (latency * 0.03).mean() < 1.09 * straight.mean() + 0.15  # eight directions cost at most 8 %; turning


@pytest.mark.slow
def test_who_remembers_the_place_saves_time_in_the_second_trial():
    # searches for the platform along circles, and in the second trial swims straight to it
    task = WaterMaze(every=4, trials=2)

    def sweep(state, _):
        place = state.world.place
        lap = 0.75 - 0.09 * (state.step / 120).floor().clamp(max=8)
        inward = ((place.square().sum(-1).sqrt() - lap) / 0.1).clamp(-1, 1)
        tangent = torch.atan2(place[:, 1], place[:, 0]) + math.pi / 2 + inward
        search = (tangent * (4 / math.pi)).round().long() % 8
        return torch.where(state.trial > 0, task.target(None, state.world), search)

    seen = task.rollout(sweep, LIVES, 2400)
    first, second = (seen.info.score[(seen.info.trial == n) & seen.info.trial_end].mean() for n in range(2))
    assert task.spec.chance < first < second - 0.1
    assert (first + second) / 2 < task.spec.ceiling


def test_the_ceiling_counts_a_search_for_every_new_place_by_hand():
    task = WaterMaze(trials=8, every=4)
    spec = task.spec
    area, wide, oracle = math.pi * 0.8**2, 0.1 * 0.03, float(spec.oracle or 0)
    found = np.minimum(1, (math.pi * 0.05**2 + wide * np.arange(1199)) / area)
    assert spec.ceiling == pytest.approx(found.sum() / 1200 / 4 + oracle * 3 / 4, abs=1e-5)
    assert WaterMaze(trials=8).spec.ceiling == pytest.approx(found.sum() / 1200 / 8 + oracle * 7 / 8, abs=1e-5)


def test_presets_have_the_published_values():
    for preset, every, cells in (("rmw", 0, 100), ("dmp", 4, 100), ("foster00", 4, 493)):
        task = make("WaterMaze-v0", preset=preset)
        assert isinstance(task, WaterMaze)
        assert (task.every, task.cells, task.steps) == (every, cells, 1200)
        assert (task.pool, task.radius, task.speed, task.dt, task.field) == (1.0, 0.05, 0.3, 100.0, 0.16)


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        ("WaterMaze-v0", {"dt": 70}, "limit is 120000 ms, wanted a multiple of dt = 70 ms"),
        ("WaterMaze-v0", {"speed": 1.0}, "speed is 1 m/s, so a step of 0.1 m passes the platform; wanted at most"),
        ("WaterMaze-v0", {"margin": 0.95}, "margin is 0.95 m, wanted less than pool - radius = 0.95 m"),
        ("WaterMaze-v0", {"limit": 3000}, "limit is 3000 ms, in which 0.9 m are swum; wanted at least 2.5"),
        ("WaterMazeSteering-v0", {"turning": 90}, "turning is 90 degrees a second, wanted at least speed / radius ="),
    ],
)
def test_wrong_settings_name_what_was_wanted(id, settings, words):
    with pytest.raises(ConfigError) as caught:
        make(id, **settings)
    assert words in str(caught.value)


@pytest.mark.parametrize("cls", [WaterMaze, pytest.param(WaterMazeSteering, marks=pytest.mark.slow)])
def test_short_trials_keep_the_contract(cls):
    check_task(cls(limit=12_000, every=2, trials=3))


def test_a_step_is_one_graph():
    check_one_graph(("WaterMaze-v0", {"every": 4}), ("WaterMazeSteering-v0", {}))
