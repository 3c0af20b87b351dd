"""Contextual bandits of images: what is shown, what is kept apart, and what a damaged data set says."""

import os
import struct

import pytest
import torch
from idx_writer import write_idx
from pydantic import ValidationError
from scipy.stats import chisquare
from sklearn.datasets import load_digits

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.images.image_bandit import DigitsBandit, GlyphsBandit, MNISTBandit
from metaplastic.tasks.images.shuffling import shuffled
from metaplastic.tasks.registry import make

MNIST = os.environ.get("METAPLASTIC_MNIST", "")


def shown(task: DigitsBandit | MNISTBandit, lives: int, first: int, count: int, seed: int = 0) -> torch.Tensor:
    """Numbers, within the pool, of the images of some trials [T, L]."""
    key = rng.lifetime_keys(seed, torch.arange(lives))
    trial = torch.arange(first, first + count)[:, None].expand(-1, lives)
    pool = task.images(torch.device("cpu"))
    return task.index(task.birth(rng.parameter_keys(key)), trial, len(pool.labels))


def as_bytes(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.reshape(-1, images.shape[-1])}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 599])
def test_a_shuffle_is_an_order_of_everything(size):
    order = shuffled(rng.fold(rng.root(2), torch.arange(3)), torch.arange(size)[:, None].expand(-1, 3), size)
    assert torch.equal(order.sort(0).values, torch.arange(size)[:, None].expand(-1, 3))


def test_all_orders_of_four_come_alike():
    keys = rng.fold(rng.root(5), torch.arange(9600))
    order = shuffled(keys, torch.arange(4)[:, None].expand(-1, len(keys)), 4)
    codes = (order * torch.tensor([64, 16, 4, 1])[:, None]).sum(0)
    counts = codes.unique(return_counts=True)[1]
    assert len(counts) == 24
    assert chisquare(counts.numpy()).pvalue > 1e-4


def test_pairs_of_neighbours_are_torn_apart_evenly():
    keys = rng.fold(rng.root(6), torch.arange(8000))
    order = shuffled(keys, torch.arange(2)[:, None].expand(-1, len(keys)), 11)
    assert chisquare(order[0].bincount(minlength=11).numpy()).pvalue > 1e-4
    assert chisquare(((order[1] - order[0]) % 11).bincount(minlength=11)[1:].numpy()).pvalue > 1e-4


def test_pools_are_all_digits_cut_in_two():
    pools = [task.images(torch.device("cpu")) for task in (DigitsBandit(), DigitsBandit().held_out())]
    assert [len(pool.labels) for pool in pools] == [898, 899]
    rows = torch.cat([torch.cat((pool.images.long(), pool.labels[:, None]), 1) for pool in pools])
    data, target = load_digits(return_X_y=True)
    wanted = torch.cat((torch.as_tensor(data).long(), torch.as_tensor(target)[:, None]), 1)
    assert torch.equal(rows.unique(dim=0, return_counts=True)[0], wanted.unique(dim=0, return_counts=True)[0])


def test_no_image_of_the_evaluation_is_in_any_life_of_the_search():
    task = DigitsBandit(trials=700, test_trials=299)
    lives = [
        as_bytes(one.decisions(torch.arange(5), 0, 999, seed).observation)
        for one in (task, task.held_out())
        for seed in (0, 1, 2)
    ]
    searched, evaluated = set.union(*lives[:3]), set.union(*lives[3:])
    assert min(len(searched), len(evaluated)) > 890
    assert not searched & evaluated


def test_the_pools_do_not_depend_on_the_seed_but_the_lives_do():
    task = DigitsBandit()
    one, other = (task.decisions(torch.arange(3), 0, 20, seed).observation for seed in (0, 1))
    assert not torch.equal(one, other)
    assert as_bytes(one) | as_bytes(other) <= as_bytes(task.images(torch.device("cpu")).images.float() / 16)


def test_a_life_learns_from_two_thirds_and_is_tested_on_the_rest():
    task = DigitsBandit(trials=599, test_trials=299)
    for life in shown(task, 4, 0, 898).T:
        assert len(life[:599].unique()) == 599
        assert torch.equal(life.sort().values, torch.arange(898))
    first, second = shown(task, 2, 599, 299).T
    assert not torch.equal(first.sort().values, second.sort().values)  # each life has its own cut


def test_each_epoch_shows_each_learning_image_once_in_a_new_order():
    task = DigitsBandit(trials=3 * 599, test_trials=7)
    epochs = shown(task, 1, 0, 3 * 599)[:, 0].reshape(3, 599)
    assert torch.equal(epochs.sort(1).values, epochs[:1].sort(1).values.expand(3, -1))
    assert (epochs[0] == epochs[1]).sum() < 10
    assert (epochs[1] == epochs[2]).sum() < 10


def test_a_test_longer_than_its_images_starts_again():
    life = shown(DigitsBandit(trials=10, test_trials=400), 1, 10, 400)[:, 0]
    assert torch.equal(life[299:], life[:101])
    assert len(life.unique()) == 299


def test_every_image_is_as_likely_as_any_other():
    counts = shown(DigitsBandit(), 5000, 3, 4).flatten().bincount(minlength=898)
    assert chisquare(counts.numpy()).pvalue > 1e-4


