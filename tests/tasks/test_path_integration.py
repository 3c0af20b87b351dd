"""Path integration and homing: the run against the loop one would write from the paper, codes, errors, the way home."""

import math

import numpy as np
import pytest
import torch
from one_graph import check_one_graph

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.navigation.foraging_walk import SPEED, TURNING, walk
from metaplastic.tasks.navigation.homing import PathHoming
from metaplastic.tasks.navigation.path_integration import PathIntegration, centres
from metaplastic.tasks.registry import make


def published_step(x, y, heading, speed, turn_rate, half, seconds):
    """One rat, one step, in plain numbers (walls: 0 right, 1 up, 2 left, 3 down)."""
    distances = [half - x, half - y, half + x, half + y]
    wall = int(np.argmin(distances))
    angle = (heading - wall * math.pi / 2 + math.pi) % (2 * math.pi) - math.pi
    turn = seconds * turn_rate
    if distances[wall] < 0.03 and abs(angle) < math.pi / 2:
        speed *= 0.25
        turn += math.copysign(math.pi / 2 - abs(angle), angle)
    x, y = x + speed * seconds * math.cos(heading), y + speed * seconds * math.sin(heading)
    return x, y, heading + turn


def test_a_run_is_that_of_the_published_program():
    lives, steps, seconds, box = 40, 30, 0.02, 1.0
    key = rng.fold(rng.root(3), torch.arange(lives))
    run = walk(key, steps, seconds=seconds, box=box, periodic=False)
    words = rng.words(rng.fold(key, 1), 2 * steps)
    speeds, turns = rng.rayleigh(words[:, 0::2], 0.13 * 2 * math.pi), rng.normal(words[:, 1::2]) * 11.52
    headings = rng.uniforms(rng.fold(key, 0), 3)[:, 2] * 2 * math.pi
    for lane in range(lives):
        place = (*run.position[lane, 0].double().tolist(), headings[lane].item())
        for t in range(steps):
            place = published_step(*place, speeds[lane, t].item(), turns[lane, t].item(), box / 2, seconds)
            assert run.position[lane, t + 1].tolist() == pytest.approx(place[:2], abs=2e-4)


def test_speeds_and_turns_have_the_published_spread():
    key = rng.fold(rng.root(0), torch.arange(3000))
    run = walk(key, 5, seconds=0.02, box=1e3, periodic=True)
    speed = run.velocity.norm(dim=-1)
    assert speed.mean().item() == pytest.approx(SPEED * math.sqrt(math.pi / 2), rel=0.02)
    assert pytest.approx(0.8168, abs=1e-4) == SPEED
    heading = torch.atan2(run.velocity[..., 1], run.velocity[..., 0])
    turned = (heading.diff(dim=-1) + math.pi).remainder(2 * math.pi) - math.pi
    assert turned.std().item() == pytest.approx(TURNING * 0.02, rel=0.03)


def test_walls_hold_the_rat_and_a_periodic_box_has_none():
    key = rng.fold(rng.root(0), torch.arange(500))
    inside = walk(key, 300, seconds=0.02, box=2.2, periodic=False).position.abs()
    assert inside.max() < 1.2  # a fast step may leave by a little
    assert (inside > 1.1).double().mean() < 0.01
    wrapped = walk(key, 300, seconds=0.02, box=2.2, periodic=True)
    assert wrapped.position.abs().max() <= 1.1 + 1e-6
    off = (wrapped.position.diff(dim=-2) - wrapped.velocity * 0.02).abs()
    assert (torch.minimum(off, (off - 2.2).abs()) < 1e-5).all()


@pytest.mark.parametrize("targets", ["xy", "places"])
def test_the_start_is_shown_first_and_then_how_it_moves(targets):
    task = PathIntegration(targets=targets, frames=7, cells=30, gain=0.5)
    batch = task.render(torch.arange(5), 0)
    run = batch.drawn.values
    assert batch.x.shape == (8, 5, 2 + task.spec.actions)
    assert torch.equal(batch.x[0, :, 2:], batch.y[0])
    assert (batch.x[0, :, :2] == 0).all()
    assert (batch.x[1:, :, 2:] == 0).all()
    assert torch.equal(batch.x[1:, :, :2].transpose(0, 1), run.velocity * 0.5)
    assert batch.w[:, 0].tolist() == [0.0] + [1.0] * 7
    if targets == "xy":
        moved = batch.x[1:, :, :2].cumsum(0) * 2 * 0.02
        assert torch.allclose(batch.y[1:], batch.y[0] + moved / 1.1, atol=1e-5)


def test_the_error_is_the_distance_in_metres():
    task = PathIntegration(frames=3)
    batch = task.render(torch.arange(5), 0)
    output = batch.y.clone()
    output[0] = 9  # the start counts nothing
    output[1, :, 0] += 0.29 / 1.1
    output[2] += torch.tensor([0.3, -0.4]) / 1.1
    verdict = task.judge(output, batch)
    assert verdict.reward.numpy() == pytest.approx(-(0.29 + 0.5 + 0) / 3, abs=1e-6)
    assert verdict.score.numpy() == pytest.approx(1 - 0.79 / 3 / 2.2, abs=1e-6)
    assert (verdict.correct == 0).all()
    output[2] = batch.y[2]
    assert (task.judge(output, batch).correct == 1).all()  # 0.097 m on average


