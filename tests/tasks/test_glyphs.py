"""Glyphs: classes that can be told apart, instances that differ, splits that share nothing, no word on the batch."""

import math
from itertools import pairwise

import pytest
import torch

from metaplastic import rng
from metaplastic.tasks.images.glyphs import POINTS, SHORTEST, SPLITS, instances, strokes


def drawn(classes: torch.Tensor, each: int, side: int = 28, seed: int = 0) -> torch.Tensor:
    """Instances [classes, each, pixels]."""
    index = classes[:, None].expand(-1, each)
    key = rng.fold(rng.root(seed), torch.arange(index.numel())).reshape(index.shape)
    return instances(index, key, side)


def test_new_instances_are_nearest_to_the_mean_of_their_class():
    classes = torch.arange(40) + 77
    means = drawn(classes, 9).mean(1)
    new = drawn(classes, 13, seed=1)
    nearest = torch.cdist(new.flatten(0, 1), means).argmin(-1).reshape(40, 13)
    assert (nearest == torch.arange(40)[:, None]).float().mean() > 0.9  # chance 1 / 40


def test_an_instance_is_like_one_of_its_class_and_unlike_itself_redrawn():
    shown = drawn(torch.arange(60), 2, 20)
    apart = torch.cdist(shown[:, 0], shown[:, 1])
    own = apart.diagonal()
    assert own.min() > 0.5
    assert own.mean() < 0.8 * (apart.sum() - own.sum()) / (60 * 59)


def test_there_is_some_ink_but_not_much():
    shown = drawn(torch.arange(200), 1, 31)
    assert 0 <= shown.min() < 1e-6
    assert shown.max() <= 1
    assert (shown.amax(-1) > 0.9).all()
    assert 0.02 < shown.mean() < 0.3
    assert shown.mean(-1).max() < 0.5


def test_strokes_are_one_to_four_and_not_short_and_lie_in_the_square():
    every = strokes(torch.arange(4000))
    is_there = every[..., 0, 0] <= 1
    counts = is_there.sum(-1).bincount(minlength=5) / 4000
    assert counts[0] == 0
    assert ((counts[1:] - 0.25).abs() < 5 * math.sqrt(0.25 * 0.75 / 4000)).all()
    assert torch.equal(is_there.sort(-1, descending=True).values, is_there)
    there = every[is_there]
    assert there.min() >= 0
    assert there.max() <= 1
    assert (there[:, 3] - there[:, 0]).square().sum(-1).sqrt().min() >= SHORTEST
    # a curve of second degree has no third difference: P3 - 3 P2 + 3 P1 - P0 = 0
    third = there[:, 3] - 3 * there[:, 2] + 3 * there[:, 1] - there[:, 0]
    quadratic = (third.abs().amax(-1) < 1e-5).float().mean()
    assert abs(quadratic - 0.5) < 5 * 0.5 / math.sqrt(len(there))


def test_a_pixel_is_as_dark_as_it_is_near_to_a_stroke():
    """The mean of many instances of a class of one stroke, against the distance to its curve without any jitter."""
    index = (strokes(torch.arange(50))[:, 1, 0, 0] > 1).nonzero()[0]  # the first class of one stroke
    controls = strokes(index)[0, 0].double()
    steps = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    terms = [math.comb(3, k) * (steps**k * (1 - steps) ** (3 - k))[:, None] * controls[k] for k in range(4)]
    curve = torch.stack(terms).sum(0)
    mean = drawn(index, 400, 24).mean(1).reshape(24, 24)
    pixel = (torch.arange(24) + 0.5) * 1.2 / 24 - 0.1
    place = torch.stack((pixel.expand(24, 24), pixel[:, None].expand(24, 24)), -1).reshape(-1, 2).double()
    distance = torch.cdist(place, curve).amin(-1).reshape(24, 24)
    assert mean[distance < 0.03].min() > mean[distance > 0.2].max() + 0.2
    wanted = torch.exp(-(distance.flatten() ** 2) / 0.01)
    assert torch.corrcoef(torch.stack((mean.flatten().double(), wanted)))[0, 1] > 0.9


def test_splits_share_no_class():
    ranges = [set(range(first, first + count, 997)) for first, count in SPLITS.values()]
    ends = sorted((first, first + count) for first, count in SPLITS.values())
    assert all(end <= first for (_, end), (first, _) in pairwise(ends))
    assert all(ranges)
    one, other = (strokes(torch.tensor([first])) for first, _ in list(SPLITS.values())[:2])
    assert not torch.equal(one, other)


@pytest.mark.parametrize("side", [20, 31])
def test_a_picture_depends_on_its_class_and_key_alone(side):
    index, key = torch.arange(30), rng.fold(rng.root(3), torch.arange(30))
    whole = instances(index, key, side)
    order = rng.permutation(rng.root(4), 30)
    pieces = [instances(index[some], key[some], side) for some in order.split(7)]
    assert torch.equal(torch.cat(pieces), whole[order])
    assert torch.equal(instances(index.reshape(5, 6), key.reshape(5, 6), side).reshape(30, -1), whole)
    mapped = torch.vmap(lambda i, k: instances(i, k, side))(index.reshape(5, 6), key.reshape(5, 6))
    assert torch.equal(mapped.reshape(30, -1), whole)
    assert not torch.equal(instances(index, rng.fold(key, 0), side), whole)
    assert instances(index[:0], key[:0], side).shape == (0, side * side)
