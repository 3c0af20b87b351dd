"""Patch foraging: harvests, travel, and the marginal value theorem."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from metaplastic.core import ConfigError
from metaplastic.tasks.navigation import forage_values as values
from metaplastic.tasks.navigation.forage import Forage
from metaplastic.tasks.registry import make

SETTINGS = (18.0, 2.0, 0.1)


def test_a_forager_harvests_less_and_less_and_travels_as_long_as_set_by_hand():
    task = Forage(short_travel=3, long_travel=3)
    state, now = task.reset(torch.arange(4))
    assert torch.equal(now.observation, torch.tensor([1.0, 0]).expand(4, 2))
    levels = []
    for _ in range(3):
        state, now = task.step(state, torch.zeros(4, dtype=torch.int64))
        levels.append(now.reward)
        assert torch.equal(now.observation[:, 1], now.reward)
    harvests = torch.stack(levels)
    assert (harvests.diff(dim=0) < 0).all()
    assert (harvests[0] - 1).abs().max() < 0.35
    seen = []
    for action in (1, 0, 0, 0):  # leaving is the first of three steps; then the fresh patch is harvested
        state, now = task.step(state, torch.full((4,), action))
        seen.append(now.observation[:, 0].tolist() + now.reward.tolist())
    assert seen[0] == [0.0] * 8
    assert seen[1] == [0.0] * 8
    assert seen[2] == [1.0] * 4 + [0.0] * 4
    assert (now.reward - 1).abs().max() < 0.35


def test_harvests_shrink_by_a_beta_and_begin_normal():
    task = Forage()
    state, _ = task.reset(torch.arange(4000))
    stay = torch.zeros(4000, dtype=torch.int64)
    state, first = task.step(state, stay)
    state, second = task.step(state, stay)
    assert kstest(first.reward.numpy(), "norm", args=(1, 0.1)).pvalue > 1e-4
    kappa = (second.reward / first.reward).double().numpy()
    assert kappa.mean() == pytest.approx(0.9, abs=0.004)
    assert np.abs(np.sort(kappa) - beta(18, 2).ppf((np.arange(4000) + 0.5) / 4000)).mean() < 0.01  # cells of 1 / 64


def test_travel_is_short_and_long_by_turns():
    task = Forage(trials=4)
    state, _ = task.reset(torch.arange(300))
    travel = torch.stack([task.begin(state.key, state.life, state.trial + n, None).travel for n in range(4)])
    assert (travel[0] == travel[2]).all()
    assert (travel[0] + travel[1] == 15).all()
    assert abs((travel[0] == 3).double().mean() - 0.5) < 0.12


def threshold_rate(threshold: float, travel: int, patches: int = 40_000) -> float:
    """Rate of leaving once the last harvest is below a threshold, in simulated patches."""
    generator = np.random.default_rng(2)
    kappa, chance = values.decay(18.0, 2.0)
    level = generator.normal(1, 0.1, patches)
    total, steps, here = level.sum(), patches * (1.0 + travel), level >= threshold
    while here.any():
        level = level * generator.choice(kappa, patches, p=chance)
        total, steps, here = total + level[here].sum(), steps + here.sum(), here & (level >= threshold)
    return total / steps


@pytest.mark.parametrize("travel", [3, 12])
def test_the_best_rate_is_that_of_the_best_threshold_in_simulated_patches(travel):
    rate = values.best_rate(*SETTINGS, travel)
    best = rate / values.mean_decay(18.0, 2.0)
    assert threshold_rate(best, travel) == pytest.approx(rate, abs=2e-3)
    for other in (0.8 * best, 1.2 * best):
        assert threshold_rate(other, travel) < rate - 1e-3


def test_a_patch_of_certain_decay_by_hand():
    # kappa is nearly .9 (a sharp Beta), r0 = 1, travel 3: n harvests give (1 - .9^n) / .1 in n + 3 steps
    kappa, chance = values.decay(9e4, 1e4)
    k = float(kappa @ chance)
    wanted = max((1 - k**n) / (1 - k) / (n + 3) for n in range(1, 40))
    assert values.best_rate(9e4, 1e4, 0.0, 3) == pytest.approx(wanted, abs=2e-3)


def test_decay_has_the_mean_of_the_beta():
    assert values.mean_decay(18.0, 2.0) == pytest.approx(0.9, abs=1e-3)
    kappa, chance = values.decay(14.90873, 2.033008)
    assert chance.sum() == pytest.approx(1)
    edges = np.append(kappa - 1 / 128, 1.0)
    np.testing.assert_allclose(chance, np.diff(beta(14.90873, 2.033008).cdf(edges)), atol=1e-4)


def test_random_foragers_earn_what_the_chain_says():
    task = Forage(short_travel=5, long_travel=5, block=60, trials=1)
    seen = task.rollout(task.random_policy(torch.arange(3000)), torch.arange(3000), 60)
    total = seen.reward.double().sum(0)
    assert abs(total.mean() - values.random_total(18.0, 2.0, 5, 60)) < 4 * total.std() / 3000**0.5
    assert values.random_total(18.0, 2.0, 1, 1) == pytest.approx(0.5)


def test_leaving_by_the_theorem_beats_leaving_earlier_or_later_in_the_task_itself():
    task = make("Forage-v0", preset="patch", trials=2)

    def scores(factor: float) -> torch.Tensor:
        def policy(state, observation):
            world = state.world
            return ((world.level > 0) & (0.9 * world.level < factor * world.rate)).long()

        seen = task.rollout(policy, torch.arange(300), 300)
        return seen.info.score.sum(0).double() / 2

    best = scores(1.0)
    assert abs(best.mean() - task.spec.ceiling) < 4 * best.std() / 300**0.5 + 0.002
    assert scores(0.6).mean() < best.mean() - 0.005
    assert scores(1.4).mean() < best.mean() - 0.005


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"short_travel": 13}, "long_travel is 12 steps, wanted at least short_travel = 13"),
        ({"block": 20}, "block is 20 steps, wanted at least 2 long_travel = 24"),
    ],
)
def test_wrong_settings_name_what_was_wanted(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("Forage-v0", **settings)
    assert words in str(caught.value)
