"""Known players of bandits: their choices by hand, and the table of regrets of the specification."""

import numpy as np
import pytest
import torch
from scipy.stats import beta as beta_law
from scipy.stats import chisquare, kstest

from metaplastic import rng
from metaplastic.tasks.bandits import values as bandit_values
from metaplastic.tasks.bandits.independent import Bandit
from metaplastic.tasks.bandits.players import (
    UCB,
    Bayes,
    Counts,
    Mirrored,
    Player,
    Random,
    Thompson,
    beta,
    learned,
    play,
    regret,
)
from metaplastic.tasks.registry import make

KEYS = rng.fold(rng.root(3), torch.arange(20_000))


def counts(rewards: list[float], pulls: list[float]) -> Counts:
    return Counts(torch.tensor([rewards]), torch.tensor([pulls]))


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (1.0, 7.0), (30.0, 12.0)])
def test_beta_variates_follow_their_law(a, b):
    drawn = beta(KEYS, torch.full((20_000, 2), a), torch.full((20_000, 2), b))
    assert kstest(drawn[:, 0].double().numpy(), beta_law(a, b).cdf).pvalue > 1e-4
    assert kstest(drawn[:, 1].double().numpy(), beta_law(a, b).cdf).pvalue > 1e-4
    assert abs(torch.corrcoef(drawn.T)[0, 1]) < 0.03


def test_counts_by_hand():
    after = learned(counts([1, 0, 2], [1, 1, 3]), torch.tensor([2]), torch.tensor([1.0]))
    assert torch.equal(after.rewards, torch.tensor([[1.0, 0, 3]]))
    assert torch.equal(after.pulls, torch.tensor([[1.0, 1, 4]]))


def test_ucb_pulls_every_arm_once_and_then_what_is_promising_or_unknown():
    key = KEYS[:1]
    assert [UCB().choose(counts([0, 0, 0], [0, 0, 0]), n, key).item() for n in range(3)] == [0, 1, 2]
    # t = 12: .6 + sqrt(ln 12 / 10) = 1.0985; 0 + sqrt(ln 12 / 2) = 1.1147
    assert UCB(1.0).choose(counts([6, 0], [10, 2]), 12, key).item() == 1
    assert UCB(0.9).choose(counts([6, 0], [10, 2]), 12, key).item() == 0


def test_mirrored_arms_are_judged_together():
    key = KEYS[:1]
    assert Mirrored().choose(counts([1, 0], [4, 0]), 4, key).item() == 1  # three failures of arm 0 speak for arm 1
    assert Mirrored().choose(counts([3, 0], [4, 1]), 5, key).item() == 0
    even = Counts(torch.zeros(20_000, 2), torch.zeros(20_000, 2))
    assert chisquare(Mirrored().choose(even, 0, KEYS).bincount().numpy()).pvalue > 1e-4


def test_the_bayesian_weighs_what_an_arm_may_teach():
    key = KEYS[:1]
    # one trial left: the larger mean, 2 / 4 against 1 / 2 untried is a draw; 1 / 3 against 1 / 2 is not
    assert Bayes(2).choose(counts([0, 0], [1, 0]), 1, key).item() == 1
    # many left: the untried arm is worth more than one with the same mean
    assert Bayes(20).choose(counts([2, 0], [4, 0]), 4, key).item() == 1
    with pytest.raises(ValueError, match="wanted two arms and one of the 2 trials"):
        Bayes(2).choose(counts([0, 0], [1, 1]), 2, key)


def test_regret_is_what_the_better_arm_would_have_paid_more():
    task, lifetimes = Bandit(arms=3), torch.arange(5)
    played = play(task, Random(), lifetimes, 7)
    means = task.birth(rng.parameter_keys(rng.lifetime_keys(0, lifetimes))).means[:, 0]
    wanted = sum(means.amax(-1) - means.gather(1, action[:, None])[:, 0] for action in played.action)
    torch.testing.assert_close(regret(task, played, lifetimes)[-1], wanted)


def test_players_live_on_every_task_of_one_step():
    for id in ("ReversalBandit-v0", "VolatileBandit-v0", "DependentArms-v0"):
        played = play(make(id), Thompson(), torch.arange(3), 5)
        assert played.reward.shape == (5, 3)


