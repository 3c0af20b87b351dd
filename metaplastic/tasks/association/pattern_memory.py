"""Complete a pattern that was seen a moment ago from half of it (Miconi, Clune & Stanley 2018, section 4.1).

A trial shows `patterns` random patterns one after the other, in `cycles` random orders, each for `show` steps and then
nothing for `blank` steps. At the end one of them comes back for `test` steps with part of it set to 0, and the outputs
of the last step should be the whole pattern. Inputs are the pattern and a constant 1, all times `gain`.

    score = part of the bits whose output has the right sign (an output of 0: half right)                       (1)
    reward = - mean squared error of the outputs

Copying the cue earns 1 - degraded / 2. An ideal observer keeps all patterns and finds the m that agree with the cue;
with h of the N / 2 positive bits among the K that were kept, a missing bit is positive in each of them with probability
q = (N / 2 - h) / (N - K), and its best guess is the majority's:

    ceiling = K / N + (N - K) / N  E_h E_m E max(c, m - c) / m,   c ~ Binomial(m, q)                             (2)
    m - 1 ~ Binomial(patterns - 1, comb(N - K, N / 2 - h) / comb(N, N / 2)),   h hypergeometric

`miconi18` has 1000 bits; the default has 100. `miconi18_images` is the scheme of their section 4.2 with 3 grey images
of 32 x 32 pixels, zero mean, largest value 1, one contiguous half removed. Theirs are photographs (CIFAR-10); here
they are textures, sums of gratings of random direction, so that nothing must be supplied.
"""

from __future__ import annotations

import math
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Judgement, TaskSpec, wrong
from metaplastic.tasks.base import one_of
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.readouts import ReadoutTask
from metaplastic.tasks.trials import Drawn, Frame

Patterns = Literal["bits", "textures"]

GRATINGS = 6
"""gratings in a texture"""
WAVES = 4
"""most periods of a grating across an image"""


class Bank(NamedTuple):
    """What a trial draws."""

    pictures: Float[Tensor, "*B R I"]
    """what is shown: each pattern, the one to be completed with its hole, and nothing"""
    whole: Float[Tensor, "*B N"]
    """what is wanted"""
    order: Int[Tensor, "*B S"]
    """which pattern each presentation shows"""