def test_place_cells_are_those_of_the_paper():
    task = PathIntegration(targets="places", cells=41)
    place = torch.tensor([[0.3, -0.7], [1.05, 0.0]])
    d2 = ((place[:, None] - centres(41, 2.2, "cpu")).double() ** 2).sum(-1).numpy()
    near, far = (np.exp(-d2 / (2 * s2)) for s2 in (0.0144, 0.0288))
    code = near / near.sum(-1, keepdims=True) - far / far.sum(-1, keepdims=True)
    code -= code.min(-1, keepdims=True)
    assert task.code(place).numpy() == pytest.approx(code / code.sum(-1, keepdims=True), abs=1e-6)


@pytest.mark.parametrize("periodic", [False, True])
def test_places_are_decoded_to_within_the_distance_of_the_cells(periodic):
    task = PathIntegration(targets="places", periodic=periodic)
    place = (rng.uniforms(rng.root(1), 300, 2) - 0.5) * 2.2
    off = task.distance(task.decode(task.code(place)), place)
    assert off.mean() < 0.07
    assert off.max() < 0.35


def test_in_a_periodic_box_the_way_round_counts():
    task = PathIntegration(periodic=True)
    one, other = torch.tensor([[1.0, 0.9]]), torch.tensor([[-1.0, -1.0]])
    assert task.distance(one, other).item() == pytest.approx(math.hypot(0.2, 0.3))


def test_presets_have_the_published_values():
    task, long = make("PathIntegration-v0", preset="sorscher19"), make("PathIntegration-v0", preset="sorscher19_long")
    assert isinstance(task, PathIntegration)
    assert (task.box, task.dt, task.frames, task.cells, task.field) == (2.2, 20.0, 20, 512, 0.12)
    assert long.spec.trial_steps == 101
    assert task.spec.criterion == pytest.approx(1 - 0.1 / 2.2)


def test_the_agent_is_led_out_and_sees_how_it_moves():
    task = PathHoming(outbound=15, inbound=110)
    seen = task.rollout(task.random_policy(torch.arange(6)), torch.arange(6), 40)
    assert (seen.observation[:15, :, 2] == 0).all()
    assert (seen.observation[15, :, 2] == 1).all()
    other = task.rollout(lambda s, _: torch.zeros(*s.key.shape, 2), torch.arange(6), 16)
    assert torch.equal(other.observation[:16], seen.observation[:16])  # what it does then counts nothing
    state, _ = task.reset(torch.arange(6))
    place = state.world.home + seen.observation[:16, :, :2].sum(0) * 0.02
    for t in range(15):
        state, _ = task.step(state, seen.action[t])
    assert torch.allclose(state.world.place[:, :2], place, atol=1e-5)


def test_steering_is_limited_in_speed_and_by_walls():
    task = PathHoming(outbound=1, inbound=110)
    state, _ = task.reset(torch.arange(4))
    state, _ = task.step(state, torch.zeros(4, 2))
    before = state.world.place[:, :2].clone()
    state, now = task.step(state, torch.tensor([[0.6, 0.0], [3.0, 4.0], [1.0, 0.0], [0.0, -1.0]]))
    velocity = now.observation[:, :2]
    going = ~now.info.trial_end
    wanted = torch.tensor([[0.9, 0.0], [0.9, 1.2], [1.5, 0.0], [0.0, -1.5]])
    inside = (before + wanted * 0.02).abs().amax(-1) < 1.1
    assert torch.allclose(velocity[going & inside], wanted[going & inside], atol=1e-4)
    for _ in range(109):
        state, _ = task.step(state, torch.ones(4, 2))
    assert state.world.place.isfinite().all()
    assert state.world.place[:, :2].abs().max() <= 1.1


def test_who_stays_away_gets_nothing_and_who_comes_back_gets_one():
    task = PathHoming(outbound=60)
    lives = torch.arange(64)
    home = task.rollout(task.oracle_policy(), lives, 180)
    assert (home.reward.sum(0) >= 1).all()
    first = home.info.trial_end.to(torch.int8).argmax(0)
    assert (home.reward.gather(0, first[None]) == 1).all()
    still = task.rollout(lambda s, _: torch.zeros(*s.key.shape, 2), lives, 180)
    away = still.info.score[:180].sum(0) == 0
    assert away.sum() > 48
    assert still.info.trial_end[179][away].all()


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        ("PathHoming-v0", {"inbound": 50}, ["inbound is 50", "3.11127", "use 104 steps"]),
        ("PathIntegration-v0", {"targets": "place"}, ["did you mean 'places'?"]),
        ("PathIntegration-v0", {"cells": 2}, ["cells"]),
    ],
)
def test_wrong_settings_are_told(id, settings, words):
    with pytest.raises(ConfigError) as caught:
        make(id, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_step_is_one_graph():
    check_one_graph(
        ("PathIntegration-v0", {"frames": 3}),
        ("PathIntegration-v0", {"frames": 3, "targets": "places", "cells": 17, "periodic": True}),
        ("PathHoming-v0", {"feedback": True}),
    )
