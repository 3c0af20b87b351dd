"""From the text of a rule to its `Program`: who reads what, where each trace lives, and what is wrong with it.

A trace lives where its reader would have to look: one that reads `pre` alone is a memory of the presynaptic neuron, one
that reads `pre` and `post` (or `w`) needs a value at every synapse.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, cast

import sympy

from metaplastic.inner_loop.formula.grammar import FUNCTIONS, FormulaError, parse
from metaplastic.inner_loop.formula.program import DERIVED, SIGNALS, Norm, Place, Program, Trace

TRIAL_SCALARS = frozenset({"reward", "prediction", "rpe"})
"""What is known of a whole trial only at its end."""


def compile_program(
    update: str,
    traces: Mapping[str, str],
    writes: Literal["step", "trial"],
    parameters: Iterable[str] | Mapping[str, Place],
    transform: str = "w",
    normalise: Norm = "none",
) -> Program:
    """The program that the texts write; parameters as names, or as name -> where its values live (else: one a brain).

    Raises FormulaError for a formula that cannot be read or that makes no sense as a rule.
    """
    places = dict(parameters) if isinstance(parameters, Mapping) else dict.fromkeys(parameters, "scalar")
    return _compile(update, tuple(traces.items()), writes, tuple(sorted(places.items())), transform, normalise)


@lru_cache(maxsize=4096)
def _compile(
    update: str,
    trace_texts: tuple[tuple[str, str], ...],
    writes: Literal["step", "trial"],
    parameters: tuple[tuple[str, Place], ...],
    transform: str,
    normalise: Norm,
) -> Program:
    texts, places = dict(trace_texts), dict(parameters)
    _check_names(texts, places)
    names = [*SIGNALS, *texts, *places]
    values = {name: _read(f"trace {name}", text, names, places) for name, text in texts.items()}
    change = _read("update", update, names, places)
    after = _read("transform", transform, ["w", *places], places)
    read = {name: frozenset(map(str, expr.free_symbols)) for name, expr in [*values.items(), ("update", change)]}
    _check_readers(read, texts, places.keys() - set(map(str, after.free_symbols)))
    if writes == "trial":
        _check_trial(read)
    where = _places(read, texts, places)
    return Program(
        change,
        tuple(Trace(name, value, where[name]) for name, value in values.items()),
        writes,
        tuple(sorted(places)),
        frozenset.union(*read.values()).intersection(SIGNALS),
        after,
        normalise,
    )


def join(places: Iterable[Place]) -> Place:
    """Where something lives that reads from all these places."""
    found = set(places) - {"scalar"}
    return "scalar" if not found else cast(Place, found.pop()) if len(found) == 1 else "synapse"


def place_of(expr: sympy.Expr, program: Program, parameters: Mapping[str, Place] | None = None) -> Place:
    """Where `expr`, an expression over the program's names, lives."""
    where: dict[str, Place] = {**SIGNALS, **{t.name: t.place for t in program.traces}, **(parameters or {})}
    return join(where.get(str(symbol), "scalar") for symbol in expr.free_symbols)


def _read(what: str, text: str, names: list[str], places: dict[str, Place]) -> sympy.Expr:
    try:
        return parse(text, names, places)
    except FormulaError as error:
        raise FormulaError(f"{what}: {error}") from None


def _check_names(texts: dict[str, str], places: dict[str, Place]) -> None:
    for what, names in (("trace", texts), ("parameter", places)):
        for name in names:
            if not name.isidentifier() or keyword.iskeyword(name):
                raise FormulaError(f"{what} {name!r} is no name; wanted letters, digits and _ and a letter first")
            if name in SIGNALS or name in FUNCTIONS or name == "update":
                kind = "signal" if name in SIGNALS else "function" if name in FUNCTIONS else "word"
                raise FormulaError(f"{what} {name!r} has the name of a {kind}; call it otherwise")
    for name in texts.keys() & places.keys():
        raise FormulaError(f"{name!r} is both a trace and a parameter; call one of them otherwise")


def _check_readers(read: dict[str, frozenset[str]], texts: dict[str, str], parameters: set[str]) -> None:
    everything = frozenset.union(*read.values())
    for name in sorted(parameters):
        if name not in everything:
            raise FormulaError(f"parameter {name!r} is read by no formula; take it out or use it")
    used, todo = set[str](), ["update"]
    while todo:
        reached = (read[todo.pop()] & texts.keys()) - used
        used |= reached
        todo += reached
    for name in texts:
        if name not in used:
            raise FormulaError(f"trace {name!r} never reaches the update; take it out or use it")


def _check_trial(read: dict[str, frozenset[str]]) -> None:
    for name in sorted(read["update"]):
        if SIGNALS.get(name, "scalar") in ("pre", "post") or name in ("settled", *DERIVED):
            raise FormulaError(
                f"update reads {name!r}, but with writes: trial it is applied once, at the trial's end; "
                f"put {name!r} into a trace, or say writes: step"
            )
    for trace, names in read.items():
        for name in sorted(names & TRIAL_SCALARS):
            if trace != "update":
                raise FormulaError(
                    f"trace {trace!r} reads {name!r}, which with writes: trial is known only at the trial's end; "
                    f"read it in the update, or say writes: step"
                )


def _places(read: dict[str, frozenset[str]], texts: dict[str, str], places: dict[str, Place]) -> dict[str, Place]:
    where: dict[str, Place] = {**SIGNALS, **places, **dict.fromkeys(texts, "scalar")}
    for _ in range(2 * len(texts) + 1):  # places only grow, at most twice a trace
        where |= {name: join(where[other] for other in read[name]) for name in texts}
    return where
