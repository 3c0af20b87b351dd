"""Recursive least squares: linear weights that are, after every step, the best for all that was seen so far.

    e = W r - z*,   k = P r / (lambda + r' P r),   W <- W - e k',   P <- (P - k (P r)') / lambda             (1)

    W_t minimises  sum_s lambda^(t - s) |W r_s - z*_s|^2 + lambda^t alpha |W - W_0|^2,   with P_0 = I / alpha     (2)

Haykin 2002, chapter 9; Sussillo & Abbott 2009; Parga et al. 2022, eqs. 12, 34 and 35 (there with the updated P, which
is the same: P_new r = k where lambda is 1). All rows of W share the regressors r, so one P serves them. It is not
local: k_j reads all of r. lambda below 1 forgets.

k (P r)' is c (P r) (P r)' with c = 1 / (lambda + r' P r), and is computed as the square of sqrt(c) P r, so that P stays
symmetric to the last bit.

Shapes: B any leading axes (individuals, lifetimes, plastic units), N regressors, A outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Gain(NamedTuple):
    """What one step of (1) needs of P."""

    k: Float[Tensor, "*B N"]
    inverse: Float[Tensor, "*B N N"]
    """P after the step"""


def start(alpha: Float[Tensor, "*B"], size: int) -> Float[Tensor, "*B N N"]:
    """P_0 = I / alpha."""
    eye = torch.eye(size, dtype=alpha.dtype, device=alpha.device)
    return eye / alpha[..., None, None]


def gain(inverse: Float[Tensor, "*B N N"], r: Float[Tensor, "*B N"], forgetting: Float[Tensor, "*#B"]) -> Gain:
    """k and the next P of (1); regressors of 0 leave P as it was, up to the forgetting."""
    projected = (inverse * r[..., None, :]).sum(-1)
    c = 1 / (forgetting + (r * projected).sum(-1))
    half = c.sqrt()[..., None] * projected
    after = (inverse - half[..., :, None] * half[..., None, :]) / forgetting[..., None, None]
    return Gain(c[..., None] * projected, after)


def step(
    w: Float[Tensor, "*B A N"],
    inverse: Float[Tensor, "*B N N"],
    r: Float[Tensor, "*B N"],
    error: Float[Tensor, "*B A"],
    forgetting: Float[Tensor, "*#B"],
) -> tuple[Float[Tensor, "*B A N"], Float[Tensor, "*B N N"]]:
    """W and P after (1), for an error that was made with these W and r."""
    k, after = gain(inverse, r, forgetting)
    return w - error[..., :, None] * k[..., None, :], after


def step_where(
    writes: Bool[Tensor, "*B"],
    w: Float[Tensor, "*B A N"],
    inverse: Float[Tensor, "*B N N"],
    r: Float[Tensor, "*B N"],
    error: Float[Tensor, "*B A"],
    forgetting: Float[Tensor, "*#B"],
) -> tuple[Float[Tensor, "*B A N"], Float[Tensor, "*B N N"]]:
    """`step` where the mask holds, everything as it was elsewhere."""
    moved, after = step(w, inverse, r, error, forgetting)
    where = writes[..., None, None]
    return torch.where(where, moved, w), torch.where(where, after, inverse)


def ridge(
    r: Float[Tensor, "T *B N"],
    target: Float[Tensor, "T *B A"],
    alpha: Float[Tensor, "*B"],
    forgetting: Float[Tensor, "*B"] | None = None,
) -> Float[Tensor, "*B A N"]:
    """The W that minimises (2) after T steps from W_0 = 0, in closed form."""
    past = torch.arange(len(r) - 1, -1, -1, dtype=r.dtype, device=r.device).reshape(-1, *(1,) * alpha.ndim)
    weight = torch.ones_like(alpha) if forgetting is None else forgetting
    each = weight**past
    square = torch.einsum("t...,t...i,t...j->...ij", each, r, r)
    cross = torch.einsum("t...,t...a,t...j->...aj", each, target, r)
    eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device)
    square = square + (alpha * weight ** len(r))[..., None, None] * eye
    return torch.linalg.solve(square, cross.mT).mT
