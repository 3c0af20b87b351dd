"""Environments of Gymnasium as tasks: the same numbers, one seed an episode, and what such a task refuses."""

import copy
import importlib.util
import sys
import types
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs import registration
from small_search import small
from torch import Tensor

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.adapters.gymnasium_bridge import TensorEnv, TensorVectorEnv
from metaplastic.tasks.adapters.stateful import SEED_BITS
from metaplastic.tasks.base import Rollout, TensorTask
from metaplastic.tasks.contract.check import ContractError, check_task
from metaplastic.tasks.control.cart_pole import Cart
from metaplastic.tasks.control.pendulum import Swing
from metaplastic.tasks.registry import make
from metaplastic.tasks.scoring import score_of

LIVES = torch.tensor([4, 0, 11, 7, 2])


def theirs(environment: str = "CartPole-v1", **settings: Any) -> TensorTask:
    return make("GymnasiumTask", environment=environment, **settings)


def lived(task: TensorTask, lives: Tensor, steps: int, seed: int = 0) -> Rollout:
    return task.rollout(task.random_policy(lives, seed), lives, steps, seed)


def test_cart_pole_gives_the_numbers_of_our_own():
    task, own = theirs(best=500.0), make("CartPole-v1", trials=1)
    state, now = task.reset(LIVES)
    mine, _ = own.reset(LIVES)
    mine = mine._replace(world=Cart(*now.observation.unbind(-1)))
    policy = task.random_policy(LIVES)
    for t in range(60):
        assert torch.allclose(now.observation, own.observe(mine), atol=1e-4), t
        action = policy(state, now.observation)
        state, now = task.step(state, action)
        mine, wanted = own.step(mine, action)
        assert torch.equal(now.reward, wanted.reward)
        assert torch.equal(now.terminated, wanted.terminated)
        for name in ("trial_end", "responded", "trial"):
            assert torch.equal(getattr(now.info, name), getattr(wanted.info, name)), (t, name)
        going = now.info.weight == 1
        assert torch.equal(now.info.step[going], wanted.info.step[going])
        assert torch.allclose(now.info.score, wanted.info.score)
    assert now.terminated.sum() >= 4  # poles fall
    assert not now.observation[now.terminated].any()


def test_outputs_of_a_pendulum_are_scaled_to_its_torque():
    task, own = theirs("Pendulum-v1", worst=-200 * 16.2736, best=0.0), make("Pendulum-v1", trials=1)
    assert (task.spec.response, task.spec.actions, task.spec.trial_steps) == ("control", 1, 200)
    state, now = task.reset(LIVES)
    mine, _ = own.reset(LIVES)
    cosine, sine, spin = now.observation.unbind(-1)
    mine = mine._replace(world=Swing(torch.atan2(sine, cosine), spin, torch.zeros(5)))
    for t in range(200):
        action = torch.tensor([[0.3], [-2.0], [1.0], [-0.7], [0.0]])  # -2 is as much as -1
        state, now = task.step(state, action)
        mine, wanted = own.step(mine, action)
        assert torch.allclose(now.reward, wanted.reward, atol=1e-2), t
        assert torch.allclose(now.info.score, wanted.info.score, atol=1e-3), t
    assert now.info.trial_end.all()


def test_every_episode_has_the_seed_of_its_life_and_trial():
    task = theirs(trials=2, test_trials=1)
    state, now = task.reset(LIVES, seed=5)
    key = rng.lifetime_keys(5, LIVES)
    trial = 0
    for trial in range(3):
        seeds = (rng.trial_keys(key, trial) & SEED_BITS).tolist()
        peer = gymnasium.make("CartPole-v1")
        assert now.observation[3].tolist() == peer.reset(seed=seeds[3])[0].tolist()
        while not now.info.trial_end[3] or int(state.trial[3]) == trial:
            state, now = task.step(state, torch.zeros(5, dtype=torch.int64))
            if now.terminated[3]:
                break
    assert trial == 2
    assert now.terminated[3]


def test_a_life_depends_on_no_other():
    task = theirs(trials=3)
    together = lived(task, LIVES, 70, seed=1)
    alone = lived(task, LIVES[2:3], 70, seed=1)
    for name in ("observation", "action", "reward"):
        assert torch.equal(getattr(together, name)[:, 2:3], getattr(alone, name)), name
    square = lived(task, LIVES[:4].reshape(2, 2), 70, seed=1)
    assert torch.equal(square.observation.reshape(70, 4, 4), together.observation[:, :4])
    assert not torch.equal(lived(task, LIVES, 70, seed=2).reward, together.reward)


