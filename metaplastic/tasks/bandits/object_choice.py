"""Choosing among objects: one of them is right for a whole life, wherever it stands; one look must be enough.

K objects stand in random order at K places; an action takes one. With payoffs that are certain, who learns fast knows
after one wrong choice of two objects which is right. Of K objects the right one is found by elimination:

    P(right in trial n) = min(1, n / K),   n = 1, 2, …                                                            (1)

`HarlowChoice-v0` is Harlow's learning to learn (1949) without the walk: two random codes of +1 and -1 (default 8 bits),
+1 or -1 for the choice, 6 trials. It is our form of simulation 5 of Wang et al. 2018 (whose walk is `harlow.py`).
An eighth of the codes, scattered among all, may be held out of training (`stimuli`).
`ContextualBandit-v0` shows a colour drawn from U(0, 1)^3 and its complement left and right; one is right (a demo of
A. Juliani for meta-reinforcement learning, 2016): 1 or 0 for the choice, 100 trials.
"""

from __future__ import annotations

from abc import abstractmethod
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.decisions import DecisionTask, Question

Stimuli = Literal["all", "training", "held_out"]
HELD_OUT = 8
"""one code of so many is held out of training"""
ODD = 0x9E3779B1
"""2^32 / golden ratio; multiples of it are spread evenly"""


class Objects(NamedTuple):
    """What a lifetime draws once."""

    looks: Float[Tensor, "*B K W"]
    """what each object shows"""
    right: Int[Tensor, "*B"]
    """which of them is right"""


