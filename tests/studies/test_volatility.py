"""The volatility study: planted learning rates are found, and which lives are volatile is what the task drew."""

import numpy as np
import pytest
import torch

from metaplastic import rng
from metaplastic.inner_loop.agents.training import History
from metaplastic.studies.dopamine import volatility
from metaplastic.studies.dopamine.volatility import Seen, analyse, around_changes, claims, volatile_bandit
from metaplastic.studies.registry import study
from metaplastic.studies.study import Run, run_study

EPISODES = 40


def lives(count):
    task = volatile_bandit()
    keys = rng.parameter_keys(rng.lifetime_keys(3, torch.arange(count)))
    return task.birth(keys).means.numpy(), task.volatile_parts(keys)[:, 0].numpy()


def planted(rates):
    """Rescorla-Wagner learners with one rate in stable and another in volatile lives; a unit tells the volatility."""
    means, is_volatile = lives(EPISODES)
    draw = np.random.default_rng(1)
    good = means.argmax(-1).T
    alpha = np.where(is_volatile, rates[1], rates[0])
    belief, rows = np.full(EPISODES, 0.5), []
    for trial in range(volatility.TRIALS):
        lead = 8 * (belief - 0.5)
        action = (draw.random(EPISODES) > 1 / (1 + np.exp(-lead))).astype(np.int64)
        pays = draw.random(EPISODES) < means[:, trial, 0]
        reward = np.where(action == 0, pays, ~pays).astype(float)
        rows.append((action, reward, lead))
        belief = belief + alpha * (pays - belief)
    action, reward, lead = (np.stack(column) for column in zip(*rows, strict=True))
    hidden = draw.normal(size=(*action.shape, 3))
    hidden[..., 0] = 3 * is_volatile + 0.5 * hidden[..., 0]
    return Seen(action, reward, lead, np.abs(lead), hidden, good, is_volatile)


def test_planted_learning_rates_are_found():
    found = analyse(planted((0.1, 0.3)), permutations=100)
    assert found.stable.alpha == pytest.approx(0.1, abs=0.02)
    assert found.volatile.alpha == pytest.approx(0.3, abs=0.02)
    assert found.decoded > 0.95
    assert found.fraction == pytest.approx(1 / 3, abs=0.01)


def test_a_policy_that_follows_nothing_has_no_rates_to_compare():
    seen = planted((0.1, 0.3))
    noise = np.random.default_rng(2).normal(size=seen.lead.shape)
    assert analyse(seen._replace(lead=noise), permutations=100).ratio == 1.0


def test_volatile_lives_change_more_often():
    means, is_volatile = lives(300)
    changes = (np.diff(means.argmax(-1), axis=1) != 0).mean(1)
    assert changes[is_volatile].mean() == pytest.approx(0.1, abs=0.01)
    assert changes[~is_volatile].mean() == pytest.approx(0.005, abs=0.002)


def test_choices_around_a_change_by_hand():
    good = np.array([0, 0, 0, 1, 1, 1, 1, 0])[:, None]
    is_better = np.array([1, 1, 1, 0, 0, 1, 1, 0], bool)[:, None]
    assert around_changes(is_better, good, 2, 3).tolist() == [1, 1, 0, 0, 1, 1]
    assert np.isnan(around_changes(is_better, good, 2, 4)).all(), "another change lies within"


def test_rows_want_a_higher_rate_in_volatile_lives():
    controls = {"reward withheld, retrained": [0.5], "state reset": [0.5], "untrained": [0.5]}
    for rates, within in (((0.1, 0.3), True), ((0.3, 0.1), False)):
        found = analyse(planted(rates), permutations=100)
        table = {one.what: one for one in claims([found], controls, volatile_bandit(), is_unchanged=True)}
        assert table["learning rate, volatile by stable"].within is within
        assert table["its median"].within is within


def test_figures_can_be_drawn_from_one_seed():
    seen = planted((0.1, 0.3))
    history = History([1, 2, 3, 4], *([torch.full((4, 1), 0.6)] * 5))
    drawn = volatility.draw([analyse(seen, permutations=100)], seen, history, volatile_bandit())
    assert [one.name for one in drawn] == ["rates", "course"]


@pytest.mark.slow
def test_the_accepted_run(tmp_path):
    assert run_study(study("volatility"), Run(tmp_path / "out")).holds
