"""Bandits: the laws of their arms, what can be earned, and the inputs of a meta-learner."""

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from metaplastic import rng
from metaplastic.tasks.bandits import values
from metaplastic.tasks.bandits.independent import Bandit

LIVES = 2000


def bandit(structure: str, arms: int) -> Bandit:
    return Bandit.model_validate({"structure": structure, "arms": arms})


def births(task: Bandit, lives: int = LIVES) -> torch.Tensor:
    """Expected payoffs of the arms, [L, N, K]."""
    return task.birth(rng.parameter_keys(rng.lifetime_keys(0, torch.arange(lives)))).means


def uniform_p(sample: torch.Tensor, low: float = 0.0, high: float = 1.0) -> float:
    """p-value of the chi-square test of a uniform distribution, over 20 bins."""
    return chisquare(torch.histc(sample.flatten(), 20, low, high).numpy()).pvalue


def test_independent_arms_are_uniform_and_do_not_hang_together():
    means = births(Bandit(arms=3))[:, 0]
    assert uniform_p(means) > 1e-4
    assert torch.corrcoef(means.T).fill_diagonal_(0).abs().max() < 4 / LIVES**0.5


def test_correlated_arms_sum_to_one_and_are_uniform():
    means = births(Bandit(structure="correlated"))[:, 0]
    assert torch.equal(means[:, 1], 1 - means[:, 0])
    assert uniform_p(means[:, 0]) > 1e-4


@pytest.mark.parametrize(("structure", "good"), [("easy", 0.9), ("medium", 0.75), ("hard", 0.6)])
def test_one_arm_is_good_and_it_is_any_of_them(structure, good):
    means = births(Bandit(structure=structure, arms=5))[:, 0]
    assert torch.equal(means.sort(-1).values, torch.tensor([1 - good] * 4 + [good]).expand(LIVES, 5))
    assert chisquare(means.argmax(-1).bincount(minlength=5).numpy()).pvalue > 1e-4


def test_arms_of_sum1_sum_to_one():
    means = births(Bandit(structure="sum1", arms=4))[:, 0]
    torch.testing.assert_close(means.sum(-1), torch.ones(LIVES))
    assert chisquare(means.argmax(-1).bincount(minlength=4).numpy()).pvalue > 1e-4


def test_gaussian_arms_are_standard_normal_and_so_is_their_noise():
    task = Bandit(structure="gaussian", arms=3)
    means = births(task)[:, 0]
    assert uniform_p(torch.special.ndtr(means)) > 1e-4
    noise = task.decisions(torch.arange(LIVES), 7, 1).payoff[0] - means
    assert uniform_p(torch.special.ndtr(noise)) > 1e-4
    assert uniform_p(task.score(means + noise)) > 1e-4  # the score of a random arm is uniform


def test_a_restless_walk_touches_0_and_1_in_each_life_and_its_arms_mirror_each_other():
    means = births(Bandit(structure="restless", trials=170, test_trials=30), lives=11)
    assert means.shape == (11, 200, 2)
    assert torch.equal(means.amin(1), torch.zeros(11, 2))
    assert torch.equal(means.amax(1), torch.ones(11, 2))
    torch.testing.assert_close(means.sum(-1), torch.ones(11, 200))


def test_a_short_restless_life_sees_part_of_a_walk_of_150_trials():
    assert births(Bandit(structure="restless", trials=20, test_trials=5), lives=3).shape == (3, 150, 2)


def test_a_walk_stays_between_its_mirrors_and_steps_by_025():
    means = births(Bandit(structure="walk", arms=3), lives=200)
    assert means.min() >= 0.25
    assert means.max() <= 0.75
    steps = means.diff(dim=1)
    inside = steps[(means[:, :-1] - 0.5).abs() < 0.15]  # a step from here cannot meet a mirror
    assert abs(inside.std().item() / 0.025 - 1) < 0.02
    assert uniform_p(means[:, 0], 0.25, 0.75) > 1e-4


def test_arms_pay_as_often_as_their_probability_says():
    task = Bandit(arms=3, structure="walk")
    lifetimes = torch.arange(500)
    payoff = task.decisions(lifetimes, 0, 100).payoff.double()
    expected = births(task, 500)[:, :100].movedim(1, 0).double()
    z = (payoff - expected).sum((0, 1)) / (expected * (1 - expected)).sum((0, 1)).sqrt()
    assert set(payoff.unique().tolist()) == {0.0, 1.0}
    assert z.abs().max() < 4


def test_best_is_the_probability_of_the_best_arm_at_that_trial():
    task = Bandit(structure="restless")
    assert torch.equal(task.decisions(torch.arange(7), 3, 5).best, births(task, 7)[:, 3:8].amax(-1).T)


