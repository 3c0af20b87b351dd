"""The laboratory: recordings, the index of the prediction error, interventions, forgetting, what is kept."""

import csv
from typing import Any

import numpy as np
import pytest
import torch

from metaplastic.core import ConfigError
from metaplastic.inner_loop import recording
from metaplastic.inner_loop.agents.interventions import Intervention
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.studies.dopamine.laboratory import load_weights, reward_blind, save_recording, train_population
from metaplastic.studies.study import Run
from metaplastic.tasks.registry import KINDS

TRIALS, EPISODES = 6, 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("laboratory")


@pytest.fixture(scope="module")
def agents(folder) -> Any:
    task = KINDS["TwoStep-v0"].model_validate({"kind": "TwoStep-v0", "trials": TRIALS})
    run = Run(folder, seeds=2, say=lambda _: None)
    return train_population(run, "pair", LSTM(units=8), A2C(updates=5, batch=8, learning_rate=0.01), task)


@pytest.fixture(scope="module")
def seen(agents):
    return agents.record(EPISODES)


def test_arrays_are_step_seed_episode(seen):
    assert seen["rpe"].shape == (2 * TRIALS, 2, EPISODES)
    assert seen["hidden"].shape == (2 * TRIALS, 2, EPISODES, 8)
    assert seen["latent.world.pays"].shape == (2 * TRIALS, 2, EPISODES, 4)
    assert (seen["latent.world.place"][::2] == 0).all()
    assert (seen["latent.world.place"][1::2] > 0).all()


def test_the_prediction_error_has_the_right_index(agents, seen):
    value, reward = seen["value"].astype(float), seen["reward"].astype(float)
    for step in range(2 * TRIALS):
        after = value[step + 1] if step + 1 < 2 * TRIALS else 0.0
        wanted = reward[step] + agents.discount * after - value[step]
        np.testing.assert_allclose(seen["rpe"][step], wanted, atol=1e-6)
    assert not reward[::2].any()  # the first stage pays nothing
    assert reward[1::2].any()


def test_weights_stay_and_episodes_are_the_same_for_all_that_look(agents, seen):
    before = agents.agents.checksum()
    again = agents.record(EPISODES, ("action", "reward"))
    assert agents.agents.checksum() == before
    np.testing.assert_array_equal(again["action"], seen["action"])
    later = agents.record(5, ("action",), first=15)
    np.testing.assert_array_equal(later["action"], seen["action"][:, :, 15:])


def test_seeds_are_different_agents(seen):
    assert (seen["value"][:, 0] != seen["value"][:, 1]).all()


def test_kept_weights_come_back(folder, agents):
    lost = agents.untrained()
    assert lost.agents.checksum() != agents.agents.checksum()
    assert load_weights(lost, folder / "pair.safetensors").agents.checksum() == agents.agents.checksum()


def test_the_untrained_control_is_the_same_seeds_at_birth(folder):
    task = KINDS["Bandit-v0"].model_validate({"kind": "Bandit-v0", "trials": 4, "test_trials": 1})
    run = Run(folder, seeds=2, say=lambda _: None)
    newborn = train_population(run, "later", LSTM(units=6), A2C(updates=0, batch=4), task, births=3)
    assert newborn.untrained().agents.checksum() == newborn.agents.checksum()


def test_a_network_that_forgets_begins_every_trial_alike(agents):
    found = agents.record(EPISODES, ("hidden", "action", "reward"), forget=True)
    first = found["hidden"][2::2]  # first steps of later trials: state 0, and what was told of the last step
    told = np.stack((found["action"][1:-1:2], found["reward"][1:-1:2]), -1)
    same = (told[0, 0, 0] == told[:, 0]).all(-1)
    assert same.sum() > 2
    np.testing.assert_allclose(first[:, 0][same], np.broadcast_to(first[0, 0, 0], first[:, 0][same].shape), atol=1e-6)


def test_silenced_units_are_silent_and_others_are_not(agents, seen):
    found = agents.record(EPISODES, ("hidden", "value"), changes=(Intervention("hidden", "silence", units=[0, 3]),))
    assert not found["hidden"][..., [0, 3]].any()
    assert found["hidden"][..., [1, 2, 4, 5, 6, 7]].all()
    assert (found["value"] != seen["value"]).all()


def test_a_change_at_a_moment_leaves_what_was_before(agents, seen):
    late = Intervention("reward", "clamp", amount=5.0, when=lambda now: torch.full(now.reward.shape, now.step >= 8))
    found = agents.record(EPISODES, ("value",), changes=(late,))
    np.testing.assert_array_equal(found["value"][:8], seen["value"][:8])
    assert (found["value"][8:] != seen["value"][8:]).all()


def test_interventions_that_do_not_exist_are_refused():
    with pytest.raises(ConfigError, match="target is 'hiden', wanted one of hidden"):
        Intervention("hiden", "silence")
    with pytest.raises(ConfigError, match="what is 'kill', wanted one of silence, clamp"):
        Intervention("hidden", "kill")


def test_the_actor_alone_can_be_stimulated_where_it_hears_the_error(folder):
    task = KINDS["Bandit-v0"].model_validate({"kind": "Bandit-v0", "trials": 9, "test_trials": 1})
    run = Run(folder, seeds=1, say=lambda _: None)
    pair = train_population(run, "dopamine", LSTM(units=6, networks="dopamine"), A2C(updates=2, batch=4), task)
    plain = pair.record(EPISODES, ("value", "logits"))
    found = pair.record(EPISODES, ("value", "logits"), changes=(Intervention("rpe", "stimulate", 3.0, core="actor"),))
    np.testing.assert_array_equal(plain["logits"][0], found["logits"][0])  # nothing is told at the first step
    assert (plain["logits"][1] != found["logits"][1]).any()
    silent = pair.record(EPISODES, ("value",), changes=(Intervention("rpe", "stimulate", 3.0, core="critic"),))
    np.testing.assert_array_equal(silent["value"], plain["value"])


def test_a_recording_is_kept_as_labelled_arrays_and_as_a_table(tmp_path, seen):
    some = {name: seen[name] for name in ("action", "rpe", "hidden", "latent.world.place")}
    save_recording(some, tmp_path / "seen", table=True)
    loaded = recording.load(tmp_path / "seen")
    assert loaded["hidden"].dimensions == ("step", "individual", "lifetime", "unit")
    np.testing.assert_array_equal(loaded["rpe"].data.numpy(), seen["rpe"])
    with (tmp_path / "seen.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * TRIALS * 2 * EPISODES
    assert list(rows[0])[:6] == ["step", "seed", "episode", "action", "rpe", "hidden.0"]
    one = next(row for row in rows if (row["step"], row["seed"], row["episode"]) == ("3", "1", "7"))
    assert float(one["rpe"]) == pytest.approx(seen["rpe"][3, 1, 7])
    assert float(one["hidden.5"]) == pytest.approx(seen["hidden"][3, 1, 7, 5])


def test_the_blind_network_is_not_told_the_reward():
    assert not reward_blind(LSTM()).reward_input
