"""Which lives an environment of another library lives: those of a seed, then the next ones, without end.

Seed s means the lifetimes s 2^20 + lane; the life after the k-th one of a lane has the key fold(fold(K, 3), k)
(wrappers/autoreset.py), so a seed gives the same numbers in any number of lanes and in any library.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metaplastic.tasks.base import TensorTask, TimeStep
from metaplastic.tasks.registry import make
from metaplastic.tasks.wrappers.autoreset import AutoReset
from metaplastic.tasks.wrappers.wrapper import Wrapped

LANES = 1 << 20
"""lifetimes of one seed"""
SEEDS = 1 << 43
"""seeds that there are"""
OUTPUTS = ("readout", "control")
"""kinds of response with continuous outputs"""


class Lives:
    """A task, and which lifetimes a seed means."""

    def __init__(self, task: str | TensorTask, preset: str | None, settings: dict[str, Any]) -> None:
        """`task` is an id (with a preset and settings) or a task.

        Raises:
            ValueError: for settings beside a task that is made, or a task that is an environment of others.
        """
        found = make(task, preset=preset, **settings) if isinstance(task, str) else task
        if not found.pure:
            raise ValueError(f"{found.kind} lives outside of tensors and is an environment already; use that itself")
        if isinstance(task, TensorTask) and (settings or preset):
            raise ValueError(f"settings are {settings} beside a task that is made; give its id, or make it with them")
        self.task = found
        self.endless = AutoReset(task=found)
        self.is_output = found.facts.response in OUTPUTS
        self.outputs = (found.facts.actions,) if self.is_output else ()

    def begin(
        self, state: Any, seed: int | list[int] | None, count: int, device: torch.device
    ) -> tuple[Wrapped, TimeStep]:
        """The lives of a seed; without one, the lives after those of `state`."""
        if seed is None:
            return self.endless.again(state)
        return self.endless.reset(self.lifetimes(seed, count, device))

    def lifetimes(self, seed: int | list[int], count: int, device: torch.device) -> Tensor:
        """The lifetimes of a seed, or of one seed a lane."""
        given = [seed] if isinstance(seed, int) else list(seed)
        for one in given:
            if not 0 <= one < SEEDS:
                raise ValueError(f"seed is {one}, wanted a whole number in [0, 2^43)")
        if isinstance(seed, int):
            return seed * LANES + torch.arange(count, device=device)
        if len(given) != count:
            raise ValueError(f"there are {len(given)} seeds, wanted one number, or one for each of {count} lanes")
        return torch.tensor([int(one) * LANES for one in given], device=device)

    def step_once(self, state: Wrapped, action: Tensor) -> tuple[Wrapped, TimeStep]:
        """Act; a life that is over stays so."""
        inner, now = self.task.step(state.inner, action)
        return state._replace(inner=inner), now

    def action(self, given: Any, count: int, device: torch.device) -> Tensor:
        """Actions or outputs of all lanes as a tensor."""
        kind = torch.float32 if self.is_output else torch.int64
        action = torch.as_tensor(given, device=device).to(kind)
        wanted = (count, *self.outputs)
        if action.shape != wanted:
            raise ValueError(f"actions have shape {tuple(action.shape)}, wanted {wanted}: one a lane")
        return action


def check_count(count: int, name: str) -> None:
    """Refuse a number of lanes that a seed has no lives for."""
    if not 1 <= count <= LANES:
        raise ValueError(f"{name} is {count}, wanted a number in [1, {LANES}]")
