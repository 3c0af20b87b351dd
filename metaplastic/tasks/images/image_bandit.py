"""Contextual bandits of images: see a handwritten digit, name it, get a reward (Roelfsema & van Ooyen 2005).

One decision a trial; the right one of ten actions pays 1 and the others 0 (`signed`: -1). With `classes` only those
digits come and each has an action of its own: a task of a split sequence (`task_sets/named_sequences.py`). Pools and
cuts that keep learning, test and evaluation apart are those of `pools.py`. `DigitsBandit-v0` uses the digits that come
with scikit-learn, `MNISTBandit-v0` MNIST from a folder of the user's, `GlyphsBandit-v0` ten classes of procedural
glyphs of the size of MNIST's digits.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, field_validator
from torch import Tensor

from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.constants import constant
from metaplastic.tasks.decisions import DecisionTask, Question
from metaplastic.tasks.images import pools
from metaplastic.tasks.images.pools import CLASSES, PoolName


class _ImageBandit(DecisionTask):
    """What both tasks are; they differ in where the images come from."""

    references = (
        "Roelfsema & van Ooyen 2005, Attention-gated reinforcement learning of internal representations, "
        "Neural Computation 17:2176",
        "Pozzi, Bohte & Roelfsema 2020, Attention-gated brain propagation, NeurIPS 33",
    )
    tags = ("images", "reward", "decisions")
    data: ClassVar[pools.Data]
    """where the images come from"""

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
    classes: tuple[int, ...] = ()
    """digits that come, one action each in this order; all ten, if absent"""

    @field_validator("classes")
    @classmethod
    def _digits(cls, classes: tuple[int, ...]) -> tuple[int, ...]:
        if classes and (len(set(classes)) < max(2, len(classes)) or not set(classes) <= set(range(CLASSES))):
            raise wrong(f"is {classes}, wanted at least two different digits in [0, {CLASSES})")
        return classes

    @property
    def folder(self) -> str:
        """Folder of the images; none is needed here."""
        return ""

    def images(self, device: torch.device) -> pools.Pool:
        """The pool's images on a device."""
        return pools.images(self.data, self.folder, self.pool, device, self.classes)

    @property
    def spec(self) -> TaskSpec:
        """An action a class; a score is the proportion of digits that were named right."""
        count = len(self.classes) or CLASSES
        criterion = 0.9 if count == CLASSES else (1 / count + 1) / 2
        return self.describe(
            {"image": pools.SIDES[self.data] ** 2}, count, chance=1 / count, ceiling=1.0, criterion=criterion
        )

    def held_out(self) -> _ImageBandit:
        """The same task on the images that no search sees."""
        return self.model_copy(update={"pool": "held_out"})

    def birth(self, key: Int[Tensor, "*B"]) -> pools.Cut:
        """Keys of the lifetime's orders of images."""
        return pools.cut(key)

    def question(self, key: Int[Tensor, "*B"], life: pools.Cut, trial: Int[Tensor, "*T"]) -> Question:
        """The image of a trial, and a payoff for its class."""
        del key
        pool = self.images(trial.device)
        index = self.index(life, trial, len(pool.labels))
        label = pool.labels[index]
        named = constant(self.classes or tuple(range(CLASSES)), trial.device, torch.int64)
        right = label[..., None] == named
        label = right.to(torch.int64).argmax(-1)
        payoff = torch.where(right, 1.0, -1.0 if self.signed else 0.0)
        image = pool.images[index].to(torch.float32) * (self.scale / pool.white)
        return Question(image, payoff, torch.ones_like(payoff[..., 0]), torch.zeros_like(trial), label)

    def index(self, life: pools.Cut, trial: Int[Tensor, "*T"], size: int) -> Int[Tensor, "*T"]:
        """Which of the pool's `size` images a trial shows."""
        return pools.index(life, trial, self.trials, size)

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """1 right, 0 wrong."""
        return (payoff > 0).to(payoff.dtype)


class DigitsBandit(_ImageBandit):
    """Name a handwritten digit of 8 x 8 pixels, for reward: 898 to search with, 899 held out."""

    kind: Literal["DigitsBandit-v0"] = "DigitsBandit-v0"
    data = "digits"


class GlyphsBandit(_ImageBandit):
    """Name one of ten glyphs of 28 x 28 pixels, for reward: 2 000 to search with, 2 000 held out."""

    kind: Literal["GlyphsBandit-v0"] = "GlyphsBandit-v0"
    data = "procedural"


class MNISTBandit(_ImageBandit):
    """Name a handwritten digit of 28 x 28 pixels, for reward; the IDX files of MNIST are the user's."""

    kind: Literal["MNISTBandit-v0"] = "MNISTBandit-v0"
    data = "mnist"
    data_root: str
    """folder with the four IDX files of MNIST, gzipped or not"""

    @field_validator("data_root")
    @classmethod
    def _reads(cls, folder: str) -> str:
        try:
            pools.check_mnist(folder)
        except ValueError as why:
            raise wrong(str(why)) from why
        return folder

    @property
    def folder(self) -> str:
        """The user's: 60 000 images to search with, 10 000 held out."""
        return self.data_root