class _ObjectChoice(DecisionTask):
    """What both tasks are; they differ in how objects look and are paid."""

    tags = ("meta-learning", "reward", "decisions")
    loss: Any
    """payoff of a wrong choice"""

    feedback: bool = True
    """add the last action (one-hot) and its reward to the observation"""

    @property
    @abstractmethod
    def object_count(self) -> int:
        """K."""

    @property
    @abstractmethod
    def width(self) -> int:
        """W, numbers that show an object."""

    @abstractmethod
    def looks(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B K W"]:
        """How the objects of lifetimes look, all different."""

    @property
    def spec(self) -> TaskSpec:
        """The ceiling by (1), over the learning trials."""
        count = self.object_count
        ceiling = sum(min(1.0, n / count) for n in range(1, self.trials + 1)) / self.trials
        criterion = 1 / count + (ceiling - 1 / count) * 5 / 6 if self.trials > 1 else ceiling
        places = ("left", "right") if count == 2 else tuple(f"place_{n}" for n in range(count))
        described = self.describe(
            dict.fromkeys(places, self.width),
            count,
            chance=1 / count,
            ceiling=ceiling,
            criterion=criterion,
            oracle=1.0,
            reward_range=(self.loss, 1.0),
        )
        return described._replace(action_names=places)

    def birth(self, key: Int[Tensor, "*B"]) -> Objects:
        """How the objects look, and which is right."""
        return Objects(self.looks(rng.fold(key, 0)), rng.below(rng.word(rng.fold(key, 1), 0), self.object_count))

    def question(self, key: Int[Tensor, "*B"], life: Objects, trial: Int[Tensor, "*T"]) -> Question:
        """The objects in a random order."""
        now = rng.condition_keys(rng.trial_keys(key, trial))
        if self.object_count == 2:
            first = rng.below(rng.word(now, 0), 2)
            order = torch.stack((first, 1 - first), -1)
        else:
            order = rng.permutation(now, self.object_count)
        right = order == life.right[..., None]
        places = order[..., None].expand(*order.shape, self.width)
        looks = life.looks.expand(*trial.shape, *life.looks.shape[-2:])
        payoff = torch.where(right, 1.0, self.loss)
        seen = looks.gather(-2, places).flatten(-2)
        return Question(seen, payoff, payoff.amax(-1), torch.zeros_like(trial), right.to(torch.uint8).argmax(-1))

    def score(self, payoff: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """1 right, 0 wrong."""
        return (payoff == 1).to(payoff.dtype)


class HarlowChoice(_ObjectChoice):
    """Two new objects in every life, one of them right; after one trial all is known."""

    references = (
        "Harlow 1949, The formation of learning sets, Psychol Rev 56:51",
        "Wang et al. 2018, Prefrontal cortex as a meta-reinforcement learning system, Nat Neurosci 21:860",
    )
    presets = MappingProxyType({"pair": MappingProxyType({}), "five": MappingProxyType({"objects": 5, "trials": 12})})

    kind: Literal["HarlowChoice-v0"] = "HarlowChoice-v0"
    trials: int = Field(default=6, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=1, ge=1)
    """trials of test after learning, plasticity off"""
    objects: int = Field(default=2, ge=2, le=32)
    """K, objects of a lifetime"""
    bits: int = Field(default=8, ge=1, le=30)
    """W, numbers of +1 and -1 that show an object"""
    loss: float = Field(default=-1.0, ge=-1, le=0)
    """payoff of a wrong choice"""
    stimuli: Annotated[Stimuli, BeforeValidator(one_of(Stimuli))] = "all"
    """which codes the objects are drawn from: all, seven eighths for training, or the eighth that is held out of it"""

    @model_validator(mode="after")
    def _has_codes(self) -> HarlowChoice:
        first, end = self._drawn
        if end - first < self.objects:
            of = "" if self.stimuli == "all" else f" among the {end - first} that are {self.stimuli}"
            raise wrong(f"bits is {self.bits}, wanted enough for objects = {self.objects} different codes{of}")
        return self

    @property
    def _drawn(self) -> tuple[int, int]:
        """Numbers [first, end) that are drawn from, before they are scattered."""
        count, held = 2**self.bits, 2**self.bits // HELD_OUT
        return {"all": (0, count), "training": (held, count), "held_out": (0, held)}[self.stimuli]

    @property
    def object_count(self) -> int:
        """K."""
        return self.objects

    @property
    def width(self) -> int:
        """One number a bit."""
        return self.bits

    def looks(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B K W"]:
        """Codes of +1 and -1."""
        first, end = self._drawn
        number = distinct(key, end - first, self.objects) + first
        return codes(number if self.stimuli == "all" else scattered(number, self.bits), self.bits)


class ContextualBandit(_ObjectChoice):
    """A colour and its complement; one of them is right, on whichever side it is."""

    references = ("Juliani 2016, Meta-RL (code), github.com/awjuliani/Meta-RL: the rainbow bandit",)
    presets = MappingProxyType({"juliani16": MappingProxyType({})})

    kind: Literal["ContextualBandit-v0"] = "ContextualBandit-v0"
    trials: int = Field(default=100, ge=1)
    """trials of learning in a lifetime"""
    loss: float = Field(default=0.0, ge=-1, le=0)
    """payoff of a wrong choice"""

    @property
    def object_count(self) -> int:
        """Two."""
        return 2

    @property
    def width(self) -> int:
        """Red, green and blue."""
        return 3

    def looks(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B 2 3"]:
        """A colour and its complement to white."""
        colour = rng.uniforms(key, 3)
        return torch.stack((colour, 1 - colour), -2)


def distinct(key: Int[Tensor, "*B"], n: int, k: int) -> Int[Tensor, "*B K"]:
    """k different numbers of [0, n), any set alike, the order not random: Floyd's method (Bentley & Floyd 1987)."""
    words, chosen = rng.words(key, k), []
    for place, last in enumerate(range(n - k, n)):
        drawn = rng.below(words[..., place], last + 1)
        taken = torch.zeros_like(drawn, dtype=torch.bool)
        for before in chosen:
            taken = taken | (drawn == before)
        chosen.append(torch.where(taken, last, drawn))
    return torch.stack(chosen, -1)


def scattered(number: Int[Tensor, "*B"], bits: int) -> Int[Tensor, "*B"]:
    """A fixed permutation of [0, 2^bits) that scatters neighbours: multiply by an odd number, fold, and once more."""
    last = 2**bits - 1
    for _ in range(2):
        number = number * ODD & last
        number = number ^ number >> (bits + 1) // 2
    return number


def codes(number: Int[Tensor, "*B"], bits: int) -> Float[Tensor, "*B W"]:
    """The bits of numbers, lowest first, as +1 and -1."""
    places = torch.arange(bits, device=number.device)
    return ((number[..., None] >> places) & 1).to(torch.float32) * 2 - 1
