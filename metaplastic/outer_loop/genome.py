"""The genome of an experiment: derived from the tree, never listed a second time.

`derive` walks the tree in field order and collects every `Gene` and `Choice`. A genome is a point of the unit cube
[0, 1]^G (float64), one axis a number; `express` gives the tree back with `Values` [P, ...] where genes were:

    linear      value = low + u (high - low)                                                    (1)
    log         value = low (high / low)^u                                                      (2)
    integer     value = floor of (1) or (2) with high + 1 for high: each whole number has an equal share
                of the (log) range, both ends included                                          (3)
    choice      option = floor(u n)                                                             (4)

Individuals that differ in structure (their choices, their size bucket) are expressed into different groups, in index
order; which group an individual is in depends on its own genome alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel
from torch import Tensor

from metaplastic.core import Array, Choice, Gene, Layout, Numbers, Value, Values, padded_size
from metaplastic.fields import Evolves, Structural
from metaplastic.settings import dotted

Path = tuple[str | int, ...]
Role = Literal["number", "size", "structure"]
"""what a gene is for"""

FEW = 16
"""numbers that a champion's file lists itself; more are kept in a file of arrays"""


class Locus(NamedTuple):
    """Where one gene or choice sits: in the tree, and in the genome."""

    path: Path
    what: Gene | Choice
    first: int
    """its first number in the genome"""
    length: int
    """how many numbers it has"""
    role: Role = "number"
    """size: it is a number of units; structure: it decides what an individual is made of, and is a whole number"""

    @property
    def name(self) -> str:
        """The place as it is written on the command line: `rule.parameters.eta`."""
        return dotted(self.path)


class Group(NamedTuple):
    """Individuals of one structure, and their experiment with `Values` where genes were."""

    members: Int[Tensor, " p"]
    """which individuals"""
    tree: Any
    """their experiment"""


def children(node: Any) -> Iterator[tuple[str | int, Any, Role]]:
    """(name, value, role of the genes in it) of everything below a node of the tree, in field order."""
    if isinstance(node, Choice):
        for index, option in enumerate(node.options):
            yield index, option, "number"
    elif isinstance(node, BaseModel):
        for name, field in type(node).model_fields.items():
            yield name, getattr(node, name), _role(field.metadata)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield name, value, "number"
    elif isinstance(node, list | tuple) and not isinstance(node, Values):
        for index, value in enumerate(node):
            yield index, value, "number"


def part_of(node: Any, path: Path) -> Any:
    """What stands at a place of a tree."""
    for step in path:
        node = {name: value for name, value, _ in children(node)}[step]
    return node


def _role(notes: list[Any]) -> Role:
    if any(isinstance(note, Structural) for note in notes):
        return "structure"
    return "size" if any(isinstance(note, Evolves) and note.size for note in notes) else "number"


