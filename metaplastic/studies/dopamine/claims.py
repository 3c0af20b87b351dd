"""Rows of a study's table that speak of one number a training seed, and whether enough seeds are within all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from metaplastic.studies.study import Claim, Source, enough, mean_and_error


def row(
    what: str,
    published: str,
    source: Source,
    values: Sequence[float],
    bound: Callable[[float], bool],
    share: float = 0.75,
) -> Claim:
    """A claim on one number a seed; it is within if `share` of the seeds are."""
    holds = [bool(bound(value)) for value in values]  # numpy has a bool of its own
    text = f"{mean_and_error(values)}; {sum(holds)} of {len(holds)}"
    return Claim(what, published, source, text, enough(holds, share))


def checksum_row(is_unchanged: bool) -> Claim:
    """Weights before and after the tests."""
    return Claim(
        "weights after the tests", "unchanged", "derived", "unchanged" if is_unchanged else "CHANGED", is_unchanged
    )


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
