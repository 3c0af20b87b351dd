"""Fisher information of a recurrent network's outputs, from minibatches whose targets the network drew itself.

    L = sum_t w_t l(z_t, z*_t),   z*_t ~ p(.|z_t):   softmax(z_t) (cross_entropy), z_t + N(0, 1) each (squared)    (1)
    F = E [(dL_s / dw)^2] = S E [g^2],    g the gradient of the minibatch's mean over its S streams          (2)

(2) holds since dL_s / dw has mean 0 under (1) and the streams' targets are independent, so one minibatch's gradient is
enough where one gradient a stream would be needed. It is the rule's own estimate of the gradient that is squared.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng

FISHER = 1 << 20
"""what a trial's key is folded with for the draw: above every step's number"""


def sampled_error(
    output: Float[Tensor, "T P L S A"], share: Float[Tensor, "T L S"], loss: str, key: Int[Tensor, " L"]
) -> Float[Tensor, "T P L S A"]:
    """w_t dl/dz_t for targets (1), the same chance for all individuals."""
    streams = torch.arange(output.shape[3], device=key.device)
    keys = rng.fold(rng.fold(key, FISHER)[:, None], streams)
    steps = rng.fold(keys, torch.arange(len(output), device=key.device)[:, None, None])
    if loss == "cross_entropy":
        chance = torch.softmax(output, -1)
        coin = rng.uniforms(steps, 1).to(output)[:, None]
        drawn = (chance.cumsum(-1) <= coin).sum(-1).clamp(max=output.shape[-1] - 1)
        error = chance - torch.nn.functional.one_hot(drawn, output.shape[-1]).to(output)
    else:
        error = rng.normals(steps, output.shape[-1]).to(output)[:, None].expand_as(output)
    return share[:, None, ..., None] * error
