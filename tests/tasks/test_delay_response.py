"""Reaching from memory by two outputs: what is seen, which answer counts, and what it earns."""

import math

import pytest
import torch
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError, TrialBatch
from metaplastic.tasks.motor.delay_response import ReachingDelayResponse, guessed
from metaplastic.tasks.registry import make

LIVES = torch.arange(5)
QUICK = {"stimulus": 200, "delay": 100, "decision": 300}


def rendered(**settings: object) -> tuple[ReachingDelayResponse, TrialBatch, Tensor]:
    """A task with steps of 100 ms, its first trials, and outputs that never answer [6, 5, 2]."""
    task = make("ReachingDelayResponse-v0", preset="neurogym", timing=QUICK, **settings)  # pyright: ignore[reportArgumentType]
    assert isinstance(task, ReachingDelayResponse)
    batch = task.render(LIVES, 0)
    return task, batch, torch.full_like(batch.y, -1.0)


def test_the_place_is_shown_in_the_stimulus_and_asked_for_at_the_go():
    _, batch, _ = rendered()
    place = batch.drawn.values.conditions.place
    assert batch.x[..., 0].tolist() == [[0.0] * 5] * 3 + [[1.0] * 5] * 3
    assert torch.equal(batch.x[:2, :, 1], place.expand(2, -1))
    assert (batch.x[2:, :, 1] == -0.5).all()
    assert torch.equal(batch.y[3:, :, 1], place.expand(3, -1))
    assert (batch.y[:3] == torch.tensor([-1.0, -0.5])).all()
    assert len(place.unique()) == 5


def test_the_first_answer_in_the_decision_is_judged_by_hand():
    task, batch, output = rendered()
    place = batch.drawn.values.conditions.place
    output[4, :, 0], output[4, :, 1] = 0.1, place + 0.25
    output[5, :, 0], output[5, :, 1] = 1.0, place  # too late to mend it
    verdict = task.judge(output, batch)
    assert verdict.score.tolist() == pytest.approx([1 / 1.25**2] * 5)
    assert verdict.reward.tolist() == verdict.score.tolist()
    assert verdict.correct.tolist() == [0] * 5


def test_no_answer_and_early_ones_cost():
    task, batch, output = rendered()
    assert task.judge(output, batch).reward.tolist() == [-0.5] * 5
    output[1:3, :, 0] = 0.5
    verdict = task.judge(output, batch)
    assert verdict.reward.tolist() == pytest.approx([-0.7] * 5)
    assert verdict.score.tolist() == [0] * 5
    output[3, :, 0], output[3, :, 1] = 0.5, batch.drawn.values.conditions.place
    verdict = task.judge(output, batch)
    assert verdict.reward.tolist() == pytest.approx([0.8] * 5)
    assert verdict.score.tolist() == [1] * 5
    assert verdict.correct.tolist() == [1] * 5


def test_a_population_is_judged_as_its_members_are():
    task, batch, _ = rendered()
    output = rng.uniforms(torch.arange(3), 6, 5, 2).movedim(0, 1) * 2 - 1  # [T, P, L, A]
    together = task.judge(output, batch)
    for member in range(3):
        alone = task.judge(output[:, member].contiguous(), batch)
        assert torch.equal(together.reward[member], alone.reward)
        assert torch.equal(together.score[member], alone.score)


def test_an_answer_ends_the_trial():
    task = make("ReachingDelayResponse-v0", preset="neurogym", timing=QUICK, trials=2, test_trials=1)
    seen = task.rollout(task.oracle_policy(), LIVES, 15)
    assert seen.info.trial_end.nonzero()[:, 0].tolist() == [3] * 5 + [7] * 5 + [11] * 5
    assert seen.info.score.sum(0).tolist() == [3] * 5
    assert seen.reward.sum(0).tolist() == [3] * 5


def test_the_published_delays_are_drawn_alike():
    task = make("ReachingDelayResponse-v0", preset="neurogym")
    assert isinstance(task, ReachingDelayResponse)
    lengths = task.drawn(torch.arange(3000), 0).length
    assert lengths.unique().tolist() == [10, 20, 30]
    assert abs((lengths == 20).double().mean() - 1 / 3) < 4 * math.sqrt(2 / 9 / 3000)


def test_chance_is_that_of_the_closed_form():
    # d = |y - g| has the density 2 (1 - d) for y above 0; for y below it, d in [0, 1] and 2 - d in [1, 2]
    above = 2 * (1 - math.log(2))
    below = math.log(2) - 0.5 + 0.5 - math.log(1.5)
    assert guessed(0.0, 1.0) == pytest.approx((above + below) / 2, abs=1e-6)
    spec = make("ReachingDelayResponse-v0", preset="neurogym").spec
    assert spec.chance == pytest.approx(guessed(0.0, 1.0) * (1 - 2.0**-5))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("ReachingDelayResponse-v0", low=0.5, high=0.2), ["low is 0.5 and high 0.2", "low below high"]),
        (lambda: make("ReachingDelayResponse-v0", timing={"decision": 0}), ["timing.decision", "at least one step"]),
        (lambda: make("ReachingDelayResponse-v0", timing={"wait": 0}), ["timing.wait", "no such epoch"]),
        (lambda: make("ReachingDelayResponse-v0", high=3), ["high", "less than or equal to 1"]),
    ],
)
def test_wrong_settings_are_told(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