def test_only_the_name_of_the_digit_pays():
    task = DigitsBandit(scale=0.5)
    block = task.decisions(torch.arange(3), 5, 7)
    data, target = load_digits(return_X_y=True)
    names = {
        (torch.as_tensor(row) / 32).float().numpy().tobytes(): name for row, name in zip(data, target, strict=True)
    }
    for row, payoff in zip(block.observation.reshape(-1, 64), block.payoff.reshape(-1, 10), strict=True):
        assert payoff.tolist() == [float(action == names[row.numpy().tobytes()]) for action in range(10)]
    signed = DigitsBandit(signed=True).decisions(torch.arange(3), 5, 7).payoff
    assert torch.equal(signed, 2 * block.payoff - 1)
    assert torch.equal(DigitsBandit(signed=True).score(signed), block.payoff)


def test_pools_of_glyphs_share_classes_but_no_image():
    search, held_out = (task.images(torch.device("cpu")) for task in (GlyphsBandit(), GlyphsBandit().held_out()))
    assert search.labels.bincount().tolist() == held_out.labels.bincount().tolist() == [200] * 10
    assert not as_bytes(search.images) & as_bytes(held_out.images)
    means = torch.stack([search.images[search.labels == name].float().mean(0) for name in range(10)])
    named = torch.cdist(held_out.images.float(), means).argmin(-1)
    assert (named == held_out.labels).float().mean() > 0.9
    block = GlyphsBandit().decisions(torch.arange(3), 0, 4)
    assert block.observation.shape == (4, 3, 784)
    assert (block.observation.min(), block.observation.max()) == (0, 1)


@pytest.fixture
def folder(tmp_path):
    write_idx(tmp_path, "train", [i % 10 for i in range(9)])
    write_idx(tmp_path, "t10k", [3, 1, 4, 1, 5, 9, 2], is_zipped=True)
    return tmp_path


def test_mnist_is_read_from_plain_and_gzipped_files(folder):
    task = MNISTBandit(data_root=str(folder), trials=6, test_trials=3)
    block = task.decisions(torch.arange(2), 0, 9)
    first_pixel = (block.observation[..., 0] * 255).round().long()
    assert torch.equal(block.payoff.argmax(-1), first_pixel)  # image i begins with pixel i and is named i
    assert torch.equal(first_pixel.sort(0).values, torch.arange(9)[:, None].expand(-1, 2))
    held_out = task.held_out().images(torch.device("cpu"))
    assert held_out.labels.tolist() == [3, 1, 4, 1, 5, 9, 2]


def absent(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def swapped(folder):
    (folder / "train-images-idx3-ubyte").write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())


def not_idx(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"<html>not found</html>")


def empty(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"")


def cut_short(folder):
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])


def cut_gzip(folder):
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])


def fewer_labels(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 8) + bytes(8))


def wrong_labels(folder):
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 9) + bytes([0, 1, 2, 3, 4, 5, 6, 7, 26]))


def small_images(folder):
    write_idx(folder, "train", [1, 2, 3], shape=(8, 8))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (absent, "has no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz, wanted the four IDX files"),
        (swapped, r"begins with the magic number 2049 \(labels\), wanted 2051 \(images\)"),
        (not_idx, r"begins with the magic number \d+, wanted 2049"),
        (empty, "begins with the magic number None, wanted 2049"),
        (cut_short, r"holds 7067 bytes, wanted 7072 for sizes \[9, 28, 28\]; fetch it again"),
        (cut_gzip, "t10k-images-idx3-ubyte.gz is not a whole gzip file"),
        (fewer_labels, "has 9 train images but 8 labels"),
        (wrong_labels, "labels up to 26, wanted at least 3, 0 to 9"),
        (small_images, "images of 64 pixels, wanted 28 x 28 = 784"),
    ],
)
def test_damaged_data_is_refused_with_the_place(folder, damage, words):
    damage(folder)
    with pytest.raises(ConfigError, match=words) as caught:
        make("MNISTBandit-v0", data_root=str(folder))
    assert str(caught.value).startswith(f"MNISTBandit-v0: data_root: {folder}")
    assert "\n" not in str(caught.value)


def test_mnist_needs_a_folder():
    with pytest.raises(ValidationError, match="data_root"):
        MNISTBandit.model_validate({})


@pytest.mark.skipif(not MNIST, reason="METAPLASTIC_MNIST names no folder with the IDX files of MNIST")
def test_the_real_mnist_is_what_it_is():
    task = MNISTBandit(data_root=MNIST)
    pools = [one.images(torch.device("cpu")) for one in (task, task.held_out())]
    assert [pool.images.shape for pool in pools] == [(60_000, 784), (10_000, 784)]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert pools[0].labels.bincount().tolist() == counts
    assert pools[0].labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert pools[0].images.double().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert not as_bytes(pools[0].images) & as_bytes(pools[1].images)
    block = task.decisions(torch.arange(2), 0, 50)
    assert block.observation.shape == (50, 2, 784)
    assert (block.observation.min(), block.observation.max()) == (0, 1)