def test_the_environments_are_used_again_and_old_states_refused():
    task = theirs()
    state, first = task.reset(LIVES)
    newer, _ = task.step(state, torch.ones(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="cannot go back; step the newest one"):
        task.step(state, torch.ones(5, dtype=torch.int64))
    again, seen = task.reset(LIVES, reuse=newer)  # pyright: ignore[reportCallIssue]
    assert again.worlds is state.worlds
    assert torch.equal(seen.observation, first.observation)
    with pytest.raises(ValueError, match="there are 3 lifetimes and 5 environments; leave out reuse"):
        task.reset(LIVES[:3], reuse=again)  # pyright: ignore[reportCallIssue]
    again.worlds.close()


def test_a_vector_version_lives_one_episode_a_lane():
    task = theirs(mode="vector", best=500.0)
    rollout = lived(task, LIVES, 120)
    assert (rollout.info.trial_end.sum(0) == 1).all()
    assert torch.equal(rollout.reward.sum(0) / 500, rollout.info.score.sum(0))
    assert torch.equal(lived(task, LIVES, 120).reward, rollout.reward)
    peer = gymnasium.make_vec("CartPole-v1", 5)
    seed = int(rng.trial_keys(rng.lifetime_keys(0, LIVES), 0)[0] & SEED_BITS)
    assert np.array_equal(peer.reset(seed=seed)[0], rollout.observation[0].numpy())


def test_our_own_tasks_come_back_through_gymnasium():
    names = "metaplastic.tasks.adapters.gymnasium_bridge:metaplastic/Bandit-v0"
    settings: dict[str, Any] = {"arms": 3, "trials": 6, "test_trials": 1}
    task = theirs(names, settings=settings, best=7.0, longest=7)
    rollout = lived(task, LIVES, 7)
    own = make("Bandit-v0", **settings)
    seeds = (rng.trial_keys(rng.lifetime_keys(0, LIVES), 0) & SEED_BITS).tolist()
    for lane, seed in enumerate(seeds):
        env = TensorEnv(own)
        env.reset(seed=seed)
        earned = [env.step(int(action))[1] for action in rollout.action[:, lane]]
        assert earned == rollout.reward[:, lane].tolist()


def test_recorded_lives_are_scored_like_those_of_other_tasks():
    task = theirs(best=500.0, trials=2, criterion=0.05)
    rollout = lived(task, LIVES, 150)
    score = score_of(task, rollout)
    assert score.trials.tolist() == [2.0] * 5
    assert torch.allclose(score.score, rollout.reward.sum(0) / 1000)
    assert torch.equal(score.accuracy, (rollout.info.correct == 1).sum(0) / 2)


class Shown(gymnasium.Env):
    """Whatever spaces it is given."""

    def __init__(self, shows: Any, acts: Any) -> None:
        self.observation_space, self.action_space = shows, acts

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        return self.observation_space.sample(), float(np.sum(action)), False, False, {}


BOX = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
TWO = gymnasium.spaces.Discrete(2)


@pytest.fixture
def shown(monkeypatch):
    module = types.ModuleType("shown_environments")
    module.Shown = Shown  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "shown_environments", module)
    monkeypatch.setattr(registration, "registry", copy.copy(registration.registry))
    gymnasium.register("Shown-v0", "shown_environments:Shown", max_episode_steps=5, disable_env_checker=True)
    gymnasium.register("Endless-v0", "shown_environments:Shown", disable_env_checker=True)


def test_a_dict_becomes_channels_and_a_box_of_any_shape_outputs(shown):
    room = gymnasium.spaces.Dict({"light": gymnasium.spaces.Discrete(4), "touch": BOX})
    arm = gymnasium.spaces.Box(np.array([[0, 10], [-4, 0]], np.float32), np.array([[1, 20], [4, 2]], np.float32))
    task = theirs("Shown-v0", settings={"shows": room, "acts": arm}, best=1.0, worst=0.0)
    assert task.spec.channels == {"light": (0, 4), "touch": (4, 7)}
    state, now = task.reset(LIVES)
    assert (now.observation[:, :4].sum(-1) == 1).all()
    state, now = task.step(state, torch.tensor([-1.0, 0.0, 1.0, 0.5]).expand(5, 4))
    assert now.reward.tolist() == [0 + 15 + 4 + 1.5] * 5


