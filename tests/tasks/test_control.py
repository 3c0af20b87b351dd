"""The classic control tasks: beside Gymnasium's own, by hand, by law, and what their controllers reach."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from one_graph import check_one_graph
from torch import Tensor

from metaplastic.core import ConfigError
from metaplastic.tasks.base import leaves
from metaplastic.tasks.control import cart_pole, mountain_car, pendulum
from metaplastic.tasks.control.acrobot import Links
from metaplastic.tasks.control.base import ControlTask
from metaplastic.tasks.control.cart_pole import Cart
from metaplastic.tasks.control.mountain_car import Car
from metaplastic.tasks.control.pendulum import Swing
from metaplastic.tasks.control.world_values import measure
from metaplastic.tasks.registry import make

IDS = (
    "Acrobot-v1",
    "CartPole-v1",
    "CartPoleSwingUp-v0",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
)
STEPS = 105
"""steps beside Gymnasium"""


def world_of(id: str, state: np.ndarray, dtype: torch.dtype) -> Any:
    """Our world in the place of Gymnasium's state, one lane."""
    parts = [torch.tensor([float(value)], dtype=dtype) for value in state]
    nothing = torch.zeros(1, dtype=dtype)
    return {
        "Acrobot-v1": lambda: Links(*parts),
        "CartPole-v1": lambda: Cart(*parts),
        "MountainCar-v0": lambda: Car(*parts, nothing),
        "MountainCarContinuous-v0": lambda: Car(*parts, nothing),
        "Pendulum-v1": lambda: Swing(*parts, nothing),
    }[id]()


def told(id: str, action: Tensor) -> Any:
    """Our action as Gymnasium's."""
    if id == "Pendulum-v1":
        return (2 * action[0]).numpy()
    return action[0].numpy() if id == "MountainCarContinuous-v0" else int(action[0])


def tolerance(id: str, dtype: torch.dtype) -> float:
    """1e-4 in float32; where upright is unstable, which multiplies rounding (by e^8 in 100 steps of a pole), 1e-3.
    In float64 1e-7, but the continuous car is float32 in Gymnasium."""
    if dtype == torch.float64:
        return 1e-5 if id == "MountainCarContinuous-v0" else 1e-7
    return 1e-3 if id in ("CartPole-v1", "Pendulum-v1") else 1e-4


def beside_gymnasium(
    id: str, seed: int, choose: Callable[[int, Any, ControlTask], Tensor], dtype: torch.dtype
) -> list[int]:
    """Both step with the same actions, and everything agrees. Gives the lengths of the episodes that were whole."""
    close = tolerance(id, dtype)
    peer = gymnasium.make(id).unwrapped
    task = make(id, trials=50)
    assert isinstance(task, ControlTask)
    peer.reset(seed=seed)
    state, now = task.reset(torch.tensor([seed]))
    state = state._replace(world=world_of(id, peer.state, dtype))  # pyright: ignore[reportAttributeAccessIssue]
    lengths, steps = [], 0
    for t in range(STEPS):
        action = choose(t, state, task)
        seen, reward, terminated, _, _ = peer.step(told(id, action))
        state, now = task.step(state, action)
        steps += 1
        assert now.reward.item() == pytest.approx(reward, abs=close, rel=close), (t, id)
        assert bool(now.info.trial_end) == (terminated or steps == task.spec.trial_steps), t
        if terminated:
            lengths.append(steps)
            steps = 0
            peer.reset()
            state = state._replace(world=world_of(id, peer.state, dtype))  # pyright: ignore[reportAttributeAccessIssue]
            continue
        wanted = torch.from_numpy(seen).to(dtype)
        torch.testing.assert_close(now.observation[0], wanted, atol=close, rtol=max(close, 2e-7))
    return lengths


def at_random(t: int, state: Any, task: ControlTask) -> Tensor:
    return task.random_policy(torch.tensor([7]))(state._replace(step=state.step * 0 + t), None)  # pyright: ignore[reportArgumentType]


