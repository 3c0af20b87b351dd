"""From a program to the loops of a kernel: what is computed once, once a neuron, and only then once a synapse.

A decision is a trial of one step. Where traces start each trial at 0, they are abbreviations, and the program is one
expression, the change of w. Where the rule keeps its traces, each has its next value (written with a prime, e').

`split` then moves every part of these expressions out of the loop over synapses, to the place it lives at: scalars
first, into a value of each neuron where there is one to multiply it with,

    eta rpe feedback_i pre_j   ->   t_i = eta rpe feedback_i  (once a neuron),   t_i pre_j  (once a synapse)     (1)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import sympy

from metaplastic.inner_loop.formula.analyse import join
from metaplastic.inner_loop.formula.grammar import operands
from metaplastic.inner_loop.formula.program import SIGNALS, Place, Program

W = sympy.Symbol("w")


class Change(NamedTuple):
    """A program as expressions over signals, parameters, kept traces as they were (e) and as they become (e')."""

    update: sympy.Expr
    kept: tuple[tuple[str, sympy.Expr], ...]
    """trace -> its next value, in order"""
    places: dict[str, Place]
    """where each name lives"""

    @property
    def reads(self) -> frozenset[str]:
        """The signals that are really needed."""
        expressions = [self.update, *(value for _, value in self.kept)]
        return frozenset(SIGNALS) & {str(symbol) for expr in expressions for symbol in expr.free_symbols}


class Loops(NamedTuple):
    """What to compute where; symbols of temporaries and of primed traces stand for what was computed before."""

    scalar: list[tuple[sympy.Symbol, sympy.Expr]]
    pre: list[tuple[sympy.Symbol, sympy.Expr]]
    post: list[tuple[sympy.Symbol, sympy.Expr]]
    synapse: list[tuple[sympy.Symbol, sympy.Expr]]
    """kept traces at synapses"""
    update: sympy.Expr


def change_of(program: Program, places: Mapping[str, Place], keeps_traces: bool) -> Change:
    """The change of w that a program makes in one step; `places` of its parameters."""
    return _with_memory(program, places) if keeps_traces else _in_one(program, places)


def _in_one(program: Program, places: Mapping[str, Place]) -> Change:
    """Traces as abbreviations: each is 0 before the step."""
    known: dict[Any, Any] = {sympy.Symbol(trace.name): sympy.S.Zero for trace in program.traces}
    for trace in program.traces:
        known[sympy.Symbol(trace.name)] = trace.value.subs(known)
    return Change(cast("sympy.Expr", program.update.subs(known)), (), {**SIGNALS, **places})


def _with_memory(program: Program, places: Mapping[str, Place]) -> Change:
    """Traces with their next values; each reads those before it as they are now."""
    now: dict[Any, Any] = {}
    kept: list[tuple[str, sympy.Expr]] = []
    where: dict[str, Place] = {**SIGNALS, **places}
    for trace in program.traces:
        kept.append((trace.name, cast("sympy.Expr", trace.value.xreplace(now))))
        symbol = sympy.Symbol(trace.name)
        now[symbol] = _prime(symbol)
        where |= {trace.name: trace.place, str(now[symbol]): trace.place}
    return Change(cast("sympy.Expr", program.update.xreplace(now)), tuple(kept), where)


def is_finite(change: Change) -> bool:
    """Whether no part of it is infinite whatever is read, as 1 / e is of a trace e that starts at 0."""
    return not any(
        expr.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo) for expr in (change.update, *dict(change.kept).values())
    )


def split(change: Change) -> Loops:
    """The expressions cut up by place."""
    places = dict(change.places)
    loops = Loops([], [], [], [], change.update)
    levels = {"scalar": loops.scalar, "pre": loops.pre, "post": loops.post}
    for name, value in change.kept:
        target = _prime(sympy.Symbol(name))
        if places[name] == "synapse":
            loops.synapse.append((target, _hoisted(value, places, levels)))
        else:
            levels[places[name]].append((target, value))
    return loops._replace(update=_hoisted(change.update, places, levels))


def vanishes(expr: sympy.Expr, signal: str) -> bool:
    """Whether `expr` is provably 0 wherever the signal is 0."""
    return expr.subs(sympy.Symbol(signal), 0) == 0


def _prime(symbol: sympy.Basic) -> sympy.Symbol:
    return sympy.Symbol(f"{symbol}'")


def _hoisted(expr: sympy.Expr, places: dict[str, Place], levels: dict) -> sympy.Expr:
    """`expr` with temporaries for all that does not need the loop over synapses; they are added to `levels`."""
    place = _place(expr, places)
    if place != "synapse":
        return _temporary(expr, place, places, levels)
    if not (expr.is_Add or expr.is_Mul):
        return expr.func(*(_hoisted(part, places, levels) for part in operands(expr))) if expr.args else expr
    groups: dict[Place, list[sympy.Expr]] = {}
    for part in operands(expr):
        groups.setdefault(_place(part, places), []).append(part)
    scalars = groups.pop("scalar", [])
    for neuron in ("post", "pre"):
        if neuron in groups:
            groups[neuron] += scalars
            scalars = []
    synaptic = [_hoisted(part, places, levels) for part in groups.pop("synapse", [])]
    if scalars:
        groups["scalar"] = scalars
    parts = [_temporary(expr.func(*group), at, places, levels) for at, group in groups.items()]
    return expr.func(*parts, *synaptic)


def _temporary(expr: sympy.Expr, place: Place, places: dict[str, Place], levels: dict) -> sympy.Expr:
    """A symbol for `expr`, computed at `place`; a lone name or number is its own."""
    if not expr.args:
        return expr
    for symbol, value in levels[place]:
        if value == expr and not str(symbol).endswith("'"):
            return symbol
    symbol = sympy.Symbol(f"{place} {len(levels[place])}")  # no formula can have such a name
    levels[place].append((symbol, expr))
    places[str(symbol)] = place
    return symbol


def _place(expr: sympy.Expr, places: Mapping[str, Place]) -> Place:
    return join(places[str(symbol)] for symbol in expr.free_symbols)


def along_row(expr: sympy.Expr, moving: set[sympy.Symbol], constants: list[sympy.Expr], prefix: str) -> sympy.Expr:
    """`expr` with a symbol for each part that stays; terms of one moving factor are joined, nothing is multiplied out
    (a difference of nearly equal numbers would lose its digits)."""

    def kept(part: sympy.Expr) -> sympy.Expr:
        if part.is_number and not part.args:
            return part
        if part not in constants:
            constants.append(part)
        return sympy.Symbol(f"{prefix}_{constants.index(part)}")

    if not expr.free_symbols & moving:
        return kept(expr)
    if not expr.args:
        return expr
    if expr.is_Add:
        factors: dict[sympy.Expr, list[sympy.Expr]] = {}
        for term in operands(expr):
            stays, moves = term.as_independent(*moving, as_Add=False)
            factors.setdefault(moves, []).append(stays)
        parts = [(kept(sympy.Add(*stays)), moves) for moves, stays in factors.items()]
        return sympy.Add(*(stays * along_row(moves, moving, constants, prefix) for stays, moves in parts))
    if expr.is_Mul:
        stays, moves = expr.as_independent(*moving, as_Add=False)
        if stays != 1:
            return kept(stays) * along_row(moves, moving, constants, prefix)
    return expr.func(*(along_row(part, moving, constants, prefix) for part in operands(expr)))
