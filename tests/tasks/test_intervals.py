"""Cued intervals and the comparison of two: trials by hand, what ignoring half of them earns, messages."""

import math

import pytest
import torch
from seen_trials import check_even, score_of, seen, total

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.registry import make
from metaplastic.tasks.timing.interval_discrimination import IntervalDiscrimination
from metaplastic.tasks.timing.motor_timing import MotorTiming

MOTOR, WHICH = "MotorTiming-v0", "IntervalDiscrimination-v0"
L = 3000


def going(task: MotorTiming, steps: torch.Tensor) -> torch.Tensor:
    """Scores of going this many steps after set."""
    lives = torch.arange(len(steps))
    batch, set_ = task.render(lives, 0), task.epoch_bounds(lives, 0)[:, 2, 0]
    return task.judge(one_hot((torch.arange(len(batch.w))[:, None] == set_ + steps).long(), 2), batch).score


def test_a_cued_interval_by_hand():
    task = make(MOTOR, preset="wang18", timing={"cue": 1000})
    lives = torch.arange(20)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    assert set(drawn["goal"].tolist()) == {80, 150}
    for lane in range(20):
        x, goal = batch.x[:, lane], int(drawn["goal"][lane])
        which, end = int(goal == 150), 150 + goal * 5 // 2 + 30
        assert x[:, 0].nonzero()[:, 0].tolist() == list(range(150))
        assert x[:, 1 + which].nonzero()[:, 0].tolist() == list(range(50, end))
        assert not x[:, 2 - which].any()
        assert x[:, 3].nonzero()[:, 0].tolist() == list(range(150, 155))
        assert batch.length[lane] == end
        assert batch.y[:, lane].argmax(-1).nonzero()[:, 0].tolist() == list(range(150 + goal, end))


def test_the_cue_is_worth_half():
    task = MotorTiming()
    check_even(task)
    goal = task.conditions(torch.arange(300), 0)["goal"]
    assert (going(task, goal) == 1).all()
    late = going(task, goal + 9)  # 90 ms: W = 185 or 325 ms
    wanted = torch.where(goal == 80, (1 - 90 / 185) ** 1.5, (1 - 90 / 325) ** 1.5)
    torch.testing.assert_close(late, wanted.float())
    fixed = max(going(task, torch.full((300,), steps)).mean().item() for steps in range(70, 160, 5))
    assert fixed == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(300))
    assert task.spec.criterion == 0.75


def test_two_durations_by_hand():
    task = make(WHICH, preset="genovesio09", timing={"gap": 800, "first": {"choice": [300, 400]}, "second": 400})
    lives = torch.arange(20)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    for lane in range(20):
        first = int(drawn["first"][lane])
        assert first in (30, 40)
        x = batch.x[:, lane]
        assert x[:, 1].nonzero()[:, 0].tolist() == list(range(30, 30 + first))
        assert x[:, 2].nonzero()[:, 0].tolist() == list(range(110 + first, 150 + first))
        assert x[:, 0].nonzero()[:, 0].tolist() == list(range(200 + first))
        assert batch.length[lane] == 230 + first
        assert batch.y[200 + first, lane].tolist() == [0, 0, 1]  # equal durations count as a longer second


def test_who_counts_both_is_right_and_who_counts_one_in_three_quarters():
    task = IntervalDiscrimination()
    batch = seen(task, L)
    first, second = (total(task, batch, name, name)[:, 0] for name in ("first", "second"))
    assert (score_of(task, batch, 2 - (first > second).long()) == 1).all()
    margin = 4 * math.sqrt(0.1875 / L)
    for one in (2 - (first > 44.5).long(), 2 - (second < 44.5).long()):
        assert score_of(task, batch, one).mean().item() == pytest.approx(0.75, abs=margin + 0.02)  # ties
    assert task.spec.criterion > 0.75 + margin
    assert (batch.kind == 0).double().mean().item() == pytest.approx(0.5 - 0.5 / 30, abs=4 * 0.5 / math.sqrt(L))


def test_the_published_times():
    motor, which = MotorTiming(), IntervalDiscrimination()
    assert motor.model_copy(update={"preset": "wang18"}) == make(MOTOR, preset="wang18")
    assert [which.timing[name].ends(10.0)[:2] for name in ("first", "gap", "second")] == [(30, 59), (80, 149), (30, 59)]
    assert motor.timing["cue"].ends(10.0)[:2] == (100, 299)


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        (MOTOR, {"intervals": [805.0]}, ["one of intervals is 805 ms", "use 800 or 810"]),
        (MOTOR, {"intervals": [0.0]}, ["one of intervals is 0 ms, wanted more than 0"]),
        (MOTOR, {"timing": {"cue": 0}}, ["timing.cue may last 0 ms"]),
        (WHICH, {"timing": {"first": 300, "second": 400}}, ["are fixed", "the answer never changes"]),
        (WHICH, {"timing": {"decision": 0}}, ["timing.decision may last 0 ms"]),
        (WHICH, {"timing": {"stim1": 300}}, ["timing.stim1: no such epoch"]),
    ],
)
def test_wrong_settings_are_told(id, settings, words):
    with pytest.raises(ConfigError) as caught:
        make(id, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