class PatternMemory(ReadoutTask):
    """See patterns once or twice, then complete one from a part of it."""

    references = ("Miconi, Clune & Stanley 2018, Differentiable plasticity, ICML, arXiv:1804.02464",)
    tags = ("memory", "association", "trials", "readout")
    epochs = ("show", "blank", "test")
    best_reward = 0.0
    presets = MappingProxyType(
        {
            "miconi18": MappingProxyType({"bits": 1000}),
            "miconi18_images": MappingProxyType(
                {"content": "textures", "bits": 1024, "patterns": 3, "cycles": 3, "show": 20, "blank": 2, "test": 3}
            ),
        }
    )

    kind: Literal["PatternMemory-v0"] = "PatternMemory-v0"
    content: Annotated[Patterns, BeforeValidator(one_of(Patterns))] = "bits"
    """bits: +1 and -1, as many of each; textures: square grey images in [-1, 1] with zero mean"""
    bits: int = Field(default=100, ge=4, le=4096)
    """N, numbers of a pattern: even; in a texture a square"""
    patterns: int = Field(default=5, ge=1, le=100)
    """patterns of a trial"""
    cycles: int = Field(default=2, ge=1)
    """how often each is shown"""
    show: int = Field(default=6, ge=1)
    """steps of a presentation"""
    blank: int = Field(default=4, ge=0)
    """steps of nothing after it"""
    test: int = Field(default=6, ge=1)
    """steps of the cue; its last one is judged"""
    degraded: float = Field(default=0.5, ge=0, lt=1)
    """part of the cue that is set to 0"""
    gain: float = Field(default=20.0, gt=0)
    """what inputs are multiplied with"""

    @model_validator(mode="after")
    def _has_halves(self) -> PatternMemory:
        if self.content == "bits" and self.bits % 2:
            raise wrong(f"bits is {self.bits}, wanted an even number: half of a pattern is +1; use {self.bits + 1}")
        side = math.isqrt(self.bits)
        if self.content == "textures" and side * side != self.bits:
            raise wrong(f"bits is {self.bits}, wanted the square of a whole number for textures; use {side * side}")
        return self

    @property
    def kept(self) -> int:
        """K, numbers that are left in the cue."""
        return self.bits - int(self.degraded * self.bits)

    @property
    def spec(self) -> TaskSpec:
        """Chance is a coin for each bit; ceiling (2), 1 for textures."""
        ceiling = 1.0 if self.content == "textures" else ideal_score(self.bits, self.kept, self.patterns)
        return TaskSpec(
            id=self.kind,
            channels={"pattern": (0, self.bits), "bias": (self.bits, self.bits + 1)},
            observations=self.bits + 1,
            actions=self.bits,
            response="readout",
            dt=1.0,
            trial_steps=self.cycles * self.patterns * (self.show + self.blank) + self.test,
            trial_types=1,
            chance=0.5,
            ceiling=ceiling,
            criterion=min(0.98, ceiling),
            oracle=1.0,
            tags=self.tags,
            cite=self.references,
            epochs=self.epochs,
            reward_range=(-4.0, 0.0),
        )

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """The patterns, their orders, and the cue: one of them with a hole."""
        del life
        own = rng.condition_keys(rng.trial_keys(key, trial))
        pictures = self._pictures(rng.fold(own, 0))
        cycles = rng.numbers(self.cycles, key.device)
        order = rng.permutation(rng.fold(rng.fold(own, 1)[..., None], cycles), self.patterns).flatten(-2)
        chosen = rng.below(rng.words(own, 1), self.patterns)
        whole = pictures.gather(-2, chosen[..., None].expand(*chosen.shape, self.bits))
        cue = whole * self._mask(rng.fold(own, 2))[..., None, :]
        pictures = torch.cat((pictures, cue, torch.zeros_like(cue)), -2)
        pictures = torch.cat((pictures, torch.ones_like(pictures[..., :1])), -1) * self.gain
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Bank(pictures, whole[..., 0, :], order))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """The pattern whose turn it is; the whole one is wanted throughout and counts in the last step."""
        pictures, whole, order = drawn.values
        period = self.show + self.blank
        tests = t >= self.cycles * self.patterns * period
        is_blank = ~tests & (t % period >= self.show)
        place = (t // period).clamp(max=order.shape[-1] - 1)
        number = order.expand(*t.shape, order.shape[-1]).gather(-1, place[..., None])[..., 0]
        number = torch.where(tests, self.patterns, torch.where(is_blank, self.patterns + 1, number))
        x = row(pictures, number)
        epoch = (is_blank + 2 * tests).to(torch.int8)
        last = t + 1 == self.facts.trial_steps
        return Frame(x, whole.expand(*t.shape, self.bits), last.to(torch.float32), epoch)

    def tally(self, output: Float[Tensor, "*B N"], y: Float[Tensor, "..."], w: Float[Tensor, "..."]) -> Tensor:
        """Bits with the right sign (1), and the mean squared error."""
        right = (output * y).sign().sum(-1).double() * w
        error = (output - y).square().mean(-1).double() * w
        return torch.stack((right, error), -1)

    def verdict(self, tally: Float[Tensor, "*B 2"]) -> Judgement:
        """(1); a trial is right if its score is at least 0.98."""
        score = ((tally[..., 0] / self.bits + 1) / 2).to(torch.float32)
        return Judgement(-tally[..., 1].to(torch.float32), score, (score >= 0.98).to(torch.float32))

    def _pictures(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B P N"]:
        own = rng.fold(key[..., None], rng.numbers(self.patterns, key.device))
        if self.content == "textures":
            return _textures(own, math.isqrt(self.bits))
        return torch.where(rng.permutation(own, self.bits) < self.bits // 2, 1.0, -1.0)

    def _mask(self, key: Int[Tensor, "*B"]) -> Float[Tensor, "*B N"]:
        """1 where the cue is kept: random places, or the upper or lower rows of an image."""
        if self.content == "bits":
            return (rng.permutation(key, self.bits) < self.kept).to(torch.float32)
        places = torch.arange(self.bits, device=key.device)
        top = rng.coin(rng.words(key, 1), 0.5)
        return torch.where(top, places < self.kept, places >= self.bits - self.kept).to(torch.float32)


def _textures(key: Int[Tensor, "*P"], side: int) -> Float[Tensor, "*P N"]:
    """Sums of gratings, zero mean, largest |value| 1."""
    fx, fy, phase = rng.uniforms(key, 3, GRATINGS).unbind(-2)
    place = torch.arange(side, device=key.device) / side
    x, y = place.repeat(side), place.repeat_interleave(side)
    waves = WAVES * ((2 * fx[..., None] - 1) * x + (2 * fy[..., None] - 1) * y) + phase[..., None]
    image = torch.cos(2 * math.pi * waves).sum(-2)
    image = image - image.mean(-1, keepdim=True)
    return image / image.abs().amax(-1, keepdim=True).clamp(min=1e-6)


@lru_cache
def ideal_score(bits: int, kept: int, patterns: int) -> float:
    """(2): expected score of who remembers all patterns exactly."""
    half, missing, total = bits // 2, bits - kept, math.comb(bits, bits // 2)
    if not missing:
        return 1.0
    guessed = 0.0
    for h in range(max(0, half - missing), min(half, kept) + 1):
        ways = math.comb(missing, half - h)
        weight = math.comb(kept, h) * ways / total
        guessed += weight * _majority(patterns - 1, ways / total, (half - h) / missing)
    return (kept + missing * guessed) / bits


def _majority(others: int, agree: float, q: float) -> float:
    """Probability that the majority of the patterns that agree with the cue is right at a bit."""
    found = 0.0
    for m in range(1, others + 2):
        several = math.comb(others, m - 1) * agree ** (m - 1) * (1 - agree) ** (others - m + 1)
        counts = (math.comb(m, c) * q**c * (1 - q) ** (m - c) * max(c, m - c) / m for c in range(m + 1))
        found += several * sum(counts)
    return found
