"""The 82 tasks of Khona et al. 2023, from one table: `modcog.go-v0` ... `modcog.dnmcseqr-v0`.

The twenty tasks of Yang et al. 2019 as NeuroGym has them (ring of 16, dt 100), and of each of them

    <task>seql, <task>seqr    its goal moves while the answer is due, which is for 1000 ms            (all 20)
    <task>intl, <task>intr    its goal is shifted by the length of the delay, 0, 100 ... 1100 ms      (the 11 with one)

`modulation` says how. Timing is that of their code: a delay of 500 ms in comparisons; in matches it is drawn from 200
to 1200 ms, here for every trial, there once for an environment. Both movements at once (44 more) are not here.
`rule: true` shows which of the 82 it is; the task set `modcog` mixes them all. Sources: the paper and its code.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from pydantic import Field

from metaplastic.settings import made_class
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.modcog.modulation import Modulated
from metaplastic.tasks.yang19.rules import ROWS, Row
from metaplastic.tasks.yang19.tasks import FAMILIES, neurogym

DECISION = 1000
"""ms in which a goal moves"""
DELAYS = {"choice": list(range(0, 1200, 100))}
"""ms that an answer depends on"""


class Variant(NamedTuple):
    """One of the 82."""

    name: str
    row: Row
    shifts: int = 0
    moves: int = 0


def _variants(row: Row) -> Iterator[Variant]:
    yield Variant(row.name, row)
    for way, sign in (("l", -1), ("r", 1)):
        yield Variant(f"{row.name}seq{way}", row, moves=sign)
        if "delay" in row.timing:
            yield Variant(f"{row.name}int{way}", row, shifts=sign)


VARIANTS = tuple(variant for row in ROWS for variant in _variants(row))
NAMES = tuple(variant.name for variant in VARIANTS)
"""in the order of their rule units"""


def id_of(name: str) -> str:
    """'modcog.goseqr-v0' of 'goseqr'."""
    return f"modcog.{name}-v0"


def _timing(variant: Variant) -> dict[str, Any]:
    """ms of every epoch."""
    timing = dict(variant.row.neurogym)
    if variant.row.family == "comparison" and "delay" in timing:
        timing["delay"] = 500
    if variant.row.family == "match":
        timing["delay"] = {"uniform": [200, 1200]}
    if variant.shifts:
        timing["delay"] = DELAYS
    if variant.moves:
        timing["decision"] = DECISION
    return timing


def _published(variant: Variant) -> MappingProxyType[str, Any]:
    """ms of the epochs that last otherwise in the published code."""
    row, timing = variant.row, {}
    is_reaction = "stimulus" not in row.timing
    if row.family == "go" and not is_reaction and "delay" not in row.timing:
        timing["delay"] = 500
    if row.family == "comparison" and variant.shifts:
        timing["delay"] = 500
    if is_reaction and variant.moves:
        timing["decision"] = row.neurogym["decision"]
    return MappingProxyType(timing)


def _meaning(variant: Variant) -> str:
    """What it is, in a sentence."""
    way = "forth" if variant.shifts + variant.moves > 0 else "back"
    if variant.shifts:
        return f"{variant.row.meaning[:-1]}, shifted {way} by the length of the delay."
    return f"{variant.row.meaning[:-1]}, and follow it as it moves {way}." if variant.moves else variant.row.meaning


def _task(variant: Variant) -> type[Modulated]:
    """The class of one variant."""
    family, row, id = FAMILIES[variant.row.family], variant.row, id_of(variant.name)
    fields: dict[str, Any] = {"kind": (Literal[id], Field(default=id))}
    timing = {name: Duration.read(value) for name, value in _timing(variant).items()}
    for name, value in {**neurogym(row), "timing": timing}.items():
        info = copy.copy(family.model_fields[name])
        info.default = value
        fields[name] = (info.annotation, info)
    name = f"ModCog_{variant.name}"
    made = made_class(name, (Modulated, family), __name__, _meaning(variant), fields)
    made.row = row._replace(name=variant.name)
    made.rules = NAMES
    made.tags = ("modcog", *family.tags[1:])
    made.shifts, made.moves, made.published = variant.shifts, variant.moves, _published(variant)
    return made


MODCOG: dict[str, type[Modulated]] = {id_of(variant.name): _task(variant) for variant in VARIANTS}
"""id -> class, in the order of the rule units"""

globals().update({made.__name__: made for made in MODCOG.values()})  # so that a task can be pickled by its class's name
