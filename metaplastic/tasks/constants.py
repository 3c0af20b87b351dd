"""Small tables of plain numbers as tensors, kept per device: a step makes no tensor from Python numbers.

A copy from the host inside a step would stop a CUDA graph from being captured and cost more than the arithmetic.
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

_KEPT: dict[tuple[object, ...], Tensor] = {}
"""(values, dtype, device) -> tensor. A plain dict, because torch.compile sees through it"""


def constant(
    values: tuple[float, ...] | tuple[tuple[float, ...], ...],
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The values as a tensor on a device, made once a process; never write to it."""
    key = (values, dtype, str(device))
    if key not in _KEPT:
        _KEPT[key] = torch.tensor(values, dtype=dtype, device=device)
    return _KEPT[key]


def look_up(values: tuple[float, ...], index: Int[Tensor, "*B"], dtype: torch.dtype = torch.float32) -> Tensor:
    """values[index], on the device of the index [*B]."""
    table = constant(values, index.device, dtype)
    return table.index_select(0, index.reshape(-1)).reshape(index.shape)


def ring(units: int, device: torch.device | str) -> Tensor:
    """Preferred angles 2 pi i / units of a ring, radians [units], float32."""
    key = ("ring", units, str(device))
    if key not in _KEPT:
        angles = torch.arange(units, dtype=torch.float64) * (2 * torch.pi / units)
        _KEPT[key] = angles.to(torch.float32).to(device)
    return _KEPT[key]
