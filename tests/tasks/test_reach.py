"""Reaching with both effectors: steps by hand, trials, laws of a lifetime, and who reaches."""

import math
from typing import Any

import pytest
import torch
from one_graph import check_one_graph
from reach_lives import BOTH, LIVES, NOW, SHORT, body, push, reach, still
from torch import Tensor

from metaplastic.core import ConfigError
from metaplastic.tasks.base import leaves
from metaplastic.tasks.control.world_values import measure
from metaplastic.tasks.motor import arm
from metaplastic.tasks.motor.perturbation import Perturbation, field, of_trial, turned
from metaplastic.tasks.motor.reach_settings import PRESETS
from metaplastic.tasks.motor.reaching import Body, minimum_jerk
from metaplastic.tasks.registry import make


def test_a_push_of_the_point_mass_by_hand():
    after = reach("Reach-v0").moved(body([0.02, 0.03], [0.5, -0.2]), torch.tensor([[0.8, -0.1]]), None)
    velocity = [0.5 + 0.01 * (8 - 5), -0.2 + 0.01 * (-1 + 2)]
    assert after.velocity[0].tolist() == pytest.approx(velocity)
    assert after.position[0].tolist() == pytest.approx([0.02 + 0.01 * velocity[0], 0.03 + 0.01 * velocity[1]])


def test_a_step_of_the_arm_is_two_halves_under_the_same_torque():
    task, start, drive = reach("ArmReach-v0"), body([0.8, 1.5], [1.0, -2.0]), torch.tensor([[0.3, -0.2]])
    state = start.position, start.velocity
    for _ in range(2):
        state = arm.moved(arm.BODIES["motornet"], *state, torch.tensor([[6.0, -2.0]]), 0.005)
    after = task.moved(start, drive, None)
    torch.testing.assert_close((after.position, after.velocity), state)


def test_the_curl_field_is_across_the_velocity_and_does_no_work():
    laws = Perturbation(torch.tensor([13.0, -13.0]), torch.zeros(2))
    force = field(torch.tensor([[0.3, 0.1], [0.3, 0.1]]), laws)
    assert force.tolist() == [pytest.approx([1.3, -3.9]), pytest.approx([-1.3, 3.9])]


@BOTH
def test_the_field_pushes_the_hand_of_either_effector_aside(id):
    task = reach(id)
    laws = Perturbation(torch.tensor([13.0]), torch.zeros(1))
    start = Body(task.pose(torch.zeros(1, 2)), torch.tensor([[0.6, 0.8]]), None)
    none, pushed = (task.moved(start, torch.zeros(1, 2), law) for law in (None, laws))
    moving = task.place(none) - task.place(start)
    aside = task.place(pushed) - task.place(none)
    cross = moving[0, 0] * aside[0, 1] - moving[0, 1] * aside[0, 0]
    assert cross < 0  # F = b (v_y, -v_x) points to the right of the way


def test_a_turned_view_by_hand_and_back():
    laws = Perturbation(torch.zeros(1), torch.tensor([math.pi / 2]))
    about = torch.tensor([[0.5, 0.5]])
    seen = turned(torch.tensor([[0.6, 0.5]]), about, laws)
    assert seen[0].tolist() == pytest.approx([0.5, 0.6])
    assert turned(seen, about, laws, back=True)[0].tolist() == pytest.approx([0.6, 0.5])


def test_laws_have_their_sizes_and_both_signs_alike():
    life = reach("Reach-v0", curl=13, rotation=[30, 60]).birth(torch.arange(20_000) * 7919)
    assert life is not None
    assert life.curl.abs().unique().tolist() == [13.0]
    size = life.turn.abs().rad2deg()
    assert 29.999 < size.min() < 30.1
    assert 59.9 < size.max() < 60.001
    assert abs(size.mean() - 45) < 4 * 30 / math.sqrt(12 * 20_000)
    for law in life:
        assert abs((law > 0).double().mean() - 0.5) < 4 * 0.5 / math.sqrt(20_000)


