"""Few-shot learning: see new characters with their labels, then name other drawings of them (N-way K-shot).

Every trial takes N new classes of characters, gives them the labels 0 .. N - 1 by chance and, with `turned`, turns each
class by 0, 90, 180 or 270 degrees. No drawing comes twice in a trial. Two protocols (`labels`):

    beside   `shots` times all classes in random order, each beside its label; then `queries` drawings without one,
             whose last steps are judged (Miconi, Clune & Stanley 2018, section 4.3, preset `miconi18`)
    after    N `shots` drawings in random order; a label comes with the next drawing, and each drawing is judged
             (Santoro et al. 2016, preset `santoro16`, recalled: 5 classes, 50 drawings of 20 x 20 pixels)

The score is (1) of `class_readout.py`. Whoever tells all classes apart names every query; in `after` it guesses a class
at its first drawing, among the labels that are left:

    ceiling = (N (K - 1) + H_N) / (N K),   H_N = 1 + 1/2 + .. + 1/N                                               (1)

Characters are procedural glyphs (`images/glyphs.py`), or Omniglot's in a folder of the user's. A search sees the
split `train`; `held_out` is `test`. Departures: the publications let a drawing come twice; of Omniglot, `held`
characters are kept for validation as well as for the test; Santoro's turns and shifts of single drawings are left to
the glyphs' own.

Render whole trials where speed counts: a compiled step draws the pictures of a next trial at every step.
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
from metaplastic.tasks.bandits.object_choice import distinct
from metaplastic.tasks.base import one_hot, one_of
from metaplastic.tasks.class_readout import REWARDS, ClassReadout
from metaplastic.tasks.images import glyphs, omniglot
from metaplastic.tasks.lane_rows import row
from metaplastic.tasks.step_spec import step_spec
from metaplastic.tasks.trials import Drawn, Frame

Labels = Literal["beside", "after"]
Source = Literal["procedural", "omniglot"]

_TURNED: dict[tuple[int, str], Tensor] = {}
"""(side, device) -> which pixel comes where in each turn. A plain dict, because torch.compile sees through it"""


class Episode(NamedTuple):
    """What a trial draws; S presentations."""

    shown: Float[Tensor, "*B R I"]
    """picture and label of each presentation, and nothing"""
    label: Float[Tensor, "*B S N"]
    """the right label of each, one-hot"""


class FewShot(ClassReadout):
    """See new characters with their labels once or a few times, then name them."""

    references = (
        "Miconi, Clune & Stanley 2018, Differentiable plasticity, ICML, arXiv:1804.02464",
        "Santoro, Bartunov, Botvinick, Wierstra & Lillicrap 2016, One-shot learning with memory-augmented neural "
        "networks, arXiv:1605.06065",
        "Lake, Salakhutdinov & Tenenbaum 2015, Human-level concept learning, Science 350:1332",
    )
    tags = ("meta-learning", "association", "images", "trials", "readout")
    epochs = ("support", "blank", "query")
    presets = MappingProxyType(
        {
            "miconi18": MappingProxyType({"side": 31}),
            "santoro16": MappingProxyType({"labels": "after", "shots": 10, "side": 20}),
        }
    )

    kind: Literal["FewShot-v0"] = "FewShot-v0"
    ways: int = Field(default=5, ge=2, le=100)
    """N, classes of a trial"""
    shots: int = Field(default=1, ge=1, le=100)
    """K, labelled drawings of a class"""
    queries: int = Field(default=1, ge=1, le=100)
    """drawings to be named at the end; `after` has none apart"""
    labels: Annotated[Labels, BeforeValidator(one_of(Labels))] = "beside"
    """beside its drawing, or after it, with the next one"""
    show: int = Field(default=1, ge=1)
    """steps of a drawing; the last one is judged"""
    blank: int = Field(default=0, ge=0)
    """steps of nothing between drawings"""
    turned: bool = True
    """turn every class by a multiple of 90 degrees, drawn for the trial"""
    gain: float = Field(default=1.0, gt=0)
    """value of ink and of a label; paper is 0"""
    side: int = Field(default=28, ge=4, le=105)
    """pixels of a side of the square pictures"""
    split: Annotated[glyphs.Split, BeforeValidator(one_of(glyphs.Split))] = "train"
    """which classes; a search sees `train` alone, and its champion is judged on `test`"""
    data: Annotated[Source, BeforeValidator(one_of(Source))] = "procedural"
    """procedural glyphs, or omniglot, from `data_root`"""
    data_root: str = ""
    """omniglot: folder with images_background and images_evaluation"""
    held: int = Field(default=100, ge=1)
    """omniglot: characters of the test split, and of the validation split"""

    @model_validator(mode="after")
    def _has_drawings(self) -> FewShot:
        if self.data == "procedural":
            return self
        try:
            characters = omniglot.characters(self.data_root)
            count = omniglot.split_range(len(characters), self.held, self.split)[1]
        except ValueError as why:
            raise wrong(f"data_root: {why}") from why
        if count < self.ways:
            raise wrong(f"ways is {self.ways}, wanted at most {count}, the characters of split {self.split!r}")
        if self.drawings > omniglot.DRAWINGS:
            raise wrong(
                f"a class is drawn {self.drawings} times (shots and queries), wanted at most {omniglot.DRAWINGS}, "
                "the drawings of a character"
            )
        return self

    @property
    def presentations(self) -> int:
        """S, drawings of a trial."""
        return self.ways * self.shots + (self.queries if self.labels == "beside" else 0)

    @property
    def drawings(self) -> int:
        """The most that one class is drawn in a trial."""
        return self.shots + (self.queries if self.labels == "beside" else 0)

    @property
    def spec(self) -> TaskSpec:
        """Chance is a guess among N; ceiling (1)."""
        guesses = sum(1 / n for n in range(1, self.ways + 1)) / self.ways
        ceiling = 1.0 if self.labels == "beside" else (self.shots - 1 + guesses) / self.shots
        chance = 1 / self.ways
        return step_spec(
            self,
            {"picture": self.side * self.side, "label": self.ways},
            self.ways,
            self.presentations * (self.show + self.blank) - self.blank,
            chance=chance,
            ceiling=ceiling,
            criterion=chance + 0.9 * (ceiling - chance),
            oracle=1.0,
            reward_range=REWARDS,
        )

    def held_out(self) -> FewShot:
        """The same task on classes that no search sees."""
        return self.model_copy(update={"split": "test"})

    def draw(self, key: Int[Tensor, "*B"], life: object, trial: Int[Tensor, "*B"]) -> Drawn:
        """Classes, their labels and turns, the order of presentations, and every picture."""
        del life
        own = rng.condition_keys(rng.trial_keys(key, trial))
        label, drawing = self._order(own)
        classes, turn = self._classes(rng.fold(own, 2))
        pictures = self._pictures(classes.gather(-1, label), label, drawing, rng.fold(own, 3))
        if self.turned:
            pictures = pictures.gather(-1, _turns(self.side, key.device)[turn.gather(-1, label)])
        named = one_hot(label, self.ways)
        if self.labels == "after":
            told = torch.cat((torch.zeros_like(named[..., :1, :]), named[..., :-1, :]), -2)
        else:
            is_told = torch.arange(self.presentations, device=key.device) < self.ways * self.shots
            told = named * is_told[:, None]
        shown = torch.cat((pictures, told), -1) * self.gain
        shown = torch.cat((shown, torch.zeros_like(shown[..., :1, :])), -2)
        length = torch.full_like(trial, self.facts.trial_steps)
        return Drawn(torch.zeros_like(trial), length, Episode(shown, named))

    def frame(self, drawn: Drawn, t: Int[Tensor, "*T"]) -> Frame:
        """The drawing whose turn it is; its name is wanted, and counts in the last step of a query."""
        shown, label = drawn.values
        place, since = t // (self.show + self.blank), t % (self.show + self.blank)
        place = place.clamp(max=self.presentations - 1)
        is_blank = since >= self.show
        is_query = ~is_blank & (place >= self.ways * self.shots if self.labels == "beside" else place >= 0)
        x = row(shown, torch.where(is_blank, self.presentations, place))
        weight = is_query & (since == self.show - 1)
        epoch = (is_blank + 2 * is_query).to(torch.int8)
        return Frame(x, row(label, place), weight.to(torch.float32), epoch)

    def _order(self, key: Int[Tensor, "*B"]) -> tuple[Int[Tensor, "*B S"], Int[Tensor, "*B S"]]:
        """Which class each presentation shows, and which of its drawings."""
        if self.labels == "after":
            place = rng.permutation(rng.fold(key, 0), self.presentations)
            return place % self.ways, place // self.ways
        number = rng.numbers(self.drawings, key.device)
        rounds = rng.permutation(rng.fold(rng.fold(key, 0)[..., None], number[: self.shots]), self.ways)
        asked = rng.below(rng.words(rng.fold(key, 1), self.queries), self.ways)
        label = torch.cat((rounds.flatten(-2), asked), -1)
        drawing = torch.cat((number[: self.shots].repeat_interleave(self.ways), number[self.shots :]))
        return label, drawing.expand_as(label)

    def _classes(self, key: Int[Tensor, "*B"]) -> tuple[Int[Tensor, "*B N"], Int[Tensor, "*B N"]]:
        """The class of each label, and its turn."""
        if self.data == "procedural":
            first, count = glyphs.SPLITS[self.split]
        else:
            total = len(omniglot.characters(self.data_root))
            first, count = omniglot.split_range(total, self.held, self.split)
        found = distinct(rng.fold(key, 0), count, self.ways)
        order = rng.permutation(rng.fold(key, 1), self.ways)
        return first + found.gather(-1, order), rng.below(rng.words(rng.fold(key, 2), self.ways), 4)

    def _pictures(
        self, index: Int[Tensor, "*B S"], label: Int[Tensor, "*B S"], drawing: Int[Tensor, "*B S"], key: Tensor
    ) -> Float[Tensor, "*B S pixels"]:
        """Drawing number `drawing` of each class, before its turn; ink is 1."""
        own = rng.fold(key[..., None], label)
        if self.data == "procedural":
            return glyphs.instances(index, rng.fold(own, drawing), self.side)
        order = rng.permutation(own, omniglot.DRAWINGS)
        number = index * omniglot.DRAWINGS + order.gather(-1, drawing[..., None]).squeeze(-1)
        return omniglot.drawings(self.data_root, self.side, index.device)[number].to(torch.float32) * (1 / 255)


def _turns(side: int, device: torch.device) -> Int[Tensor, "4 pixels"]:
    """Which pixel comes where in a turn by 0, 90, 180 and 270 degrees."""
    place = (side, str(device))
    if place not in _TURNED:
        pixels = torch.arange(side * side).reshape(side, side)
        _TURNED[place] = torch.stack([pixels.rot90(k).flatten() for k in range(4)]).to(device)
    return _TURNED[place]
