"""Stimuli on a ring of K tuned channels, and how well an ideal observer tells them apart.

    u_i = base + gain cos(theta_i - theta),   theta_i = 2 pi i / K                                               (1)

Under independent noise sigma, what T ms of (1) tell of theta is one point z of the plane: z = d (cos theta, sin theta)
+ N(0, I), d = gain sqrt(K T / 2) / sigma (K = 2: one number, d = gain sqrt(2 T) / sigma). From this follow, the ring
taken as continuous:

    the half of the circle, by the sign of z_2        P(right) = mean over theta of Phi(d |sin theta|)             (2)
    same or opposite, by the sign of z . z'           P(right) = P(|phi - phi'| < pi / 2), phi the angle of z      (3)
    two things that must both be told, and the answer is whether they agree    P(right) = p p' + (1 - p)(1 - p')  (4)
    which of n tests, one after the other, equals the sample; the others lie anywhere:
        L = I0(|d z + d' z'|) / (I0(d |z|) I0(d' |z'|)),  M_n = 0,  M_k = E max(L, M_(k+1)),  P(right) = M_0 / n   (5)

In (5) E is taken over tests that do not match, where L, the likelihood ratio of a match, has expectation 1; the best
observer goes at test k if its L exceeds M_k, what waiting is worth. For large d the error falls as sqrt(log d) / d.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.tasks.constants import ring

SHARP = 60.0
"""d beyond which (3) is 1"""
SHARPEST = 1000.0
"""d from which the error of (5) is taken to fall as 1 / d"""
_FINE = 4096
_NODES = 48


def cosine_bump(theta: Float[Tensor, "*T"], units: int, base: float, gain: float) -> Float[Tensor, "*T K"]:
    """(1)."""
    return base + gain * torch.cos(ring(units, theta.device) - theta[..., None])


def sharpness(units: int, gain: float, ms: float, sigma: float) -> float:
    """d of (1)."""
    return gain * math.sqrt(2 * ms if units == 2 else units * ms / 2) / sigma if sigma else math.inf


@lru_cache
def half_circle(d: float) -> float:
    """(2)."""
    theta = (torch.arange(_FINE, dtype=torch.float64) + 0.5) * (2 * math.pi / _FINE)
    return float(torch.special.ndtr(d * theta.sin().abs()).mean())


def agreement(p: float, q: float) -> float:
    """(4)."""
    return p * q + (1 - p) * (1 - q)


@lru_cache
def opposite(units: int, first: float, second: float) -> float:
    """(3); for two channels, whose stimuli lie on a line, (4) of both signs."""
    if units == 2:
        signs = [float(torch.special.ndtr(torch.tensor(d, dtype=torch.float64))) for d in (first, second)]
        return agreement(*signs)
    spectra = [torch.fft.fft(_angles(min(d, SHARP))) for d in (first, second)]
    difference = torch.fft.ifft(spectra[0] * spectra[1].conj()).real
    steps = torch.arange(_FINE)
    near = torch.minimum(steps, _FINE - steps)
    weight = (near < _FINE // 4).double() + 0.5 * (near == _FINE // 4).double()
    return float((difference * weight).sum())


@lru_cache
def one_of_tests(tests: int, first: float, second: float) -> float:
    """(5): d of the sample and of a test."""
    if math.isinf(first) and math.isinf(second):
        return 1.0
    excess = max(min(first, second) / SHARPEST, 1.0)
    if excess > 1:
        return 1 - (1 - one_of_tests(tests, first / excess, second / excess)) / excess
    r, p = _radii(first)
    s, q = _radii(second)
    u = (torch.arange(_NODES * 16, dtype=torch.float64) + 0.5) / (_NODES * 16)
    delta, dense = math.pi * u.square(), u / u.sum()  # angles between them, most of them small; their probabilities
    a, b = (first * r)[:, None, None], (second * s)[None, :, None]
    together = (a**2 + b**2 + 2 * a * b * delta.cos()).clamp(min=0).sqrt()
    log = _log_bessel(together) - _log_bessel(a) - _log_bessel(b)
    share = q[:, None] * dense
    likelihood = log.exp() * share
    likelihood = likelihood / likelihood.sum((1, 2), keepdim=True)  # expectation 1, whatever the grid
    waiting = torch.zeros_like(r)
    for _ in range(tests):
        waiting = torch.maximum(likelihood, waiting[:, None, None] * share).sum((1, 2))
    return float((waiting * p).sum()) / tests


def _angles(d: float) -> Float[Tensor, " N"]:
    """Distribution of the angle of (d, 0) + N(0, I), on a grid that starts at 0."""
    phi = torch.arange(_FINE, dtype=torch.float64) * (2 * math.pi / _FINE)
    towards, off = d * phi.cos(), d * phi.sin()
    peak = towards * torch.special.ndtr(towards) * torch.exp(-(off**2) / 2) / math.sqrt(2 * math.pi)
    density = math.exp(-(d**2) / 2) / (2 * math.pi) + peak
    return density / density.sum()


def _radii(d: float) -> tuple[Tensor, Tensor]:
    """Nodes and probabilities of |(d, 0) + N(0, I)| (Rice 1944)."""
    low, high = max(0.0, d - 6), d + 6
    r = low + (torch.arange(_NODES, dtype=torch.float64) + 0.5) * ((high - low) / _NODES)
    density = r * torch.exp(-((r - d) ** 2) / 2) * torch.special.i0e(r * d)
    return r, density / density.sum()


def _log_bessel(x: Tensor) -> Tensor:
    """log I0."""
    return torch.special.i0e(x).log() + x
