"""Ideal observers: how well evidence can be used at best, computed.

What is seen in T ms, with independent noise sigma (in sqrt(ms)) on every channel, comes down to a few numbers z with
noise of deviation 1, whose means are the templates' lengths in units of the noise:

    two channels that differ by c    z = c sqrt(T) / (sqrt(2) sigma) + N(0, 1),  P(right) = Phi of the mean     (1)
    a ring, c/2 cos(theta_i - theta) z in the plane, d = c sqrt(K T / 8) / sigma away from 0 in direction theta;
                                     right if its angle errs by less than pi / K                                (2)
    any conditions n, answers a      the answer with the largest sum_n P(n) N(z; mean_n) prize(n, a)            (3)

(2) has the density of the angle of a displaced normal,
p(phi) = exp(-d^2/2) / 2 pi + d cos(phi) Phi(d cos(phi)) exp(-d^2 sin^2(phi)/2) / sqrt(2 pi). All in float64.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from metaplastic.tasks.durations import Duration

REACH = 6.5
"""deviations around a mean that (3) integrates over"""
FAR = 40.0
"""where (3) cuts means of one number z: what is farther from 0 has its sign, and is not confused with 0"""
FINE = 0.005
"""step of that integral, deviations"""
ACROSS = 41
"""places along each axis of the integral over two numbers z"""


def evidence(
    difference: Float[Tensor, "..."], ms: Float64[Tensor, "..."] | float, sigma: float
) -> Float64[Tensor, "..."]:
    """The mean of z in (1), for a difference between two channels; difference and ms broadcast."""
    return difference.double() * ms**0.5 / (math.sqrt(2) * sigma or 1e-12)


@lru_cache
def two_channels(differences: tuple[float, ...], shown: Duration, dt: float, sigma: float) -> float:
    """P(right) of (1), averaged over differences, each alike, and the durations of what is shown."""
    table = shown.table(dt)
    z = evidence(torch.tensor(differences, dtype=torch.float64)[:, None], table.support.double() * dt, sigma)
    return float((torch.special.ndtr(z) * table.probabilities).sum(-1).mean())


@lru_cache
def ring(coherences: tuple[float, ...], shown: Duration, dt: float, sigma: float, directions: int) -> float:
    """P(right) of (2), averaged over coherences, each alike, and the durations of what is shown."""
    table, half = shown.table(dt), math.pi / directions
    away = evidence(
        torch.tensor(coherences, dtype=torch.float64)[:, None], table.support.double() * dt * directions / 4, sigma
    )
    nodes = 2001
    phi = (torch.arange(nodes, dtype=torch.float64) + 0.5) / nodes * half
    towards, off = away[..., None] * phi.cos(), away[..., None] * phi.sin()
    peak = towards * torch.special.ndtr(towards) * torch.exp(-(off**2) / 2) / math.sqrt(2 * math.pi)
    density = torch.exp(-(away[..., None] ** 2) / 2) / (2 * math.pi) + peak
    within = 2 * density.mean(-1) * half
    sure = away * math.sin(half) > REACH
    return float((torch.where(sure, 1.0, within) * table.probabilities).sum(-1).mean())


def frequencies(
    means: Float[Tensor, " N"], chances: Float[Tensor, " N"], prizes: Float[Tensor, "N A"]
) -> Float64[Tensor, "N A"]:
    """How often (3) gives each answer in each condition, for one number z."""
    means = means.double().clamp(-FAR, FAR)
    low, high = float(means.min()) - REACH, float(means.max()) + REACH
    nodes = math.ceil((high - low) / FINE)
    z = low + (torch.arange(nodes, dtype=torch.float64) + 0.5) * ((high - low) / nodes)
    likelihood = torch.exp(-((z - means[:, None]) ** 2) / 2)  # [N, nodes]
    best = (likelihood.T @ (chances.double()[:, None] * prizes.double())).argmax(-1)
    answers = torch.nn.functional.one_hot(best, prizes.shape[1]).double()
    return likelihood @ answers / likelihood.sum(-1, keepdim=True)


def expected(frequency: Float[Tensor, "N A"], chances: Float[Tensor, " N"], prizes: Float[Tensor, "N A"]) -> float:
    """What an observer with these frequencies of answers earns."""
    return float((frequency * prizes.double() * chances.double()[:, None]).sum())


def expected_best(means: Float[Tensor, "N 2"], chances: Float[Tensor, " N"], prizes: Float[Tensor, "N A"]) -> float:
    """What (3) earns with two numbers z: the largest expected prize, averaged over what is seen.

    The average is taken around each condition, so that they may lie as far apart as they like.
    """
    means, chances, prizes = means.double(), chances.double(), prizes.double()
    line = ((torch.arange(ACROSS, dtype=torch.float64) + 0.5) / ACROSS * 2 - 1) * REACH
    grid = torch.cartesian_prod(line, line)
    weight = torch.exp(-(grid**2).sum(-1) / 2)
    away = grid[:, None, None] + (means[:, None] - means)  # [nodes, N true, N supposed, 2]
    odds = torch.softmax(-(away**2).sum(-1) / 2 + chances.log(), -1)
    best = (odds @ prizes).amax(-1)
    return min(float((weight / weight.sum()) @ best @ chances), float(chances @ prizes.amax(-1)))  # rounding aside
