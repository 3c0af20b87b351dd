"""Flip-flops: what is held follows the pulses one by one; rates, published settings, scores by hand."""

import pytest
import torch

from metaplastic.core import ConfigError
from metaplastic.tasks.memory.flip_flop import FlipFlop
from metaplastic.tasks.registry import make

ID = "FlipFlop-v0"
L = 7


@pytest.mark.parametrize("trial", [0, 3])
def test_outputs_hold_the_sign_of_the_last_pulse(trial):
    """The loop one would write: a pulse sets its bit, and nothing else does."""
    batch = FlipFlop(rate=20.0, pulse=10.0).render(torch.arange(L), trial)
    assert batch.x.shape == batch.y.shape == (300, L, 3)
    assert set(batch.x.unique().tolist()) == {-1.0, 0.0, 1.0}
    held = batch.x[0]
    for x, y in zip(batch.x, batch.y, strict=True):
        held = torch.where(x != 0, x, held)
        assert torch.equal(y, held)
    assert (batch.w == 1).all()


def test_every_input_begins_with_a_pulse_and_pulses_last_20_ms():
    batch = FlipFlop(rate=0.0).render(torch.arange(L), 0)
    assert (batch.x[:2].abs() == 1).all()
    assert not batch.x[2:].any()
    assert (batch.y == batch.x[0]).all()


@pytest.mark.parametrize("dt", [10.0, 5.0])
def test_pulses_come_at_their_rate_whatever_dt_is_and_with_either_sign_alike(dt):
    """2 Hz: .02 a step of 10 ms; a pulse as long as a step shows every one."""
    task = FlipFlop(dt=dt, pulse=dt)
    x = task.render(torch.arange(500), 0).x[1:]
    count, p = x.numel(), 2 * dt / 1000
    assert (x != 0).double().mean().item() == pytest.approx(p, abs=4 * (p / count) ** 0.5)
    positive = (x[x != 0] > 0).double()
    assert positive.mean().item() == pytest.approx(0.5, abs=4 * 0.5 / len(positive) ** 0.5)


def test_a_new_pulse_replaces_the_old():
    x, y = FlipFlop(rate=100.0, pulse=50.0).render(torch.arange(L), 0)[:2]  # begins at every step
    assert torch.equal(x, y)


def test_lines_for_on_and_off_tell_the_same_pulses():
    signed, lines = make(ID, bits=4), make(ID, preset="memory4")
    assert lines.spec.channels == {"on": (0, 4), "off": (4, 8)}
    assert lines.spec.actions == 4
    a, b = signed.render(torch.arange(L), 1), lines.render(torch.arange(L), 1)
    assert torch.equal(a.y, b.y)
    assert torch.equal(b.x[..., :4] - b.x[..., 4:], a.x)
    assert b.x.min() == 0


def test_the_default_is_the_published_task():
    assert make(ID, preset="sussillo13").model_copy(update={"preset": None}) == FlipFlop()
    assert (FlipFlop().bits, FlipFlop().rate * FlipFlop().dt, FlipFlop().pulse) == (3, 20.0, 20.0)


def test_scores_by_hand():
    task = FlipFlop()
    batch = task.render(torch.arange(L), 0)
    wrong_bit = batch.y * torch.tensor([1.0, 1.0, -1.0])
    halved = 0.5 * batch.y
    silent = torch.zeros_like(batch.y)
    outputs = torch.stack((batch.y, wrong_bit, halved, silent), 1)  # [T, 4 individuals, L, 3]
    verdict = task.judge(outputs, batch)
    torch.testing.assert_close(verdict.score[:, 0], torch.tensor([1, 2 / 3, 1, 0.5]))
    torch.testing.assert_close(verdict.reward[:, 0], torch.tensor([0, -4 / 3, -0.25, -1]))
    assert verdict.correct[:, 0].tolist() == [1, 0, 1, 0]


def test_who_forgets_at_once_is_below_the_criterion():
    """An output that repeats its input is right while a pulse lasts, and half right else."""
    task = FlipFlop()
    batch = task.render(torch.arange(200), 0)
    assert task.judge(batch.x, batch).score.mean() < 0.55 < task.spec.criterion


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 200.0}, ["rate is 200 Hz, wanted at most 100"]),
        ({"pulse": 25.0}, ["pulse is 25 ms", "multiple of dt = 10", "use 20 or 30"]),
        ({"duration": 3005.0}, ["duration is 3005 ms", "use 3000 or 3010"]),
        ({"lines": "onoff"}, ["lines", "did you mean 'on_off'?"]),
        ({"bits": 0}, ["bits", "greater than or equal to 1"]),
        ({"preset": "memory3"}, ["did you mean 'memory4'?"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make(ID, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
