"""Settings: frozen values that are validated strictly, read from YAML, with one clear line for each mistake.

What is here needs neither torch nor a room, so launchers can use it as well as experiments do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError


class ConfigError(ValueError):
    """A user's mistake: one line that names the place, what came, what was wanted and the mend."""


def wrong(message: str) -> PydanticCustomError:
    """An error for a validator; the place is added by pydantic."""
    return PydanticCustomError("metaplastic", "{text}", {"text": message})


def near_miss(word: str, words: list[str]) -> str:
    """' (did you mean …?)' if one of `words` is close to `word`, else nothing."""
    close = difflib.get_close_matches(str(word), words, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


class Value(BaseModel):
    """A frozen, validated value; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True)
    written_as: ClassVar[tuple[str, ...]] = ()
    """further names that a file may use for what this holds"""

    @model_validator(mode="before")
    @classmethod
    def _know_every_name(cls, data: Any) -> Any:
        names = [*cls.model_fields, *cls.written_as]
        for name in data if isinstance(data, dict) else ():
            if name not in names:
                text = f"no such setting{near_miss(name, names)}; there are {', '.join(names)}"
                raise PydanticCustomError("metaplastic", "{text}", {"text": text, "below": str(name)})
        return data


MOST, DEEPEST = 1_000_000, 200
"""values and levels of a YAML text, its aliases written out"""
MANY = 30
"""names that are still listed where one of them is wanted"""


def lookup(room: Mapping[str, Any], name: str, what: str) -> Any:
    """`room[name]`, or an error with a near miss and the names there are, if they are not too many to read."""
    if name not in room:
        there = f"are {', '.join(room)}" if len(room) <= MANY else f"are {len(room)}, see `metaplastic describe`"
        raise wrong(f"kind is {name!r}, no such {what}{near_miss(name, list(room))}; there {there}")
    return room[name]


def explain(errors: ValidationError) -> list[str]:
    """One line for each mistake: `place: what came, what was wanted`."""
    lines = []
    for error in errors.errors():
        below = (error.get("ctx") or {}).get("below")
        place = dotted((*error["loc"], below) if below else error["loc"])
        message = error["msg"]
        if error["type"] == "missing":
            message = "is not given, and there is no default"
        elif error["type"] != "metaplastic":
            message = f"is {short(error['input'])}; {message[0].lower()}{message[1:]}"
        lines.append(f"{place}: {message}" if place else message)
    return lines


class _Loader(yaml.SafeLoader):
    """The safe loader, with 1e-3 as a number and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {key: list(value) for key, value in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(text: str, source: str) -> Any:
    """Plain values of a YAML text: 1e-3 is a number, no key comes twice; `ConfigError` with line and column."""
    try:
        return _plain_values(_Loader(text), source)
    except RecursionError:
        raise ConfigError(f"{source}: is nested too deeply, wanted at most {DEEPEST} levels") from None
    except yaml.MarkedYAMLError as why:
        where = f" line {why.problem_mark.line + 1}, column {why.problem_mark.column + 1}" if why.problem_mark else ""
        raise ConfigError(f"{source}:{where}: {why.problem or why.context}") from None
    except yaml.YAMLError as why:
        raise ConfigError(f"{source}: {' '.join(str(why).split())}") from None


def _plain_values(loader: _Loader, source: str) -> Any:
    """What the text holds; refused before anything is made of it, if its aliases would make it endless."""
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if (count := _expanded(node, {}, DEEPEST)) > MOST:
            raise ConfigError(f"{source}: its aliases stand for {count:.2g} values, wanted at most {MOST}")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded(node: yaml.Node, known: dict[int, int], levels: int) -> int:
    """Values that a node comes to when every alias is written out; RecursionError if it is too deep or holds itself."""
    if levels == 0:
        raise RecursionError
    if id(node) not in known:
        below = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        parts = below if isinstance(node, yaml.CollectionNode) else ()
        known[id(node)] = 1 + sum(_expanded(part, known, levels - 1) for part in parts)
    return known[id(node)]


def override_setting(data: dict[str, Any], override: str) -> None:
    """Put `a.b[1].c=value` into plain values; the value is read as YAML."""
    place, equals, text = override.partition("=")
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", place)]
    if not equals or not steps:
        raise ConfigError(f"{override!r}: wanted an override like search.population=64")
    node: Any = data
    for step, after in pairwise(steps):
        empty: Any = [] if isinstance(after, int) else {}
        if isinstance(node, dict) and not isinstance(node.get(step), dict | list):
            node[step] = empty
        elif isinstance(node, list) and step == len(node):
            node.append(empty)
        node = node[_inside(node, step, place)]
    value, last = read_yaml(text, f"override {place}"), steps[-1]
    if isinstance(node, list) and last == len(node):
        node.append(value)
    elif isinstance(node, dict):
        node[last] = value
    else:
        node[_inside(node, last, place)] = value


def _inside(node: Any, step: str | int, place: str) -> Any:
    """The step, if there is such a place in the node."""
    if isinstance(node, list) and not (isinstance(step, int) and step < len(node)):
        raise ConfigError(f"override {place}: there is no '{step}' in a list of {len(node)}")
    return step


def dotted(path: tuple[str | int, ...]) -> str:
    """`rule.parameters.eta`, `network[1].units`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def made_class(name: str, bases: Any, module: str, about: str, fields: dict[str, Any]) -> Any:
    """A class of values that code makes; `fields` are (type, Field).

    There is no text to read its docstrings from, and looking for it takes longer than all else about it.
    """
    no_text = {"use_attribute_docstrings": False}
    return create_model(name, __base__=bases, __module__=module, __doc__=about, __cls_kwargs__=no_text, **fields)
