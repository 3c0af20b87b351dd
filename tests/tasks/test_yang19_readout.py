"""Yang et al. 2019 with the published targets: outputs by hand, what counts as right, the published loss as reward."""

import math

import pytest
import torch

from metaplastic.core import ConfigError
from metaplastic.tasks.registry import make
from metaplastic.tasks.yang19.readout import Yang19Readout
from metaplastic.tasks.yang19.ring import bump
from metaplastic.tasks.yang19.tasks import id_of

LIVES = torch.arange(5)
DEGREE = math.pi / 180


def readout(name: str, **settings) -> Yang19Readout:
    task = make("yang19.readout-v0", task={"kind": id_of(name), **settings})
    assert isinstance(task, Yang19Readout)
    return task


def test_published_targets_by_hand():
    task = readout("go", places="units")
    seen = task.render(LIVES[:3], 0)
    length, goal = int(seen.drawn.length[0]), float(seen.drawn.values.conditions.goal[0])
    unit, cue = round(goal * 16 / math.pi), length - 25
    assert seen.y[: length - 25, 0, 0].eq(0.8).all()
    assert seen.y[:cue, 0, 1:].eq(0.05).all()
    after = seen.y[cue:length, 0]
    assert after[:, 0].tolist() == pytest.approx([0.05] * 25)
    assert after[:, 1 + unit].tolist() == pytest.approx([0.85] * 25)
    assert after[:, 1 + (unit + 2) % 32].tolist() == pytest.approx([0.05 + 0.8 * math.exp(-0.5)] * 25)


@pytest.mark.parametrize(
    ("degrees", "fixation", "wanted"), [(0, 0.4, 1), (35, 0.4, 1), (37, 0.4, 0), (-35, 0.4, 1), (0, 0.6, 0)]
)
def test_only_where_the_last_outputs_point_counts(degrees, fixation, wanted):
    task = readout("anti")
    seen = task.render(LIVES, 0)
    angle = torch.remainder(seen.drawn.values.conditions.goal + degrees * DEGREE, 2 * math.pi)
    output = torch.zeros_like(seen.y)
    for lane in range(5):
        output[int(seen.drawn.length[lane]) - 1, lane, 1:] = bump(angle[lane], 32)
    output[..., 0] = fixation
    assert task.judge(output, seen).score.tolist() == [wanted] * 5


def test_the_reward_is_the_published_loss():
    task = readout("dnms")
    seen = task.render(LIVES[:2], 0)
    error = (0.3 - seen.y[:, 0].double()) ** 2
    mask = torch.ones(33, dtype=torch.float64)
    mask[0] = 2.0
    weights = seen.w[:, 0, None].double() * mask
    wanted = -(error * weights).sum() / weights.sum() / 1.0
    weight_of_a_step = 34.0
    assert weights.sum() == seen.w[:, 0].double().sum() * weight_of_a_step
    assert task.judge(torch.full_like(seen.y, 0.3), seen).reward[0].item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: readout("fdgo"), ["task", "yang19.fdgo-v0", "did you mean"]),
        (lambda: make("yang19.readout-v0", task={"kind": "Bandit-v0"}), ["task", "Bandit-v0"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