def test_feedback_shows_the_last_action_and_its_reward():
    task = Bandit(preset="wang16")
    assert task.spec.channels == {"constant": (0, 1), "previous_action": (1, 3), "previous_reward": (3, 4)}
    lifetimes = torch.arange(3)
    state, first = task.reset(lifetimes)
    assert torch.equal(first.observation, torch.tensor([1.0, 0, 0, 0]).expand(3, 4))
    action = torch.tensor([1, 0, 1])
    _, second = task.step(state, action)
    paid = Bandit(structure="correlated").decisions(lifetimes, 0, 1).payoff[0].gather(1, action[:, None])[:, 0]
    wanted = torch.stack((torch.ones(3), (action == 0).float(), (action == 1).float(), paid), -1)
    assert torch.equal(second.observation, wanted)


def test_blocks_are_refused_where_they_cannot_be():
    with pytest.raises(ValueError, match="feedback: true"):
        Bandit(feedback=True).decisions(torch.arange(2), 0, 3)
    with pytest.raises(ValueError, match=r"\[118, 121\).*\[0, 120\)"):
        Bandit().decisions(torch.arange(2), 118, 3)


@cache
def value(n: int, s1: int, f1: int, s2: int, f2: int) -> Fraction:
    """Bellman's equation as one would write it down, in fractions: n trials to go."""
    if n == 0:
        return Fraction(0)
    m1, m2 = Fraction(s1 + 1, s1 + f1 + 2), Fraction(s2 + 1, s2 + f2 + 2)
    return max(
        m1 * (1 + value(n - 1, s1 + 1, f1, s2, f2)) + (1 - m1) * value(n - 1, s1, f1 + 1, s2, f2),
        m2 * (1 + value(n - 1, s1, f1, s2 + 1, f2)) + (1 - m2) * value(n - 1, s1, f1, s2, f2 + 1),
    )


@pytest.mark.parametrize("trials", [1, 2, 3, 9])
def test_the_ideal_observer_of_independent_arms_agrees_with_the_recursion_in_fractions(trials):
    assert values.ideal_independent(trials) == pytest.approx(float(value(trials, 0, 0, 0, 0)), abs=1e-12)


def test_the_ideal_observer_of_two_arms_and_100_trials_earns_64_918():
    assert values.ideal_independent(100) == pytest.approx(64.918, abs=5e-4)
    assert Bandit().spec.ceiling == pytest.approx(0.64918, abs=5e-6)


def test_the_ideal_observer_of_mirrored_arms_by_hand():
    # uniform prior: 1/2 at first; then the posterior mean 2/3 either way; then (1/2) 3/4 + (1/2) 1/2 ... by counts
    prior = values._prior("correlated")
    by_counts = [sum(max(s + 1, n - s + 1) / (n + 2) for s in range(n + 1)) / (n + 1) for n in range(5)]
    assert by_counts[:2] == [1 / 2, 2 / 3]
    for trials in (1, 2, 5):
        assert values.ideal_mirrored(*prior, trials) == pytest.approx(sum(by_counts[:trials]), abs=1e-10)
    # two-point prior .9 / .1: 1/2 at first, then follow the first outcome: .9 .9 + .1 .1
    assert values.ideal_mirrored(*values._prior("easy"), 2) == pytest.approx(0.5 + 0.82, abs=1e-12)


def test_knowing_the_arms_is_worth_what_the_lives_say():
    for structure, arms in [("independent", 4), ("correlated", 2), ("sum1", 2), ("restless", 2), ("walk", 3)]:
        best = bandit(structure, arms).decisions(torch.arange(LIVES), 0, 100).best.double().mean(0)
        error = best.std() / LIVES**0.5
        assert abs(best.mean() - values.best_arm(structure, arms, 100)) < 4 * error + 0.002, structure
    assert values.best_arm("sum1", 2, 100) == pytest.approx(np.log(2), abs=0.004)  # E 1 / (1 + U)


def thompson_regret(task: Bandit) -> np.ndarray:
    """Regret of Thompson sampling with uniform priors in each of many lives, from the arms' expected payoffs."""
    generator = np.random.default_rng(0)
    means = births(task)[:, 0].double().numpy()
    payoffs = task.decisions(torch.arange(LIVES), 0, task.trials).payoff.numpy()
    counts = np.ones((2, *means.shape))
    regret, lives = np.zeros(LIVES), np.arange(LIVES)
    for payoff in payoffs:
        arm = generator.beta(counts[0], counts[1]).argmax(-1)
        regret += means.max(-1) - means[lives, arm]
        won = payoff[lives, arm]
        counts[0, lives, arm] += won
        counts[1, lives, arm] += 1 - won
    return regret


@pytest.mark.parametrize(("structure", "arms"), values.THOMPSON_REGRET)
def test_thompson_sampling_has_the_regret_of_the_table(structure, arms):
    regret = thompson_regret(bandit(structure, arms))
    error = regret.std() / LIVES**0.5
    assert abs(regret.mean() - values.THOMPSON_REGRET[structure, arms]) < 4 * error + 0.05


def test_the_criterion_is_between_chance_and_what_thompson_sampling_earns():
    for structure, arms in values.THOMPSON_REGRET:
        spec = bandit(structure, arms).spec
        thompson = values.best_arm(structure, arms, 100) - values.THOMPSON_REGRET[structure, arms] / 100
        assert spec.chance < spec.criterion < thompson < spec.ceiling + 1e-3
