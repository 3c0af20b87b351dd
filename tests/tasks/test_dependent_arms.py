"""Eleven dependent arms: what they pay, and what can be earned with and without asking."""

from functools import cache

import pytest
import torch
from scipy.stats import chisquare

from metaplastic.tasks.bandits import dependent as dependent_arms
from metaplastic.tasks.bandits.dependent import DependentArms
from metaplastic.tasks.registry import make


def payoff_of(arm: int, target: int) -> float:
    return (target + 1) / 10 if arm == 10 else 5.0 if arm == target else 1.0


@cache
def by_beliefs(possible: frozenset[int], trials: int, arms: tuple[int, ...]) -> float:
    """Bellman's equation over sets of possible targets, any arm at any time."""
    if trials == 0:
        return 0.0
    best = 0.0
    for arm in arms:
        outcomes: dict[float, set[int]] = {}
        for target in possible:
            outcomes.setdefault(payoff_of(arm, target), set()).add(target)
        value = sum(
            len(left) / len(possible) * (paid + by_beliefs(frozenset(left), trials - 1, arms))
            for paid, left in outcomes.items()
        )
        best = max(best, value)
    return best


@pytest.mark.parametrize("trials", [1, 2, 3, 5])
def test_the_ceiling_is_the_optimum_over_all_policies(trials):
    every = frozenset(range(10))
    assert dependent_arms.ideal(trials) == pytest.approx(by_beliefs(every, trials, tuple(range(11))), abs=1e-9)
    assert dependent_arms.search(trials) == pytest.approx(by_beliefs(every, trials, tuple(range(10))), abs=1e-9)


def test_five_trials_are_worth_20_55_to_who_asks_and_11_to_who_searches():
    assert dependent_arms.ideal(5) == pytest.approx(20.55)
    assert DependentArms().spec.ceiling * 25 == pytest.approx(20.55)
    # found at pull k: k - 1 ones, then fives; never found in half the lives
    assert dependent_arms.search(5) == pytest.approx(0.1 * (25 + 21 + 17 + 13 + 9) + 0.5 * 5)


def test_one_trial_is_better_spent_on_a_guess():
    assert dependent_arms.ideal(1) == pytest.approx(1.4)


def test_arms_pay_as_published_and_any_is_the_target():
    block = make("DependentArms-v0", preset="wang16", feedback=False).decisions(torch.arange(2000), 0, 5)
    target = block.payoff[0, :, :10].argmax(-1)
    assert chisquare(target.bincount(minlength=10).numpy()).pvalue > 1e-4
    wanted = torch.tensor([[payoff_of(arm, t) for arm in range(11)] for t in range(10)])
    assert torch.equal(block.payoff, wanted[target].expand_as(block.payoff))


def test_who_asks_first_and_reads_the_payoff_earns_the_optimum():
    task = make("DependentArms-v0")
    start = task.spec.channels["previous_reward"][0]

    def asks(state, observation):
        told = (observation[:, start] * 10).round().long() - 1
        return torch.where(state.trial == 0, 10, torch.where(state.trial == 1, told, state.action))

    earned = task.rollout(asks, torch.arange(3000), 5).reward.sum(0)
    assert earned.mean().item() == pytest.approx(20.55, abs=0.03)
    assert earned.min() >= 20.1


def test_a_coded_payoff_tells_which_arm_is_the_target():
    task = make("DependentArms-v0", coded=True, feedback=False)
    first, end = task.spec.channels["payoff"]
    state, seen = task.reset(torch.arange(200))
    assert not seen.observation[:, first:end].any()
    state, seen = task.step(state, torch.full((200,), 10))
    told = seen.observation[:, first:end]
    assert torch.equal(told.argmax(-1), state.life.arm)
    assert torch.equal(told.sum(-1), torch.ones(200))
    _, seen = task.step(state, state.life.arm)
    assert (seen.observation[:, first:end].argmax(-1) == 10).all()


def test_coded_payoffs_depend_on_choices_so_no_block_is_drawn():
    with pytest.raises(ValueError, match="coded is true"):
        make("DependentArms-v0", coded=True, feedback=False).decisions(torch.arange(3), 0, 2)
