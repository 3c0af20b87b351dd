"""Tasks in Gymnasium and Gymnasium's environments as tasks; EvoTorch and Stable-Baselines3 drive them unmodified."""

import functools
import importlib.util
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from metaplastic import rng
from metaplastic.tasks.adapters.gymnasium_bridge import TensorEnv, TensorVectorEnv, register_gymnasium
from metaplastic.tasks.adapters.lives import LANES
from metaplastic.tasks.registry import TASKS, make
from metaplastic.tasks.wrappers.autoreset import lifetime_of

NAMES = register_gymnasium()
NEED_FILES = {id for id, cls in TASKS.items() if any(field.is_required() for field in cls.model_fields.values())}


SAMPLED = {"yang19": ("go", "ctxdm1", "dms", "readout"), "miconi23": ("nor", "any"), "modcog": ()}
"""of collections whose members share their code, those that are checked every day"""


def checked() -> list[Any]:
    """Every name that needs no files; presets beside the task itself, and siblings, with the slow tests."""
    rows = []
    for name in NAMES:
        made = gymnasium.spec(name).kwargs
        collection, _, member = made["task"].removesuffix("-v0").partition(".")
        is_slow = made["preset"] is not None or member not in SAMPLED.get(collection, (member,))
        if made["task"] not in NEED_FILES:
            rows.append(pytest.param(name, marks=[pytest.mark.slow] * is_slow))
    return rows


@pytest.mark.parametrize("name", checked())
def test_every_task_passes_the_checker_of_gymnasium(name):
    env = gymnasium.make(name, disable_env_checker=True).unwrapped
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*A Box observation space (minimum|maximum) value is -?infinity")
        check_env(env, skip_render_check=True)
    env.close()


def test_every_task_and_preset_has_a_name_and_may_be_registered_twice():
    assert register_gymnasium() == NAMES
    assert "metaplastic/TwoStep.wang18-v0" in NAMES
    assert {gymnasium.spec(name).kwargs["task"] for name in NAMES} == set(TASKS)


def test_who_names_the_module_needs_no_import():
    code = (
        "import gymnasium as g; print(sum(name.startswith('metaplastic/') for name in g.registry))\n"
        "env = g.make('metaplastic.tasks.adapters.gymnasium_bridge:metaplastic/Bandit-v0', arms=3)\n"
        "print(env.action_space, env.reset(seed=3)[0].shape, g.make('metaplastic/TMaze-v0').action_space)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", "Discrete(3)", "(1,)", "Discrete(3)"], done.stderr


def test_make_gives_one_life_and_make_vec_many():
    env = gymnasium.make("metaplastic/Bandit-v0", arms=3, trials=4, test_trials=1)
    observation, _ = env.reset(seed=3)
    assert env.observation_space.contains(observation)
    over = [env.step(1)[2] for _ in range(5)]
    assert over == [False, False, False, False, True]
    envs = gymnasium.make_vec(
        "metaplastic/TwoStep.wang18-v0", 5, vectorization_mode="vector_entry_point", trials=3, test_trials=0
    )
    assert isinstance(envs.unwrapped, TensorVectorEnv)
    assert envs.reset(seed=1)[0].shape == (5, 6)
    for _ in range(4):
        observation, reward, terminated, _, infos = envs.step(envs.action_space.sample())
    assert (observation.shape, reward.shape, terminated.dtype) == ((5, 6), (5,), np.bool_)
    assert infos["trial"].tolist() == [1] * 5


def test_a_seed_means_the_same_lives_in_any_number_of_lanes():
    task = make("Bandit-v0", arms=3, trials=6, test_trials=1)
    many, one, few = TensorVectorEnv(task, 5), TensorEnv(task), TensorVectorEnv(task, 2)
    wanted = task.decisions(7 * LANES + torch.arange(5), 0, 7).payoff[..., 2].numpy()
    for env in (many, one, few):
        env.reset(seed=7)
    seen = np.stack([many.step(np.full(5, 2))[1] for _ in range(7)])
    assert np.array_equal(seen, wanted)
    assert [one.step(2)[1] for _ in range(7)] == wanted[:, 0].tolist()
    assert np.array_equal(np.stack([few.step(np.full(2, 2))[1] for _ in range(7)]), wanted[:, :2])
    many.reset(seed=[7, 7, 9, 11, 7])
    again = np.stack([many.step(np.full(5, 2))[1] for _ in range(7)])
    assert np.array_equal(again[:, 0], wanted[:, 0])
    assert np.array_equal(again[:, 1], wanted[:, 0])
    assert not np.array_equal(again[:, 2], wanted[:, 2])


@pytest.mark.parametrize("by_end", [True, False])
def test_the_next_life_has_the_next_key(by_end):
    task = make("Bandit-v0", arms=3, trials=3, test_trials=1)
    envs, env = TensorVectorEnv(task, 5), TensorEnv(task)
    key = rng.lifetime_keys(0, 2 * LANES + torch.arange(5))
    envs.reset(seed=2)
    env.reset(seed=2)
    for life in (1, 2):
        for _ in range(4 if by_end else 0):
            envs.step(np.ones(5, dtype=np.int64))
        if not by_end:
            envs.reset()
        env.reset()
        wanted = task.decisions(lifetime_of(rng.episode_keys(key, life)), 0, 1).payoff[0, :, 1]
        assert env.step(1)[1] == wanted[0]
        if not by_end:
            assert np.array_equal(envs.step(np.ones(5, dtype=np.int64))[1], wanted.numpy())
        else:
            assert envs._state.kept.over.tolist() == [life] * 5


