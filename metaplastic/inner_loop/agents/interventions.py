"""Virtual optogenetics: change what happens within agents whose weights are fixed, at chosen moments.

    silence     x -> 0                     a lesion, if at every moment
    clamp       x -> amount
    stimulate   x -> x + amount
    scale       x -> amount x

x is a unit's state h (of one network or all), or something that a network is told: what is seen, the last action, the
reward, the time, or the prediction error of an actor that hears it (`dopamine`). Interventions are applied in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from metaplastic.core import ConfigError, near_miss
from metaplastic.inner_loop.agents.rollout import Moment

WAYS = ("silence", "clamp", "stimulate", "scale")
TARGETS = ("hidden", "observation", "action", "reward", "rpe", "time")

When = Callable[[Moment], Bool[Tensor, "P B"] | None]
"""where, at this moment; None: nowhere (as before anything has happened)"""


@dataclass(frozen=True)
class Intervention:
    """One change: `what` is done to `target`, to its `units` (all, if absent), of network `core`, `when`."""

    target: str
    what: str
    """silence, clamp, stimulate or scale"""
    amount: float = 0.0
    units: Sequence[int] | None = None
    """which numbers of the target"""
    core: str | None = None
    """agent, critic or actor; every network, if absent"""
    when: When | None = None
    """at every moment and everywhere, if absent"""

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            close = near_miss(self.target, list(TARGETS))
            raise ConfigError(f"target is {self.target!r}, wanted one of {', '.join(TARGETS)}{close}")
        if self.what not in WAYS:
            close = near_miss(self.what, list(WAYS))
            raise ConfigError(f"what is {self.what!r}, wanted one of {', '.join(WAYS)}{close}")

    def change(self, core: str, moment: Moment, target: str, value: Tensor) -> Tensor:
        """`value` [P, B, n] as it is after the intervention."""
        if target != self.target or self.core not in (None, core):
            return value
        where = torch.ones(value.shape[:2], dtype=torch.bool) if self.when is None else self.when(moment)
        if where is None:
            return value
        units = torch.ones(value.shape[-1], dtype=torch.bool, device=value.device)
        if self.units is not None:
            units = torch.zeros_like(units)
            units[list(self.units)] = True
        new = {
            "silence": lambda: torch.zeros_like(value),
            "clamp": lambda: torch.full_like(value, self.amount),
            "stimulate": lambda: value + self.amount,
            "scale": lambda: value * self.amount,
        }[self.what]()
        return torch.where(where.to(value.device)[..., None] & units, new, value)


@dataclass(frozen=True)
class Interventions:
    """Several of them, as `record` and `Actor` take them (`hook`)."""

    changes: tuple[Intervention, ...]

    def told(self, core: str, moment: Moment, name: str, value: Tensor) -> Tensor:
        """What a network hears."""
        for one in self.changes:
            value = one.change(core, moment, name, value)
        return value

    def hidden(self, core: str, moment: Moment, hidden: Tensor) -> Tensor:
        """The state of a network."""
        return self.told(core, moment, "hidden", hidden)
