"""Match to sample and its kin: trials by hand, published settings, ideal observers against simulation."""

import math

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare

from metaplastic.tasks.base import one_hot
from metaplastic.tasks.memory.delayed_xor import DelayedXOR
from metaplastic.tasks.memory.match_sample import DelayMatchSample, DelayMatchSampleDistractor1D
from metaplastic.tasks.memory.ring_stimuli import half_circle, one_of_tests, opposite, sharpness

L, N = 5, 200_000


def circle(generator: torch.Generator) -> torch.Tensor:
    return torch.rand(N, generator=generator, dtype=torch.float64) * 2 * math.pi


def seen(angle: torch.Tensor, d: float, generator: torch.Generator) -> torch.Tensor:
    """d (cos, sin) and unit noise."""
    noise = torch.randn(N, 2, generator=generator, dtype=torch.float64)
    return d * torch.stack((angle.cos(), angle.sin()), -1) + noise


def test_a_trial_shows_the_sample_and_then_the_same_or_its_opposite():
    task = DelayMatchSample(units=8, sigma=0.0, preset="neurogym")
    lives = torch.arange(L)
    x, drawn = task.render(lives, 0).x, task.conditions(lives, 0)
    for lane in range(L):
        sample, match = int(drawn["sample"][lane]), bool(drawn["match"][lane])
        angles = torch.arange(8) * math.pi / 4
        for start, end, theta in ((3, 8, sample * math.pi / 4), (18, 23, sample * math.pi / 4 + math.pi * (not match))):
            wanted = (0.5 + 0.5 * torch.cos(angles - theta)).expand(end - start, 8)
            torch.testing.assert_close(x[start:end, lane, 1:], wanted, atol=1e-6, rtol=0)
        assert not x[[*range(3), *range(8, 18), *range(23, 32)], lane, 1:].any()
        assert x[:, lane, 0].tolist() == [1.0] * 23 + [0.0] * 9


def test_match_is_1_and_non_match_2():
    task = DelayMatchSample()
    lives = torch.arange(40)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    due = task.within(batch.epoch, ("decision",)) * torch.ones_like(batch.epoch, dtype=torch.int64)
    says_match = task.judge(one_hot(due, 3), batch).correct
    assert torch.equal(says_match == 1, drawn["match"])
    assert torch.equal(task.judge(one_hot(2 * due, 3), batch).correct, 1 - says_match)


def test_samples_and_matches_come_alike():
    kinds = DelayMatchSample(units=4).conditions(torch.arange(8000), 2)["kind"]
    assert chisquare(kinds.bincount(minlength=8).numpy()).pvalue > 1e-4


@pytest.mark.parametrize(("first", "second"), [(1.0, 2.0), (3.0, 0.7)])
def test_ideal_matching_is_what_the_sign_of_the_product_reaches(first, second):
    generator = torch.Generator().manual_seed(5)
    angle, same = circle(generator), torch.rand(N, generator=generator) < 0.5
    product = seen(angle, first, generator) * seen(angle + math.pi * ~same, second, generator)
    reached = ((product.sum(-1) > 0) == same).double().mean().item()
    assert opposite(16, first, second) == pytest.approx(reached, abs=4 * math.sqrt(0.25 / N))


def test_two_channels_are_a_line():
    """K = 2 at .5 gain: the channels differ by 1, so d = sqrt(T) / (sqrt(2) sigma)."""
    d = sharpness(2, 0.5, 8.0, 2.0)
    assert d == pytest.approx(1.0)
    p = 0.8413447460685429
    assert opposite(2, d, d) == pytest.approx(p * p + (1 - p) ** 2)


def test_half_circles_are_told_by_the_sine():
    generator = torch.Generator().manual_seed(6)
    angle = circle(generator)
    reached = ((seen(angle, 1.3, generator)[:, 1] > 0) == (angle < math.pi)).double().mean().item()
    assert half_circle(1.3) == pytest.approx(reached, abs=4 * math.sqrt(0.25 / N))
    assert half_circle(math.inf) == 1.0


