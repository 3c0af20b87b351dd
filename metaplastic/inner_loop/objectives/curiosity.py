"""To learn something new: information gain, and two cheap stand-ins. All of them are streams of reward.

    KL[q || p] = 1/2 sum_i [(s_q^2 + (m_q - m_p)^2) / s_p^2 - 1 + 2 log(s_p / s_q)],   s = softplus(rho)    (1)
        dKL/dm_q = (m_q - m_p) / s_p^2,      dKL/ds_q = s_q / s_p^2 - 1 / s_q                               (2)
    information gain   r = scale KL[after || before] / median(KL of late)                                   (3)
    count              r = 1 / sqrt(n(s)),  n the visits, this one too                                      (4)
    distillation       r = |f(s) - g(s)|^2,  g the predictor of a fixed random f;  dr/dg = 2 (g - f)        (5)

Houthooft et al. 2016 (VIME), read in the authors' code: q is a diagonal Gaussian over the weights of a model of the
world (1, 3); Bellemare et al. 2016 (4); Burda et al. 2018 (RND, 5). Functions: no kind of life adds them to reward yet.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus


class Belief(NamedTuple):
    """A diagonal Gaussian over weights."""

    mean: Float[Tensor, "*B N"]
    rho: Float[Tensor, "*B N"]
    """softplus of it is the deviation"""


def divergence(after: Belief, before: Belief) -> Float[Tensor, "*B"]:
    """Equation (1), nats; q is `after`, p `before`."""
    new, old = softplus(after.rho), softplus(before.rho)
    ratio = (new.square() + (after.mean - before.mean).square()) / old.square()
    return 0.5 * (ratio - 1 + 2 * torch.log(old / new)).sum(-1)


def divergence_error(after: Belief, before: Belief) -> Belief:
    """Derivatives of (1) by the mean and, through (2) and softplus, by rho of `after`."""
    new, old = softplus(after.rho), softplus(before.rho)
    by_deviation = new / old.square() - 1 / new
    return Belief((after.mean - before.mean) / old.square(), by_deviation * torch.sigmoid(after.rho))


class Late(NamedTuple):
    """The last K divergences of each life, a ring."""

    values: Float[Tensor, "*B K"]
    noted: int = 0

    def note(self, value: Float[Tensor, "*B"]) -> Late:
        """With one more, in the place of the oldest."""
        values = self.values.clone()
        values[..., self.noted % values.shape[-1]] = value
        return Late(values, self.noted + 1)

    def median(self) -> Float[Tensor, "*B"]:
        """Of those that were noted."""
        return self.values[..., : min(self.noted, self.values.shape[-1])].median(-1).values


def information_gain(gain: Float[Tensor, "*B"], late: Late, scale: float = 1.0) -> Float[Tensor, "*B"]:
    """Equation (3); `late` holds at least one divergence."""
    return scale * gain / late.median().clamp(min=1e-12)


def count_novelty(visits: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Equation (4)."""
    return visits.clamp(min=1).to(torch.get_default_dtype()).rsqrt()


def distillation(features: Float[Tensor, "*B N"], predicted: Float[Tensor, "*B N"]) -> Float[Tensor, "*B"]:
    """Equation (5)."""
    return (features - predicted).square().sum(-1)


def distillation_error(features: Float[Tensor, "*B N"], predicted: Float[Tensor, "*B N"]) -> Float[Tensor, "*B N"]:
    """d (5) / dg: what the predictor descends, so that what was seen often is new no more."""
    return 2 * (predicted - features)
