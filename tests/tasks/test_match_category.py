"""Categories of directions: halves of the circle by hand, ceilings by simulation, why two channels are too few."""

import math

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare, kstest

from metaplastic.tasks.base import one_hot
from metaplastic.tasks.memory.match_category import DelayMatchCategory, MatchToCategory
from metaplastic.tasks.memory.ring_stimuli import cosine_bump


def test_match_means_the_same_half_of_the_circle():
    drawn = DelayMatchCategory().conditions(torch.arange(4000), 0)
    halves = [(drawn[name] >= math.pi).long() for name in ("sample", "test")]
    assert torch.equal(drawn["label"] == 1, halves[0] == halves[1])
    assert chisquare((2 * halves[0] + halves[1]).bincount(minlength=4).numpy()).pvalue > 1e-4
    assert kstest(drawn["test"].numpy() / (2 * math.pi), "uniform").pvalue > 1e-4


def test_a_trial_shows_both_directions_in_their_times():
    task = DelayMatchCategory(preset="neurogym", sigma=0.0, units=5)
    lives = torch.arange(3)
    x, drawn = task.render(lives, 0).x, task.conditions(lives, 0)
    angles = torch.arange(5) * (2 * math.pi / 5)
    for lane in range(3):
        for steps, name in ((slice(10, 23), "sample"), (slice(43, 56), "test")):
            wanted = 0.5 + 0.5 * torch.cos(angles - drawn[name][lane])
            torch.testing.assert_close(x[steps, lane, 1:], wanted.expand(13, 5), atol=1e-6, rtol=0)
    assert x[:, 0, 0].tolist() == [1.0] * 43 + [0.0] * 13
    assert not x[[*range(10), *range(23, 43)]][..., 1:].any()


def test_two_channels_at_0_and_180_degrees_cannot_tell_the_halves():
    theta = torch.tensor([0.3, 1.2, 2.9])
    assert torch.allclose(cosine_bump(theta, 2, 0.5, 0.5), cosine_bump(-theta, 2, 0.5, 0.5))
    with pytest.raises(ValidationError, match="greater than or equal to 3"):
        DelayMatchCategory(units=2)


def test_the_ceiling_is_what_matched_filters_of_the_shown_frames_reach():
    task = DelayMatchCategory(preset="neurogym", sigma=6.0, units=4)
    lives = torch.arange(6000)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    sines = torch.sin(torch.arange(4) * (math.pi / 2))
    upper = [(batch.x[steps, :, 1:].sum(0) @ sines) > 0 for steps in (slice(10, 23), slice(43, 56))]
    label = torch.where(upper[0] == upper[1], 1, 2)
    reached = (label == drawn["label"]).double().mean().item()
    assert task.spec.ceiling < 0.95
    assert reached == pytest.approx(task.spec.ceiling, abs=4 * math.sqrt(0.25 / 6000))


def test_a_direction_is_told_by_its_part_of_the_circle():
    task = MatchToCategory(categories=3, sigma=0.0)
    lives = torch.arange(300)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    assert torch.equal(drawn["category"], (drawn["angle"] / (2 * math.pi / 3)).long())
    assert chisquare(drawn["category"].bincount(minlength=3).numpy()).pvalue > 1e-4
    due = task.within(batch.epoch, ("decision",))
    assert (task.judge(one_hot((drawn["category"] + 1) * due, 4), batch).correct == 1).all()
    angles = torch.arange(16) * (math.pi / 8)
    away = (angles - drawn["angle"][7]).abs()
    away = torch.minimum(away, 2 * math.pi - away)
    wanted = torch.exp(-(away**2) / 2) / math.sqrt(2 * math.pi)
    torch.testing.assert_close(batch.x[50, 7, 1:], wanted, atol=1e-5, rtol=0)
    assert batch.x[:, 7, 0].tolist() == [1.0] * 120 + [0.0] * 80


def test_the_published_noise_is_5_thousandths_a_step():
    assert MatchToCategory().sigma / math.sqrt(10) == pytest.approx(0.005)


def test_the_ceiling_near_boundaries_is_what_maximum_likelihood_reaches():
    task = MatchToCategory(sigma=2.0)
    lives = torch.arange(4000)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    mean = batch.x[20:120, :, 1:].mean(0)
    grid = (torch.arange(720) + 0.5) * (2 * math.pi / 720)
    away = torch.remainder(torch.arange(16) * (math.pi / 8) - grid[:, None] + math.pi, 2 * math.pi) - math.pi
    bump = torch.exp(-(away**2) / 2) / math.sqrt(2 * math.pi)
    found = ((mean[:, None] - bump) ** 2).sum(-1).argmin(-1)
    reached = ((found >= 360) == (drawn["category"] == 1)).double().mean().item()
    p = task.spec.ceiling
    assert 0.95 < p < 0.985
    assert reached == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 4000))