def test_laws_begin_after_the_baseline_and_turn_about_in_the_middle():
    task = reach("Reach-v0", preset="curl_field", baseline=2, reverses=True, trials=4, test_trials=2, early="ignore")
    assert "meta-learning" in task.tags_of_settings()
    key = torch.arange(6)
    life = Perturbation(torch.full((6,), 13.0), torch.full((6,), -0.5))
    laws = task.begin(key, life, torch.arange(6), None).laws
    assert laws is not None
    assert laws.curl.tolist() == [0, 0, 13, 13, -13, -13]
    assert laws.turn.tolist() == [0, 0, -0.5, -0.5, 0.5, 0.5]
    assert of_trial(life, key > 9, key > 9).curl.abs().max() == 0


@BOTH
def test_epochs_come_in_their_time_and_fixation_goes_out_at_the_go(id):
    task = reach(id, timing=SHORT, trials=1)
    seen = task.rollout(still, LIVES, 110)
    wanted = [0] * 5 + [1] * 2 + [2] * 3 + [3] * 100
    assert (seen.info.epoch.long() == torch.tensor(wanted)[:, None]).all()
    assert (seen.observation[..., 0] == (torch.tensor(wanted) < 3).float()[:, None]).all()
    shown = seen.observation[..., slice(*task.spec.channels["target"])].any(-1)
    assert (shown == (torch.tensor(wanted) >= 1)[:, None]).all()
    assert seen.info.trial_end.nonzero()[:, 0].tolist() == [109] * 7


@BOTH
def test_at_rest_every_step_of_the_move_costs_the_distance(id):
    seen = reach(id, timing=SHORT, trials=1).rollout(still, LIVES, 110)
    assert seen.reward[:10].abs().max() == 0
    torch.testing.assert_close(seen.reward[10:], torch.full((100, 7), -0.1), rtol=0, atol=1e-6)
    assert seen.info.score.max() == 0


@BOTH
def test_effort_is_priced_by_the_outputs_that_act(id):
    task = reach(id, timing=NOW, effort=0.25, trials=1)
    state, _ = task.reset(LIVES)
    after, now = task.step(state, torch.tensor([[7.0, -0.5]]).expand(7, 2))  # 7 acts as 1
    away = (task.place(after.world.body) - after.world.target).norm(dim=-1)
    torch.testing.assert_close(now.reward, -away - 0.25 * 1.25)


@BOTH
def test_the_end_alone_is_paid_by_distance_if_so_told(id):
    task = reach(id, timing=NOW, pays="end", effort=0, trials=1)
    seen = task.rollout(still, LIVES, 100)
    assert seen.reward[:99].abs().max() == 0
    assert seen.reward[99].tolist() == pytest.approx([-0.1] * 7)


@BOTH
@pytest.mark.parametrize(("early", "cost", "trials"), [("abort", -1, 2), ("penalise", -1, 0), ("ignore", 0, 0)])
def test_leaving_the_start_too_early_does_what_early_says(id, early, cost, trials):
    task = reach(id, timing={"hold": 300, "cue": 0, "delay": 0}, early=early, trials=50)
    seen = task.rollout(push([1.0, 1.0]), LIVES, 30)
    assert seen.reward.min() == cost
    assert seen.reward[:2].min() == 0  # 2 cm take a while
    ends = seen.info.trial_end.sum(0)
    assert ends.min() >= trials
    assert early == "abort" or ends.max() == 0
    if early != "ignore":
        assert ((seen.reward != 0).sum(0) == (ends if early == "abort" else 1)).all()


@BOTH
@pytest.mark.parametrize("preset", PRESETS)
def test_the_oracle_reaches_and_chance_hardly(id, preset):
    task = reach(id, preset=preset)
    assert task.spec.oracle == 1
    assert task.spec.chance < 0.01
    assert task.spec.criterion > 0.89


