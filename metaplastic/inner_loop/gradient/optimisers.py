"""Gradient descent of P agents at once: every agent has its own rate, clipping and moments, all in tensors [P, N].

g <- g min(1, clip / |g|)                                                       |g| of one agent         (1)
Adam (Kingma & Ba 2015):  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
                          w <- w - lr (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps)                    (2)
RMSProp (Tieleman & Hinton 2012, as in A3C):  v <- a v + (1 - a) g^2;  w <- w - lr g / sqrt(v + eps)     (3)
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FIRST, SECOND, ADAM_EPSILON = 0.9, 0.999, 1e-8
DECAY, RMSPROP_EPSILON = 0.99, 1e-5


def clipped(gradient: Float[Tensor, "P N"], limit: Float[Tensor, " P"]) -> Float[Tensor, "P N"]:
    """Equation (1)."""
    norm = torch.linalg.vector_norm(gradient, dim=1)
    return gradient * (limit / norm.clamp(min=1e-12)).clamp(max=1.0)[:, None]


class Adam:
    """Equation (2)."""

    def __init__(self, like: Float[Tensor, "P N"]) -> None:
        self.first, self.second, self.count = torch.zeros_like(like), torch.zeros_like(like), 0

    @torch.no_grad()
    def step(self, weights: Tensor, gradient: Tensor, rate: Float[Tensor, " P"]) -> None:
        """Move the weights, in place."""
        self.count += 1
        self.first.lerp_(gradient, 1 - FIRST)
        self.second.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        scale = (self.second / (1 - SECOND**self.count)).sqrt_().add_(ADAM_EPSILON)
        weights -= self.first / scale * (rate / (1 - FIRST**self.count))[:, None]


class RMSProp:
    """Equation (3)."""

    def __init__(self, like: Float[Tensor, "P N"]) -> None:
        self.second = torch.zeros_like(like)

    @torch.no_grad()
    def step(self, weights: Tensor, gradient: Tensor, rate: Float[Tensor, " P"]) -> None:
        """Move the weights, in place."""
        self.second.mul_(DECAY).addcmul_(gradient, gradient, value=1 - DECAY)
        weights -= rate[:, None] * gradient / (self.second + RMSPROP_EPSILON).sqrt()


OPTIMISERS: dict[str, type[Adam] | type[RMSProp]] = {"adam": Adam, "rmsprop": RMSProp}
