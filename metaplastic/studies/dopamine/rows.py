"""Rows of a study's table that speak of one number a training seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
