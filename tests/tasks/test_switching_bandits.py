"""Reversal and volatile bandits: when places change, what an ideal observer earns, how choices follow."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.bandits import switching
from metaplastic.tasks.bandits.independent import ArmsTask
from metaplastic.tasks.bandits.reversal import ReversalBandit, after_reversals
from metaplastic.tasks.bandits.volatile import VolatileBandit, _courses
from metaplastic.tasks.registry import make

LIVES = 1500


def births(task: ArmsTask, lives: int = LIVES) -> torch.Tensor:
    """Expected payoffs of the arms, [L, N, K]."""
    return task.birth(rng.parameter_keys(rng.lifetime_keys(0, torch.arange(lives)))).means


def block_lengths(good: np.ndarray) -> np.ndarray:
    """Lengths of the whole blocks in one lifetime's good arms."""
    return np.diff(np.flatnonzero(np.diff(good)) + 1)


def by_all_histories(good: list[float], lengths: list[int]) -> list[float]:
    """E of the ideal observer's payoff in each trial: sums over places of the arms and over outcomes so far."""
    trials = len(good)
    paths: dict[tuple[int, ...], float] = {}
    for start, *drawn in itertools.product((0, 1), *[lengths] * trials):
        arms = tuple(np.repeat([(start + k) % 2 for k in range(trials)], drawn)[:trials].tolist())
        paths[arms] = paths.get(arms, 0) + 0.5 / len(lengths) ** trials
    p0 = np.where(np.array(list(paths)) == 0, good, 1 - np.array(good))  # [paths, T]: arm 0 pays
    payoffs = []
    for n in range(trials):
        total = 0.0
        for outcomes in itertools.product((0, 1), repeat=n):
            weight = np.array(list(paths.values()))
            for k, y in enumerate(outcomes):
                weight = weight * (p0[:, k] if y else 1 - p0[:, k])
            total += max((weight * p0[:, n]).sum(), (weight * (1 - p0[:, n])).sum())
        payoffs.append(total)
    return payoffs


@pytest.mark.parametrize("lengths", [[2, 3], [3], [1, 2, 3]])
def test_the_ideal_observer_agrees_with_the_sum_over_all_histories(lengths):
    good = [0.8, 0.8, 0.7, 0.7, 0.9]
    hazard = np.tile(switching.block_hazard(lengths[0], lengths[-1]), (1, 5, 1))
    sure = switching.belief_in_choice(switching.Course(np.array([good]), hazard), 20_000)
    error = sure.std(0) / 20_000**0.5
    assert (np.abs(sure.mean(0) - by_all_histories(good, lengths)) < 4 * error + 1e-9).all()


def test_an_observer_of_one_certain_block_length_never_doubts_a_deterministic_arm_again():
    course = switching.Course(np.ones((1, 7)), np.tile(switching.block_hazard(3, 3), (1, 7, 1)))
    assert switching.ideal_payoff(course, 50).tolist() == pytest.approx([0.5] + [1.0] * 6)


def test_hazards_of_blocks_give_back_their_lengths():
    hazard = switching.block_hazard(3, 5)
    lasts = np.concatenate(([1.0], np.cumprod(1 - hazard)))
    assert hazard.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2, 1])
    assert (lasts[:-1] * hazard).tolist() == pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize(("hazard", "good"), [(0.05, 0.8), (0.1, 0.9)])
def test_a_bayesian_learner_of_the_task_itself_earns_the_ceiling(hazard, good):
    task = ReversalBandit(hazard=hazard, good=good)
    lifetimes = torch.arange(4000)
    payoff = task.decisions(lifetimes, 0, task.trials).payoff
    odds, earned = torch.zeros(4000), torch.zeros(4000)  # log odds that arm 0 is good
    for now in payoff:
        arm = (odds < 0).long()
        paid = now.gather(1, arm[:, None])[:, 0]
        earned += paid
        odds = odds + torch.where((paid > 0) == (arm == 0), 1.0, -1.0) * np.log(good / (1 - good))
        p = odds.sigmoid() * (1 - hazard) + (1 - odds.sigmoid()) * hazard
        odds = p.logit()
    mean = earned / task.trials
    assert abs(mean.mean() - task.spec.ceiling) < 4 * mean.std() / 4000**0.5 + 0.002


def test_blocks_of_a_reversal_bandit_last_10_to_30_trials_each_alike():
    good = births(ReversalBandit(trials=300)).argmax(-1).numpy()
    lengths = np.concatenate([block_lengths(life) for life in good[:, :260]])
    first = np.array([np.flatnonzero(np.diff(life))[0] + 1 for life in good])
    assert lengths.min() >= 10
    assert lengths.max() <= 30
    assert chisquare(np.bincount(first)[10:31]).pvalue > 1e-4
    assert chisquare(np.bincount(good[:, 0])).pvalue > 1e-4


def test_a_hazard_changes_places_that_often_and_never_before_the_first_trial():
    good = births(ReversalBandit(hazard=0.05)).argmax(-1)
    changes = (good.diff(dim=1) != 0).double().mean(0)
    assert abs(changes.mean() - 0.05) < 4 * (0.05 / changes.numel() / LIVES) ** 0.5
    assert chisquare(good[:, 0].bincount().numpy()).pvalue > 1e-4


