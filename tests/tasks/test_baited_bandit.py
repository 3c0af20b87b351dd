"""Baited arms: when they pay, what the best division of choices earns, and the matching law."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.bandits import baited as baited_bandit
from metaplastic.tasks.bandits.baited import BaitedBandit, matching, mean_of_cycle
from metaplastic.tasks.registry import make

LIVES = 2000


def both(arms) -> torch.Tensor:
    """What is kept of the two arms, [L, 2]."""
    return torch.stack((arms.first, arms.second), -1)


def test_an_arm_left_alone_becomes_likelier_to_pay_by_hand():
    task = BaitedBandit()
    state, _ = task.reset(torch.arange(5))
    p = both(state.life)
    unpaid = [both(state.world).tolist()]
    for action in (0, 0, 1):
        state, seen = task.step(state, torch.full((5,), action))
        unpaid.append(both(state.world).tolist())
    n = [(0, 0), (0, 1), (0, 2), (1, 0)]
    for found, (n0, n1) in zip(unpaid, n, strict=True):
        torch.testing.assert_close(torch.tensor(found), (1 - p) ** torch.tensor([n0 + 1, n1 + 1]))
    assert seen.info.best.tolist() == pytest.approx((1 - ((1 - p) ** torch.tensor([1, 3])).amin(-1)).tolist())


def test_arms_pay_with_their_probability():
    task = BaitedBandit(base="whole")
    state, now = task.reset(torch.arange(LIVES))
    excess, variance = 0.0, 0.0
    for n in range(30):
        action = torch.arange(LIVES) // 3 % 2 if n % 3 else torch.full((LIVES,), n % 2)
        p = 1 - both(state.world).gather(1, action[:, None])[:, 0]
        state, now = task.step(state, action)
        excess += (now.reward - p).sum().item()
        variance += (p * (1 - p)).sum().item()
    assert abs(excess) < 4 * variance**0.5


@pytest.mark.parametrize(("base", "cells"), [("published", [0, 2, 4]), ("gap", [1, 3]), ("whole", [0, 1, 2, 3, 4])])
def test_base_probabilities_come_from_their_intervals_and_sum_to_a_half(base, cells):
    state, _ = make("BaitedBandit-v0", base=base).reset(torch.arange(LIVES))
    p = both(state.life)
    torch.testing.assert_close(p.sum(-1), torch.full((LIVES,), 0.5))
    counts = (p[:, 0] * 10).long().bincount(minlength=5)
    assert counts[cells].sum() == LIVES
    assert chisquare(counts[cells].numpy()).pvalue > 1e-4


def values(p: float, q: float, trials: int) -> float:
    """Mean reward of the best policy that knows p and q, by Bellman's equation over (last arm, trials in a row)."""
    value = np.zeros((2, trials + 2))  # [arm just chosen, choices of it in a row]
    base = np.array([p, q])
    for n in range(trials - 1, -1, -1):
        new = np.zeros_like(value)
        run = np.arange(trials + 1)
        for last in (0, 1):
            same = base[last] + value[last, 1:]
            other = 1 - (1 - base[1 - last]) ** (run + 1.0) + value[1 - last, 1]
            if n == 0:  # nothing was chosen yet: both have n_k = 0
                other = base[1 - last] + value[1 - last, 1]
            new[last, :-1] = np.maximum(same, other)
        value = new
    return value[0, 0] / trials


@pytest.mark.parametrize("p", [0.26, 0.3, 0.38, 0.45, 0.49])
def test_the_cycle_is_the_best_of_all_policies_that_know_the_arms(p):
    trials = 2000
    cycle = mean_of_cycle(torch.tensor([p], dtype=torch.float64), torch.tensor([0.5 - p], dtype=torch.float64)).max()
    assert values(p, 0.5 - p, trials) == pytest.approx(cycle.item(), abs=2e-3)


def test_the_ceiling_is_near_the_dynamic_programme_of_100_trials():
    grid = baited_bandit._drawn("published")[::50]
    best = np.mean([values(max(p, 0.5 - p), min(p, 0.5 - p), 100) for p in grid])
    ceiling = BaitedBandit().spec.ceiling
    assert ceiling <= best + 1e-4
    assert ceiling == pytest.approx(best, abs=2e-3)


def test_over_all_base_probabilities_random_choices_earn_377_and_the_best_451_thousandths():
    spec = BaitedBandit(base="whole").spec  # as measured elsewhere; greedy choice between known arms .451
    assert spec.chance == pytest.approx(0.377, abs=0.002)
    assert spec.ceiling == pytest.approx(0.451, abs=0.002)


def test_the_best_policy_comes_near_to_matching():
    task = BaitedBandit()
    seen = task.rollout(task.oracle_policy(), torch.arange(LIVES), 100)
    found = matching(seen.action, seen.reward)
    assert 0.6 < found.slope < 1.3
    assert found.correlation > 0.9


def test_matching_by_hand():
    # choices 1:1 and 3:1, rewards 1:1 and 9:1: slope log 3 / log 9
    action = torch.tensor([[0, 1] * 10, [1, 1, 1, 0] * 5]).T
    reward = torch.zeros(20, 2)
    reward[:2, 0] = 1
    reward[[0, 1, 2, 4, 5, 6, 8, 9, 10, 3], 1] = 1
    found = matching(action, reward)
    assert (found.slope, found.bias) == pytest.approx((0.5, 0), abs=1e-9)
    with pytest.raises(ValueError, match="0 of 2 lifetimes, wanted at least 2"):
        matching(action, torch.zeros(20, 2))


def test_an_unknown_base_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'gap'"):
        make("BaitedBandit-v0", base="gaps")