@pytest.mark.parametrize(("first", "second"), [(2.0, 2.0), (4.0, 8.0)])
def test_the_ideal_distractor_observer_is_the_best_of_all_fixed_thresholds(first, second):
    generator = torch.Generator().manual_seed(7)
    angle, match = circle(generator), torch.randint(0, 3, (N,), generator=generator)
    sample = seen(angle, first, generator)

    def log_bessel(v: torch.Tensor) -> torch.Tensor:
        r = v.norm(dim=-1)
        return torch.special.i0e(r).log() + r

    ratios = []
    for k in range(3):
        test = seen(torch.where(match == k, angle, circle(generator)), second, generator)
        a, b = first * sample, second * test
        ratios.append((log_bessel(a + b) - log_bessel(a) - log_bessel(b)).exp())
    reached = 0.0
    for threshold in torch.linspace(0.5, 3, 26):
        went = torch.where(ratios[0] > threshold, 0, torch.where(ratios[1] > 1, 1, 2))
        reached = max(reached, (went == match).double().mean().item())
    ideal = one_of_tests(3, first, second)
    assert reached - 4 * math.sqrt(0.25 / N) <= ideal <= reached + 0.005
    assert one_of_tests(1, first, second) == pytest.approx(1.0)


def test_the_sharper_the_stimuli_the_rarer_a_distractor_passes_for_the_sample():
    errors = [1 - one_of_tests(3, d, d) for d in (30.0, 60.0, 1000.0, 4000.0)]
    assert 1.8 < errors[0] / errors[1] < 2  # sqrt(log d) / d
    assert errors[2] / errors[3] == pytest.approx(4)
    assert one_of_tests(3, math.inf, math.inf) == 1.0


def test_distractor_trials_show_the_sample_again_once():
    task = DelayMatchSampleDistractor1D(preset="distractors", units=9)
    lives = torch.arange(L)
    x, drawn = task.render(lives, 0).x, task.conditions(lives, 0)
    for lane in range(L):
        sample = x[3, lane, 1:]
        same = [torch.equal(x[start, lane, 1:], sample) for start in (18, 33, 48)]
        assert same == [k == drawn["match"][lane] for k in range(3)]
        theta = drawn["angles"][lane, 0]
        torch.testing.assert_close(sample, torch.cos(torch.arange(9) * (2 * math.pi / 9) - theta), atol=1e-6, rtol=0)
        assert not x[[*range(3), *range(8, 18), *range(23, 33), *range(38, 48)], lane, 1:].any()
    assert x[:, :, 0].sum(0).tolist() == [18.0] * L


def test_going_is_right_during_the_match_and_a_false_alarm_costs_1():
    task = DelayMatchSampleDistractor1D(preset="distractors")
    lives = torch.arange(30)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    for k, start in enumerate((18, 33, 48)):
        go = torch.zeros_like(batch.epoch, dtype=torch.int64)
        go[start + 2] = 1
        verdict = task.judge(one_hot(go, 2), batch)
        right = drawn["match"] == k
        assert torch.equal(verdict.reward, torch.where(right, 1.0, -1.0))
        assert torch.equal(verdict.correct == 1, right)
    go = torch.zeros_like(batch.epoch, dtype=torch.int64)
    go[25:27] = 1  # between the tests: early, and the trial goes on
    assert torch.equal(task.judge(one_hot(go, 2), batch).reward, torch.full((30,), -0.2))
    assert chisquare(task.conditions(torch.arange(3000), 1)["match"].bincount(minlength=3).numpy()).pvalue > 1e-4


def test_a_trial_of_exclusive_or_is_that_of_the_published_program():
    task = DelayedXOR()
    lives = torch.arange(40)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    assert len(batch.x) == 300
    assert set(drawn["kind"].tolist()) == {0, 1, 2, 3}
    x, y, w = torch.zeros(300, 40, 2), torch.zeros(300, 40, 1), torch.zeros(300, 40)
    x[50:100, :, 0], x[110:160, :, 1] = drawn["first"].float(), drawn["second"].float()
    y[170:270, :, 0] = (drawn["first"] * drawn["second"]).float()
    w[170:270] = 1
    assert torch.equal(batch.x, x)
    assert torch.equal(batch.y, y)
    assert torch.equal(batch.w, w)


def test_exclusive_or_is_judged_in_the_response_alone():
    task = DelayedXOR()
    batch = task.render(torch.arange(1), 0)
    sign = batch.y[200, 0, 0]
    output = torch.full((300, 1, 1), -7.0) * sign
    output[170:270] = 0.7 * sign
    verdict = task.judge(output, batch)
    assert verdict.reward.item() == pytest.approx(-0.3, abs=1e-6)
    assert verdict.score.item() == pytest.approx(task.spec.criterion, abs=1e-6)
    assert verdict.correct.item() == 1
    assert task.judge(-output, batch).correct.item() == 0


def test_an_odd_ring_has_no_opposites():
    with pytest.raises(ValidationError, match="multiple of 2"):
        DelayMatchSample(units=5)
