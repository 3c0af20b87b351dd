"""How many neurons: of each individual, of the largest that the genes allow, and of the batch that they share."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from metaplastic.core import Number, Values, padded_size


def largest(units: Number) -> int:
    """The largest number that the gene of `units` allows; the number itself if it is plain."""
    high = getattr(units, "high", math.inf)  # of a gene, or of what it was expressed to
    if math.isfinite(high):
        return int(high)
    plain: Any = units
    return int(plain.data.max()) if isinstance(units, Values) else int(plain)


def active(units: Number, individuals: int) -> Int[Tensor, " P"]:
    """How many neurons each individual has."""
    if isinstance(units, Values):
        return units.data.round().long().expand(individuals)
    plain: Any = units
    return torch.full((individuals,), int(plain))


def padded(units: Number, most: int) -> int:
    """The size of a batch whose largest individual has `most` neurons: its bucket, which all in it share."""
    return min(padded_size(most), largest(units)) if isinstance(units, Values) else most
