"""Random orders without making them: the n-th element of a shuffle of 0 .. size - 1, for any n, by arithmetic.

Swap-or-not (Hoang, Morris & Rogaway 2012, CRYPTO, fig. 1). In each round r, every place x has a partner

    x' = (K_r - x) mod size,   and the two change places if the coin F_r(max(x, x')) says so                 (1)

Partners agree on their coin, so each round, and all of them together, is a permutation. Nothing is sorted or stored:
a shuffle of 60 000 images for each of 10 000 lifetimes costs only the places that are asked for.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from metaplastic import rng

ROUNDS = 24
"""each round halves what an onlooker could still guess about a place"""


def shuffled(key: Int[Tensor, "*K"], place: Int[Tensor, "*B"], size: int) -> Int[Tensor, "..."]:
    """Element number `place` (in [0, size)) of the order that belongs to `key`; key and place broadcast."""
    words = rng.words(key, 2 * ROUNDS)
    pivots, coins = rng.below(words[..., :ROUNDS], size), words[..., ROUNDS:]
    for r in range(ROUNDS):
        partner = (pivots[..., r] - place).remainder(size)
        swap = rng.fold(coins[..., r], torch.maximum(place, partner)) < 0  # the hash's highest bit
        place = torch.where(swap, partner, place)
    return place
