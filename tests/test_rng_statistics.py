"""The generator's distributions: moments, independence of lanes, trials and steps, coins, tables and permutations."""

import math

import pytest
import torch

from metaplastic import rng

LANES, DRAWS = 401, 1009
STANDARD_ERROR = 1.0 / math.sqrt(LANES * DRAWS)


@pytest.mark.parametrize("gaussian", ["boxmuller", "integer"])
def test_normals_have_mean_0_variance_1_and_independent_lanes(gaussian):
    x = rng.normal(rng.words(rng.lifetime_keys(0, torch.arange(LANES)), DRAWS), gaussian).double()
    assert abs(x.mean()) < 4 * STANDARD_ERROR
    assert abs(x.var() - 1) < 4 * math.sqrt(2) * STANDARD_ERROR
    assert abs((x[1:] * x[:-1]).mean()) < 4 * STANDARD_ERROR
    assert abs((x[:, 1:] * x[:, :-1]).mean()) < 4 * STANDARD_ERROR
    kurtosis = {"boxmuller": 0.0, "integer": -0.3}[gaussian]
    assert abs((x**4).mean() - 3 - kurtosis) < 4 * math.sqrt(96) * STANDARD_ERROR


def test_neighbouring_trials_and_steps_are_independent():
    trial = rng.trial_keys(rng.lifetime_keys(0, torch.arange(101))[:, None, None], torch.arange(53)[:, None])
    x = rng.normals(rng.noise_keys(trial, torch.arange(47)), 1).squeeze(-1).double()
    bound = 4 / math.sqrt(x.numel())
    for lagged in (x[1:] * x[:-1], x[:, 1:] * x[:, :-1], x[:, :, 1:] * x[:, :, :-1]):
        assert abs(lagged.mean()) < 1.1 * bound


def test_every_bit_of_a_word_is_fair_and_of_a_seed_matters():
    w = rng.words(rng.root(torch.arange(101)), 997)
    ones = torch.stack([(w >> bit & 1).double().mean() for bit in range(64)])
    assert (ones - 0.5).abs().max() < 5 * 0.5 / math.sqrt(w.numel())
    seeds = torch.arange(1, 1000)[:, None]
    flipped = rng.root(seeds) ^ rng.root(seeds ^ (1 << torch.arange(63)))
    changed = torch.stack([(flipped >> bit & 1).double() for bit in range(64)]).sum(0).mean()
    assert abs(changed - 32) < 0.1


def test_exponential_and_rayleigh_have_their_means():
    w = rng.words(rng.root(8), 200_003)
    assert rng.exponential(w, 3.0).mean().item() == pytest.approx(3.0, rel=0.01)
    assert rng.rayleigh(w, 2.0).mean().item() == pytest.approx(2.0 * math.sqrt(math.pi / 2), rel=0.01)


def test_the_extreme_words_give_finite_numbers():
    extremes = torch.tensor([0, -1])
    assert rng.exponential(extremes, torch.tensor([1.0, 2.0])).isfinite().all()
    assert rng.rayleigh(extremes, 1.0).isfinite().all()
    assert rng.normal(extremes).isfinite().all()


def test_a_coin_falls_as_often_as_it_was_told():
    w = rng.words(rng.root(9), 100_003)
    assert rng.coin(w, 0.3).double().mean().item() == pytest.approx(0.3, abs=0.006)
    assert not rng.coin(w, 0.0).any()
    assert rng.coin(w, 1.0).all()
    each = torch.full(w.shape, 0.3)
    assert (rng.coin(w, each) != rng.coin(w, 0.3)).sum() <= 1


def test_the_grid_of_probabilities_rounds_to_the_nearest():
    assert rng.grid(0.3) == 5033165 / 2**24  # 0.3 * 2^24 = 5033164.8
    assert rng.grid(1.0) == 1.0


def test_exponential_and_rayleigh_follow_their_formulas():
    w = rng.words(rng.root(5), 7)
    u = rng.uniform(w).double()
    torch.testing.assert_close(rng.exponential(w, 3.0).double(), -3.0 * torch.log(1 - u), rtol=1e-5, atol=1e-7)
    expected = 2.0 * torch.sqrt(-2.0 * torch.log(u + 2.0**-24))
    torch.testing.assert_close(rng.rayleigh(w, 2.0).double(), expected, rtol=1e-5, atol=1e-7)


def test_a_permutation_sorts_the_words_as_signed_numbers():
    key = rng.root(3)
    assert (rng.words(key, 7)[rng.permutation(key, 7)].diff() > 0).all()


def test_a_coin_without_a_probability_is_refused():
    with pytest.raises(ValueError, match=r"p is 1.5; a coin needs a probability in \[0, 1\]"):
        rng.coin(rng.words(rng.root(1), 3), 1.5)


def chi_squared(index: torch.Tensor, probabilities: torch.Tensor) -> float:
    """Of the counts of the places drawn, against their probabilities."""
    expected = probabilities * index.numel()
    return float(((index.bincount(minlength=len(expected)) - expected) ** 2 / expected).sum())


def test_a_table_draws_each_value_with_its_probability():
    probs = torch.tensor([0.05, 0.2, 0.4, 0.3, 0.05], dtype=torch.float64)
    table = rng.Table([-3, 7, 1, 0, 22], probs)
    w = rng.words(rng.root(10), 20_011)
    assert chi_squared(table.index(w), probs) < 23.5  # p > 1e-4 at 4 degrees of freedom
    assert table.sample(w).dtype == torch.int64
    assert table.mean == pytest.approx(-0.15 + 1.4 + 0.4 + 1.1, abs=1e-8)
    torch.testing.assert_close(table.probabilities, probs, atol=2.0**-32, rtol=0.0)


def test_a_table_never_draws_what_is_impossible():
    table = rng.Table(torch.tensor([0.5, 1.5, 2.5, 3.5]), [0.0, 0.5, 0.5, 0.0])
    extremes = torch.cat([torch.tensor([0, -1]), rng.words(rng.root(2), 1001)])
    assert set(table.sample(extremes).tolist()) == {1.5, 2.5}
    assert table.to("cpu").sample(extremes).dtype == torch.float32


@pytest.mark.parametrize(
    ("support", "probs", "message"),
    [
        ([1, 2, 3], [0.5, 0.5], r"support has shape \(3,\) and probs \(2,\)"),
        ([], [], "at least 1"),
        ([1, 2], [0.5, 0.6], "wanted none below 0 and a sum of 1; divide by 1.1"),
        ([1, 2], [1.5, -0.5], "none below 0"),
    ],
)
def test_a_table_that_is_no_distribution_is_refused(support, probs, message):
    with pytest.raises(ValueError, match=message):
        rng.Table(support, probs)


def test_a_permutation_holds_each_number_once_and_all_orders_come():
    orders = rng.permutation(rng.root(torch.arange(12_007)), 3)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(3).expand(12_007, 3))
    assert chi_squared(orders[:, 0] * 2 + (orders[:, 1] > orders[:, 2]), torch.full((6,), 1 / 6)) < 25.8  # 5 d.o.f.
    assert torch.equal(
        rng.choose(rng.root(torch.arange(5)), 7, 3), rng.permutation(rng.root(torch.arange(5)), 7)[:, :3]
    )


def test_choosing_more_than_there_is_is_refused():
    with pytest.raises(ValueError, match="k is 8; of 7 things 0 to 7 can be chosen"):
        rng.choose(rng.root(0), 7, 8)
