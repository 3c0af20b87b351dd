"""Inferred value: what is shown and paid, when the rewarded side changes, what an outcome tells of the other target."""

import pytest
import torch
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.bandits.inferred_value import InferredValue
from metaplastic.tasks.registry import make

LIVES = 500


def right(state, observation):
    return observation[..., :3].argmax(-1)


def lived(task, policy, lives=LIVES):
    return task.rollout(policy, torch.arange(lives), 2 * task.trials)


def worlds(task, lives=LIVES):
    """Target and rewarded target of every trial [T, L], and trials since the last change."""
    state, now = task.reset(torch.arange(lives))
    rows = []
    for _ in range(task.trials):
        rows.append((state.world.target, state.world.rewarded, state.world.since))
        for _ in (1, 2):
            state, now = task.step(state, now.info.target)
    return tuple(torch.stack(row) for row in zip(*rows, strict=True))


def test_the_cue_is_fixation_and_then_a_target_that_pays_if_its_side_is_rewarded():
    task = InferredValue()
    seen, (target, rewarded, _) = lived(task, right), worlds(task)
    assert seen.observation[::2, :, 0].eq(1).all()
    assert torch.equal(seen.observation[1::2, :, 1:3].argmax(-1) + 1, target)
    assert torch.equal(seen.reward[1::2], (target == rewarded).float())
    assert seen.reward[::2].eq(0).all()
    assert seen.info.score[1::2].eq(1).all()


@pytest.mark.parametrize("wrong", [1, 2])
def test_any_other_action_costs_one_and_the_trial_goes_on(wrong):
    seen = lived(InferredValue(trials=5), lambda state, observation: (right(state, observation) + wrong) % 3)
    assert seen.reward.eq(-1).all()
    assert seen.info.score.eq(0).all()
    assert seen.info.trial_end[1::2].all()


def test_a_wrong_answer_to_the_fixation_cue_alone_fails_the_trial_and_leaves_the_target_its_pay():
    task = InferredValue(trials=5)
    seen = lived(task, lambda state, observation: right(state, observation) + observation[..., 0].long())
    target, rewarded, _ = worlds(task)
    assert torch.equal(seen.reward[1::2], (target == rewarded).float())
    assert seen.info.score.eq(0).all()


def test_a_random_policy_scores_chance():
    task = InferredValue()
    seen = lived(task, task.random_policy(torch.arange(LIVES)))
    trials = LIVES * task.trials
    hits = int(seen.info.score.sum())
    assert chisquare([hits, trials - hits], [trials * task.spec.chance, trials * (1 - task.spec.chance)]).pvalue > 1e-4


def test_the_rewarded_side_changes_by_hazard_and_not_before_three_trials():
    task = InferredValue(trials=60)
    target, rewarded, since = worlds(task)
    changed = rewarded.diff(dim=0) != 0
    assert torch.equal(since[1:] == 0, changed)
    assert not changed[since[:-1] + 1 < 3].any()
    free = since[:-1] + 1 >= 3
    hits, chances = int(changed[free].sum()), int(free.sum())
    assert chisquare([hits, chances - hits], [0.05 * chances, 0.95 * chances]).pvalue > 1e-4
    for sides in (target, rewarded[0]):
        assert chisquare(sides.flatten().bincount(minlength=3)[1:].numpy()).pvalue > 1e-4


def test_one_outcome_tells_the_value_of_the_other_target():
    # (1), where nothing changes
    task = InferredValue(hazard=0.0, trials=6)
    seen, (target, _, _) = lived(task, right), worlds(task)
    paid = seen.reward[1::2]
    switched = target[1:] != target[:-1]
    assert torch.equal(paid[1:][switched], 1 - paid[:-1][switched])
    assert torch.equal(paid[1:][~switched], paid[:-1][~switched])


@pytest.mark.parametrize(("settings", "said"), [({"hazard": 1.5}, "hazard"), ({"shortest": 0}, "shortest")])
def test_bad_settings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make("InferredValue-v0", **settings)
