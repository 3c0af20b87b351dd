"""The three families of the twenty tasks of Yang et al. 2019: one stimulus, two to compare, two to match.

go           one stimulus, in either modality: go to it, or opposite
comparison   two stimuli, at once or in turn: go to the stronger one. In each modality that shows them the strengths
             are m + c and m - c, either way round, m from U(mean_strength), c from `coherences`; with `levels`
             they are two different ones of these. Where both modalities count, `split` draws one pair for both,
             and a stimulus s is split into s + d / 2 and s - d / 2, d = +-s U(0.2, 0.8)
match        two stimuli, one after the other, each in either modality: go to the second, or keep fixating
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from metaplastic import rng
from metaplastic.core import TaskSpec, wrong
from metaplastic.tasks.constants import constant, look_up
from metaplastic.tasks.epochs import When
from metaplastic.tasks.yang19 import values
from metaplastic.tasks.yang19.ring import TURN, Shown, Yang19

CATEGORIES = 5
"""places in each half of the circle whose categories are published: 18, 54, ... degrees"""
HARDEST_MATCH = 20.0
"""least distance of two places that do not match, degrees (pi / 9)"""
EASIER = {True: 10, False: 2}
"""what `easy` multiplies coherences by, both at once or in turn"""


class One(NamedTuple):
    """Conditions of a go trial."""

    angle: Float[Tensor, "*B"]
    modality: Int[Tensor, "*B"]
    """0 or 1"""
    goal: Float[Tensor, "*B"]
    """where to go"""


class Pair(NamedTuple):
    """Conditions of a comparison."""

    angle1: Float[Tensor, "*B"]
    angle2: Float[Tensor, "*B"]
    strengths: Float[Tensor, "*B 4"]
    """of stimulus 1 in modality 1 and 2, then of stimulus 2"""
    goal: Float[Tensor, "*B"]


class Match(NamedTuple):
    """Conditions of a match."""

    angle1: Float[Tensor, "*B"]
    angle2: Float[Tensor, "*B"]
    modality1: Int[Tensor, "*B"]
    modality2: Int[Tensor, "*B"]
    goal: Float[Tensor, "*B"]
    matches: Bool[Tensor, "*B"]
    goes: Bool[Tensor, "*B"]


class GoFamily(Yang19):
    """One stimulus: go to it or opposite, at the cue or at once."""

    tags = ("yang19", "trials", "delayed response")

    @property
    def spec(self) -> TaskSpec:
        """Ceiling: (3) of `yang19_values` over the times that the stimulus is on."""
        goals = _unit_angles(self.units) if self.places == "units" else None
        epochs = [self.timing[epoch].ends(self.dt)[0] * self.dt for epoch in self.seen_in("stimulus")]
        return self.described(
            trial_types=2,
            chance=values.hit_by_guessing(self.units, self.tolerance, goals),
            ceiling=values.placed(self.units, self.sigma, sum(epochs), 1.0, math.radians(self.tolerance)),
        )

    def last_stimulus(self) -> str:
        """There is one."""
        return "stimulus"

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, One]:
        """A place and a modality; the modality is the trial's type."""
        del life, trial
        angle = self.place(rng.word(key, 0))
        modality = rng.below(rng.word(key, 1), 2)
        goal = self.opposite(angle) if self.row.turned else angle.clone()
        return modality.clone(), One(angle, modality, goal)

    def stimuli(self, conditions: One, when: When) -> list[Shown]:
        """The stimulus, in its modality."""
        shown = self.within(when.epoch, self.seen_in("stimulus")).to(torch.float32)
        second = shown * conditions.modality
        return [Shown(conditions.angle, shown - second, second)]


