"""Bias, variance and alignment of updates that were made with known ones."""

import math

import pytest
import torch

from metaplastic import rng
from metaplastic.studies.analysis.credit import (
    credit,
    flat,
    groups_of,
    joined,
    moments,
    parts,
    path_efficiency,
    step,
)

D = 90


def draws(number: int, *shape: int) -> torch.Tensor:
    return rng.normals(rng.root(number), *shape).double()


def known_updates(cosine: float, variance: float, n: int, length: float = 3.0, number: int = 0, brains: int = 2):
    """Updates [brains, n, D]: mean of this cosine to d and this length, total variance `variance` |mean|^2."""
    d = draws(number, brains, D)
    unit = d / d.norm(dim=-1, keepdim=True)
    other = draws(number + 1, brains, D)
    other = other - (other * unit).sum(-1, keepdim=True) * unit
    other = other / other.norm(dim=-1, keepdim=True)
    mean = length * (cosine * unit + math.sqrt(1 - cosine**2) * other)
    noise = draws(number + 2, brains, n, D) * length * math.sqrt(variance / D)
    return mean[:, None] + noise, d


@pytest.mark.parametrize(("cosine", "variance"), [(1.0, 0.5), (0.6, 2.0), (0.9, 40.0), (-0.7, 1.0)])
def test_known_bias_and_variance_are_found(cosine, variance):
    updates, d = known_updates(cosine, variance, 3000)
    found = credit(moments(updates), d)
    torch.testing.assert_close(found.cosine, torch.full((2,), cosine).double(), rtol=0.05, atol=0)
    if cosine < 1:
        bias = torch.full((2,), math.sqrt(1 - cosine**2)).double()
        torch.testing.assert_close(found.relative_bias, bias, rtol=0.05, atol=0)
    # c^2 v / |d|^2 with c = cos |d| / |m|: cos^2 of the variance in units of |m|^2
    wanted = torch.full((2,), cosine**2 * variance).double()
    torch.testing.assert_close(found.relative_variance, wanted, rtol=0.05, atol=0)
    assert bool((found.samples == torch.inf).all()) == (cosine < 0.5)


def test_the_cosine_is_not_drawn_down_by_noise_in_the_mean():
    updates, d = known_updates(0.8, 60.0, 500, brains=12)
    naive = torch.nn.functional.cosine_similarity(updates.mean(1), d, dim=-1)
    assert float(naive.mean()) == pytest.approx(0.8 / math.sqrt(1.12), rel=0.02)  # 60 / 500 of |m|^2 is noise
    assert float(credit(moments(updates), d).cosine.mean()) == pytest.approx(0.8, rel=0.02)


@pytest.mark.parametrize("cosine", [1.0, 0.7])
def test_that_many_samples_have_a_cosine_of_one_half(cosine):
    updates, d = known_updates(cosine, 30.0, 4000, number=10)
    count = round(float(credit(moments(updates), d).samples.mean()))
    means = updates[:, : 4000 - 4000 % count].unflatten(1, (-1, count)).mean(2)
    reached = torch.nn.functional.cosine_similarity(means, d[:, None], dim=-1).mean()
    assert float(reached) == pytest.approx(0.5, rel=0.05)
    if cosine == 1:  # the plain formula c^2 v / 3 |d|^2
        assert count == pytest.approx(30 / 3, abs=1)


def test_batches_of_draws_add_up():
    updates, d = known_updates(0.6, 2.0, 700)
    whole, pieces = moments(updates), joined([moments(part) for part in updates.split(300, 1)])
    assert whole.draws == pieces.draws
    for a, b in zip(credit(whole, d), credit(pieces, d), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="two updates"):
        credit(moments(updates[:, :1]), d)


def test_the_moments_of_some_weights_are_their_own():
    updates, d = known_updates(0.6, 2.0, 400)
    some = slice(30, 70)
    part = moments(updates).part(some, updates[..., some].square().sum(-1).mean(-1))
    own = moments(updates[..., some])
    torch.testing.assert_close(credit(part, d[..., some]).cosine, credit(own, d[..., some]).cosine)


def test_a_rotational_field_has_no_aligned_part_and_a_gradient_nothing_else():
    quadratic = draws(5, D, D)
    hessian, turn = quadratic @ quadratic.mT / D, quadratic - quadratic.mT
    w = draws(6, 7, D)
    d = -w @ hessian
    for updates, aligned in ((d @ turn.mT, 0.0), (0.3 * d, 1.0), (-0.2 * d, -1.0)):
        split = parts(updates[:, None], d)
        assert split.alignment[:, 0].tolist() == pytest.approx([aligned] * 7, abs=1e-10)
        assert float(split.downhill.mean()) == pytest.approx(float(aligned > 0), abs=1 if aligned == 0 else 0)
    mixed = parts((0.3 * d + 0.05 * d @ turn.mT)[:, None], d)
    torch.testing.assert_close(mixed.aligned[:, 0], 0.3 * d.norm(dim=-1))
    torch.testing.assert_close(mixed.orthogonal[:, 0], 0.05 * (d @ turn.mT).norm(dim=-1))


def test_on_a_quadratic_two_terms_are_the_whole_change():
    quadratic = draws(5, D, D)
    hessian = quadratic @ quadratic.mT / D
    w, u = draws(6, 7, D), draws(7, 7, D)
    found = step(lambda v: 0.5 * ((v @ hessian) * v).sum(-1), w, u)
    torch.testing.assert_close(found.predicted, ((w @ hessian) * u).sum(-1))
    torch.testing.assert_close(found.second_order, 0.5 * ((u @ hessian) * u).sum(-1))
    torch.testing.assert_close(found.predicted + found.second_order, found.realised)
    linear = step(lambda v: v.sum(-1), w, u)
    torch.testing.assert_close(linear.predicted, linear.realised)
    assert float(linear.second_order.abs().max()) == 0


def test_the_second_order_term_is_what_the_first_leaves_over_for_small_steps():
    w, u = draws(8, 4, D), draws(9, 4, D)

    def cost(v):
        return torch.tanh(v[..., :5]).square().sum(-1) + v[..., 5:].sin().sum(-1)

    left = [(f := step(cost, w, size * u)).realised - f.predicted - f.second_order for size in (1e-2, 1e-3)]
    assert bool((left[0].abs() / left[1].abs() > 300).all())  # third order: 1,000 times


def test_a_straight_path_is_efficient_and_a_circle_is_not():
    w, changes = draws(3, D), []
    for _ in range(20):
        changes.append(-0.1 * w)  # down an isotropic bowl
        w = w + changes[-1]
    angle = torch.arange(12) * math.tau / 12
    circle = torch.stack([angle.cos(), angle.sin()], -1).double()
    assert float(path_efficiency(torch.stack(changes))) == pytest.approx(1, abs=1e-12)
    assert float(path_efficiency(circle)) == pytest.approx(0, abs=1e-7)
    zigzag = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).repeat(4, 1)
    assert float(path_efficiency(zigzag)) == pytest.approx(math.sqrt(0.5), rel=1e-6)


def test_vectors_and_groups_are_the_same_numbers():
    groups = (draws(1, 2, 3, 4), draws(2, 2, 5, 3))
    vector = flat(groups)
    assert vector.shape == (2, 27)
    assert all(torch.equal(a, b) for a, b in zip(groups, groups_of(vector, [(3, 4), (5, 3)]), strict=True))
    with pytest.raises(ValueError, match="hold 12 numbers"):
        groups_of(vector, [(3, 4)])
