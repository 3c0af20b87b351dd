"""Algorithms that play: the table of regrets, and how planners and repeaters stay."""

import numpy as np
import pytest
import torch

from metaplastic import rng
from metaplastic.studies.analysis.behaviour import stays, two_step_weights
from metaplastic.studies.analysis.learners import QLearning, RescorlaWagner, TwoStepLearner
from metaplastic.studies.analysis.references import BayesTwoStep, bandit_references, played, regret_curve, sampled
from metaplastic.tasks.bandits.independent import Bandit
from metaplastic.tasks.bandits.two_step import TwoStep

LIVES = 1000


@pytest.mark.parametrize(
    ("structure", "name", "wanted"),
    [
        ("independent", "Bayes, independent", 1.748),
        ("independent", "Thompson", 2.79),
        ("independent", "UCB 1", 4.12),
        ("independent", "random", 16.7),
        ("medium", "UCB 0.5", 2.99),
        ("easy", "Bayes, p and 1 - p", 0.63),
    ],
)
def test_cells_of_the_table_of_regrets(structure, name, wanted):
    found = regret_curve(Bandit(structure=structure), bandit_references(100)[name], LIVES)
    assert abs(found.mean[-1] - wanted) < 4 * found.sem[-1] + 0.08, found.mean[-1]


def test_a_learner_without_a_temper_is_the_random_player():
    found = regret_curve(Bandit(), (RescorlaWagner(), {"alpha": 0.5, "beta": 0.0}), LIVES)
    assert abs(found.mean[-1] - 100 / 6) < 4 * found.sem[-1]


def test_q_learning_with_one_state_is_rescorla_wagner():
    lifetime = torch.arange(50)
    one = played(Bandit(arms=3), RescorlaWagner(3), {"alpha": 0.2, "beta": 4.0}, lifetime, 40)
    same = played(Bandit(arms=3), QLearning(1, 3), {"alpha": 0.2, "beta": 4.0, "initial": 0.5}, lifetime, 40)
    np.testing.assert_array_equal(one.action, same.action)
    np.testing.assert_array_equal(one.reward, same.reward)


def test_actions_are_drawn_from_the_policy():
    key = rng.fold(rng.root(1), torch.arange(40_000))
    drawn = sampled(np.tile([0.2, 0.0, 0.8], (40_000, 1)), key)
    assert np.bincount(drawn, minlength=3) / 40_000 == pytest.approx([0.2, 0, 0.8], abs=0.01)


def test_the_bayesian_of_the_two_step_task_earns_its_ceiling_and_stays_as_the_specification_says():
    seen = played(TwoStep(), BayesTwoStep(), {}, torch.arange(LIVES), 100)
    assert seen.reward.mean() == pytest.approx(0.7051, abs=0.006)
    assert stays(seen.action, seen.reward, seen.action == seen.state) == pytest.approx((1, 0.669, 0.659, 1), abs=0.02)


def test_sarsa_of_one_stays_as_the_specification_says():
    learner = TwoStepLearner(fixed={"w": 0.0, "lam": 1.0}, free=("alpha", "beta"))
    seen = played(TwoStep(), learner, {"alpha": 0.5, "beta": 5.0}, torch.arange(LIVES), 100)
    found = stays(seen.action, seen.reward, seen.action == seen.state)
    assert found == pytest.approx((0.948, 0.851, 0.496, 0.696), abs=0.02)
    assert seen.reward.mean() == pytest.approx(0.635, abs=0.01)


def test_indices_tell_planning_from_td_in_behaviour_that_was_played():
    for w, is_planner in ((1.0, True), (0.0, False)):
        learner = TwoStepLearner(fixed={"w": w}, free=("alpha", "beta"))
        seen = played(TwoStep(), learner, {"alpha": 0.4, "beta": 4.0}, torch.arange(300), 100)
        found = two_step_weights(seen.action, seen.reward, seen.action == seen.state)
        larger, smaller = found.model_based_index, found.model_free_index
        if not is_planner:
            larger, smaller = smaller, larger
        assert larger > 3 * abs(smaller)


def test_a_second_choice_is_made_where_it_matters():
    learner = TwoStepLearner(common=0.7, second_actions=2, free=("alpha", "beta"), fixed={"w": 0.5})
    task = TwoStep(common=0.7, payment="walk")
    seen = played(task, learner, {"alpha": 0.5, "beta": 5.0}, torch.arange(200), 100)
    assert seen.second is not None
    assert 0.4 < seen.second.mean() < 0.6
    assert seen.reward.mean() > 0.53  # .5 is chance
    with pytest.raises(ValueError, match="one_action: false"):
        played(TwoStep(one_action=True), learner, {"alpha": 0.5, "beta": 5.0}, torch.arange(2), 2)