def test_actions_are_counted_from_their_first(shown):
    task = theirs("Shown-v0", settings={"shows": BOX, "acts": gymnasium.spaces.Discrete(3, start=-1)}, best=1.0)
    state, _ = task.reset(LIVES)
    assert task.step(state, torch.tensor([0, 1, 2, 0, 2]))[1].reward.tolist() == [-1, 0, 1, -1, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theirs("CartPol-v1").spec, ["environment: CartPol-v1 cannot be made", "CartPole"]),
        (lambda: theirs("no_such_module:A-v0").spec, ["no_such_module:A-v0 cannot be made", "No module named"]),
        (lambda: theirs("Pendulum-v1").spec, ["Pendulum-v1 names no reward threshold; give best"]),
        (lambda: theirs("Pendulum-v1", best=0.0).spec, ["best is 0, wanted more than worst, which is 0"]),
        (lambda: theirs(mode="vector", trials=3), ["one episode a life, and there are 3 trials"]),
        (lambda: theirs("Pendulum-v1", worst=-1.0, best=0.0, mode="vector").reset(LIVES), ["no vector version"]),
        (lambda: theirs().reset(LIVES)[0].worlds.answers.given(torch.zeros(4), (5,)), ["(4,), wanted (5,)"]),
        (lambda: theirs().rollout(lambda *_: LIVES, LIVES, 3, compiled=True), ["cannot be compiled; leave out"]),
        (lambda: theirs().step_(*theirs().reset(LIVES), LIVES), ["cannot be captured in a graph; use step"]),
        (
            lambda: make("WithFeedback", task=theirs()),
            ["is GymnasiumTask, which runs outside of tensors"],
        ),
        (lambda: TensorVectorEnv(theirs(), 3), ["is an environment already; use that itself"]),
        (lambda: small("task={kind: GymnasiumTask, environment: CartPole-v1}"), ["runs outside of tensors", "`reset`"]),
    ],
)
def test_mistakes_say_what_was_wanted(call, words):
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_contract_of_tensor_tasks_is_not_its_own():
    with pytest.raises(ContractError, match="GymnasiumTask: it runs outside of tensors"):
        check_task(theirs())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shows": BOX, "acts": gymnasium.spaces.MultiDiscrete([2, 3])}, "wanted Discrete or a bounded Box; wrap it"),
        ({"shows": BOX, "acts": gymnasium.spaces.Box(-np.inf, np.inf, (1,))}, "wanted Discrete or a bounded Box"),
        ({"shows": gymnasium.spaces.Sequence(BOX), "acts": TWO}, "no fixed number of values"),
    ],
)
def test_spaces_without_a_counterpart_are_refused(shown, settings, words):
    with pytest.raises(ConfigError, match=words):
        _ = theirs("Shown-v0", settings=settings, best=1.0).spec


def test_an_episode_without_end_is_refused_and_cut_if_asked_for(shown):
    settings = {"shows": BOX, "acts": TWO}
    with pytest.raises(ConfigError, match="no longest episode; give longest"):
        _ = theirs("Endless-v0", settings=settings, best=1.0).spec
    rollout = lived(theirs("Endless-v0", settings=settings, best=1.0, longest=4), LIVES, 6)
    assert rollout.info.trial_end.sum(1).tolist() == [0, 0, 0, 5, 0, 0]


HAS_MUJOCO = all(importlib.util.find_spec(name) for name in ("mujoco", "imageio"))


@pytest.mark.skipif(not HAS_MUJOCO, reason="MuJoCo is not installed: pip install 'gymnasium[mujoco]'")
def test_mujoco_ants_live_and_come_again():
    task = theirs("Ant-v5", best=6000.0, longest=20)
    assert (task.spec.observations, task.spec.actions, task.spec.response) == (105, 8, "control")
    rollout = lived(task, LIVES[:2], 21)
    assert rollout.info.trial_end.sum(0).tolist() == [1, 1]
    assert rollout.reward.abs().sum() > 0
    assert torch.equal(lived(task, LIVES[:2], 21).observation, rollout.observation)
