"""Few-shot regression: what is told when, two points tell the wave, and the score of random outputs."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest

from metaplastic.core import ConfigError
from metaplastic.tasks.association.few_shot_regression import FewShotRegression, random_score
from metaplastic.tasks.registry import make


def test_each_point_is_told_one_step_later_and_queries_are_not():
    batch = FewShotRegression(shots=3, queries=4).render(torch.arange(5), 1)
    x, y, told = batch.x.unbind(-1)
    assert batch.x.shape == (7, 5, 3)
    assert told[:, 0].tolist() == [0, 1, 1, 1, 0, 0, 0]
    assert torch.equal(y[1:4], batch.y[:3, :, 0])
    assert (y[told == 0] == 0).all()
    assert batch.w[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert batch.epoch[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert x.abs().max() <= 5


def test_two_points_tell_the_wave():
    """y = a sin x + b cos x: solve for a and b, then answer; the ceiling."""
    task = FewShotRegression(shots=2, queries=5)
    batch = task.render(torch.arange(300), 0)
    x, y = batch.x[..., 0].double(), batch.y[..., 0].double()
    features = torch.stack((x.sin(), x.cos()), -1).transpose(0, 1)  # [L, S, 2]
    wave = torch.linalg.lstsq(features[:, :2], y[:2].T[..., None]).solution
    answer = (features @ wave).transpose(0, 1).float()
    verdict = task.judge(answer, batch)
    assert verdict.score.median() > 1 - 1e-6
    assert verdict.score.mean() > 0.99  # two points nearly pi apart tell it less exactly in float32
    amplitude = wave.squeeze(-1).norm(dim=-1)
    assert kstest(((amplitude - 0.1) / 4.9).clamp(0, 1).numpy(), "uniform").pvalue > 1e-4
    phase = torch.atan2(-wave[:, 1, 0], wave[:, 0, 0])  # A sin(x - phi)
    assert kstest((phase / math.pi).numpy(), "uniform").pvalue > 1e-4


def test_the_score_falls_with_the_error_and_the_reward_is_its_square():
    task = FewShotRegression(shots=2, queries=2)
    batch = task.render(torch.arange(3), 0)
    output = batch.y.clone()
    output[:2] = 7.0  # supports are not judged
    output[2] += 1.0
    output[3] -= 0.5
    verdict = task.judge(output, batch)
    assert torch.allclose(verdict.score, torch.full((3,), (1 / 2 + 1 / 1.25) / 2))
    assert torch.allclose(verdict.reward, torch.full((3,), -(1 + 0.25) / 2))
    assert (task.judge(batch.y, batch).score == 1).all()


def test_the_score_of_random_outputs_is_that_of_their_integral():
    at = 0.7 * math.sin(0.3)
    integral = quad(lambda z: 0.5 / (1 + (z - at) ** 2), -1, 1)[0]
    assert (math.atan(1 - at) + math.atan(1 + at)) / 2 == pytest.approx(integral)
    assert random_score(0.0, 1e-6) == pytest.approx(math.pi / 4)
    lives = 3000
    task = FewShotRegression()
    batch = task.render(torch.arange(lives), 0)
    score = task.judge(task.random_outputs(torch.arange(lives), 0, batch), batch).score
    assert abs(score.mean() - task.spec.chance) < 4 * score.std() / math.sqrt(lives)


def test_the_published_waves():
    task, five = (make("FewShotRegression-v0", preset=preset) for preset in ("finn17", "finn17_5shot"))
    assert isinstance(task, FewShotRegression)
    assert isinstance(five, FewShotRegression)
    assert (task.shots, five.shots, task.lowest, task.highest) == (10, 5, 0.1, 5.0)
    assert task.spec.reward_range == (-36.0, 0.0)


def test_wrong_settings_are_told():
    with pytest.raises(ConfigError, match="lowest is 2, wanted at most highest = 1"):
        make("FewShotRegression-v0", lowest=2.0, highest=1.0)
    with pytest.raises(ConfigError, match="shots"):
        make("FewShotRegression-v0", shots=1)
