"""Ideal observers: against closed forms, quadrature by scipy, and simulation."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from metaplastic.tasks.durations import Duration
from metaplastic.tasks.perception import ideal

SECOND = Duration.read(1000)


def test_two_channels_by_hand():
    assert ideal.two_channels((0.1,), SECOND, 10.0, 2.0) == pytest.approx(
        norm.cdf(0.1 * math.sqrt(1000) / math.sqrt(8))
    )
    assert ideal.two_channels((0.0, 1.0), SECOND, 10.0, 0.0) == pytest.approx(0.75)


@pytest.mark.parametrize(("directions", "coherence"), [(3, 0.1), (5, 0.03), (32, 0.2)])
def test_a_ring_is_decided_by_the_angle_of_a_displaced_normal(directions, coherence):
    d, half = coherence * math.sqrt(directions * 1000 / 8) / 1.5, math.pi / directions

    def along(x: float) -> float:  # P(|y| < x tan(half)) at a distance x along the direction
        return norm.pdf(x - d) * (2 * norm.cdf(x * math.tan(half)) - 1)

    wanted = quad(along, 0, d + 10)[0]
    assert ideal.ring((coherence,), SECOND, 10.0, 1.5, directions) == pytest.approx(wanted, abs=1e-6)


def test_a_ring_without_evidence_is_a_guess_and_without_noise_is_certain():
    assert ideal.ring((0.0,), SECOND, 10.0, 1.0, 7) == pytest.approx(1 / 7)
    assert ideal.ring((0.3,), SECOND, 10.0, 0.0, 7) == pytest.approx(1.0)


def test_two_normals_are_cut_in_the_middle_of_even_and_off_it_of_uneven_chances():
    means, prizes = torch.tensor([0.0, 2.0]), torch.eye(2)
    even = ideal.frequencies(means, torch.tensor([0.5, 0.5]), prizes)
    assert even[:, 0].tolist() == pytest.approx([norm.cdf(1), norm.cdf(-1)], abs=2e-3)
    cut = 1 + math.log(3) / 2
    uneven = ideal.frequencies(means, torch.tensor([0.75, 0.25]), prizes)
    assert uneven[:, 0].tolist() == pytest.approx([norm.cdf(cut), norm.cdf(cut - 2)], abs=2e-3)


def test_two_numbers_of_which_one_tells_nothing_are_one_number():
    chances, prizes = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.2]])
    one = torch.tensor([0.0, 1.3, 2.4])
    two = torch.stack((one, torch.full_like(one, 7.0)), -1)
    earned = ideal.expected(ideal.frequencies(one, chances, prizes), chances, prizes)
    assert ideal.expected_best(two, chances, prizes) == pytest.approx(earned, abs=1e-3)


def test_two_numbers_are_worth_the_root_of_their_squares():
    chances, prizes = torch.tensor([0.5, 0.5]), torch.eye(2)
    found = ideal.expected_best(torch.tensor([[0.0, 0.0], [0.6, 1.1]]), chances, prizes)
    assert found == pytest.approx(norm.cdf(math.hypot(0.6, 1.1) / 2), abs=1e-3)


def test_what_lies_far_apart_is_never_confused():
    means, prizes = torch.tensor([[0.0, 0.0], [1e9, 3.0], [0.0, 50.0]]), torch.eye(3)[[2, 0, 1]]
    assert ideal.expected_best(means, torch.full((3,), 1 / 3), prizes) == pytest.approx(1.0)
