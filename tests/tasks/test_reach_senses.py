"""What is seen of a reach: lags, noise, how the target is shown; and gradients through the body."""

import math
from typing import Any

import pytest
import torch
from reach_lives import BOTH, LIVES, NOW, SHORT, reach, still
from torch import Tensor

from metaplastic.tasks.base import rebuilt


@BOTH
def test_vision_and_proprioception_come_as_late_as_they_should(id):
    delays = {"vision_delay": 70, "proprioception_delay": 20}
    plain, late = (reach(id, timing=NOW, trials=1, **more) for more in ({}, delays))
    fast, slow = (task.rollout(task.random_policy(LIVES), LIVES, 60).observation for task in (plain, late))
    first, end = plain.spec.channels["hand"]
    assert torch.equal(slow[7:, :, first:end], fast[:-7, :, first:end])
    assert torch.equal(slow[2:, :, end:], fast[:-2, :, end:])
    assert torch.equal(slow[:8, :, first:end], fast[:1, :, first:end].expand(8, -1, -1))  # at rest before the trial
    assert torch.equal(slow[:, :, :first], fast[:, :, :first])


@BOTH
@pytest.mark.parametrize("dt", [5.0, 20.0])
def test_noise_has_its_size_on_its_own_channels(id, dt):
    noisy = {"vision_noise": 0.3, "proprioception_noise": 0.5, "vision_delay": 2 * dt}
    task = reach(id, timing={**NOW, "move": 400}, dt=dt, trials=1, **noisy)
    clean = reach(id, timing={**NOW, "move": 400}, dt=dt, trials=1)
    lives = torch.arange(400)
    steps = round(400 / dt)
    noise = task.rollout(still, lives, steps).observation - clean.rollout(still, lives, steps).observation
    first, end = task.spec.channels["hand"]
    count = 400 * steps
    for part, sigma in ((noise[..., first:end], 0.3), (noise[..., end:], 0.5)):
        sd = part.flatten(0, 1).std(0) * math.sqrt(dt)
        assert sd.tolist() == pytest.approx([sigma] * len(sd), rel=5 / math.sqrt(2 * count))
    assert noise[..., :first].abs().max() == 0
    assert abs((noise[1:, :, first] * noise[:-1, :, first]).mean()) < 5 * 0.3**2 / dt / math.sqrt(count)


@pytest.mark.parametrize(("shown", "width"), [("place", 2), ("ring", 16), ("one_hot", 8)])
def test_the_target_is_shown_as_place_bump_or_one_hot(shown, width):
    task = reach("Reach-v0", timing=NOW, shown=shown)
    state, now = task.reset(torch.arange(40))
    code, which = now.observation[:, slice(*task.spec.channels["target"])], state.world.which
    assert code.shape == (40, width)
    assert sorted(which.unique().tolist()) == list(range(8))
    if shown == "place":
        angle = which * math.pi / 4
        torch.testing.assert_close(code, torch.stack((angle.cos(), angle.sin()), -1))
    else:
        assert torch.equal(code.argmax(-1), which * (width // 8))
        assert torch.allclose(code.amax(-1), torch.tensor(0.8 if shown == "ring" else 1.0))


def test_from_memory_the_target_is_shown_in_the_cue_alone():
    task = reach("Reach-v0", timing=SHORT, memory=True, shown="one_hot", trials=1)
    seen = task.rollout(still, LIVES, 110)
    shown = seen.observation[..., slice(*task.spec.channels["target"])].any(-1)
    assert (shown == (seen.info.epoch == 1)).all()


def in_double(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.double() if state.is_floating_point() else state
    return None if state is None else rebuilt(state, [in_double(part) for part in state])


@BOTH
@pytest.mark.parametrize("more", [{}, {"curl": 13, "rotation": [30, 60], "lag": 40, "vision_delay": 20}])
def test_gradients_through_three_steps_are_those_of_finite_differences(id, more):
    task = reach(id, timing=NOW, **more)
    assert task.spec.differentiable
    first = in_double(task.reset(torch.arange(2))[0])

    def lived(*outputs: Tensor) -> Tensor:
        state, told = first, []
        for output in outputs:
            state, now = task.step(state, output)
            told.append(torch.cat((now.observation, now.reward[:, None]), -1))
        return torch.cat(told, -1)

    outputs = [torch.tensor([[0.3, -0.6], [-0.2, 0.5]], dtype=torch.float64) / k for k in (1, 2, 3)]
    assert torch.autograd.gradcheck(lived, [output.requires_grad_() for output in outputs])
    for told in torch.autograd.grad(lived(*outputs)[:, -1].sum(), outputs[:2]):
        assert told.abs().min() > 0


def test_there_is_a_gradient_even_where_the_hand_is_at_the_target():
    task = reach("Reach-v0", timing=NOW, targets=1)
    state, _ = task.reset(torch.arange(1))
    world = state.world._replace(body=state.world.body._replace(position=state.world.target))
    output = torch.zeros(1, 2, requires_grad=True)
    _, now = task.step(state._replace(world=world), output)
    now.reward.sum().backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
