"""Do meta-RL agents learn at all? One agent of a study each, trained for a fraction of its updates, weights then fixed.

The studies' own bounds are those of eight agents and a whole training; these are what a few seconds must show.
"""

import numpy as np
import pytest

from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.analysis.behaviour import cumulative_regret
from metaplastic.studies.dopamine import bandits, harlow, laboratory, optogenetics
from metaplastic.studies.dopamine.laboratory import train_population
from metaplastic.studies.study import Run
from metaplastic.tasks.bandits.independent import Bandit


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """A run of one agent, nothing compiled: that takes longer than it saves here."""
    monkeypatch.setattr(laboratory, "COMPILED_FROM", 10_000)
    return Run(tmp_path, seeds=1, say=lambda _: None)


def test_a_new_pair_of_objects_is_known_after_one_pick(alone):
    rule = A2C(updates=700, batch=96, value_weight=harlow.VALUE_WEIGHT, learning_rate=8e-3)
    agents = train_population(alone, "agents", harlow.NETWORK, rule, harlow.task_of("training"))
    first, second = harlow.accuracy(agents, 1000)[0, :2]
    assert first == pytest.approx(0.5, abs=0.05)
    assert second >= 0.9


def test_an_actor_that_hears_the_error_takes_risks_where_they_pay(alone):
    rule = A2C(updates=400, batch=32, discount=optogenetics.DISCOUNT)
    agents = train_population(alone, "agents", optogenetics.NETWORK, rule, optogenetics.TASK)
    assert optogenetics.play(agents, 400).gap[0] >= 30  # points


def test_which_of_two_arms_pays_is_found_within_an_episode(alone):
    rule = A2C(updates=400, batch=64, discount=bandits.DISCOUNT, learning_rate=8e-3)
    task = Bandit.model_validate({"structure": "medium", "trials": 29, "test_trials": 1})
    agents = train_population(alone, "agents", LSTM(time_input=True), rule, task)
    seen = agents.record(400, ("action",))
    arms = seen["latent.life.means"].reshape(30, 1, 400, 2)
    assert np.mean(cumulative_regret(arms, seen["action"])[-1]) <= 3.75  # half of what a random agent loses
