"""Reaching on a circle: by hand, what is seen, and what chance, ceiling and oracle are by living."""

import math

import pytest
import torch
from torch import Tensor

from metaplastic.core import ConfigError
from metaplastic.tasks.control.world_values import measure
from metaplastic.tasks.motor.ring_reach import CHANCE, Reaching1D, RingReach, Turning, expected
from metaplastic.tasks.registry import make

IDS = ("Reaching1D-v0", "Reaching1DWithSelfDistraction-v0")
BOTH = pytest.mark.parametrize("id", IDS)


def task_of(id: str, **settings: object) -> RingReach:
    task = make(id, **settings)  # pyright: ignore[reportArgumentType]
    assert isinstance(task, RingReach)
    return task


def at(angle: float, target: float, gained: float = 0.0) -> Turning:
    edges = torch.tensor([5]), torch.tensor([10])
    return Turning(edges, *(torch.tensor([value]) for value in (angle, target, gained)))


def advanced(world: Turning, action: int, step: int, id: str = "Reaching1D-v0") -> tuple[Turning, float, float]:
    told = task_of(id, preset="neurogym").advance(
        torch.tensor([0]), None, world, torch.tensor([action]), torch.tensor([step])
    )
    return told.world, told.reward.item(), told.score.item()


def test_a_step_by_hand():
    after, reward, _ = advanced(at(3.0, 2.5), action=2, step=5)
    assert after.angle.item() == pytest.approx(2.95)
    assert reward == pytest.approx(1 - 0.45)
    assert advanced(at(3.0, 2.5), action=1, step=5)[1] == pytest.approx(1 - 0.55)
    assert advanced(at(3.0, 2.5), action=0, step=5)[1] == pytest.approx(0.5)


def test_the_circle_is_closed_and_the_reward_has_a_floor():
    after, reward, _ = advanced(at(2 * math.pi - 0.01, 0.1), action=1, step=7)
    assert after.angle.item() == pytest.approx(0.04, abs=1e-5)
    assert reward == pytest.approx(0.94, abs=1e-5)
    assert advanced(at(0.0, 3.0), action=0, step=7)[1] == pytest.approx(-0.1)


def test_fixation_pays_nothing_and_the_last_step_judges_the_mean():
    after, reward, _ = advanced(at(3.0, 3.0), action=1, step=4)
    assert (after.angle.item(), reward) == (pytest.approx(3.05), 0)
    _, reward, score = advanced(at(3.0, 3.0, gained=2.4), action=0, step=9)
    assert reward == 1
    assert score == pytest.approx((3.4 / 5 + 0.1) / 1.1)


def test_five_steps_as_neurogym_takes_them():
    task = task_of("Reaching1D-v0", preset="neurogym", trials=1)
    assert (task.spec.trial_steps, task.spec.dt, task.spec.observations) == (10, 100, 32)
    lives = torch.arange(50)
    state, _ = task.reset(lives)
    target = state.world.target
    seen = task.rollout(lambda state, _: torch.where(state.step < 5, 0, 1), lives, 10)  # left, in the reach alone
    angles = math.pi + 0.05 * torch.arange(1, 6)
    away = (angles[:, None] - target).abs()
    wanted = (1 - torch.minimum(away, 2 * math.pi - away)).clamp(min=-0.1)
    torch.testing.assert_close(seen.reward[5:], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.info.score[-1], (wanted.mean(0) + 0.1) / 1.1, atol=1e-5, rtol=0)


def test_two_rings_show_target_and_own_angle():
    task = task_of("Reaching1D-v0")
    world, preferred = at(1.0, 2.0), torch.arange(16) * math.pi / 8
    before, after = (task.look(None, world, torch.tensor([step]))[0] for step in (4, 5))
    torch.testing.assert_close(before, torch.cat((torch.zeros(16), (preferred - 1).cos())))
    torch.testing.assert_close(after, torch.cat(((preferred - 2).cos(), (preferred - 1).cos())))


def test_one_ring_shows_the_own_angle_brighter_than_the_target():
    task = task_of("Reaching1DWithSelfDistraction-v0")
    preferred = torch.arange(32) * math.pi / 16
    seen = task.look(None, at(1.0, 2.0), torch.tensor([5]))[0]
    torch.testing.assert_close(seen, (preferred - 1).cos() + 0.3 * (preferred - 2).cos())


@BOTH
@pytest.mark.parametrize("preset", [None, "neurogym"])
def test_chance_ceiling_and_oracle_are_what_is_lived(id, preset):
    task = task_of(id, preset=preset)
    for who, claimed in (("random", task.spec.chance), ("oracle", task.spec.oracle)):
        mean, error = measure(task, who, 4096)  # pyright: ignore[reportArgumentType]
        assert claimed is not None
        assert abs(mean - claimed) < 4 * error
    patient = task.rollout(lambda state, _: late(task, state), torch.arange(4096), task.spec.trial_steps).info.score
    scores = patient.sum(0)
    assert abs(scores.mean() - task.spec.ceiling) < 4 * scores.std() / 64


def late(task: RingReach, state: object) -> Tensor:
    """The oracle's action, but nothing before the target is seen."""
    return task.oracle(state) * task.epoch_of(state)  # pyright: ignore[reportArgumentType]


def test_expected_scores_by_hand():
    once, none = ((1, 1.0),), ((0, 1.0),)
    assert expected(none, once, 1e-9) == pytest.approx(CHANCE, rel=1e-6)
    early = expected(((4, 1.0),), once, 0.3)
    assert expected(((0, 0.25), (4, 0.75)), once, 0.3) == pytest.approx(0.25 * expected(none, once, 0.3) + 0.75 * early)
    # a step of pi / 2 leaves d in [0, pi / 4] for three quarters of the targets, in [pi / 4, pi / 2] for the others
    near, far = 1 - math.pi / 8 / 1.1, (1.1 - math.pi / 4) ** 2 / (2.2 * math.pi / 4)
    assert expected(none, once, math.pi / 2) == pytest.approx(0.75 * near + 0.25 * far, rel=1e-6)


def test_reaching_within_half_a_units_spacing_is_correct():
    for away, right in ((0.19, 1), (0.21, 0)):
        told = Reaching1D().advance(torch.tensor([0]), None, at(3.0, 3.0 + away), torch.tensor([0]), torch.tensor([9]))
        assert told.correct.item() == right


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("Reaching1D-v0", timing={"reach": 0}), ["timing.reach may last 0 ms", "at least one step"]),
        (lambda: make("Reaching1D-v0", stride=0), ["stride", "greater than 0"]),
        (lambda: make("Reaching1D-v0", preset="neurogm"), ["did you mean 'neurogym'?"]),
        (lambda: make("Reaching1D-v1"), ["did you mean 'Reaching1D-v0'?"]),
    ],
)
def test_wrong_settings_are_told(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
