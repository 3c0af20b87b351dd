"""To be surprised as little as possible: prediction, description length, and prediction of one's own activity.

    F = 1/2 sum_k sum_i [eps_ki^2 / Sigma_k + log Sigma_k],   eps_k = x_k - mu_k                            (1)
        dF/deps_k = eps_k / Sigma_k,      dF/dSigma_k = 1/2 sum_i [1 / Sigma_k - eps_ki^2 / Sigma_k^2]      (2)
    description length (nats) = sum over cases [F + N/2 log 2 pi] + sum_w [w^2 / 2 s^2 + 1/2 log 2 pi s^2]  (3)
    self-prediction   C = 1/2 |z - sg(y)|^2,   dC/dz = z - y                                                (4)
        or            C = 1 - cos(z, sg(y)),   dC/dz = (cos z / |z| - y / |y|) / |z|                        (5)

y is the next activity, held fixed (sg), z what was predicted of it. (4) has the solution y = 0 for all: `spread` is to
be reported beside it. (5) does not see the size. Whittington & Bogacz 2017 (1, here with eps not yet divided by Sigma);
Rissanen 1978 (3); rules.md 10. Functions: no kind of life predicts yet but the rules of relaxation, which have (1) in
their equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def free_energy(
    errors: Sequence[Float[Tensor, "*B _"]], variances: Sequence[Float[Tensor, "*#B 1"]]
) -> Float[Tensor, "*B"]:
    """Equation (1); one entry a layer, one variance each."""
    parts = [
        0.5 * (error.square() / variance + torch.log(variance)).sum(-1)
        for error, variance in zip(errors, variances, strict=True)
    ]
    return torch.stack(torch.broadcast_tensors(*parts)).sum(0)


def prediction_errors(
    errors: Sequence[Float[Tensor, "*B _"]], variances: Sequence[Float[Tensor, "*#B 1"]]
) -> list[Float[Tensor, "*B _"]]:
    """dF/deps_k of (2): what each layer's error neurons say."""
    return [error / variance for error, variance in zip(errors, variances, strict=True)]


def variance_error(error: Float[Tensor, "*B N"], variance: Float[Tensor, "*#B 1"]) -> Float[Tensor, "*B"]:
    """dF/dSigma_k of (2)."""
    return 0.5 * (1 / variance - error.square() / variance.square()).sum(-1)


def description_length(
    errors: Sequence[Float[Tensor, "*B S _"]],
    variances: Sequence[Float[Tensor, "*#B 1 1"]],
    weights: Sequence[Float[Tensor, "*B _ _"]],
    prior: float = 1.0,
) -> Float[Tensor, "*B"]:
    """Equation (3) of S cases and the weights that predict them; `prior` is s, by which weights are coded."""
    units = sum(error.shape[-1] for error in errors)
    cases = (free_energy(errors, variances) + 0.5 * units * math.log(2 * math.pi)).sum(-1)
    code = [(0.5 * (w / prior).square() + 0.5 * math.log(2 * math.pi * prior**2)).flatten(-2).sum(-1) for w in weights]
    return cases + torch.stack(code).sum(0)


def self_cost(predicted: Float[Tensor, "*B N"], following: Float[Tensor, "*B N"]) -> Float[Tensor, "*B"]:
    """Equation (4)."""
    return 0.5 * (predicted - following.detach()).square().sum(-1)


def self_error(predicted: Float[Tensor, "*B N"], following: Float[Tensor, "*B N"]) -> Float[Tensor, "*B N"]:
    """d (4) / dz."""
    return predicted - following


def cosine_cost(predicted: Float[Tensor, "*B N"], following: Float[Tensor, "*B N"]) -> Float[Tensor, "*B"]:
    """Equation (5); neither may be 0."""
    return 1 - (_unit(predicted) * _unit(following.detach())).sum(-1)


def cosine_error(predicted: Float[Tensor, "*B N"], following: Float[Tensor, "*B N"]) -> Float[Tensor, "*B N"]:
    """d (5) / dz."""
    along, towards = _unit(predicted), _unit(following)
    cosine = (along * towards).sum(-1, keepdim=True)
    return (cosine * along - towards) / torch.linalg.vector_norm(predicted, dim=-1, keepdim=True)


def spread(activity: Float[Tensor, "*B S N"]) -> Float[Tensor, "*B"]:
    """Mean variance of a neuron over S cases: 0 where a self-prediction has collapsed."""
    return activity.var(-2, unbiased=False).mean(-1)


def _unit(vector: Float[Tensor, "*B N"]) -> Float[Tensor, "*B N"]:
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
