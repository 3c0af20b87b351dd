"""What may happen to a weight after its change: decay, bounds, Dale's law. In this order, then the mask and the norm.

    w <- (1 - weight_decay) w          w <- clip(w, -weight_limit, weight_limit)
    w_ij <- dale_j max(dale_j w_ij, 0)                            where dale_j is 1 or -1; w_ij itself where it is 0

All are part of a rule's program, as a formula over w, so that every backend has them. Dale's law (Eccles 1954: a neuron
excites or inhibits, but not both) is a projection: a weight that would cross 0 stays at 0, from where it may come back.
"""

from __future__ import annotations

from collections.abc import Collection

from jaxtyping import Float
from torch import Tensor


def transform_formula(names: Collection[str]) -> str:
    """The formula of those of weight_decay, weight_limit and dale that are on; 'w' if none is."""
    w = "(1 - weight_decay) * w" if "weight_decay" in names else "w"
    w = f"clip({w}, -weight_limit, weight_limit)" if "weight_limit" in names else w
    return f"(1 - abs(sign(dale))) * {w} + sign(dale) * relu(sign(dale) * {w})" if "dale" in names else w


def keep_dale(w: Float[Tensor, "*B post pre"], sign: Float[Tensor, "*B pre"]) -> Float[Tensor, "*B post pre"]:
    """w with every weight of the wrong sign set to 0; `sign` of each presynaptic neuron: 1, -1, or 0 for no law."""
    sign = sign.unsqueeze(-2)
    return w * (w * sign >= 0).to(w.dtype)
