"""Names of components: each room's visible dict, found when it is needed, and a lab's own classes as `module:Class`."""

from __future__ import annotations

import importlib
from typing import Any

from metaplastic.core import Component, lookup
from metaplastic.fields import Slot, own_class

ROOMS: dict[str, tuple[str, str]] = {
    "task": ("metaplastic.tasks.registry", "KINDS"),
    "network": ("metaplastic.inner_loop.networks.library", "NETWORKS"),
    "rule": ("metaplastic.inner_loop.rules.library", "RULES"),
    "objective": ("metaplastic.inner_loop.objectives", "OBJECTIVES"),
    "policy": ("metaplastic.inner_loop.policies", "POLICIES"),
    "critic": ("metaplastic.inner_loop.critics", "CRITICS"),
    "searcher": ("metaplastic.outer_loop.searchers", "SEARCHERS"),
}
"""room -> (module, name of its dict)"""


def room(what: str) -> dict[str, type[Component]]:
    """kind -> class, of one room."""
    module, name = ROOMS[what]
    return getattr(importlib.import_module(module), name)


def component(what: str, kind: Any) -> type[Component]:
    """The class that `kind` names: a word of the room's dict, or `module:Class`."""
    if isinstance(kind, str) and ":" in kind:
        return own_class(what, kind)
    return lookup(room(what), kind, what)


def slot(what: str) -> Slot:
    """The annotation of a field that holds a component of a room."""
    return Slot(lambda kind: component(what, kind), lambda: list(room(what)))


def find(kind: str) -> tuple[str, type[Component]]:
    """(room, class) of a kind in whichever room has it; an error with near misses over all rooms if none has."""
    everything = {name: (what, cls) for what in ROOMS for name, cls in room(what).items()}
    if ":" in kind:
        return "own", own_class("component", kind)
    return lookup(everything, kind, "component")
