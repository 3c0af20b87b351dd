"""How the arms of a bandit hang together: what a lifetime draws once.

The probability that arm k pays 1 (`gaussian`: its mean payoff, with noise of standard deviation 1):

    independent  p_k ~ U(0, 1)                               correlated  p, 1 - p with p ~ U(0, 1); two arms
    easy, medium, hard  one arm .9, .75, .6, all others .1, .25, .4
    sum1         u_k / sum u, u_k ~ U(0, 1)                  gaussian    mu_k ~ N(0, 1)
    restless     p_t, 1 - p_t; p_t a sum of uniform steps, stretched to [0, 1] over the lifetime (at least 150 trials)
    walk         Gaussian steps of .025 from U(.25, .75), reflected at .25 and .75, each arm for itself

Wang et al. 2016 (arXiv:1611.05763): independent, correlated, easy, medium, hard; walk as in Daw et al. 2011. The
published code of `restless` draws the size of its steps for each lifetime, which the stretching cancels; here it is 1.
Walks are summed in float64 of float32 steps, which is exact: they are the same bits on every device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng

GOOD_ARM = {"easy": 0.9, "medium": 0.75, "hard": 0.6}
"""probability of the good arm; each of the others has the rest to 1"""
WALK_STEP, WALK_LOW, WALK_HIGH = 0.025, 0.25, 0.75
RESTLESS_POINTS = 150
"""fewest trials over which a restless walk is stretched to [0, 1]"""

Means = Float[Tensor, "*B N K"]
"""expected payoff of every arm; N trials, or 1 where nothing drifts"""


def _independent(key: Tensor, arms: int, points: int) -> Means:
    del points
    return rng.uniforms(key, 1, arms)


def _correlated(key: Tensor, arms: int, points: int) -> Means:
    del arms, points
    p = rng.uniforms(key, 1, 1)
    return torch.cat((p, 1 - p), -1)


def _one_good(probability: float) -> Callable[[Tensor, int, int], Means]:
    def means(key: Tensor, arms: int, points: int) -> Means:
        del points
        good = rng.below(rng.words(key, 1), arms)
        p = torch.where(torch.arange(arms, device=key.device) == good, probability, 1 - probability)
        return p.to(torch.float32)[..., None, :]

    return means


def _sum1(key: Tensor, arms: int, points: int) -> Means:
    del points
    u = rng.uniforms(key, 1, arms).double()
    return (u / u.sum(-1, keepdim=True)).to(torch.float32)


def _gaussian(key: Tensor, arms: int, points: int) -> Means:
    del points
    return rng.normals(key, 1, arms)


def _restless(key: Tensor, arms: int, points: int) -> Means:
    del arms
    steps = rng.uniforms(key, max(points, RESTLESS_POINTS)).double() * 2 - 1
    path = steps.cumsum(-1)
    low, high = path.amin(-1, keepdim=True), path.amax(-1, keepdim=True)
    p = ((path - low) / (high - low)).to(torch.float32)
    return torch.stack((p, 1 - p), -1)


def _walk(key: Tensor, arms: int, points: int) -> Means:
    start = rng.uniforms(rng.fold(key, 0), 1, arms).double() / 2 + WALK_LOW
    steps = rng.normals(rng.fold(key, 1), (points - 1) * arms, gaussian="integer")
    free = torch.cat((start, steps.reshape(*key.shape, points - 1, arms).double() * WALK_STEP), -2).cumsum(-2)
    width = WALK_HIGH - WALK_LOW
    folded = (free - WALK_LOW).remainder(2 * width)
    return (WALK_LOW + torch.minimum(folded, 2 * width - folded)).to(torch.float32)


STRUCTURES: dict[str, Callable[[Tensor, int, int], Means]] = {
    "independent": _independent,
    "correlated": _correlated,
    "easy": _one_good(GOOD_ARM["easy"]),
    "medium": _one_good(GOOD_ARM["medium"]),
    "hard": _one_good(GOOD_ARM["hard"]),
    "sum1": _sum1,
    "gaussian": _gaussian,
    "restless": _restless,
    "walk": _walk,
}
"""structure -> (parameter keys [*B], arms, trials of a lifetime) -> expected payoffs [*B, N, K]"""
