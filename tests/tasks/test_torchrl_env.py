"""Tasks in TorchRL: its own checks, the numbers of our loop, and lives that follow one another lane by lane."""

import pytest
import torch

from metaplastic.tasks.adapters.lives import LANES
from metaplastic.tasks.registry import make

torchrl = pytest.importorskip("torchrl", reason="TorchRL is not installed: pip install torchrl")

from torchrl.envs import check_env_specs  # noqa: E402  # pyright: ignore[reportMissingImports]

from metaplastic.tasks.adapters.torchrl_env import TensorTaskEnv  # noqa: E402

IDS = ("Bandit-v0", "CartPole-v1", "DelayNonMatchSample-v0", "PathHoming-v0", "Pendulum-v1", "TMaze-v0", "TwoStep-v0")


@pytest.mark.parametrize("id", IDS)
def test_it_passes_the_checks_of_torchrl(id):
    check_env_specs(TensorTaskEnv(id, 3))


@pytest.mark.parametrize("id", IDS)
def test_a_rollout_has_the_numbers_of_our_own_loop(id):
    task = make(id)
    env = TensorTaskEnv(task, 3)
    env.set_seed(7)
    seen = env.rollout(25, break_when_any_done=False)
    lives = 7 * LANES + torch.arange(3)
    actions = iter(seen["action"].unbind(1))
    own = task.rollout(lambda *_: next(actions), lives, 25)
    assert seen["observation"].shape == (3, 25, task.spec.observations)
    assert torch.equal(seen["observation"].transpose(0, 1), own.observation)
    assert torch.equal(seen["next", "reward"][..., 0].T, own.reward)
    for name in ("trial", "weight", "score", "target"):
        assert torch.equal(seen["next", name].transpose(0, 1), getattr(own.info, name)), name


def test_a_step_is_a_function_of_what_it_is_given():
    env = TensorTaskEnv("Bandit-v0", 3, arms=2)
    first = env.reset()
    once = env.step(first.clone().set("action", torch.tensor([0, 1, 0])))
    again = env.step(first.clone().set("action", torch.tensor([0, 1, 0])))
    assert torch.equal(once["next", "reward"], again["next", "reward"])
    assert torch.equal(once["next", "observation"], again["next", "observation"])


def test_lanes_begin_their_next_life_on_their_own():
    task = make("CartPole-v1", trials=1)
    env = TensorTaskEnv(task, 5)
    env.set_seed(3)
    seen = env.rollout(80, break_when_any_done=False)
    done = seen["next", "done"][..., 0]
    assert done.any(1).all()  # poles fall
    assert len({tuple(row.tolist()) for row in done}) > 1
    ends = done.nonzero()
    starts = torch.stack([seen["observation"][lane, t + 1] for lane, t in ends.tolist() if t < 79])
    assert (starts.abs() <= 0.05).all()
    assert len(starts.unique(dim=0)) == len(starts)
    before = seen["observation"][done.roll(1, 1) | (torch.arange(80) == 0)]
    assert len(before.unique(dim=0)) == len(before)


def test_resets_and_seeds():
    env = TensorTaskEnv("CartPole-v1", 3)
    env.set_seed(2)
    first, second = env.reset()["observation"], env.reset()["observation"]
    assert not torch.equal(first, second)
    env.set_seed(2)
    assert torch.equal(env.reset()["observation"], first)
    other = TensorTaskEnv("CartPole-v1", 5)
    other.set_seed(2)
    assert torch.equal(other.reset()["observation"][:3], first)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TensorTaskEnv("Bandit-v0", 0), "lanes is 0, wanted a number in"),
        (lambda: TensorTaskEnv("Bandt-v0", 3), "did you mean 'Bandit-v0'"),
        (lambda: TensorTaskEnv(make("Bandit-v0"), 3, arms=3), "settings are {'arms': 3} beside a task"),
    ],
)
def test_mistakes_say_what_was_wanted(call, words):
    with pytest.raises(ValueError, match=words):
        call()