def test_the_good_arm_of_four_moves_on_to_the_next():
    means = births(ReversalBandit(preset="shift"), 200)
    good = means.argmax(-1)
    step = good.diff(dim=1) % 4
    assert set(step.unique().tolist()) == {0, 1}
    torch.testing.assert_close(means.sort(-1).values, torch.tensor([0.2, 0.2, 0.2, 0.8]).expand_as(means))


def test_a_deterministic_arm_pays_always_and_the_other_never():
    task = ReversalBandit(preset="deterministic")
    payoff = task.decisions(torch.arange(50), 0, 120).payoff
    assert torch.equal(payoff, births(task, 50).movedim(1, 0))


def test_behrens_parts_are_120_stable_and_170_volatile_trials_in_either_order():
    task = VolatileBandit()
    means = births(task)
    good, p = means.argmax(-1), means.amax(-1)
    stable_first = p[:, 0] == 0.75
    assert chisquare(stable_first.long().bincount().numpy()).pvalue > 1e-4
    wanted = torch.cat((torch.full((120,), 0.75), torch.full((170,), 0.8), torch.full((20,), 0.75)))
    assert torch.equal(p[stable_first], wanted.expand_as(p[stable_first]))
    wanted = torch.cat((torch.full((170,), 0.8), torch.full((120,), 0.75), torch.full((20,), 0.8)))
    assert torch.equal(p[~stable_first], wanted.expand_as(p[~stable_first]))
    quiet = torch.where(stable_first[:, None], good[:, :120], good[:, 170:290])
    assert (quiet == quiet[:, :1]).all()
    volatile = torch.where(stable_first[:, None], good[:, 120:290], good[:, :170])
    lengths = np.concatenate([block_lengths(life) for life in volatile.numpy()])
    assert (lengths.min(), lengths.max()) == (30, 40)
    assert (good[:, 119] != good[:, 120])[stable_first].all()  # a part begins with a change


def test_block25_reverses_every_25_trials_of_its_volatile_half():
    task = VolatileBandit(preset="block25")
    means = births(task, 40)
    volatile_first = means[:, 0].amax(-1) == 0.8
    good = means.argmax(-1)[volatile_first]
    changes = torch.nonzero(good.diff(dim=1)[:, :199])[:, 1] + 1
    assert changes.reshape(len(good), -1).tolist() == [[25, 50, 75, 100]] * len(good)


def test_a_life_is_calm_or_volatile_as_a_whole():
    good = births(VolatileBandit(preset="life")).argmax(-1)
    rate = (good.diff(dim=1) != 0).double().mean(1)
    volatile = rate > 0.05
    assert abs(volatile.double().mean() - 0.5) < 0.06
    assert rate[volatile].mean() == pytest.approx(0.1, abs=0.005)
    assert rate[~volatile].mean() == pytest.approx(0.005, abs=0.001)


def test_one_of_two_volatile_arms_pays_in_each_trial_and_magnitudes_are_split():
    task = VolatileBandit(preset="behrens07_magnitudes")
    block = task.decisions(torch.arange(300), 0, 290)
    torch.testing.assert_close(block.observation.sum(-1), torch.ones(290, 300))
    hundredths = (block.observation[..., 0] * 100).round().long()
    assert (hundredths.min(), hundredths.max()) == (1, 99)
    assert chisquare(hundredths.flatten().bincount()[1:].numpy()).pvalue > 1e-4
    paid = block.payoff > 0
    assert (paid.sum(-1) == 1).all()
    assert torch.equal(block.payoff[paid], block.observation[paid])


def test_an_observer_expects_the_parts_that_the_task_draws():
    task = VolatileBandit()
    drawn = births(task, 400).amax(-1)[:, :290].unique(dim=0)
    assert torch.equal(drawn, torch.tensor(_courses(task.plan, 290).good, dtype=torch.float32))


def test_choices_after_reversals_by_hand():
    good = torch.tensor([[0, 0, 0, 1, 1, 1, 0, 0]]).T.expand(8, 2)
    action = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 0], [1, 0, 0, 1, 1, 1, 0, 0]]).T
    seen = after_reversals(action, good, window=3)
    # life 1 errs twice, then once; life 2 never: lag 0 right 2 of 4, lag 1 3 of 4, lag 2 (first reversal only) 2 of 2
    assert seen.accuracy.tolist() == pytest.approx([2 / 4, 3 / 4, 2 / 2])
    assert seen.perseveration == pytest.approx(3 / 4)
    alone = after_reversals(action[:, 0], good[:, 0], window=3)
    assert alone.perseveration == pytest.approx(3 / 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"id": "ReversalBandit-v0", "shortest": 20, "longest": 12}, "longest is 12 trials, wanted at least shortest"),
        ({"id": "VolatileBandit-v0", "longest": 20}, "longest is 20 trials, wanted at least shortest = 30"),
        ({"id": "VolatileBandit-v0", "schedule": "lives"}, "did you mean 'life'?"),
        ({"id": "ReversalBandit-v0", "good": 0.5}, "good"),
    ],
)
def test_wrong_settings_name_what_was_wanted(settings, words):
    with pytest.raises(ConfigError) as caught:
        make(**settings)
    assert words in str(caught.value)
