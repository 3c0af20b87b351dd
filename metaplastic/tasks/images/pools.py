"""Pools of labelled images: those a search sees and those it never does, and a lifetime's own way through one.

    digits       the 1 797 digits of 8 x 8 pixels that come with scikit-learn (Alpaydin & Kaynak 1998), cut in halves
    mnist        MNIST from a folder of the user's (LeCun, Cortes & Burges): the 60 000 training images are the search
                 pool, the 10 000 test images are held out
    procedural   instances of ten classes of glyphs (glyphs.py), 2 000 in each pool, drawn here

Two cuts keep learning, test and evaluation apart:

    pools   search | held_out, once and for all: no image that judges a search's champion is in any life of the search
    a life  2/3 of its pool to learn from, 1/3 for its test, another cut in every lifetime

In learning each image comes once an epoch, every epoch in another order; the test shows each image once, as long as
there are images.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from metaplastic import rng
from metaplastic.tasks.images import glyphs
from metaplastic.tasks.images.idx_files import read_pair
from metaplastic.tasks.images.shuffling import shuffled

PoolName = Literal["search", "held_out"]
Data = Literal["digits", "mnist", "procedural"]

CLASSES = 10
SIDES = MappingProxyType({"digits": 8, "mnist": 28, "procedural": 28})
"""pixels of a side of the square images"""
GLYPHS = 2000
"""instances of glyphs in a pool"""

_LOADED: dict[tuple[str, str, str, str, tuple[int, ...]], Pool] = {}
"""(data, folder, pool, device, classes) -> images, loaded once a process. A dict: torch.compile sees through it"""


class Pool(NamedTuple):
    """Images and their classes."""

    images: UInt8[Tensor, "N I"]
    labels: Int[Tensor, " N"]
    white: int
    """the largest value of a pixel"""


class Cut(NamedTuple):
    """A lifetime's own cut of the pool."""

    cut: Int[Tensor, "*B"]
    """key of the order whose first two thirds are for learning"""
    epochs: Int[Tensor, "*B"]
    """key of the orders of the epochs"""


def images(data: str, folder: str, pool: str, device: torch.device | str, classes: tuple[int, ...] = ()) -> Pool:
    """The images of a pool on a device; `folder` is where those of MNIST are; `classes`: only theirs, () is all.

    Raises:
        ValueError: if the folder does not hold MNIST.
    """
    place = (data, folder, pool, str(device), classes)
    if place not in _LOADED and classes:
        whole = images(data, folder, pool, device)
        chosen = torch.isin(whole.labels, torch.tensor(classes, device=whole.labels.device))
        _LOADED[place] = whole._replace(images=whole.images[chosen], labels=whole.labels[chosen])
    if place not in _LOADED:
        loaded = _mnist(folder, pool) if data == "mnist" else {"digits": _digits, "procedural": _glyphs}[data](pool)
        _LOADED[place] = loaded._replace(images=loaded.images.to(device), labels=loaded.labels.to(device))
    return _LOADED[place]


def check_mnist(folder: str) -> None:
    """Load both pools of MNIST.

    Raises:
        ValueError: if the folder does not hold them.
    """
    for pool in ("search", "held_out"):
        images("mnist", folder, pool, "cpu")


def cut(key: Int[Tensor, "*B"]) -> Cut:
    """The cut of lifetimes with these parameter keys."""
    return Cut(rng.fold(key, 0), rng.fold(key, 1))


def index(life: Cut, trial: Int[Tensor, "*T"], trials: int, size: int) -> Int[Tensor, "*T"]:
    """Which of the pool's `size` images a trial shows; those before `trials` are for learning."""
    test = size // 3
    learning = size - test
    epoch = trial.div(learning, rounding_mode="floor")
    learned = shuffled(rng.fold(life.epochs, epoch), trial % learning, learning)
    tested = learning + (trial - trials) % test
    return shuffled(life.cut, torch.where(trial < trials, learned, tested), size)


def _digits(pool: str) -> Pool:
    from sklearn.datasets import load_digits  # heavy

    data, target = load_digits(return_X_y=True)
    images, labels = torch.as_tensor(data, dtype=torch.uint8), torch.as_tensor(target, dtype=torch.int64)
    order = rng.permutation(rng.fold(rng.root(0), rng.TASK), len(labels))  # the same in every run
    half = len(order) // 2
    chosen = order[:half] if pool == "search" else order[half:]
    return Pool(images[chosen], labels[chosen], white=16)


def _mnist(folder: str, pool: str) -> Pool:
    images, labels = read_pair(folder, "train" if pool == "search" else "t10k")
    if images.shape[1] != 784:
        raise ValueError(f"{folder} has images of {images.shape[1]} pixels, wanted 28 x 28 = 784")
    return Pool(images, labels.to(torch.int64), white=255)


def _glyphs(pool: str) -> Pool:
    number = torch.arange(GLYPHS) + (0 if pool == "search" else GLYPHS)
    key = rng.fold(rng.fold(rng.root(0), rng.TASK), number)  # the same in every run
    ink = glyphs.instances(number % CLASSES, key, SIDES["procedural"])
    return Pool((ink * 255).round().to(torch.uint8), number % CLASSES, white=255)
