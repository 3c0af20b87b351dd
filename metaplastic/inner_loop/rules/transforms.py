"""What may happen to a weight after its change: decay, bounds, Dale's law. In this order, then the mask and the norm.

    w <- (1 - weight_decay) w          w <- clip(w, -weight_limit, weight_limit)

These two are part of a rule's program, as a formula over w, so that every backend has them. Dale's law (Eccles 1954: a
neuron excites or inhibits, but not both) is a projection that a network with signed neurons applies.
"""

from __future__ import annotations

from collections.abc import Collection

from jaxtyping import Float
from torch import Tensor


def transform_formula(names: Collection[str]) -> str:
    """The formula of those of weight_decay and weight_limit that are on; 'w' if none is."""
    w = "(1 - weight_decay) * w" if "weight_decay" in names else "w"
    return f"clip({w}, -weight_limit, weight_limit)" if "weight_limit" in names else w


def keep_dale(w: Float[Tensor, "*B post pre"], sign: Float[Tensor, "*B pre"]) -> Float[Tensor, "*B post pre"]:
    """w with every weight of the wrong sign set to 0; `sign` of each presynaptic neuron: 1, -1, or 0 for no law."""
    sign = sign.unsqueeze(-2)
    return w * (w * sign >= 0).to(w.dtype)