def test_a_life_that_ends_shows_its_last_frame_beside_the_first_of_the_next():
    task = make("TwoStep-v0", trials=2, test_trials=0, feedback=False)
    envs = TensorVectorEnv(task, 3)
    envs.reset(seed=0)
    assert envs.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    for step in range(1, 9):
        observation, _, terminated, truncated, infos = envs.step(np.zeros(3, dtype=np.int64))
        assert terminated.all() == (step % 4 == 0)
        assert not truncated.any()
        assert ("final_obs" in infos) == (step % 4 == 0)
        if "final_obs" in infos:
            assert infos["_final_obs"].tolist() == [True] * 3
            assert not infos["final_obs"].any()  # nothing is seen after a life
            assert observation.tolist() == [[1, 0, 0]] * 3


def test_without_a_seed_lives_differ():
    task = make("Bandit-v0", arms=9, trials=30)
    rows = []
    for _ in range(2):
        envs = TensorVectorEnv(task, 5)
        envs.reset()
        rows.append(np.stack([envs.step(np.zeros(5, dtype=np.int64))[1] for _ in range(30)]))
    assert not np.array_equal(*rows)


def test_tensors_stay_tensors_where_they_are_wanted():
    envs = TensorVectorEnv("DelayNonMatchSample-v0", 3, output="torch", dt=20.0, delay=200.0, onset=0.0)
    observation, infos = envs.reset(seed=0)
    assert isinstance(observation, torch.Tensor)
    assert isinstance(infos["target"], torch.Tensor)
    told = envs.step(torch.zeros(3, 1))
    assert all(isinstance(part, torch.Tensor) for part in (*told[:4], *told[4].values()))
    assert envs.single_action_space == gymnasium.spaces.Box(-1, 1, (1,), np.float32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TensorVectorEnv("Bandit-v0", 3, output="jax"), ["'jax'", "numpy or torch"]),
        (lambda: TensorVectorEnv("Bandit-v0", 0), ["num_envs is 0"]),
        (lambda: TensorVectorEnv("Bandt-v0", 3), ["did you mean 'Bandit-v0'?"]),
        (lambda: TensorVectorEnv("Bandit-v0", 3).step(np.zeros(3)), ["call reset first"]),
        (lambda: TensorEnv("Bandit-v0").step(0), ["call reset first"]),
        (lambda: TensorVectorEnv(make("Bandit-v0"), 3, arms=3), ["{'arms': 3}", "give its id"]),
        (lambda: _started(3).step(np.zeros(4)), ["(4,)", "(3,)"]),
        (lambda: _started(3).reset(seed=[1, 2]), ["2 seeds", "each of 3 lanes"]),
        (lambda: _started(3).reset(seed=[1, 2, 1 << 44]), ["[0, 2^43)"]),
    ],
)
def test_mistakes_say_what_was_wanted(call, words):
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def _started(count: int) -> TensorVectorEnv:
    envs = TensorVectorEnv("Bandit-v0", count)
    envs.reset(seed=0)
    return envs


def test_evotorch_drives_it_with_tensors():
    from evotorch.algorithms import PGPE
    from evotorch.neuroevolution import VecGymNE

    maker = functools.partial(TensorVectorEnv, "Bandit-v0", output="torch", structure="easy", arms=2, trials=19)
    problem = VecGymNE(maker, "Linear(obs_length, act_length)", num_actors=0)
    search = PGPE(problem, popsize=12, center_learning_rate=0.5, stdev_learning_rate=0.1, stdev_init=0.3)
    search.run(3)
    assert problem.solution_length == 2 * 1 + 2
    assert 0 <= search.status["pop_best_eval"] <= 39


HAS_SB3 = importlib.util.find_spec("stable_baselines3") is not None


@pytest.mark.skipif(not HAS_SB3, reason="Stable-Baselines3 is not installed: pip install stable-baselines3")
def test_stable_baselines_learns_in_it():
    from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.env_checker import check_env as check  # pyright: ignore[reportMissingImports]

    timing = {"fixation": 100, "stimulus": 0, "decision": 100}  # a reaction: nothing has to be remembered
    settings = {"dt": 100, "timing": timing, "sigma": 0.0, "coherences": [1.0], "trials": 20, "early": "penalise"}
    env = gymnasium.make("metaplastic/PerceptualDecisionMaking-v0", rewards="shaped", **settings)
    check(env.unwrapped)
    learner = PPO("MlpPolicy", env, seed=1, n_steps=256, batch_size=64, gamma=0.5, learning_rate=3e-3)
    learner.learn(3_000)
    scores = []
    observation, _ = env.reset(seed=5)
    over = False
    while not over:
        action, _ = learner.predict(observation, deterministic=True)
        observation, _, over, _, info = env.step(action)
        scores += [float(info["score"])] if info["trial_end"] else []
    assert np.mean(scores) > 0.9  # chance is .5
