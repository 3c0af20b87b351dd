"""Contextual bandits of images: see a handwritten digit, name it, get a reward (Roelfsema & van Ooyen 2005).

One decision a trial; the right one of ten actions pays 1 and the others 0 (`signed`: -1). Two cuts keep learning,
test and evaluation apart:

    pools   search | held_out, once and for all: no image that judges a search's champion is in any life of the search
    a life  2/3 of its pool to learn from, 1/3 for its test, another cut in every lifetime

In learning each image comes once an epoch, every epoch in another order; the test shows each image once, as long as
there are images. `DigitsBandit-v0` uses the 1 797 digits of 8 x 8 pixels that come with scikit-learn (Alpaydin &
Kaynak 1998), `MNISTBandit-v0` MNIST from a folder of the user's: its 60 000 training images are the search pool, its
10 000 test images are held out.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from pydantic import BeforeValidator, Field, field_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.decisions import DecisionTask, Question
from metaplastic.tasks.images.idx_files import read_pair
from metaplastic.tasks.images.shuffling import shuffled

PoolName = Literal["search", "held_out"]

CLASSES = 10

_LOADED: dict[tuple[str | None, str, str], Pool] = {}
"""(source, pool, device) -> images: a process loads them once. A plain dict, because torch.compile sees through it"""


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


class _ImageBandit(DecisionTask):
    """What both tasks are; they differ in where the images come from."""

    references = (
        "Roelfsema & van Ooyen 2005, Attention-gated reinforcement learning of internal representations, "
        "Neural Computation 17:2176",
        "Pozzi, Bohte & Roelfsema 2020, Attention-gated brain propagation, NeurIPS 33",
    )
    tags = ("images", "reward", "decisions")

    trials: int = Field(default=1000, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=200, ge=1)
    """trials of test after learning, plasticity off"""
    pool: Annotated[PoolName, BeforeValidator(one_of(PoolName))] = "search"
    """which images; a search sees `search` alone, and its champion is judged on `held_out`"""
    signed: bool = False
    """a wrong answer pays -1 instead of 0"""
    scale: float = Field(default=1.0, gt=0)
    """value of a white pixel; black is 0"""

    @property
    @abstractmethod
    def pixels(self) -> int:
        """Pixels of an image."""

    @property
    @abstractmethod
    def source(self) -> str | None:
        """Folder of the images; None: those that scikit-learn brings."""

    def images(self, device: torch.device) -> Pool:
        """The pool's images on a device."""
        return _images(self.source, self.pool, str(device))

    @property
    def spec(self) -> TaskSpec:
        """Ten classes; a score is the proportion of digits that were named right."""
        return self.describe({"image": self.pixels}, CLASSES, chance=1 / CLASSES, ceiling=1.0, criterion=0.9)

    def held_out(self) -> _ImageBandit:
        """The same task on the images that no search sees."""
        return self.model_copy(update={"pool": "held_out"})

    def birth(self, key: Int[Tensor, "*B"]) -> Cut:
        """Keys of the lifetime's orders of images."""
        return Cut(rng.fold(key, 0), rng.fold(key, 1))

    def question(self, key: Int[Tensor, "*B"], life: Cut, trial: Int[Tensor, "*T"]) -> Question:
        """The image of a trial, and a payoff for its class."""
        del key
        pool = self.images(trial.device)
        index = self.index(life, trial, len(pool.labels))
        label = pool.labels[index]
        right = label[..., None] == torch.arange(CLASSES, device=trial.device)
        payoff = torch.where(right, 1.0, -1.0 if self.signed else 0.0)
        image = pool.images[index].to(torch.float32) * (self.scale / pool.white)
        return Question(image, payoff, torch.ones_like(payoff[..., 0]), torch.zeros_like(trial), label)

    def index(self, life: Cut, trial: Int[Tensor, "*T"], size: int) -> Int[Tensor, "*T"]:
        """Which of the pool's `size` images a trial shows."""
        test = size // 3
        learning = size - test
        epoch = trial.div(learning, rounding_mode="floor")
        learned = shuffled(rng.fold(life.epochs, epoch), trial % learning, learning)
        tested = learning + (trial - self.trials) % test
        return shuffled(life.cut, torch.where(trial < self.trials, learned, tested), size)

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """1 right, 0 wrong."""
        return (payoff > 0).to(payoff.dtype)


class DigitsBandit(_ImageBandit):
    """Name a handwritten digit of 8 x 8 pixels, for reward."""

    kind: Literal["DigitsBandit-v0"] = "DigitsBandit-v0"

    @property
    def pixels(self) -> int:
        """8 x 8."""
        return 64

    @property
    def source(self) -> None:
        """Scikit-learn brings them: 898 digits to search with, 899 held out."""


class MNISTBandit(_ImageBandit):
    """Name a handwritten digit of 28 x 28 pixels, for reward; the IDX files of MNIST are the user's."""

    kind: Literal["MNISTBandit-v0"] = "MNISTBandit-v0"
    data_root: str
    """folder with the four IDX files of MNIST, gzipped or not"""

    @field_validator("data_root")
    @classmethod
    def _reads(cls, folder: str) -> str:
        try:
            for pool in ("search", "held_out"):
                _images(folder, pool, "cpu")
        except ValueError as why:
            raise wrong(str(why)) from why
        return folder

    @property
    def pixels(self) -> int:
        """28 x 28."""
        return 784

    @property
    def source(self) -> str:
        """The folder: 60 000 images to search with, 10 000 held out."""
        return self.data_root


def _images(source: str | None, pool: str, device: str) -> Pool:
    place = (source, pool, device)
    if place not in _LOADED:
        loaded = _digits(pool) if source is None else _mnist(source, pool)
        _LOADED[place] = loaded._replace(images=loaded.images.to(device), labels=loaded.labels.to(device))
    return _LOADED[place]


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