class Comparison(Yang19):
    """Two stimuli at once or in turn: go to the stronger one."""

    tags = ("yang19", "trials", "decision", "perceptual")

    coherences: tuple[float, ...] = Field(default=(0.01, 0.02, 0.04, 0.08), min_length=1)
    """c, half the difference of the two strengths, each alike"""
    mean_strength: tuple[float, float] = (0.8, 1.2)
    """limits of m"""
    levels: tuple[float, ...] = ()
    """if given, the two strengths are two different ones of these, each pair alike"""
    split: bool = True
    """where both modalities count they split one pair of strengths; otherwise each draws its own"""
    easy: bool = False
    """coherences 10 times as large (2 times where the stimuli come in turn)"""

    @model_validator(mode="after")
    def _strengths_are_possible(self) -> Comparison:
        low, high = self.mean_strength
        if not 0 <= low <= high:
            raise wrong(f"mean_strength is ({low:g}, {high:g}), wanted 0 <= low <= high")
        if self.levels and (len(set(self.levels)) < 2 or min(self.levels) < 0 or self.easy):
            raise wrong(f"levels is {self.levels}, wanted at least two different numbers from 0 on, and easy: false")
        if self.levels == () and not 0 < min(self.coherences) <= max(self.coherences) * self.easier <= low:
            raise wrong(
                f"coherences are {self.coherences}{f' times {self.easier}' * self.easy}, wanted numbers in "
                f"(0, {low:g}]: a strength m - c must not be below 0"
            )
        return self

    @property
    def at_once(self) -> bool:
        """Both stimuli are shown at the same time."""
        return "second" not in self.row.timing

    @property
    def easier(self) -> int:
        """What `easy` multiplies coherences by."""
        return EASIER[self.at_once] if self.easy else 1

    @property
    def shares(self) -> bool:
        """Both modalities show one pair of strengths, split."""
        return self.split and self.row.relevant == (1, 2)

    def pairs(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The half differences c, and the means m that belong to them (none: drawn)."""
        if not self.levels:
            return tuple(c * self.easier for c in self.coherences), ()
        pairs = list(combinations(sorted(set(self.levels)), 2))
        return tuple((b - a) / 2 for a, b in pairs), tuple((a + b) / 2 for a, b in pairs)

    @property
    def spec(self) -> TaskSpec:
        """Ceiling: (1) or (2), times (3), of `yang19_values`."""
        differences, means = self.pairs()
        goals = _unit_angles(self.units) if self.places == "units" else None
        first, ms = self.timing["stimulus"], self.timing["stimulus"].ends(self.dt)[0] * self.dt
        strength = min(means or (self.mean_strength[0],))
        setting = (self.units, self.sigma)
        if self.at_once:
            right = values.stronger_at_once(*setting, first, self.dt, self._evidence(), _gaps(self.places, self.units))
        else:
            right = values.stronger_in_turn(*setting, first, self.timing["second"], self.dt, self._evidence())
        return self.described(
            trial_types=len(differences),
            chance=values.hit_by_guessing(self.units, self.tolerance, goals),
            ceiling=right * values.placed(*setting, ms, strength, math.radians(self.tolerance)),
        )

    def _evidence(self) -> list[float]:
        """Half differences c sqrt(R) of what an observer of the R modalities that count can use."""
        differences, _ = self.pairs()
        if len(self.row.relevant) == 1:
            return list(differences)
        if self.shares:
            return [c * math.sqrt(2) for c in differences]
        found = []
        for one in differences:
            for other in differences:
                against = abs(one - other) or one + other  # a tie is turned round
                found += [(one + other) / math.sqrt(2), against / math.sqrt(2)]
        return found

    def last_stimulus(self) -> str:
        """The second one, where there are two epochs."""
        return "stimulus" if self.at_once else "second"

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Pair]:
        """Two places, and strengths in both modalities; the type is which difference (of the modality that counts)."""
        del life, trial
        angle1 = self.place(rng.word(key, 0))
        angle2 = self.other_place(angle1, rng.word(key, 1), 90.0)
        which1, mean1, c1 = self._difference(key, 2)
        which2, mean2, c2 = self._difference(key, 5)
        if self.shares:
            strengths, stronger = self._split(key, mean1, c1), c1
        else:
            stronger = {(1,): c1, (2,): c2, (1, 2): c1 + c2}[self.row.relevant]
            if self.row.relevant == (1, 2):
                c2 = torch.where(c1 + c2 == 0, c1, c2)  # nobody could decide a tie: modality 2 is turned round
                stronger = c1 + c2
            strengths = torch.stack((mean1 + c1, mean2 + c2, mean1 - c1, mean2 - c2), -1)
            on = [float(modality in self.row.shown) for modality in (1, 2, 1, 2)]
            strengths = strengths * constant(tuple(on), strengths.device)
        goal = torch.where(stronger > 0, angle1, angle2)
        kind = which2 if self.row.relevant == (2,) else which1
        return kind, Pair(angle1, angle2, strengths, goal)

    def _difference(self, key: Int[Tensor, "*B"], first: int) -> tuple[Tensor, Tensor, Tensor]:
        """Which difference, the mean m and the half difference c with its sign, from words first .. first + 2."""
        differences, means = self.pairs()
        which = rng.below(rng.word(key, first), len(differences))
        sign = rng.below(rng.word(key, first + 1), 2) * 2 - 1
        low, high = self.mean_strength
        drawn = rng.uniform(rng.word(key, first + 2)) * (high - low) + low
        return which, look_up(means, which) if means else drawn, look_up(differences, which) * sign

    def _split(self, key: Int[Tensor, "*B"], mean: Tensor, c: Tensor) -> Float[Tensor, "*B 4"]:
        """Strengths s + d / 2 and s - d / 2 of each stimulus in modality 1 and 2."""
        both = torch.stack((mean + c, mean - c), -1)
        words = torch.stack([rng.word(key, place) for place in (8, 9, 10, 11)], -1)
        sign = (rng.below(words[..., :2], 2) * 2 - 1).to(torch.float32)
        half = both * sign * (rng.uniform(words[..., 2:]) * 0.6 + 0.2) / 2
        return torch.stack((both + half, both - half), -1).flatten(-2)

    def stimuli(self, conditions: Pair, when: When) -> list[Shown]:
        """Both stimuli, in the modalities that show them."""
        first = self.within(when.epoch, self.seen_in("stimulus")).to(torch.float32)
        second = first if self.at_once else self.within(when.epoch, self.seen_in("second")).to(torch.float32)
        s = conditions.strengths
        return [
            Shown(conditions.angle1, s[..., 0] * first, s[..., 1] * first),
            Shown(conditions.angle2, s[..., 2] * second, s[..., 3] * second),
        ]


class MatchFamily(Yang19):
    """Two stimuli, a delay apart: go to the second one, or keep fixating."""

    tags = ("yang19", "trials", "memory", "go-no-go")

    @property
    def spec(self) -> TaskSpec:
        """Chance of any action or none alike; ceiling: (3) of `yang19_values` for the place and for the match."""
        guess = 1 / (self.units + 1)
        hit = values.hit_by_guessing(self.units, self.tolerance, self._goals())
        last = self.last_stimulus() if not self.is_reaction else "decision"
        ms = [self.timing[epoch].ends(self.dt)[0] * self.dt for epoch in ("stimulus", last)]
        seen = 1 / (1 / ms[0] + 1 / ms[1])
        setting = (self.units, self.sigma)
        told = values.placed(*setting, seen, 1.0, math.radians(self._margin()))
        gone = values.placed(*setting, ms[1], 1.0, math.radians(self.tolerance))
        return self.described(
            trial_types=2,
            chance=0.5 * guess + 0.5 * (1 - guess) * hit,
            ceiling=told * (0.5 + 0.5 * gone),
        )

    def _goals(self) -> tuple[float, ...] | None:
        if self.places == "units":
            return _unit_angles(self.units)
        return (
            tuple(360 * (k + 0.5) / (2 * CATEGORIES) for k in range(2 * CATEGORIES)) if self.row.by_category else None
        )

    def _margin(self) -> float:
        """Degrees that an observer may err by and still tell a match."""
        if self.places == "units":
            return 180 / self.units if self.row.by_category else 90.0
        return 180 / (2 * CATEGORIES) if self.row.by_category else HARDEST_MATCH / 2

    def last_stimulus(self) -> str:
        """The second one."""
        return "second"

    def answers(self) -> tuple[int, ...]:
        """To keep fixating can be right, too."""
        return tuple(range(self.units + 1))

    def goes(self, conditions: Match) -> Bool[Tensor, "*B"]:
        """Whether to go."""
        return conditions.goes

    def sample_trial(self, key: Int[Tensor, "*B"], life: Any, trial: Int[Tensor, "*B"]) -> tuple[Tensor, Match]:
        """Match or not, two places and modalities; type 1 matches."""
        del life, trial
        matches = rng.below(rng.word(key, 0), 2) == 1
        if self.row.by_category:
            angle1, angle2 = self._in_categories(key, matches)
        else:
            angle1 = self.place(rng.word(key, 1))
            anywhere = self.places == "circle"
            other = self.other_place(angle1, rng.word(key, 2), HARDEST_MATCH) if anywhere else self.opposite(angle1)
            angle2 = torch.where(matches, angle1, other)
        modality1, modality2 = (rng.below(rng.word(key, place), 2) for place in (3, 4))
        goes = ~matches if self.row.turned else matches.clone()
        found = Match(angle1, angle2, modality1, modality2, angle2.clone(), matches, goes)
        return matches.to(torch.int64), found

    def _in_categories(self, key: Int[Tensor, "*B"], matches: Bool[Tensor, "*B"]) -> tuple[Tensor, Tensor]:
        """Two places, of one half of the circle or of two."""
        half = self.units // 2 if self.places == "units" else CATEGORIES
        shift = 0.0 if self.places == "units" else 0.5
        first = rng.below(rng.word(key, 1), 2 * half)
        side = torch.where(matches, first // half, 1 - first // half)
        second = rng.below(rng.word(key, 2), half) + side * half
        step = TURN / (2 * half)
        return (first + shift).to(torch.float32) * step, (second + shift).to(torch.float32) * step

    def stimuli(self, conditions: Match, when: When) -> list[Shown]:
        """Both stimuli, each in its modality."""
        found = []
        angles = (conditions.angle1, conditions.angle2)
        modalities = (conditions.modality1, conditions.modality2)
        for angle, modality, epoch in zip(angles, modalities, ("stimulus", "second"), strict=True):
            shown = self.within(when.epoch, self.seen_in(epoch)).to(torch.float32)
            found.append(Shown(angle, shown * (1 - modality), shown * modality))
        return found


def _unit_angles(units: int) -> tuple[float, ...]:
    return tuple(360 * unit / units for unit in range(units))


@lru_cache
def _gaps(places: str, units: int) -> Float[Tensor, " g"]:
    """The distances of two stimuli, each alike, in radians."""
    if places == "units":
        return torch.arange(1, units, dtype=torch.float64) * (TURN / units)
    return torch.linspace(math.pi / 2, 3 * math.pi / 2, 181, dtype=torch.float64)
