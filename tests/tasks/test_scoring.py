"""Scores of recorded lives: each statistic by hand, and the criterion of Song et al. 2017."""

import math

import pytest
import torch

from metaplastic.tasks.registry import make
from metaplastic.tasks.scoring import Score, learning_curve, met, score_of

LIVES = torch.arange(64)


def lived(task, policy, lives=LIVES):
    steps = task.facts.trial_steps * task.lifetime_trials
    return task.rollout(policy, lives, steps)


@pytest.fixture(scope="module")
def dots():
    return make("PerceptualDecisionMaking-v0", preset="song17", dt=50, trials=6, test_trials=2)


def test_an_oracle_reaches_everything(dots):
    score = score_of(dots, lived(dots, dots.oracle_policy()))
    assert torch.equal(score.trials, torch.full((64,), 8.0))
    for name in ("p_answered", "p_correct", "accuracy", "score", "final"):
        assert torch.equal(getattr(score, name), torch.ones(64)), name
    assert torch.equal(score.total, torch.full((64,), 8.0))  # 1 for each trial
    assert torch.equal(score.regret, torch.zeros(64))
    assert met(dots.facts, score)


def test_waiting_is_no_answer(dots):
    score = score_of(dots, lived(dots, lambda state, _: torch.zeros_like(state.trial)))
    assert torch.equal(score.p_answered, torch.zeros(64))
    assert score.p_correct.isnan().all()
    assert torch.equal(score.accuracy, torch.zeros(64))
    assert not met(dots.facts, score)


def test_an_answer_before_its_time_lowers_what_is_answered_alone(dots):
    def policy(state, _):
        """Impatient in trials 0 and 1, right in all others."""
        return torch.where(state.trial < 2, 1, dots.oracle(state))

    score = score_of(dots, lived(dots, policy))
    assert torch.equal(score.p_answered, torch.full((64,), 6 / 8))
    assert torch.equal(score.p_correct, torch.ones(64))
    assert torch.equal(score.accuracy, torch.full((64,), 6 / 8))
    assert torch.equal(score.final, torch.ones(64))
    assert not met(dots.facts, score)  # .75 answered, wanted .99


def test_waiting_where_that_is_right_is_an_answer():
    task = make("yang19.dnms-v0", preset="neurogym", trials=20, test_trials=1)
    score = score_of(task, lived(task, task.oracle_policy()))
    assert torch.equal(score.p_answered, torch.ones(64))
    assert torch.equal(score.p_correct, torch.ones(64))


def test_the_curve_has_its_blocks(dots):
    rollout = lived(dots, lambda state, _: torch.where(state.trial < 4, 0, dots.oracle(state)))
    curve = learning_curve(dots, rollout, 4)
    assert torch.equal(curve[:, 0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
    assert torch.equal(curve.mean(0), score_of(dots, rollout).score)
    with pytest.raises(ValueError, match=r"blocks is 9, wanted 1 to 8"):
        learning_curve(dots, rollout, 9)


def test_a_part_that_was_not_lived_is_nan(dots):
    rollout = dots.rollout(dots.oracle_policy(), LIVES, steps=1)
    assert learning_curve(dots, rollout, 2).isnan().all()
    assert score_of(dots, rollout).score.isnan().all()


def test_the_regret_of_a_bandit_is_what_the_best_arm_would_have_paid():
    task = make("Bandit-v0", trials=50, test_trials=1)
    rollout = lived(task, lambda state, _: torch.zeros_like(state.trial))
    block = task.decisions(LIVES, 0, task.lifetime_trials)
    wanted = (block.best - block.payoff[..., 0]).sum(0)
    torch.testing.assert_close(score_of(task, rollout).regret, wanted)


def test_rows_after_a_life_do_not_count():
    task = make("Bandit-v0", trials=5, test_trials=1)
    exact = score_of(task, task.rollout(task.oracle_policy(), LIVES, 6))
    longer = score_of(task, task.rollout(task.oracle_policy(), LIVES, 20))
    assert all(torch.equal(a, b) for a, b in zip(exact, longer, strict=True))


def test_the_task_s_own_criterion_holds_where_no_other_is_published():
    task = make("Bandit-v0")
    assert not task.facts.criteria
    fields = dict.fromkeys(Score._fields, torch.full((3,), math.nan))
    assert met(task.facts, Score(**{**fields, "score": torch.full((3,), task.facts.criterion)}))
    assert not met(task.facts, Score(**{**fields, "score": torch.full((3,), task.facts.criterion - 0.01)}))