def measured(structure: str, player: Player, lives: int, arms: int = 2) -> tuple[torch.Tensor, float]:
    """Mean regret after each trial and its standard error at the end."""
    task = Bandit.model_validate({"structure": structure, "arms": arms})
    lifetimes = torch.arange(lives)
    found = regret(task, play(task, player, lifetimes, 100), lifetimes).double()
    return found.mean(1), found[-1].std().item() / lives**0.5


TABLE = {
    "independent": (1.75, 2.79, 4.12, 2.98, 5.59, 2.78, 16.7),
    "correlated": (1.52, 2.78, 4.20, 2.86, 6.01, 1.21, 25.1),
    "easy": (0.79, 2.12, 3.90, 2.55, 6.30, 0.63, 40),
    "medium": (1.37, 3.02, 4.68, 2.99, 7.03, 0.99, 25),
    "hard": (2.93, 4.09, 4.89, 3.89, 5.98, 2.32, 10),
}
"""regret after 100 trials: Bayes for independent arms, Thompson, UCB with chi 1, .5 and 2, mirrored, random"""
PLAYERS = (lambda: Bayes(100), Thompson, UCB, lambda: UCB(0.5), lambda: UCB(2.0), Mirrored, Random)


@pytest.mark.slow
@pytest.mark.parametrize("structure", TABLE)
def test_regrets_are_those_of_the_specification(structure):
    for make_player, wanted in zip(PLAYERS, TABLE[structure], strict=True):
        found, error = measured(structure, make_player(), 4000)
        assert abs(found[-1] - wanted) < 4 * (error**2 + 0.08**2) ** 0.5, (make_player, found[-1], wanted)


@pytest.mark.slow
def test_regret_grows_as_the_specification_says():
    at = [9, 24, 49, 99]
    for player, wanted in ((Thompson(), [0.96, 1.56, 2.13, 2.79]), (Bayes(100), [0.68, 1.06, 1.39, 1.75])):
        found, _ = measured("independent", player, 4000)
        assert found[at].tolist() == pytest.approx(wanted, abs=0.15)


def test_the_bayesian_earns_what_dynamic_programming_says():
    found, error = measured("independent", Bayes(100), 2000)
    wanted = 100 * 2 / 3 - bandit_values.ideal_independent(100)
    assert wanted == pytest.approx(1.748, abs=1e-3)
    assert abs(found[-1] - wanted) < 4 * error


def test_dependent_arms_of_9_and_1_are_worth_89_375_in_100_pulls():
    # the published 89.38; after the first pull the count of rewards decides, by binomials
    assert make("Bandit-v0", preset="wang16_easy").spec.ceiling * 100 == pytest.approx(89.375, abs=1e-6)
    found, error = measured("easy", Mirrored(), 2000)
    assert abs(90 - found[-1] - 89.375) < 4 * error


def test_thompson_earns_63_9_in_100_pulls_of_two_independent_arms():
    found, error = measured("independent", Thompson(), 1000)
    assert abs(200 / 3 - found[-1] - 63.9) < 4 * error


def test_choices_of_the_dynamic_programme_reach_its_value():
    trials = 6
    tables, reached = bandit_values.ideal_choices(trials), 0.0
    for p1, p2, weight in [(a, b, 1 / 400) for a in np.arange(0.025, 1, 0.05) for b in np.arange(0.025, 1, 0.05)]:
        chances = {(0, 0, 0): 1.0}  # pulls of arm 1, rewards of both
        for n in range(trials):
            after: dict[tuple[int, int, int], float] = {}
            for (pulls, s1, s2), chance in chances.items():
                second = bool(tables[n][pulls, s1, s2])
                p = p2 if second else p1
                reached += weight * chance * p
                for won, q in ((1, p), (0, 1 - p)):
                    place = (pulls + (not second), s1 + won * (not second), s2 + won * second)
                    after[place] = after.get(place, 0) + chance * q
            chances = after
    assert reached == pytest.approx(bandit_values.ideal_independent(trials), abs=5e-3)  # midpoints for a square
