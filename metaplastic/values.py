"""Values that an experiment is made of: plain ones, `Gene`, `Choice`, `Array`, and what genes become (`Values`).

In a file: `{gene: [low, high], log: true}`, `{choice: [a, b]}`, `{array: champion.safetensors, name: rule.A}`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from jaxtyping import Float
from pydantic import BaseModel, model_serializer, model_validator
from torch import Tensor

from metaplastic.settings import ConfigError, Value, lookup, near_miss, wrong

__all__ = [
    "Array",
    "Choice",
    "ConfigError",
    "Gene",
    "Granularity",
    "Number",
    "Numbers",
    "Value",
    "Values",
    "lookup",
    "near_miss",
    "wrong",
]

Granularity = Literal["brain", "connection", "type_pair", "post", "pre", "synapse"]
"""How many values one gene stands for: one a brain, one a connection group, one a pair of cell types, one a post- or
presynaptic neuron, one a synapse (rules.md 3.4)."""


class Gene(Value):
    """A number that evolution sets, in [low, high]. In a file: `{gene: [low, high], log: true}`."""

    written_as = ("gene",)
    low: float
    """smallest value"""
    high: float
    """largest value"""
    log: bool = False
    """equal steps of the genome are equal ratios of the value; needs low > 0"""
    integer: bool = False
    """only whole numbers, both ends included"""
    start: float | None = None
    """where the search begins; the middle of the (log) range if absent"""
    per: Granularity | None = None
    """what the gene stands for: one value a brain … one a synapse; the field's own default if absent"""

    def __init__(self, low: float | None = None, high: float | None = None, **data: Any) -> None:
        ends = {} if low is None or high is None else {"low": low, "high": high}
        super().__init__(**ends, **data)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, dict) and "gene" in data:
            bounds = data["gene"]
            if not isinstance(bounds, list | tuple) or len(bounds) != 2:
                raise wrong(f"gene is {bounds!r}, wanted [low, high]")
            rest = {name: value for name, value in data.items() if name != "gene"}
            return {"low": bounds[0], "high": bounds[1], **rest}
        return data

    @model_validator(mode="after")
    def _check(self) -> Gene:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise wrong(f"gene is [{self.low:g}, {self.high:g}], wanted two finite numbers, the smaller first")
        if self.log and self.low <= 0:
            raise wrong(f"gene starts at {self.low:g} with log: true, wanted a low end above 0")
        if self.integer and (self.low % 1 or self.high % 1):
            raise wrong(f"gene is [{self.low:g}, {self.high:g}] with integer: true, wanted whole ends")
        if self.start is not None and not self.low <= self.start <= self.high:
            raise wrong(f"start is {self.start:g}, wanted a number in [{self.low:g}, {self.high:g}]")
        return self

    @model_serializer
    def _write(self) -> dict[str, Any]:
        ends = [int(v) if self.integer else v for v in (self.low, self.high)]
        given = {name: getattr(self, name) for name in ("log", "integer", "start", "per")}
        return {
            "gene": ends,
            **{name: value for name, value in given.items() if value is not None and value is not False},
        }


class Choice(Value):
    """One of several components or options; evolution picks. In a file: `{choice: [a, b]}`."""

    options: tuple[Any, ...]
    """what can stand here, at least two"""

    def __init__(self, *options: Any, **data: Any) -> None:
        super().__init__(**({"options": options} if options else data))  # pyright: ignore[reportArgumentType]

    @model_serializer
    def _write(self) -> dict[str, Any]:
        return {"choice": [o.model_dump() if isinstance(o, BaseModel) else o for o in self.options]}


class Array(Value):
    """A fixed tensor in a safetensors file. Written `{array: champion.safetensors, name: rule.A, per: synapse}`."""

    written_as = ("array",)
    file: str
    """the safetensors file; relative to the experiment file when written"""
    name: str
    """the tensor's name in it"""
    per: Granularity = "synapse"
    """what each number stands for"""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, dict) and "array" in data:
            return {"file": data["array"], **{name: value for name, value in data.items() if name != "array"}}
        return data

    @model_serializer
    def _write(self) -> dict[str, Any]:
        return {"array": self.file, "name": self.name, "per": self.per}


class Numbers(Value):
    """Several plain numbers in the place of one. In a file: `{values: [2, 0.05], per: connection}`."""

    values: tuple[float, ...]
    """the numbers, in the order of `Layout`"""
    per: Granularity = "connection"
    """what each stands for"""


class Values(NamedTuple):
    """What a gene or an array became: one row an individual. Genomes are expressed into trees of these."""

    data: Float[Tensor, "P *shape"]
    """shape [] for per=brain, else flat over the connection groups, in the order of `Layout.offsets(per)`"""
    per: Granularity = "brain"
    high: float = math.inf
    """the largest value that the gene allows (layouts are made for it)"""


Number = float | Gene | Array | Numbers | Values
"""A number of an experiment: plain, evolvable, on disk, or (after expression) one a individual."""