@pytest.mark.parametrize(
    ("id", "settings"),
    [
        ("ArmReach-v0", {"arm": "todorov", "lag": 40}),
        ("ArmReach-v0", {"arm": "todorov", "preset": "random_target"}),
        ("ArmReach-v0", {"curl": 13, "rotation": [30, 60], "lag": 40, "dt": 5}),
        ("Reach-v0", {"curl": 13, "rotation": [30, 60], "lag": 40, "dt": 20}),
        ("Reach-v0", {"preset": "random_target", "mass": 2, "dt": 5}),
    ],
)
def test_the_oracle_reaches_with_other_bodies_laws_and_steps(id, settings):
    assert reach(id, **settings).spec.oracle == 1


@BOTH
def test_who_does_not_know_a_turned_view_misses(id):
    task = reach(id, preset="visuomotor_rotation", trials=1)

    def naive(state: Any, _: Tensor) -> Tensor:
        world = state.world
        straight = world._replace(way=task.pose(world.target) - world.first)
        return task.target(None, straight)

    for policy, wanted in ((naive, 0), (task.oracle_policy(), 1)):
        seen = task.rollout(policy, torch.arange(50), 120)
        assert seen.info.score.sum(0).unique().tolist() == [wanted]


@BOTH
def test_a_trial_ends_once_the_hand_has_stayed_or_at_the_deadline(id):
    for ends in ("held", "deadline"):
        task = reach(id, timing=NOW, ends=ends, trials=1)
        seen = task.rollout(task.oracle_policy(), LIVES, 100)
        last = seen.info.trial_end.nonzero()[:, 0]
        assert seen.info.score.sum(0).tolist() == [1] * 7
        assert (last == 99).all() if ends == "deadline" else (last < 80).all()


def test_passing_through_the_target_does_not_count_at_the_deadline():
    task = reach("Reach-v0", timing=NOW, ends="deadline", stay=10, targets=1, trials=1)
    seen = task.rollout(push([0.3, 0.0]), LIVES, 100)
    hand = seen.observation[..., slice(*task.spec.channels["hand"])]
    assert ((hand - torch.tensor([1.0, 0.0])).norm(dim=-1) < 0.15).any(0).all()
    assert seen.info.score.max() == 0
    held = reach("Reach-v0", timing=NOW, stay=10, targets=1, trials=1)
    assert held.rollout(push([0.3, 0.0]), LIVES, 100).info.score.max() == 1


def test_staying_is_counted_anew_after_leaving():
    task = reach("Reach-v0", timing=NOW, trials=1)
    (state, now), held = task.reset(torch.arange(1)), []
    target = state.world.target
    for there in [True] * 10 + [False] + [True] * 20:
        resting = Body(target if there else target * 0.8, torch.zeros(1, 2), None)
        state, now = task.step(state._replace(world=state.world._replace(body=resting)), torch.zeros(1, 2))
        held.append(bool(now.info.trial_end))
    assert held == [False] * 30 + [True]
    assert now.info.score == 1


def test_a_lag_filters_the_outputs():
    task = reach("Reach-v0", timing=NOW, lag=40, trials=1)
    state, _ = task.reset(LIVES)
    for k in range(1, 4):
        state, _ = task.step(state, torch.tensor([[1.0, -0.5]]).expand(7, 2))
        drive = 1 - math.exp(-k * 10 / 40)
        assert state.world.body.drive[0].tolist() == pytest.approx([drive, -0.5 * drive])


def test_minimum_jerk_starts_and_ends_at_rest_and_is_fastest_in_the_middle():
    done, rate, bend = minimum_jerk(torch.tensor([-1.0, 0.0, 0.25, 0.5, 9.0]), 0.5)
    assert done[:, 0].tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert rate[:, 0].tolist() == pytest.approx([0, 0, 1.875 / 0.5, 0, 0])
    assert bend[:, 0].tolist() == pytest.approx([0, 0, 0, 0, 0], abs=1e-5)


