"""Sequential images: see an image pixel by pixel, then name it.

A trial shows the pixels of one image, one a step, row by row or, `permuted`, in one random order that is the same in
every run; then, with `cue_rows`, a cue for as many rows of pixels. The mean output over the last `judged_rows` rows of
steps (one step at least) names one of ten classes; the score is 1 or 0.

Spikes (`spikes`, with `levels` levels k / (levels - 1), as in the tutorial code of Bellec et al. 2018) instead of grey:

    up, down   a cell for each level below 1 fires when the grey comes to or over it, or falls below it again    (1)
    white      a cell fires while the grey is 1                                                                   (2)

With the cue these are 80 inputs for 40 levels, of which those of level 0 never fire, as there. Images, pools and a
lifetime's way through them are those of `pools.py`. `le15` is the task of Le, Jaitly & Hinton 2015, `le15_permuted`
theirs with permuted pixels (recalled), `bellec18` the spiking one: a cue of 56 steps, of which the code judges the last
28. The presets take procedural glyphs, so that they need no file; the publications' images are had with `data: mnist`
and `data_root`. Departures: a crossing is told with the pixel that crosses, not one step before; before an image the
grey is 0; the permutation is our own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.class_readout import REWARDS, MeanClassReadout
from metaplastic.tasks.images import pools
from metaplastic.tasks.images.pools import CLASSES
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

_ORDERS: dict[tuple[int, str], Tensor] = {}
"""(pixels, device) -> the permuted order. A plain dict, because torch.compile sees through it"""


class Picture(NamedTuple):
    """What a trial draws."""

    number: Int[Tensor, "*B"]
    """which image of the pool"""
    label: Int[Tensor, "*B"]
    """its class"""


class SequentialMNIST(MeanClassReadout):
    """Name an image that was shown pixel by pixel."""

    references = (
        "Le, Jaitly & Hinton 2015, A simple way to initialize recurrent networks of rectified linear units, "
        "arXiv:1504.00941",
        "Bellec et al. 2018, Long short-term memory and learning-to-learn in networks of spiking neurons, NeurIPS 31",
    )
    tags = ("images", "sequences", "memory", "trials", "readout")
    epochs = ("image", "cue")
    presets = MappingProxyType(
        {
            "le15": MappingProxyType({"data": "procedural", "cue_rows": 0}),
            "le15_permuted": MappingProxyType({"data": "procedural", "cue_rows": 0, "permuted": True}),
            "bellec18": MappingProxyType({"data": "procedural", "spikes": True}),
        }
    )

    kind: Literal["SequentialMNIST-v0"] = "SequentialMNIST-v0"
    trials: int = Field(default=1000, ge=1)
    """trials of learning in a lifetime"""
    test_trials: int = Field(default=200, ge=1)
    """trials of test after learning, plasticity off"""
    data: Annotated[pools.Data, BeforeValidator(one_of(pools.Data))] = "digits"
    """digits of 8 x 8 pixels, mnist (`data_root`) or procedural glyphs, both of 28 x 28"""
    data_root: str = ""
    """mnist: folder with the four IDX files, gzipped or not"""
    pool: Annotated[pools.PoolName, BeforeValidator(one_of(pools.PoolName))] = "search"
    """which images; a search sees `search` alone, and its champion is judged on `held_out`"""
    permuted: bool = False
    """pixels in a random order, the same for all images"""
    spikes: bool = False
    """threshold crossings instead of grey values"""
    levels: int = Field(default=40, ge=2, le=256)
    """spikes: levels from 0 to 1"""
    cue_rows: int = Field(default=2, ge=0)
    """length of the cue after the image, in rows of its pixels; 0: there is none, and no channel for it"""
    judged_rows: int = Field(default=1, ge=1)
    """length of what is judged at the cue's end; without a cue, the last step is"""
    gain: float = Field(default=1.0, gt=0)
    """value of a white pixel or a spike"""

    @model_validator(mode="after")
    def _has_images(self) -> SequentialMNIST:
        if self.cue_rows and self.judged_rows > self.cue_rows:
            raise wrong(f"judged_rows is {self.judged_rows}, wanted at most cue_rows = {self.cue_rows}")
        if self.data == "mnist":
            try:
                pools.check_mnist(self.data_root)
            except ValueError as why:
                raise wrong(f"data_root: {why}") from why
        return self

    @property
    def pixels(self) -> int:
        """Steps of an image."""
        return pools.SIDES[self.data] ** 2

    @property
    def spec(self) -> TaskSpec:
        """Ten classes alike; whoever tells them apart is always right."""
        crossed = {"up": self.levels - 1, "down": self.levels - 1, "white": 1}
        widths = (crossed if self.spikes else {"grey": 1}) | ({"cue": 1} if self.cue_rows else {})
        return step_spec(
            self,
            widths,
            CLASSES,
            self.pixels + self.cue_rows * pools.SIDES[self.data],
            chance=1 / CLASSES,
            criterion=0.9,
            reward_range=REWARDS,
        )

    def held_out(self) -> SequentialMNIST:
        """The same task on the images that no search sees."""
        return self.model_copy(update={"pool": "held_out"})

    def images(self, device: torch.device) -> pools.Pool:
        """The pool's images on a device."""
        return pools.images(self.data, self.data_root, self.pool, device)

    def birth(self, key: Int[Tensor, "*B"]) -> pools.Cut:
        """Keys of the lifetime's orders of images."""
        return pools.cut(key)

    def draw(self, key: Int[Tensor, "*B"], life: pools.Cut, trial: Int[Tensor, "*B"]) -> Drawn:
        """The trial's image."""
        del key
        labels = self.images(trial.device).labels
        number = pools.index(life, trial, self.trials, len(labels))
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Picture(number, labels[number]))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """A pixel, or the cue; the class is wanted all the time and counts at the end."""
        cued = t >= self.pixels
        shown = (self._crossed if self.spikes else self._shown)(drawn.values.number, t)
        if self.cue_rows:
            shown = torch.cat((shown, cued[..., None].to(shown.dtype)), -1)
        label = one_hot(drawn.values.label, CLASSES).expand(*t.shape, CLASSES)
        judged = t >= self.facts.trial_steps - self._judged
        return Frame(shown * self.gain, label, judged.to(torch.float32), cued.to(torch.int8))

    @property
    def _judged(self) -> int:
        return self.judged_rows * pools.SIDES[self.data] if self.cue_rows else 1

    def _grey(self, number: Int[Tensor, "*B"], t: Int[Tensor, "*T"]) -> Int[Tensor, "*T"]:
        """The pixel of step t as a whole number; 0 before and after the image."""
        within = (t >= 0) & (t < self.pixels)
        place = t.clamp(0, self.pixels - 1)
        if self.permuted:
            place = _order(self.pixels, t.device)[place]
        pixel = self.images(t.device).images.flatten()[number * self.pixels + place]
        return pixel.to(torch.int64) * within

    def _shown(self, number: Int[Tensor, "*B"], t: Int[Tensor, "*T"]) -> Float[Tensor, "*T 1"]:
        """The grey of a pixel; white is 1."""
        return self._grey(number, t)[..., None].to(torch.float32) * (1 / self.images(t.device).white)

    def _crossed(self, number: Int[Tensor, "*B"], t: Int[Tensor, "*T"]) -> Float[Tensor, "*T J"]:
        """(1) and (2), in whole numbers: grey / white >= k / (levels - 1)."""
        white, top = self.images(t.device).white, self.levels - 1
        level = torch.arange(top, device=t.device) * white
        grey, before = self._grey(number, t), self._grey(number, t - 1)
        above, was_above = ((value * top)[..., None] >= level for value in (grey, before))
        # what falls at the image's end is not told: there is nothing to see any more
        falls = ~above & was_above & (t < self.pixels)[..., None]
        return torch.cat((above & ~was_above, falls, (grey == white)[..., None]), -1).to(torch.float32)


def _order(pixels: int, device: torch.device) -> Int[Tensor, " pixels"]:
    place = (pixels, str(device))
    if place not in _ORDERS:
        _ORDERS[place] = rng.permutation(rng.fold(rng.root(0), pixels), pixels).to(device)
    return _ORDERS[place]
