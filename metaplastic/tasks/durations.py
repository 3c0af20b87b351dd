"""How long an epoch lasts: fixed, one of several, uniform, or exponential within limits; always whole steps of dt.

    500                                        always 500 ms
    {choice: [300, 500, 700]}                  each alike
    {uniform: [200, 500]}                      U(200, 500)
    {exponential: 330, within: [80, 1500]}     mean 330 ms before it is cut to [80, 1500)
    {..., plus: 300}                           and 300 ms more

A fixed duration or choice must be a multiple of dt. A continuous one is floored to the grid: k steps with probability
F((k + 1) dt) - F(k dt), taken within the limits. So a draw is a word looked up in a table (`rng.Table`), the same on
every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema
from torch import Tensor

from metaplastic.core import near_miss, wrong
from metaplastic.rng import Table

KINDS = {"constant": 1, "choice": None, "uniform": 2, "exponential": 3}
"""kind -> how many numbers it takes (None: any, at least one); exponential: mean, low, high"""

_TABLES: dict[tuple[Any, ...], Table] = {}
"""(duration, dt, device) -> its table: made once a process. A plain dict, because torch.compile sees through it"""


@dataclass(frozen=True)
class Duration:
    """A duration in ms and how it is drawn; made from what a file says with `Duration.read`."""

    kind: str
    values: tuple[float, ...]
    plus: float = 0.0

    @classmethod
    def read(cls, data: Any) -> Duration:
        """From a number or `{choice | uniform | exponential: …}`; an error that says what was wanted."""
        if isinstance(data, Duration):
            return data
        if isinstance(data, int | float) and not isinstance(data, bool):
            return cls("constant", _numbers([data], data))
        form = "a number of ms, {choice: [...]}, {uniform: [low, high]} or {exponential: mean, within: [low, high]}"
        if not isinstance(data, dict):
            raise wrong(f"is {data!r}, wanted {form}")
        rest = dict(data)
        plus, within = rest.pop("plus", 0.0), rest.pop("within", [])
        kind = next(iter(rest), None)
        if len(rest) != 1 or kind not in KINDS:
            hint = near_miss(str(kind), list(KINDS))
            raise wrong(f"is {data!r}, wanted {form}{hint}")
        value = rest[kind]
        values = _numbers([*(value if isinstance(value, list | tuple) else [value]), *within], data)
        wanted = KINDS[kind]
        if not values or (wanted is not None and len(values) != wanted):
            raise wrong(f"is {data!r}, wanted {form}")
        low, high = values[-2:] if kind in ("uniform", "exponential") else (0.0, 1.0)
        if not 0 <= low < high or (kind == "exponential" and values[0] <= 0):
            raise wrong(f"is {data!r}, wanted limits with 0 <= low < high and a mean above 0")
        return cls(kind, values, *_numbers([plus], data))

    def written(self) -> Any:
        """What `read` reads back exactly."""
        if self.kind == "constant":
            return self.values[0] + self.plus
        value: Any = list(self.values)
        extra = {"plus": self.plus} if self.plus else {}
        if self.kind == "exponential":
            return {"exponential": value[0], "within": value[1:], **extra}
        return {self.kind: value, **extra}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(lambda value: value.written())
        return core_schema.no_info_plain_validator_function(cls.read, serialization=write)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        numbers = {"type": "array", "items": {"type": "number", "minimum": 0}}
        kinds = {"choice": numbers, "uniform": numbers, "exponential": {"type": "number"}, "within": numbers}
        drawn = {"type": "object", "properties": {**kinds, "plus": {"type": "number"}}, "additionalProperties": False}
        return {"anyOf": [{"type": "number", "minimum": 0}, drawn]}

    def complaint(self, dt: float) -> str | None:
        """Why it does not fit steps of dt ms, and the mend; None if it does."""
        exact = [self.plus, *(self.values if self.kind in ("constant", "choice") else ())]
        for value in exact:
            steps = value / dt
            if abs(steps - round(steps)) > 1e-6:
                low = dt * math.floor(steps)
                return (
                    f"is {value:g} ms, which is not a multiple of dt = {dt:g} ms; "
                    f"use {low:g} or {low + dt:g}, or another dt"
                )
        return None

    @property
    def is_fixed(self) -> bool:
        """Whether nothing is drawn."""
        return self.kind == "constant"

    def table(self, dt: float, device: torch.device | str = "cpu") -> Table:
        """The distribution of its steps."""
        key = (self.kind, self.values, self.plus, dt, str(device))
        if key not in _TABLES:
            _TABLES[key] = Table(*self._distribution(dt)).to(device)
        return _TABLES[key]

    @property
    def is_none(self) -> bool:
        """Whether it always lasts 0 ms."""
        return self.is_fixed and self.values[0] + self.plus == 0

    def steps(self, dt: float) -> int:
        """Steps of a fixed duration."""
        return round((self.values[0] + self.plus) / dt)

    def draw(self, word: Int[Tensor, "*B"], dt: float) -> Int[Tensor, "*B"]:
        """Steps, one draw a word."""
        return self.table(dt, word.device).sample(word)

    def ends(self, dt: float) -> tuple[int, int, float]:
        """Fewest, most and mean steps, exact."""
        if self.is_fixed:
            return self.steps(dt), self.steps(dt), float(self.steps(dt))
        table = self.table(dt)
        return int(table.support.min()), int(table.support.max()), table.mean

    def _distribution(self, dt: float) -> tuple[Tensor, Tensor]:
        extra = round(self.plus / dt)
        if self.kind in ("constant", "choice"):
            steps = torch.tensor([round(value / dt) + extra for value in self.values])
            return steps, torch.full((len(steps),), 1 / len(steps), dtype=torch.float64)
        low, high = self.values[-2:]
        first = math.floor(low / dt + 1e-9)
        last = max(math.ceil(high / dt - 1e-9) - 1, first)
        grid = torch.arange(first, last + 2, dtype=torch.float64) * dt
        grid = grid.clamp(low, high)
        if self.kind == "exponential":
            grid = -torch.exp(-grid / self.values[0])
        mass = grid.diff()
        return torch.arange(first, last + 1) + extra, mass / mass.sum()


def times(**epochs: Any) -> dict[str, Duration]:
    """Durations by epoch, read from what a file would say: the default of a `timing`."""
    return {name: Duration.read(value) for name, value in epochs.items()}


def _numbers(values: list[Any], data: Any) -> tuple[float, ...]:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise wrong(f"is {data!r}, wanted finite numbers of ms, none below 0")
    return tuple(float(value) for value in values)
