"""What an oracle showed to be wrong in NeuroGym 2.3.1 and PsychRNN 1.0.0: here, one test for each.

Molano-Mazon et al. 2022 and Ehrlich et al. 2021 are libraries of the same tasks. Playing their own ground truth earned
less than it should in many; a user could not reproduce a training; noise meant another difficulty at another dt.
"""

import pytest
import torch

from metaplastic.tasks.choices import ChoiceTask
from metaplastic.tasks.datasets import TrialDataset
from metaplastic.tasks.registry import TASKS, make
from metaplastic.tasks.scoring import score_of

LIVES = torch.arange(64)
NO_GO = [*(f"yang19.{name}-v0" for name in ("dms", "dnms", "dmc", "dnmc")), "GoNogo-v0", "DelayPairedAssociation-v0"]


def oracle_score(task, lives=LIVES):
    steps = task.facts.trial_steps * task.lifetime_trials
    return score_of(task, task.rollout(task.oracle_policy(), lives, steps))


def test_a_seed_gives_the_same_trials_and_another_one_others():
    task = make("PerceptualDecisionMaking-v0")
    one, two, other = (task.render(LIVES, 0, seed) for seed in (1, 1, 2))
    assert torch.equal(one.x, two.x)
    assert not torch.equal(one.x, other.x)


def test_the_first_frame_of_the_first_trial_is_seen():
    task = make("PerceptualDecisionMaking-v0")
    state, seen = task.reset(LIVES)
    batch = task.render(LIVES, 0)
    assert torch.equal(seen.observation, batch.x[0])
    _, then = task.step(state, torch.zeros_like(LIVES))
    assert torch.equal(then.observation, batch.x[1])
    assert torch.equal(then.info.epoch.long(), batch.epoch[0].long())  # the info is about the frame that was answered


def test_the_seed_of_a_dataset_reaches_its_first_batch():
    one, two, other = (TrialDataset("PerceptualDecisionMaking-v0", seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one.x, two.x)
    assert not torch.equal(one.x, other.x)


@pytest.mark.parametrize(
    ("id", "changes"),
    [
        ("ContextDecisionMaking-v0", {"preset": "neurogym"}),
        ("PerceptualDecisionMaking-v0", {"timing": {"delay": {"uniform": [300, 900]}}}),
    ],
)
def test_a_go_cue_tells_when_to_answer(id, changes):
    task = make(id, sigma=0.0, **changes)
    assert isinstance(task, ChoiceTask)
    batch = task.render(LIVES, 0)
    due = batch.epoch == task.epochs.index("decision")
    first = due.to(torch.int8).argmax(0)
    lane = torch.arange(len(LIVES))
    before, at = batch.x[first - 1, lane], batch.x[first, lane]
    low, high = task.facts.channels["fixation"]
    assert (before[:, low:high] == 1).all()
    assert (at[:, low:high] == 0).all()


def test_the_right_side_of_a_wager_earns_its_reward():
    task = make("PostDecisionWager-v0", wagers=0.0, dt=50)
    rollout = task.rollout(task.oracle_policy(), LIVES, task.facts.trial_steps * 4)
    judged, action = rollout.info.responded, rollout.action
    for side in (1, 2):
        assert (rollout.reward[judged & (action == side)] == 1).all()
        assert (judged & (action == side)).any()


@pytest.mark.parametrize("id", NO_GO)
def test_waiting_is_credited_where_it_is_right(id):
    presets = TASKS[id].presets
    task = make(id, preset="neurogym" if "neurogym" in presets else None, trials=6, test_trials=1)
    batch = task.render(LIVES, 0)
    waits = batch.y[..., 1:].sum((0, 2)) == 0
    assert 0.2 < waits.float().mean() < 0.8, "half of the trials are won by waiting"
    assert torch.equal(oracle_score(task).score, torch.ones(64))


def test_the_target_of_an_interval_earns_all_of_its_reward():
    task = make("ReadySetGo-v0", preset="neurogym", trials=4, test_trials=1)
    score = oracle_score(task)
    assert torch.equal(score.score, torch.ones(64))
    assert torch.equal(score.total, 5.0 * torch.full((64,), task.rewards.correct))


def test_each_test_of_a_dual_match_is_paid_once():
    task = make("DualDelayMatchSample-v0", trials=1, test_trials=1)
    score = oracle_score(task)
    assert score.score.le(1).all()
    assert torch.equal(score.trials, torch.full((64,), 2.0))


def test_every_task_can_be_made_and_knows_the_best_answer():
    for id, cls in TASKS.items():
        if any(field.is_required() for field in cls.model_fields.values()):
            continue  # a folder of the user's
        task = make(id)
        state, _ = task.reset(torch.arange(2))
        assert len(task.oracle(state)) == 2, id


def test_two_modalities_may_disagree():
    task = make("MultiSensoryIntegration-v0", conflict=2.0)
    drawn = task.conditions(LIVES, 0)
    both = drawn["modality"] == 2
    assert (drawn["offset"][both] != 0).all()
    assert (drawn["offset"][~both] == 0).all()


@pytest.mark.parametrize("id", ["PerceptualDecisionMaking-v0", "DelayComparison-v0", "MatchToCategory-v0"])
def test_noise_holds_the_same_information_at_every_dt(id):
    def deviation(dt):
        """Standard deviation at a step, times sqrt(dt)."""
        loud, still = (make(id, dt=dt, sigma=sigma).render(torch.arange(1024), 0).x for sigma in (0.5, 0.0))
        noise = (loud - still)[(loud - still) != 0]
        return noise.std().item() * dt**0.5

    assert deviation(10.0) == pytest.approx(0.5, rel=0.02)
    assert deviation(50.0) == pytest.approx(0.5, rel=0.02)