def replace(node: Any, change: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """The tree with `change(path, node)` in place of every node that it changes; frozen trees are copied."""
    new = change(path, node)
    if new is not node:
        return new
    below = {name: replace(value, change, (*path, name)) for name, value, _ in children(node)}
    if all(below[name] is value for name, value, _ in children(node)):
        return node
    if isinstance(node, Choice):
        return Choice(*below.values())
    if isinstance(node, BaseModel):
        return node.model_copy(update={str(name): value for name, value in below.items()})
    return below if isinstance(node, dict) else type(node)(below.values())


class Genome:
    """The search space of an experiment. Derived: see the module's text.

    `layout(tree)` gives the connection groups of a tree without choices; it is asked only if a gene is finer than
    one value a brain.
    """

    def __init__(self, tree: Value, layout: Callable[[Any], Layout]) -> None:
        self.tree, self._layout = tree, layout
        self.loci: tuple[Locus, ...] = tuple(self._walk())
        self.length = sum(locus.length for locus in self.loci)
        self._named = [locus.name for locus in self.loci]
        self._structural = self._owners()

    def _walk(self) -> Iterator[Locus]:
        first = 0
        for path, what, role in _genes(self.tree, ()):
            length = 1
            if isinstance(what, Gene) and what.per not in (None, "brain"):
                length = self._layout(self.tree).length(what.per)
            yield Locus(path, what, first, length, role)
            first += length

    def _owners(self) -> list[tuple[Any, list[Locus]]]:
        """The components with structural genes, and these; what their numbers make is for the component to say."""
        owners: dict[Path, list[Locus]] = {}
        for locus in self.loci:
            if locus.role == "structure":
                owners.setdefault(locus.path[:-2], []).append(locus)
        return [(part_of(self.tree, path), loci) for path, loci in owners.items()]

    def names(self) -> list[str]:
        """One name a number: `rule.eta`, or `rule.eta[17]` where a gene stands for many."""
        return [
            locus.name if locus.length == 1 else f"{locus.name}[{index}]"
            for locus in self.loci
            for index in range(locus.length)
        ]

    def start(self) -> Float[Tensor, " G"]:
        """The genome of the experiment's starting values: where a search begins."""
        parts = [torch.full((locus.length,), _start(locus.what), dtype=torch.float64) for locus in self.loci]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)

    def values(self, genomes: Float[Tensor, "P G"]) -> dict[str, Float[Tensor, "P n"]]:
        """What each locus means in the genomes, in natural units; a choice is the number of its option."""
        self._check(genomes)
        return {
            name: decode(locus.what, genomes[:, locus.first : locus.first + locus.length])
            for name, locus in zip(self._named, self.loci, strict=True)
        }

    def express(self, genomes: Float[Tensor, "P G"]) -> list[Group]:
        """The experiment of every individual, in homogeneous groups."""
        values = self.values(genomes)
        keys: dict[tuple[int, ...], list[int]] = {}
        for individual in range(len(genomes)):
            keys.setdefault(self._structure(values, individual), []).append(individual)
        return [self._group(values, torch.tensor(members)) for members in keys.values()]

    def individual(
        self, genome: Float[Tensor, " G"], file: str = "champion.safetensors"
    ) -> tuple[Any, dict[str, Tensor]]:
        """One genome as a plain experiment without genes, and the tensors to keep in `file` beside it."""
        values = {name: value[0] for name, value in self.values(genome[None]).items()}
        arrays: dict[str, Tensor] = {}

        def settle(path: Path, node: Any) -> Any:
            if isinstance(node, Choice):
                chosen = int(values[dotted(path)].item())
                return replace(node.options[chosen], lambda below, n: settle((*path, chosen, *below), n))
            if not isinstance(node, Gene):
                return node
            name = dotted(path)
            if node.per not in (None, "brain"):
                if len(values[name]) <= FEW:
                    return Numbers(values=tuple(values[name].tolist()), per=node.per)
                arrays[name] = values[name]
                return Array(file=file, name=name, per=node.per)
            number = values[name].item()
            return int(number) if node.integer else number

        return replace(self.tree, settle), arrays

    def _structure(self, values: dict[str, Tensor], individual: int) -> tuple[int, ...]:
        """What must be equal for two individuals to live in one batch: choices, what they are made of, and the size
        buckets that they use."""
        key: list[int] = []
        dead: list[Path] = []
        for locus in self.loci:
            if any(locus.path[: len(path)] == path for path in dead):
                key.append(-1)
            elif isinstance(locus.what, Choice):
                chosen = int(values[locus.name][individual, 0])
                key.append(chosen)
                dead += [(*locus.path, other) for other in range(len(locus.what.options)) if other != chosen]
            elif locus.role == "size":
                key.append(padded_size(int(values[locus.name][individual, 0])))
        for owner, loci in self._structural:
            if not any(loci[0].path[: len(path)] == path for path in dead):
                key += owner.structure([int(values[locus.name][individual, 0]) for locus in loci])
        return tuple(key)

    def _group(self, values: dict[str, Tensor], index: Tensor) -> Group:
        structural = {locus.name for locus in self.loci if locus.role == "structure"}

        def put(path: Path, node: Any) -> Any:
            if isinstance(node, Choice):
                chosen = int(values[dotted(path)][index[0], 0])
                return replace(node.options[chosen], lambda below, n: put((*path, chosen, *below), n))
            if not isinstance(node, Gene):
                return node
            data = values[dotted(path)][index]
            if dotted(path) in structural:
                return int(data[0, 0])
            per = node.per or "brain"
            return Values(data[:, 0] if per == "brain" else data, per, node.high)

        return Group(index, replace(self.tree, put))

    def _check(self, genomes: Tensor) -> None:
        if genomes.ndim != 2 or genomes.shape[1] != self.length:
            raise ValueError(f"genomes have shape {tuple(genomes.shape)}, wanted [P, {self.length}], one row a genome")
        if not bool(((genomes >= 0) & (genomes <= 1)).all()):
            raise ValueError(
                "genomes leave the unit cube [0, 1]; a searcher must bring them back before they are expressed"
            )


def _genes(node: Any, path: Path, role: Role = "number") -> Iterator[tuple[Path, Gene | Choice, Role]]:
    if isinstance(node, Gene):
        yield path, node, role
        return
    if isinstance(node, Choice):
        yield path, node, "number"
    for name, value, own in children(node):
        yield from _genes(value, (*path, name), "structure" if role == "structure" else own)


def decode(what: Gene | Choice, u: Float[Tensor, "P n"]) -> Float[Tensor, "P n"]:
    """Values of numbers in [0, 1], eqs. (1) to (4)."""
    if isinstance(what, Choice):
        return (u * len(what.options)).floor().clamp(max=len(what.options) - 1)
    top = what.high + 1 if what.integer else what.high
    value = what.low * (top / what.low) ** u if what.log else what.low + u * (top - what.low)
    return (value.floor() if what.integer else value).clamp(what.low, what.high)


def _start(what: Gene | Choice) -> float:
    if isinstance(what, Choice):
        return 0.5 / len(what.options)
    if what.start is None:
        return 0.5
    top = what.high + 1 if what.integer else what.high
    value = what.start + 0.5 if what.integer else what.start
    if what.log:
        return math.log(value / what.low) / math.log(top / what.low)
    return (value - what.low) / (top - what.low)
