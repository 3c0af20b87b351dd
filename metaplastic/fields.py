"""What a field of a component may hold: `Evolves` for numbers, `Options` for words, `Slot` for components.

    units: Annotated[Number, Evolves(1, 4096, integer=True)] = 64
    activation: Annotated[Option, Options("relu", "tanh")] = "relu"

They are pydantic annotations that validate with messages of our own (what came, what was wanted, a near miss) and write
themselves back exactly.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, get_args

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import core_schema

from metaplastic.core import Array, Choice, Component, Gene, Granularity, Numbers, Values, near_miss, wrong

Option = str | Choice
"""A word, or a choice among words."""


class Evolves:
    """Field annotation: a number in [low, high], a gene or an array; `per` lists its granularities, default first."""

    def __init__(
        self,
        low: float = -math.inf,
        high: float = math.inf,
        *,
        integer: bool = False,
        above: bool = False,
        size: bool = False,
        per: tuple[Granularity, ...] = ("brain",),
    ) -> None:
        self.low, self.high, self.integer, self.above, self.per = low, high, integer, above, per
        self.size = size  # a number of units: individuals are grouped by its `padded_size`

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate, serialization=_plain_dump)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        kind = "integer" if self.integer else "number"
        limits = {"minimum": self.low, "maximum": self.high}
        number = {"type": kind, **{name: v for name, v in limits.items() if math.isfinite(v)}}
        return {"anyOf": [number, _GENE_SCHEMA, _ARRAY_SCHEMA, _NUMBERS_SCHEMA]}

    def validate(self, value: Any) -> Any:
        """A number, `Gene` or `Array` that fits the field, or an error that says what was wanted."""
        if isinstance(value, dict) and "gene" in value:
            value = Gene.model_validate(value)
        elif isinstance(value, dict) and "array" in value:
            value = Array.model_validate(value)
        elif isinstance(value, dict) and "values" in value:
            value = Numbers.model_validate(value)
        if isinstance(value, Gene):
            return self._check_gene(value)
        if isinstance(value, Array | Numbers):
            self._check_per(value.per)
            for number in value.values if isinstance(value, Numbers) else ():
                self._check_bounds(number)
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(f"is {value!r}, wanted {self.wanted()}, or {{gene: [low, high]}}")
        if self.integer and value % 1:
            raise wrong(f"is {value:g}, wanted {self.wanted()}")
        self._check_bounds(value)
        return int(value) if self.integer else float(value)

    def wanted(self) -> str:
        """What a number must be, in words: 'a whole number in [1, 4096]'."""
        noun = "a whole number" if self.integer else "a number"
        if math.isinf(self.low) and math.isinf(self.high):
            return noun
        if math.isinf(self.high):
            return f"{noun} {'above' if self.above else 'of at least'} {self.low:g}"
        if math.isinf(self.low):
            return f"{noun} of at most {self.high:g}"
        return f"{noun} in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"

    def _check_bounds(self, value: float) -> None:
        low_enough = value > self.low if self.above else value >= self.low
        if not (low_enough and value <= self.high) and not (math.isinf(self.low) and value == self.low):
            raise wrong(f"is {value:g}, wanted {self.wanted()}")

    def _check_per(self, per: Granularity | None) -> None:
        if per is not None and per not in self.per:
            raise wrong(f"has per: {per}, wanted one of {', '.join(self.per)}")

    def _check_gene(self, gene: Gene) -> Gene:
        self._check_bounds(gene.low)
        self._check_bounds(gene.high)
        self._check_per(gene.per)
        if self.integer and not gene.integer:
            gene = gene.model_copy(update={"integer": True})
        return gene if gene.per or self.per[0] == "brain" else gene.model_copy(update={"per": self.per[0]})


class Structural:
    """Field annotation: the genes inside, whole numbers, decide what an individual is made of.

    Individuals live together if the component's `structure(numbers)`, a list of whole numbers, is the same.
    """


class Options:
    """Field annotation: one of some words, or a `Choice` among them."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate, serialization=_plain_dump)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        word = {"enum": list(self.words)}
        return {"anyOf": [word, _choice_schema(word)]}

    def validate(self, value: Any) -> Any:
        """One of the words, or a choice among them."""
        return _validate_choice(value, self._validate_word)

    def _validate_word(self, value: Any) -> str:
        if value not in self.words:
            raise wrong(f"is {value!r}, wanted one of {', '.join(self.words)}{near_miss(value, list(self.words))}")
        return value


