"""Harlow's task on a line: what is seen and paid on the way, and what can be earned."""

import pytest
import torch
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.bandits import harlow
from metaplastic.tasks.bandits.harlow import Harlow, Line
from metaplastic.tasks.registry import make

LIVES = 600


def at(task: Harlow, gaze: int, fixated: int, right: int):
    """One lifetime with the gaze put somewhere."""
    state, _ = task.reset(torch.arange(1))
    place = Line(torch.tensor([gaze]), torch.tensor([fixated]), torch.tensor([right]))
    return state._replace(world=place)


def cells(task: Harlow, state) -> torch.Tensor:
    return task.look(state.life, state.world, state.step).reshape(9, -1)


def test_the_gaze_sees_the_cross_4_cells_away_and_no_farther_round_the_ring_too():
    task = Harlow(code="scalar", feedback=False)
    assert cells(task, at(task, 4, 0, 0)).flatten().tolist() == [0] * 8 + [1]
    assert cells(task, at(task, 3, 0, 0)).flatten().tolist() == [0] * 9
    assert cells(task, at(task, 12, 0, 0)).flatten().tolist() == [1] + [0] * 8
    state = at(task, 4, 1, 1)
    right, other = state.life.looks[0, 2, 0].item(), state.life.looks[0, 3, 0].item()
    assert cells(task, state).flatten().tolist() == pytest.approx([0, 0, 0, 0, 0, other, 0, 0, 0])
    assert cells(task, at(task, 8, 1, 0)).flatten().tolist() == pytest.approx([0, right, 0, 0, 0, 0, 0, other, 0])


def test_the_ring_closes():
    task = Harlow()
    moved, _ = task.step(at(task, 0, 0, 0), torch.tensor([0]))
    assert moved.world.gaze.item() == 16
    moved, _ = task.step(at(task, 16, 0, 0), torch.tensor([1]))
    assert moved.world.gaze.item() == 0


@pytest.mark.parametrize(
    ("task", "cross", "worth"), [(Harlow(), 0.2, 1.0), (make("Harlow-v0", preset="psychlab"), 1.0, 5.0)]
)
def test_a_trial_by_hand(task, cross, worth):
    state = at(task, 6, 0, 1)
    rewards, fixated = [], []
    for action in (1, 1, 1, 1):  # to the cross at 8, then towards the right object at 11
        state, seen = task.step(state, torch.tensor([action]))
        rewards.append(seen.reward.item())
        fixated.append(state.world.fixated.item())
        assert not seen.info.trial_end.item()
    assert rewards == pytest.approx([0, cross, 0, 0])
    assert fixated == [0, 1, 1, 1]
    for side, paid, score in ((1, worth, 1), (0, -worth, 0)):
        near = state._replace(world=state.world._replace(right=torch.tensor([side])))
        after, seen = task.step(near, torch.tensor([1]))
        assert seen.reward.item() == pytest.approx(paid)
        assert (seen.info.score.item(), seen.info.correct.item(), seen.info.trial_end.item()) == (score, score, True)
        assert (after.world.gaze.item(), after.world.fixated.item()) == (11, 0)


def test_objects_differ_within_a_life_and_look_the_same_all_life():
    task = Harlow(bits=2)
    state, now = task.reset(torch.arange(LIVES))
    looks = state.life.looks
    assert (looks[:, 2] != looks[:, 3]).any(-1).all()
    assert torch.equal(looks[:, :2], torch.tensor([[0.0, 0, 0], [1, 0, 0]]).expand(LIVES, 2, 3))
    number = ((looks[:, 2, 1:] > 0) * torch.tensor([1, 2])).sum(-1)
    assert chisquare(number.bincount().numpy()).pvalue > 1e-4
    for _ in range(20):
        state, now = task.step(state, now.info.target)
    assert torch.equal(state.life.looks, looks)


def test_the_gaze_starts_1_to_3_cells_from_the_cross_and_sides_are_drawn():
    state, _ = Harlow().reset(torch.arange(LIVES))
    assert chisquare(state.world.gaze.bincount(minlength=17)[[5, 6, 7, 9, 10, 11]].numpy()).pvalue > 1e-4
    assert chisquare(state.world.right.bincount().numpy()).pvalue > 1e-4


def test_psychlab_shows_the_right_object_left_in_3_of_6_trials():
    task = make("Harlow-v0", preset="psychlab", trials=12)
    seen_right = torch.zeros(2, LIVES)
    state, now = task.reset(torch.arange(LIVES))
    first = state.world.right
    done = torch.zeros(LIVES, dtype=torch.bool)
    for _ in range(90):
        trial, right = state.trial, state.world.right
        state, now = task.step(state, task.oracle(state))
        ended = now.info.trial_end
        seen_right[0] += ended & (trial < 6) & (right == 1)
        seen_right[1] += ended & (trial >= 6) & (right == 1)
        done |= ~state.alive
    assert done.all()
    assert torch.equal(seen_right, torch.full((2, LIVES), 3.0))
    assert chisquare(first.bincount().numpy()).pvalue > 1e-4


def test_an_unhurried_trial_ends_unpaid():
    task = Harlow(longest_trial=12)
    state, _ = task.reset(torch.arange(3))
    for step in range(12):
        away = state.world.gaze < 8
        state, seen = task.step(state, (away if step % 2 else ~away).long())
    assert seen.info.trial_end.all()
    assert (seen.info.score == 0).all()


def test_chance_of_one_step_more_than_the_shortest_way_by_hand():
    # 4 steps: start 1 away (1/3) and 1 + 3 steps straight 2^-4, either object; start 2 or 3 away is too late
    assert harlow.random_walk(1, 4) == pytest.approx(1 / 3 * 2 * 2**-4 / 2)


def test_the_ceiling_is_a_guess_and_then_knowledge():
    assert Harlow().spec.ceiling == pytest.approx((0.5 + 5) / 6)


def test_wrong_settings_name_what_was_wanted():
    with pytest.raises(ConfigError, match="did you mean 'bits'"):
        make("Harlow-v0", code="bit")
    with pytest.raises(ConfigError, match="longest_trial"):
        make("Harlow-v0", longest_trial=5)
