"""What producing intervals earns: the score of an error, of the ideal observer, of one fixed time and of chance.

    eps = |t_p - t_g|,  W = margin t_g + slack,  score = max(.1, (1 - eps / W)^1.5) if eps <= W, else 0          (1)

t_p is the produced time, t_g the wanted one. An interval t_s comes from a prior and is measured as t_m; t_g is g t_s in
whole steps, halves up. With the noise of `bell`, t_m = t_s (1 + w_m N(0, 1)). Knowing prior and gain, the best
observer produces the time that earns most on average,

    ceiling = sum over t_m of  max over t_p of  sum over t_s of  P(t_s, t_m) score(t_p, t_g(t_s))                 (2)

which draws production towards the middle of the prior (Jazayeri & Shadlen 2010). Whoever does not measure produces the
same time in every trial, at best the one for which the sum in (2) over all t_m is largest. That earns more than
errors of 15 % do (.29 and .21 at the intervals of Jazayeri & Shadlen 2015), so that such errors are no sign of
having measured: a task of intervals counts as learned halfway from the best fixed time to the ceiling.             (3)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.rng import Table
from metaplastic.tasks.durations import Duration

FINE = 16
"""grid points of `bell` in a standard deviation"""
WIDE = 3
"""standard deviations of `bell`"""

_BELLS: dict[str, Table] = {}
"""device -> `bell`; a plain dict, because torch.compile sees through it"""


class Course(NamedTuple):
    """The intervals of one prior and gain; times in steps."""

    goals: Int[Tensor, " S"]
    """t_g"""
    joint: Float[Tensor, "S M"]
    """P(t_s, t_m); t_m counts from 0"""


class Expected(NamedTuple):
    """Mean scores."""

    chance: float
    """of going at the cue, as the random policy does"""
    fixed: float
    """of the best fixed time"""
    ceiling: float
    """(2)"""

    @property
    def learned(self) -> float:
        """(3)."""
        return (self.fixed + self.ceiling) / 2


def bell(device: torch.device | str = "cpu") -> Table:
    """A standard normal on a grid within +-`WIDE`, so that a draw is the same on every device."""
    if str(device) not in _BELLS:
        z = torch.arange(-WIDE * FINE, WIDE * FINE + 1, dtype=torch.float64) / FINE
        density = torch.exp(-(z**2) / 2)
        _BELLS[str(device)] = Table(z, density / density.sum()).to(device)
    return _BELLS[str(device)]


def production_score(eps: Float[Tensor, "*#B"], window: Float[Tensor, "*#B"]) -> Float[Tensor, "*B"]:
    """(1), of times in ms."""
    graded = (1 - eps / window).clamp(min=0).pow(1.5).clamp(min=0.1)
    return graded * (eps <= window)


@lru_cache
def courses(priors: tuple[Duration, ...], gains: tuple[float, ...], noise: float, dt: float) -> tuple[Course, ...]:
    """Every prior with every gain, in this order."""
    found = []
    z = bell() if noise else Table([0.0], [1.0])
    for prior in priors:
        table = prior.table(dt)
        sample = table.support
        joint = torch.zeros(len(sample), int(sample.max() * (1 + WIDE * noise)) + 2, dtype=torch.float64)
        measured = (sample[:, None] * (1 + noise * z.support)).round().to(torch.int64)
        joint.scatter_add_(1, measured, table.probabilities[:, None] * z.probabilities)
        found += [Course((sample * round(1000 * gain) + 500) // 1000, joint) for gain in gains]
    return tuple(found)


def best_production(course: Course, dt: float, margin: float, slack: float) -> tuple[Int[Tensor, " M"], Tensor]:
    """The best t_p in steps for every t_m, and P(t_m) times what it earns [M]."""
    earned, best = (course.joint.T @ _scores(course, dt, margin, slack)).max(-1)
    return best, earned


def _scores(course: Course, dt: float, margin: float, slack: float) -> Float[Tensor, "S P"]:
    """What every t_p (in steps, from 0) earns at every t_s."""
    tried = torch.arange(int(course.goals.max()) + 1, dtype=torch.float64)
    goals = course.goals[:, None].double()
    return production_score((tried - goals).abs() * dt, margin * dt * goals + slack)


@lru_cache
def expected_scores(
    priors: tuple[Duration, ...], gains: tuple[float, ...], noise: float, dt: float, margin: float, slack: float
) -> Expected:
    """Averages over priors and gains, each alike."""
    rows = []
    for course in courses(priors, gains, noise, dt):
        fixed = course.joint.sum(1) @ _scores(course, dt, margin, slack)
        ideal = best_production(course, dt, margin, slack)[1].sum()
        rows.append(torch.stack((fixed[0], fixed.max(), ideal)))
    return Expected(*torch.stack(rows).mean(0).tolist())
