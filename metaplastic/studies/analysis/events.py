"""Averages of a signal around events, with the training seed as the unit of replication.

    mean = 1/S sum_s m_s,    s.e.m. = sqrt( sum_s (m_s - mean)^2 / (S - 1) / S )                                   (1)

m_s is the mean over all events of seed s: episodes of one network are no independent samples of networks.
Shapes: S seeds, T steps, E episodes, W offsets from -before to +after, * further axes (units). NaN is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


class OverSeeds(NamedTuple):
    """(1), and what it was made of."""

    mean: Float[np.ndarray, "*W"]
    sem: Float[np.ndarray, "*W"]
    """standard error over seeds; NaN with fewer than two"""
    per_seed: Float[np.ndarray, "S *W"]


def over_seeds(per_seed: Shaped[np.ndarray, "S *W"]) -> OverSeeds:
    """(1) of one number (or array) a seed. A seed that is NaN somewhere does not count there."""
    values = np.asarray(per_seed, dtype=np.float64)
    count = np.isfinite(values).sum(0)
    mean = nan_mean(values)
    squares = np.where(np.isfinite(values), (values - mean) ** 2, 0.0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sem = np.sqrt(np.where(count > 1, squares / (count - 1) / count, np.nan))
    return OverSeeds(mean, sem, values)


def nan_mean(values: Shaped[np.ndarray, "..."], axis: int | tuple[int, ...] = 0) -> Float[np.ndarray, "..."]:
    """Mean of what is finite; NaN, without a warning, where nothing is."""
    is_seen = np.isfinite(values)
    count = is_seen.sum(axis)
    total = np.where(is_seen, values, 0.0).sum(axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def windows(
    signal: Shaped[np.ndarray, "T E *F"], is_event: Bool[np.ndarray, "..."], before: int, after: int
) -> Float[np.ndarray, "n W *F"]:
    """The signal from `before` steps before each event to `after` steps after it; NaN outside the recording.

    Raises:
        ValueError: if the two do not have the same steps and episodes, or the window is empty.
    """
    if signal.shape[:2] != is_event.shape:
        raise ValueError(
            f"signal has shape {signal.shape} and is_event {is_event.shape}; wanted [T, E, ...] and [T, E], time first"
        )
    if before + after < 0:
        raise ValueError(f"before is {before} and after {after}; wanted a window of one step or more")
    step, episode = np.nonzero(is_event)
    at = step[:, None] + np.arange(-before, after + 1)
    is_inside = (at >= 0) & (at < len(signal))
    found = np.asarray(signal, dtype=np.float64)[np.clip(at, 0, len(signal) - 1), episode[:, None]]
    return np.where(is_inside.reshape(*is_inside.shape, *(1,) * (found.ndim - 2)), found, np.nan)


def event_mean(
    signal: Shaped[np.ndarray, "T E *F"], is_event: Bool[np.ndarray, "T E"], before: int = 0, after: int = 0
) -> Float[np.ndarray, "W *F"]:
    """Mean of one seed's windows over all its events."""
    return nan_mean(windows(signal, is_event, before, after))


def aligned(
    signals: Sequence[Shaped[np.ndarray, "..."]],
    events: Sequence[Bool[np.ndarray, "..."]],
    before: int = 0,
    after: int = 0,
) -> OverSeeds:
    """`event_mean` of every seed, then (1): one signal [T, E, ...] and one mask [T, E] a seed, of any length."""
    return over_seeds(
        np.stack([event_mean(signal, at, before, after) for signal, at in zip(signals, events, strict=True)])
    )


def by_condition(
    signals: Sequence[Shaped[np.ndarray, "..."]],
    events: Sequence[Bool[np.ndarray, "..."]],
    conditions: Sequence[Int[np.ndarray, "..."]],
    names: Mapping[int, str],
    before: int = 0,
    after: int = 0,
) -> dict[str, OverSeeds]:
    """`aligned` for each condition that `names` names; `conditions` are numbers [T, E], one array a seed."""
    return {
        name: aligned(
            signals,
            [at & (condition == number) for at, condition in zip(events, conditions, strict=True)],
            before,
            after,
        )
        for number, name in names.items()
    }


def trial_course(values: Shaped[np.ndarray, "S T E *F"]) -> OverSeeds:
    """A curve over trials: mean over episodes, then (1) over seeds."""
    return over_seeds(nan_mean(np.asarray(values, dtype=np.float64), axis=2))