class Slot:
    """Field annotation: a component of a catalogue (name -> class), by its `kind`, or a `Choice` among such."""

    def __init__(self, catalogue: Callable[[str], type[Component]], names: Callable[[], list[str]]) -> None:
        self.catalogue, self.names = catalogue, names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate, serialization=_plain_dump)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        each = [handler(self.catalogue(name).__pydantic_core_schema__) for name in self.names()]
        return {"anyOf": [*each, _choice_schema({"anyOf": each})]}

    def validate(self, value: Any) -> Any:
        """A component, or a choice among components."""
        return _validate_choice(value, self._validate_component)

    def _validate_component(self, value: Any) -> Component:
        if isinstance(value, Component):
            return value
        if not isinstance(value, dict):
            raise wrong(f"is {value!r}, wanted a mapping with a kind: one of {', '.join(self.names())}")
        if "kind" not in value:
            raise wrong(f"has no kind, wanted one of {', '.join(self.names())}")
        return self.catalogue(value["kind"]).model_validate(value)


def own_class(what: str, kind: str) -> type[Component]:
    """The class that `module:Class` names, a `what` of a lab's own."""
    module, _, name = kind.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise wrong(f"kind is {kind!r}, wanted a class of your own as module:Class, like mylab.maze:Maze")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as why:
        raise wrong(f"kind is {kind!r}, and {module} cannot be imported: {why}") from why
    if not (isinstance(found, type) and issubclass(found, Component)):
        raise wrong(f"kind is {kind!r}, wanted a class in {module} that is a {what} (a metaplastic.core.Component)")
    return found


def _validate_choice(value: Any, validate_one: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict) and "choice" in value:
        if not isinstance(value["choice"], list) or len(value["choice"]) < 2 or len(value) > 1:
            raise wrong(f"is {value!r}, wanted {{choice: [a, b, …]}} with at least two options")
        value = Choice(*value["choice"])
    if isinstance(value, Choice):
        return Choice(*(validate_one(option) for option in value.options))
    return validate_one(value)


def _dump(value: Any) -> Any:
    if isinstance(value, Values):
        raise TypeError("an expressed experiment holds tensors and is not written; write the champion instead")
    return value.model_dump() if isinstance(value, BaseModel) else value


_plain_dump = core_schema.plain_serializer_function_ser_schema(_dump)
_GENE_SCHEMA = {
    "type": "object",
    "required": ["gene"],
    "properties": {
        "gene": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "log": {"type": "boolean"},
        "integer": {"type": "boolean"},
        "start": {"type": "number"},
        "per": {"enum": list(get_args(Granularity))},
    },
    "additionalProperties": False,
}
_ARRAY_SCHEMA = {"type": "object", "required": ["array", "name"], "properties": {"array": {}, "name": {}, "per": {}}}
_NUMBERS_SCHEMA = {
    "type": "object",
    "required": ["values"],
    "properties": {
        "values": {"type": "array", "items": {"type": "number"}},
        "per": {"enum": list(get_args(Granularity))},
    },
    "additionalProperties": False,
}


def _choice_schema(item: dict[str, Any]) -> dict[str, Any]:
    choice = {"type": "array", "items": item, "minItems": 2}
    return {"type": "object", "required": ["choice"], "properties": {"choice": choice}, "additionalProperties": False}
