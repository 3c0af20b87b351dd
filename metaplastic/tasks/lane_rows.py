"""Tables that every lifetime has of its own: one row for each, by number."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def row(table: Float[Tensor, "*B P N"], number: Int[Tensor, "*T"]) -> Float[Tensor, "*T N"]:
    """Row `number` of each lane's table; [*T] is [*B] or has axes before it."""
    lanes = torch.arange(math.prod(table.shape[:-2]), device=table.device).reshape(table.shape[:-2])
    place = lanes * table.shape[-2] + number
    return table.reshape(-1, table.shape[-1]).index_select(0, place.reshape(-1)).reshape(*place.shape, table.shape[-1])
