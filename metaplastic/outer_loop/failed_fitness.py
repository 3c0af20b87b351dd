"""Failed lives are data: a fitness that is NaN or infinite becomes strictly worse than every fitness that is not.

A searcher must never be told a NaN: EvoTorch sorts it as the largest number, so that when fitness is maximised a failed
life becomes the best of its generation (measured, `tests/outer_loop/test_evotorch_traps.py`), and an archive keeps it
for ever.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LOWEST = -1e30
"""fitness where every life of a generation failed: below whatever a later one may earn, for searchers that remember"""


class Settled(NamedTuple):
    """What a searcher may be told."""

    fitness: Float[Tensor, "P K"]
    """float64, finite"""
    failed: Bool[Tensor, " P"]
    """which lives failed; to be counted and logged"""


def settle(fitness: Float[Tensor, "P K"]) -> Settled:
    """Fitness without failures: a failed row is below the worst good row in every objective; if all failed, LOWEST.

    A row fails as a whole. A brain that blew up in one objective must not stay on the Pareto front by the other one:
    its silence after the explosion may have cost no energy at all.
    """
    values = fitness.to(torch.float64)
    failed = ~values.isfinite().all(dim=1)
    if failed.all():
        return Settled(torch.full_like(values, LOWEST), failed)
    worst = values[~failed].amin(dim=0)
    below = torch.minimum(worst - 1.0, torch.nextafter(worst, worst.new_tensor(-torch.inf)))  # -1 is lost at 1e16
    return Settled(torch.where(failed[:, None], below, values), failed)