def by_controller(t: int, state: Any, task: ControlTask) -> Tensor:
    return task.oracle(state)


@pytest.mark.parametrize(("dtype", "seed"), [(torch.float32, 2), (torch.float64, 1)])
@pytest.mark.parametrize("id", [id for id in IDS if id != "CartPoleSwingUp-v0"])
def test_every_step_at_random_is_gymnasiums(id, seed, dtype):
    lengths = beside_gymnasium(id, seed, at_random, dtype)
    assert len(lengths) >= 2 or id != "CartPole-v1"  # poles fall


@pytest.mark.parametrize("id", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_step_of_the_controller_is_gymnasiums(id, dtype):
    lengths = beside_gymnasium(id, 5, by_controller, dtype)
    assert bool(lengths) == (id in ("Acrobot-v1", "MountainCar-v0"))  # these arrive within STEPS


def test_a_push_of_the_cart_by_hand():
    cart = Cart(*(torch.tensor([value]) for value in (0.0, 0.0, 0.0, 0.0)))
    after = cart_pole.moved(cart, cart_pole.body(1.0, 1.0), torch.tensor([10.0]))
    turning = -(10 / 1.1) / (0.5 * (4 / 3 - 0.1 / 1.1))
    assert after.x.item() == 0
    assert after.spin.item() == pytest.approx(0.02 * turning)
    assert after.v.item() == pytest.approx(0.02 * (10 / 1.1 - 0.05 * turning / 1.1))


def test_lighter_or_turned_bodies_move_as_the_equations_say():
    swing = Swing(*(torch.tensor([value]) for value in (0.3, 0.0, 0.0)))
    task = make("Pendulum-v1", per_lifetime_physics=True)
    life = task.birth(torch.tensor([5]))
    life = life._replace(mass=torch.tensor([0.5]), length=torch.tensor([2.0]), force=torch.tensor([-1.5]))
    told = task.advance(torch.tensor([1]), life, swing, torch.tensor([[0.25]]), torch.tensor([0]))
    spin = (15 / 2.0 * math.sin(0.3) + 3 * -1.5 / (0.5 * 4) * 0.5) * 0.05
    assert told.world.spin.item() == pytest.approx(spin, rel=1e-6)
    assert told.reward.item() == pytest.approx(-(0.09 + 0.001 * 0.25), rel=1e-5)


def test_bodies_are_drawn_within_their_ranges_and_turned_half_of_the_time():
    task = make("CartPole-v1", preset="meta")
    life = task.birth(torch.arange(20_000) * 7919)
    for factor, octaves in ((life.mass, 1.0), (life.length, 0.5), (life.force.abs(), 0.5)):
        log = factor.log2()
        assert -octaves <= log.min() < -0.99 * octaves
        assert 0.99 * octaves < log.max() <= octaves
        assert abs(log.mean()) < 4 * octaves / math.sqrt(3 * len(log))
    turned = (life.force < 0).double().mean().item()
    assert abs(turned - 0.5) < 4 * 0.5 / math.sqrt(20_000)


@pytest.mark.parametrize("id", IDS)
def test_a_life_keeps_its_body_and_hides_what_it_should(id):
    task = make(id, preset="meta", trials=3)
    assert not [name for name in task.spec.channels if name.endswith("velocity")]
    assert task.spec.observations == len(make(id, no_velocity=True).spec.channels) + task.spec.actions + 1
    lifetimes = torch.arange(5)
    first, _ = task.reset(lifetimes)
    state, _ = task.step(first, task.random_policy(lifetimes)(first, None))  # pyright: ignore[reportArgumentType]
    assert all(map(torch.equal, leaves(first.life), leaves(state.life)))
    assert "meta-learning" in task.tags_of_settings()


def test_carts_begin_uniformly_and_their_four_numbers_are_unrelated():
    count = 40_000
    state, _ = make("CartPole-v1").reset(torch.arange(count))
    drawn = torch.stack(tuple(state.world)).double()  # two of them from each word
    assert drawn.abs().max() <= 0.05
    bins = torch.stack([torch.histc(row, 20, -0.05, 0.05) for row in drawn])
    assert ((bins - count / 20).square() / (count / 20)).sum(-1).max() < 55  # chi squared of 19, p 2e-5
    assert (torch.corrcoef(drawn) - torch.eye(4)).abs().max() < 5 / math.sqrt(count)


def test_a_fallen_pole_scores_the_steps_it_stood():
    task = make("CartPole-v1", trials=1)
    seen = task.rollout(lambda state, _: torch.ones_like(state.trial), torch.arange(3), 15)
    assert (seen.info.trial_end.sum(0) == 1).all()
    assert torch.equal(seen.info.score.sum(0), seen.reward.sum(0) / 500)


def test_the_wall_stops_the_car():
    car = Car(torch.tensor([-1.19]), torch.tensor([-0.05]), torch.tensor([0.0]))
    after = mountain_car.moved(car, torch.tensor([-0.001]))
    assert after.x.item() == torch.tensor(-1.2).item()
    assert after.v.item() == 0


def test_angles_are_wrapped():
    angles = torch.tensor([3.5, -3.5, 0.5, 7.0])
    assert pendulum.wrapped(angles).tolist() == pytest.approx(
        [3.5 - 2 * math.pi, 2 * math.pi - 3.5, 0.5, 7 - 2 * math.pi], abs=1e-6
    )


def test_the_kept_gains_are_those_of_the_regulator_and_bring_the_cart_to_rest():
    assert cart_pole.lqr() == pytest.approx(cart_pole.GAINS, abs=1e-5)
    cart = Cart(*(torch.tensor([value], dtype=torch.float64) for value in (0.4, 0.0, 0.05, 0.0)))
    for _ in range(400):
        cart = cart_pole.moved(cart, cart_pole.body(1.0, 1.0), cart_pole.feedback(cart))
    assert all(abs(part.item()) < 1e-3 for part in cart)


def test_the_return_of_the_pendulum_follows_from_its_score():
    task = make("Pendulum-v1", trials=1)
    lifetimes = torch.arange(5)
    seen = task.rollout(task.random_policy(lifetimes), lifetimes, 200)
    wanted = 200 * pendulum.WORST * (seen.info.score[-1] - 1)
    torch.testing.assert_close(seen.reward.sum(0), wanted, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("id", ["CartPoleSwingUp-v0", "MountainCarContinuous-v0", "Pendulum-v1"])
def test_gradients_of_the_reward_reach_the_outputs(id):
    task = make(id)
    assert task.spec.differentiable
    state, _ = task.reset(torch.arange(3))
    output = torch.full((3, 1), 0.3, requires_grad=True)
    state, _ = task.step(state, output)
    state, now = task.step(state, torch.zeros(3, 1))
    (now.observation.sum() + now.reward.sum()).backward()
    assert output.grad is not None
    assert output.grad.abs().min() > 0


def test_a_step_compiles_to_one_graph_and_is_compiled_once():
    check_one_graph(*((id, {"preset": preset}) for id in IDS for preset in (None, "meta")))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make("CartPole-v1", per_lifetime_physic=True), ["did you mean 'per_lifetime_physics'?"]),
        (lambda: make("Acrobot-v1", preset="gym"), ["preset is 'gym'", "gymnasium, meta"]),
        (lambda: make("Pendulum-v1", trials=0), ["trials", "greater than or equal to 1"]),
    ],
)
def test_wrong_settings_are_told(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("id", IDS)
def test_chance_and_oracle_are_what_is_measured_again(id, drawn):
    task = make(id, per_lifetime_physics=drawn)
    for who, claimed in (("random", task.spec.chance), ("oracle", task.spec.oracle)):
        mean, error = measure(task, who, 4096, first=5_000_000)  # pyright: ignore[reportArgumentType]
        rare = 0.002 if claimed == 0 else 0.0
        assert abs(mean - claimed) <= 4 * error + 1e-4 + rare, (who, mean, error)