def test_presets_are_the_published_tasks():
    names = ("center_out", "miconi17", "random_target")
    georgopoulos, miconi, motornet = (reach("ArmReach-v0", preset=name) for name in names)
    assert (georgopoulos.targets, georgopoulos.distance, georgopoulos.spec.trial_steps) == (8, 0.1, 299)
    assert (miconi.spec.trial_steps * 10, miconi.spec.channels["target"], miconi.ends) == (700, (1, 3), "deadline")
    assert motornet.spec.trial_steps * motornet.dt == 1000
    assert reach("Reach-v0", preset="curl_field").curl == 13
    assert reach("Reach-v0", preset="visuomotor_rotation").rotation == (30, 60)
    assert reach("Reach-v0", preset="curl_field", timing={"move": 800}).timing["hold"].values == (200,)


@BOTH
def test_starts_and_targets_fill_the_workspace_and_can_be_held(id):
    task = reach(id, preset="random_target")
    key = torch.arange(4000) * 7919
    world = task.begin(key, None, key, None)
    for place in (world.start, world.target):
        torch.testing.assert_close(task.place(Body(task.pose(place), place, None)), place, atol=1e-5, rtol=0)
    spread = (world.start - world.target).norm(dim=-1)
    assert spread.min() < 0.02
    assert spread.max() > (0.35 if id == "Reach-v0" else 0.8)
    assert not torch.equal(world.start, world.target)


@BOTH
def test_no_tensor_of_a_state_is_anothers(id):
    state, _ = reach(id, curl=13, lag=40).reset(LIVES)
    places = [leaf.data_ptr() for leaf in leaves(state.world)]
    assert len(set(places)) == len(places)


def test_a_step_compiles_to_one_graph_and_is_compiled_once():
    late = {"lag": 40, "vision_delay": 70, "vision_noise": 0.1, "shown": "ring", "curl": 13}
    check_one_graph(("Reach-v0", {"preset": "random_target"}), ("ArmReach-v0", late))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("Reach-v0", preset="centre_out"), ["'centre_out'", "did you mean 'center_out'?"]),
        (lambda: make("Reach-v0", timing={"go": 10}), ["timing.go", "no such epoch", "hold, cue, delay, move"]),
        (lambda: make("Reach-v0", timing={"cue": 15}), ["timing.cue", "not a multiple of dt = 10 ms", "10 or 20"]),
        (lambda: make("Reach-v0", vision_delay=75), ["vision_delay is 75 ms", "70 or 80"]),
        (lambda: make("Reach-v0", stay=600), ["stay is 600 ms", "move to last at least 1200 ms"]),
        (lambda: make("Reach-v0", memory=True, timing={"cue": 0}), ["memory", "make cue longer"]),
        (lambda: make("Reach-v0", rotation=[60, 30]), ["rotation is [60, 30] degrees", "least <= most"]),
        (lambda: make("Reach-v0", layout="anywhere", shown="ring"), ["shown is 'ring'", "wanted 'place'"]),
        (lambda: make("Reach-v0", layout="anywhere", rotation=[1, 2]), ["rotation", "layout 'circle'"]),
        (lambda: make("Reach-v0", distance=0.03), ["distance is 0.03 m", "0.035 m"]),
        (lambda: make("Reach-v0", dt=250, stay=250), ["dt is 250 ms", "less than 200 ms"]),
        (lambda: make("Reach-v0", early="punish"), ["early", "'punish'", "abort, penalise, ignore"]),
        (lambda: make("ArmReach-v0", distance=0.4), ["distance is 0.4 m", "use 0.1"]),
        (lambda: make("ArmReach-v0", torque=[0, 1]), ["torque is [0.0, 1.0] N m"]),
        (lambda: make("ArmReach-v0", arm="motornett"), ["arm", "did you mean 'motornet'?"]),
    ],
)
def test_wrong_settings_are_told(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("preset", PRESETS)
def test_chance_and_ceiling_are_what_is_measured_in_whole_lives(id, preset):
    task = reach(id, preset=preset)
    mean, error = measure(task, "random", 8192, first=5_000_000)
    assert abs(mean - task.spec.chance) <= 4 * (error + math.sqrt(task.spec.chance / 8192)) + 1e-3
    mean, _ = measure(task, "oracle", 4096, first=5_000_000)
    assert mean >= task.spec.ceiling - 1e-3
