"""Claims about every seed, and whether enough seeds are within all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from metaplastic.studies.dopamine.rows import row
from metaplastic.studies.study import Claim, Source, enough


class Bounded(NamedTuple):
    """A bound and one number a seed."""

    what: str
    published: str
    source: Source
    values: list[float]
    is_within: Callable[[float], bool]
    """NaN is within nothing, so bounds are comparisons"""

    @property
    def claim(self) -> Claim:
        """Its row of the table."""
        return row(*self)


def together(table: Sequence[Bounded]) -> Claim:
    """Whether enough seeds are within all of these bounds at once."""
    seeds = range(len(table[0].values))
    holds = [all(one.is_within(one.values[seed]) for one in table) for seed in seeds]
    text = f"{sum(holds)} of {len(holds)} seeds"
    return Claim("all of these in one seed", "6 of 8 seeds", "proposed", text, enough(holds))
