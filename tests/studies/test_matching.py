"""The matching study: planted matchers are found, units that carry variables are found, a page is written."""

import numpy as np
import pytest

from metaplastic.inner_loop.agents.training import History
from metaplastic.studies.dopamine import matching
from metaplastic.studies.dopamine.matching import Control, Reference, Seen, analyse, claims, follows, is_held_out
from metaplastic.studies.registry import study
from metaplastic.studies.study import Run, run_study
from metaplastic.tasks.bandits.baited import BaitedBandit

EPISODES = 150


def planted(is_learner=True):
    """Choices that follow the mean of the last four rewards (or a coin), on baited arms; three units and noise."""
    draw = np.random.default_rng(5)
    p = draw.random(EPISODES) / 2
    base, left = np.stack((0.5 - p, p)), np.zeros((2, EPISODES))
    action, reward, memory = np.zeros((100, EPISODES), np.int64), np.zeros((100, EPISODES)), np.zeros(EPISODES)
    column = np.arange(EPISODES)
    for trial in range(100):
        lead = 2 * memory if is_learner else 0 * memory
        action[trial] = draw.random(EPISODES) < 1 / (1 + np.exp(-lead))
        chance = 1 - (1 - base) ** (left + 1)
        reward[trial] = draw.random(EPISODES) < chance[action[trial], column]
        left += 1
        left[action[trial], column] = 0
        memory = 0.75 * memory + (2 * action[trial] - 1) * reward[trial]
    value = draw.normal(size=action.shape)
    hidden = 0.3 * draw.normal(size=(*action.shape, 3))
    hidden[1:, :, 0] += 2.0 * action[:-1] - 1
    hidden[1:, :, 1] += reward[:-1]
    hidden[..., 2] += value
    return Seen(action, reward, value, hidden, p)


def test_who_follows_rewards_is_told_from_who_does_not():
    learner, coin = planted(), planted(is_learner=False)
    found = analyse(learner, 0.9)
    assert (found.kernels.reward[:4] > 0.2).all()
    assert found.kernels.reward[1] > found.kernels.reward[9]
    assert 0.5 < follows(learner.action, learner.p) < 2
    assert abs(follows(coin.action, coin.p)) < 0.1
    assert np.abs(analyse(coin, 0.9).kernels.reward[1:6]).mean() < 0.1


def test_units_that_carry_a_variable_are_found():
    coding = np.abs(analyse(planted(), 0.9).coding)
    assert [coding[unit, variable] > 0.7 for unit, variable in ((0, 0), (1, 1), (2, 3))] == [True] * 3
    assert coding[2, 0] < 0.1


def test_what_was_held_out_is_what_training_cannot_draw():
    p = np.array([0.05, 0.15, 0.25, 0.35, 0.45])
    assert is_held_out(p).tolist() == [False, True, False, True, False]
    assert (is_held_out(0.5 - p) == is_held_out(p)).all(), "whichever arm p is of"


def test_rows_name_what_is_missing():
    good, task = analyse(planted(), 0.9), BaitedBandit(base="whole")
    nothing = {name: Control([0.0], [0.0]) for name in ("reward withheld, retrained", "state reset", "untrained")}
    known = Reference(0.45, good.all)
    table = {one.what: one for one in claims([good], [0.8], nothing, known, task, is_unchanged=True)}
    assert table["share of choices rises with p"].within is True
    assert table["weights after the tests"].within is True
    broken = nothing | {"untrained": Control([0.4], [0.0])}
    table = {one.what: one for one in claims([good], [0.1], broken, known, task, is_unchanged=False)}
    assert table["share of choices rises with p"].within is False
    assert table["the same, untrained"].within is False
    assert table["weights after the tests"].within is False


def test_figures_can_be_drawn_from_one_seed():
    import torch

    seen = planted()
    curve = torch.full((4, 1), 0.4)
    history = History([1, 2, 3, 4], *([curve] * 5))
    drawn = matching.draw([analyse(seen, 0.9)], is_held_out(seen.p), history, BaitedBandit(base="whole"))
    assert [one.name for one in drawn] == ["matching", "units"]


@pytest.mark.slow
def test_the_accepted_run(tmp_path):
    assert run_study(study("matching"), Run(tmp_path / "out")).holds
