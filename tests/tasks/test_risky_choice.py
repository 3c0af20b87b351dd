"""Risky choice: what is offered and paid, and what can be earned by who knows and by who must find out."""

from functools import cache

import pytest
import torch
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.bandits.risky import RiskyChoice, best_free, paid_next
from metaplastic.tasks.registry import make

LIVES = 3000


@pytest.fixture(scope="module")
def block():
    return make("RiskyChoice-v0", feedback=False).decisions(torch.arange(LIVES), 0, 30)


def test_pairs_of_forced_trials_offer_each_side_once_and_then_both_are_offered(block):
    offered = block.observation
    assert offered[:10].sum(-1).eq(1).all()
    assert offered[0:10:2].add(offered[1:10:2]).eq(1).all()
    assert offered[10:].eq(1).all()
    first = offered[0:10:2, :, 0]
    assert chisquare(first.flatten().long().bincount().numpy()).pvalue > 1e-4
    assert (first.diff(dim=0) != 0).any()  # each pair for itself


def test_the_safe_side_pays_one_and_the_risky_one_four_with_its_chance(block):
    free = block.payoff[10:]
    is_safe = (free == 1).all(0)
    assert is_safe.sum(-1).eq(1).all()
    assert chisquare(is_safe[:, 0].long().bincount().numpy()).pvalue > 1e-4
    risky = free[:, ~is_safe].reshape(20, LIVES)
    assert set(risky.unique().tolist()) == {0.0, 4.0}
    is_high = block.best[-1] == 2
    assert torch.equal(block.best[-1][~is_high], torch.ones(int((~is_high).sum())))
    assert chisquare(is_high.long().bincount().numpy()).pvalue > 1e-4
    for lives, p in ((is_high, 0.5), (~is_high, 0.125)):
        paid = (risky[:, lives] == 4).long().flatten()
        assert chisquare(paid.bincount().numpy(), [len(paid) * (1 - p), len(paid) * p]).pvalue > 1e-4


def test_the_side_that_is_not_offered_costs_one_and_scores_nothing(block):
    not_offered = block.observation == 0
    assert block.payoff[not_offered].eq(-1).all()
    assert block.payoff[~not_offered].min() >= 0
    assert RiskyChoice().score(torch.tensor([-1.0, 0, 1, 4])).tolist() == [0, 0, 0.25, 1]


@cache
def by_outcomes(pulls, wins, left):
    """(2) as a recursion."""
    if left == 0:
        return 0.0
    low, high = (p**wins * (1 - p) ** (pulls - wins) for p in (0.125, 0.5))
    q = (0.125 * low + 0.5 * high) / (low + high)
    risky = 4 * q + q * by_outcomes(pulls + 1, wins + 1, left - 1) + (1 - q) * by_outcomes(pulls + 1, wins, left - 1)
    return max(1 + by_outcomes(pulls, wins, left - 1), risky)


@pytest.mark.parametrize(("pulls", "left"), [(0, 1), (0, 7), (5, 20), (3, 0)])
def test_the_best_policy_solves_bellmans_equation(pulls, left):
    wanted = [by_outcomes(pulls, wins, left) for wins in range(pulls + 1)]
    assert best_free(pulls, left).tolist() == pytest.approx(wanted)


def test_the_next_pay_is_foretold_by_bayes():
    assert float(paid_next(0, 0)) == pytest.approx(0.3125)
    assert float(paid_next(1, 1)) == pytest.approx(0.125 * 0.2 + 0.5 * 0.8)
    assert float(paid_next(400, 200)) == pytest.approx(0.5)


def test_the_best_policy_lived_earns_the_ceiling_and_who_knows_the_oracle():
    task = make("RiskyChoice-v0")
    lives = torch.arange(LIVES)

    pulls, wins, safe = torch.zeros(3, LIVES, dtype=torch.int64)

    def counts(state, observation):
        left = 30 - int(state.trial[0])
        if left < 30:
            is_safe = state.reward == 1
            safe[:] = torch.where(is_safe, state.action, safe)
            pulls.add_(~is_safe)
            wins.add_(state.reward == 4)
        if left > 20:
            return observation[:, :2].argmax(-1)
        table = torch.zeros(31, 31, dtype=torch.bool)
        for k in range(5, 31):
            for w in range(k + 1):
                table[k, w] = by_outcomes(k, w, left) > 1 + by_outcomes(k, w, left - 1)
        return torch.where(table[pulls, wins], 1 - safe, safe)

    earned = task.rollout(counts, lives, 30).reward.mean().item()
    assert task.spec.oracle is not None
    assert earned / 4 == pytest.approx(task.spec.ceiling, abs=0.006)
    knows = task.rollout(lambda state, _: task.oracle(state), lives, 30).reward.mean().item()
    assert knows / 4 == pytest.approx(task.spec.oracle, abs=0.006)
    assert task.spec.oracle * 4 == pytest.approx((10 * 1.125 + 20 * 1.5) / 30)


def test_without_forced_trials_the_first_pull_tells_the_sides():
    spec = make("RiskyChoice-v0", forced=0, trials=1).spec
    assert spec.ceiling * 4 == pytest.approx(1.125)
    spec = make("RiskyChoice-v0", forced=0, trials=30).spec
    assert spec.oracle is not None
    assert spec.chance < spec.ceiling < spec.oracle


@pytest.mark.parametrize(("settings", "said"), [({"forced": -1}, "forced"), ({"trials": 501}, "trials")])
def test_bad_settings_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        make("RiskyChoice-v0", **settings)
