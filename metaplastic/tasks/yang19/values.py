"""Chance and ceiling of the twenty tasks of Yang et al. 2019.

An ideal observer sees bumps in noise sigma (ms scale) for T ms. With E the energy of a bump of strength 1 summed over
the ring, E(D) the product of two bumps D apart, and E' the energy of its slope, all averaged over places,

    difference 2 c of two strengths, both shown for T ms:   Phi( 2 c sqrt((E - E(D)) T / 2) / sigma )               (1)
    the same, one shown for T1 and the other for T2 ms:     Phi( 2 c sqrt(E / (1 / T1 + 1 / T2)) / sigma )          (2)
    a place, within r of the truth:                         2 Phi( r s sqrt(E' T) / sigma ) - 1                     (3)

(1) and (2) grant the places, (3) is the Cramer-Rao bound: products of them bound what can be reached, closely so while
the noise is small beside a bump. R modalities that agree divide the variance by R.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float64
from torch import Tensor

from metaplastic.tasks.durations import Duration
from metaplastic.tasks.yang19.ring import PEAK, WIDTH

GRID = 3600
"""places on the circle over which energies are averaged"""


def _bump(angle: Float64[Tensor, "..."]) -> Float64[Tensor, "..."]:
    distance = math.pi - (angle.remainder(2 * math.pi) - math.pi).abs()
    return PEAK * torch.exp(-0.5 * (distance / WIDTH) ** 2)


@lru_cache
def energies(units: int) -> tuple[float, Float64[Tensor, " 3600"], float]:
    """(E, E(D) at D = 2 pi k / 3600, E'), for a ring of `units`."""
    angles = torch.arange(GRID, dtype=torch.float64) * (2 * math.pi / GRID)
    shape = _bump(angles)
    density = units / GRID
    spectrum = torch.fft.rfft(shape)
    overlaps = torch.fft.irfft(spectrum * spectrum.conj(), n=GRID) * density
    slope = (_bump(angles + 1e-4) - _bump(angles - 1e-4)) / 2e-4
    return float(overlaps[0]), overlaps, float(slope.square().sum()) * density


def phi(z: Float64[Tensor, "..."]) -> Float64[Tensor, "..."]:
    """The normal distribution function."""
    return torch.special.ndtr(z)


def lasts(duration: Duration, dt: float) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
    """(ms, probability) of every length that an epoch can have."""
    table = duration.table(dt)
    return table.support.double() * dt, table.probabilities


def stronger_at_once(
    units: int, sigma: float, shown: Duration, dt: float, differences: list[float], gaps: Float64[Tensor, " g"]
) -> float:
    """(1), averaged over half differences c, durations and gaps D in radians; `differences` are c sqrt(R)."""
    if not sigma:
        return 1.0
    energy, overlaps, _ = energies(units)
    place = (gaps * (GRID / (2 * math.pi))).round().long() % GRID
    ms, probability = lasts(shown, dt)
    c = torch.tensor(differences, dtype=torch.float64)
    d = (energy - overlaps[place]).clamp(min=0)
    right = phi(2 * c[:, None, None] * (d[:, None] * ms / 2).sqrt() / sigma)
    return float((right.mean((0, 1)) * probability).sum())


def stronger_in_turn(
    units: int, sigma: float, first: Duration, second: Duration, dt: float, differences: list[float]
) -> float:
    """(2), averaged over half differences c sqrt(R) and durations."""
    if not sigma:
        return 1.0
    energy, _, _ = energies(units)
    (ms1, p1), (ms2, p2) = lasts(first, dt), lasts(second, dt)
    c = torch.tensor(differences, dtype=torch.float64)
    seen = energy / (1 / ms1[:, None] + 1 / ms2)
    right = phi(2 * c[:, None, None] * seen.sqrt() / sigma)
    return float((right.mean(0) * p1[:, None] * p2).sum())


def placed(units: int, sigma: float, ms: float, strength: float, within: float) -> float:
    """(3), for `within` in radians."""
    if not sigma:
        return 1.0
    _, _, slope = energies(units)
    z = torch.tensor(within * strength * math.sqrt(slope * ms) / sigma, dtype=torch.float64)
    return float(2 * phi(z) - 1)


def hit_by_guessing(units: int, tolerance: float, goals: tuple[float, ...] | None) -> float:
    """Share of the units within `tolerance` degrees of the goal: goals in degrees, each alike; None: anywhere."""
    if goals is None:
        return 2 * tolerance / 360
    hits = 0
    for goal in goals:
        away = [abs((360 * unit / units - goal + 180) % 360 - 180) for unit in range(units)]
        hits += sum(distance <= tolerance + 1e-6 for distance in away)
    return hits / len(goals) / units
