"""What there is and what it means: components, their fields, genomes, and the JSON schema of experiment files.

Everything comes from the models themselves (types, bounds, defaults, the text under a field); there is no second list.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError, PydanticUndefined
from rich.console import Group
from rich.table import Table
from rich.text import Text

from metaplastic.core import Choice, Component, ConfigError, Gene, Task
from metaplastic.fields import Evolves, Options, Slot
from metaplastic.inner_loop.formula.grammar import FUNCTIONS
from metaplastic.inner_loop.formula.program import SIGNALS_EXPLAINED
from metaplastic.platform.catalog import ROOMS, find, room
from metaplastic.platform.describe_task import not_given, task_facts
from metaplastic.platform.evaluate import genome_of
from metaplastic.platform.experiment import Experiment
from metaplastic.settings import MANY
from metaplastic.tasks.registry import TASKS, list_tasks


def describe_all() -> Table:
    """Every component of every room, with the first line of its text."""
    table = Table("room", "kind", "what it is", title="metaplastic describe KIND tells more", box=None, pad_edge=False)
    for what in ROOMS:
        for kind, cls in room(what).items():
            table.add_row(what, kind, _first_line(cls))
    return table


def describe_kind(kind: str) -> Group:
    """One component: its text, fields (what is wanted, default, meaning) and references."""
    if kind == "experiment":
        what, cls = "experiment", Experiment
    else:
        what, cls = _find(kind)
    parts: list[Any] = [Text(f"{kind} ({what})", style="bold"), Text(inspect.getdoc(cls) or ""), Text("")]
    parts.append(_field_table(cls))
    if issubclass(cls, Task):
        parts.append(task_facts(cls))
    if kind == "formula":
        parts.append(_language())
    references = getattr(cls, "references", ())
    parts += (
        [Text(""), *(Text(f"[{i}] {reference}") for i, reference in enumerate(references, 1))] if references else []
    )
    return Group(*parts)


def genome_table(experiment: Experiment) -> Group:
    """The loci of an experiment's genome, and their sum."""
    genome = genome_of(experiment)
    table = Table("place", "numbers", "range", "scale", "start", "per", box=None, pad_edge=False)
    for locus in genome.loci:
        if isinstance(locus.what, Choice):
            names = " | ".join(_option_name(option) for option in locus.what.options)
            table.add_row(locus.name, "1", names, "choice", _option_name(locus.what.options[0]), "brain")
            continue
        gene = locus.what
        start = genome.values(genome.start()[None])[locus.name][0, 0].item()
        scale = f"{'log' if gene.log else 'linear'}{' integer' if gene.integer else ''}"
        ends = f"{gene.low:g} … {gene.high:g}"
        table.add_row(locus.name, str(locus.length), ends, scale, f"{start:.4g}", gene.per or "brain")
    return Group(table, Text(f"\n{len(genome.loci)} genes, {genome.length} numbers"))


def task_table(tag: str | None = None) -> Table:
    """The tasks that carry a tag (all, without one): what they are, and their tags."""
    table = Table("task", "what it is", "tags", box=None, pad_edge=False)
    for name in list_tasks(tag):
        tags = getattr(TASKS[name], "tags", ())
        table.add_row(name, _first_line(TASKS[name]), ", ".join(tags))
    return table


def schema_text() -> str:
    """The JSON schema of experiment files."""
    schema = Experiment.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)


def check_task_kind(kind: str) -> str:
    """Hold a task to the contract; one line that says it keeps it, or `ConfigError` with what it breaks."""
    from metaplastic.tasks.contract.check import check_task

    _, cls = _find(kind)
    if not issubclass(cls, Task):
        raise ConfigError(f"{kind} is no task")
    if missing := not_given(cls):
        raise ConfigError(f"{kind} has no default for {' and '.join(missing)}; give check_task one in Python")
    try:
        check_task(cls())  # pyright: ignore[reportCallIssue]
    except AssertionError as broken:
        raise ConfigError(f"{kind} breaks the contract: {broken}") from None
    return f"{kind} keeps the contract"


def wanted(field: Any) -> str:
    """What a field wants, in words."""
    for note in field.metadata:
        if isinstance(note, Evolves):
            finer = f"; per {', '.join(note.per)}" if len(note.per) > 1 else ""
            return f"{note.wanted()}, or a gene{finer}"
        if isinstance(note, Options):
            return " | ".join(note.words)
        if isinstance(note, Slot):
            names = note.names()
            listed = " | ".join(names) if len(names) <= MANY else f"one of {len(names)}, such as {names[0]}"
            return f"kind: {listed}"
    whole = str(field.annotation)
    text = whole if "[" in whole or "|" in whole else getattr(field.annotation, "__name__", "")
    if text.startswith("dict[str, typing.Annotated"):
        return "name: number, gene or array"
    if text.endswith("durations.Duration]"):
        return "epoch: ms, {choice: [...]}, {uniform: [low, high]} or {exponential: mean, within: [low, high]}"
    words = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true | false"}
    for name in tuple(words):
        words[f"{name} | None"] = f"{words[name]} or none"
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = "".join(f" {sign} {getattr(m, n)}" for m in field.metadata for n, sign in signs.items() if hasattr(m, n))
    return words.get(text, text.replace("typing.", "").replace("Literal", "").strip("[]")) + bounds


def _find(kind: str) -> tuple[str, type[Component]]:
    try:
        return find(kind)
    except PydanticCustomError as error:
        raise ConfigError(str(error)) from None


def _field_table(cls: type[BaseModel]) -> Table:
    table = Table("field", "wanted", "default", "meaning", box=None, pad_edge=False)
    for name, field in cls.model_fields.items():
        if name == "kind":
            continue
        default = (
            "(required)"
            if field.default is PydanticUndefined and not field.default_factory
            else field.get_default(call_default_factory=True)
        )
        shown = _plain(default)
        table.add_row(name, Text(wanted(field)), Text(str(shown)), Text(field.description or ""))
    return table


def _plain(value: Any) -> Any:
    """A default as a file would say it."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value.written() if hasattr(value, "written") else value


def _language() -> Group:
    """What a formula may read and call."""
    table = Table("signal", "one a", "meaning", box=None, pad_edge=False)
    for name, (place, meaning) in SIGNALS_EXPLAINED.items():
        table.add_row(name, place, meaning)
    return Group(Text(""), table, Text(f"\nfunctions: {', '.join(FUNCTIONS)}"))


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0]


def _option_name(option: Any) -> str:
    if isinstance(option, Component):
        return option.kind
    return "a choice" if isinstance(option, Choice | Gene) else str(option)
