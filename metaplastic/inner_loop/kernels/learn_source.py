"""The text of what a decision kernel does to one connection group: the rule itself, as loops.

Only what the rule reads is an argument. A change that is provably 0 where `pre` is 0 is made for active presynaptic
neurons only, and one that is provably 0 where reward, prediction or rpe is 0 is then not made at all.
"""

from __future__ import annotations

from textwrap import indent

import sympy

from metaplastic.inner_loop.decision_plan import Form
from metaplastic.inner_loop.formula.program import DERIVED, Place
from metaplastic.inner_loop.formula.to_numba import numba_expression
from metaplastic.inner_loop.kernels.hoist import Change, Loops, W, split, vanishes

SCALARS = ("reward", "prediction", "rpe")
NEURONAL = ("post", "potential", "gate", "feedback", "chance", "drive")
AT = {"scalar": "", "pre": "[j]", "post": "[i]", "synapse": "[j, i]"}
"""how a value that lives at a place is read in the loops"""


def learn_arguments(form: Form, change: Change) -> dict[str, list[str]]:
    """Names of what `learn` takes, by sort."""
    derived = not change.reads.isdisjoint(DERIVED)
    return {
        "signals": [name for name in (*SCALARS, *NEURONAL) if name in change.reads or (name == "post" and derived)],
        "parameters": [f"rule_{name}" for name, _ in form.places],
        "traces": [f"trace_{name}" for name, _ in change.kept],
        "next": [f"next_{name}" for name, _ in change.kept if change.places[name] != "synapse"],
    }


def learn_source(form: Form, change: Change, carrier: bool) -> str:
    """The text of `learn`, or of `learn_both` that gives the feedback weights the same change."""
    loops, names = split(change), _names(form, change)
    arguments = [name for some in learn_arguments(form, change).values() for name in some]
    given = ["w", *(["carrier"] if carrier else []), "pre", "pre_count", "active", "count", "post_count", "held"]
    lazy = _is_lazy(form, change)
    skipped = [s for s in SCALARS if s in change.reads and lazy and vanishes(change.update, s)]
    lines = [f"if {name} == ZERO:\n    return" for name in skipped]
    lines += _before(loops, names)
    sparse = lazy and vanishes(change.update, "pre")
    lines += ["for k in range(count):", "    j = active[k]"] if sparse else ["for j in range(pre_count):"]
    lines += [indent(text, "    ") for text in _row(form, loops, change, names, carrier)]
    lines += _after(form, change)
    name = "learn_both" if carrier else "learn"
    head = f"@njit(error_model='numpy', fastmath=FAST)\ndef {name}({', '.join([*given, 'writing', *arguments])}):"
    return "\n".join([head, *(indent(text, "    ") for text in lines or ["pass"])])


def _is_lazy(form: Form, change: Change) -> bool:
    """Whether a synapse whose change is 0 stays as it is, traces and all."""
    return form.program.transform == W and form.program.normalise == "none" and not change.kept


def _names(form: Form, change: Change) -> dict[str, str]:
    """How every name of the formula is read inside the loops."""
    names = {name: name + AT[change.places[name]] for name in change.reads}
    names |= {"w": "weight", "reconstruction": "rebuilt", "explained": "so_far"}
    names |= {"constant": "(ONE if j == 0 else ZERO)" if form.bias else "ZERO"}
    names |= {name: f"rule_{name}{AT[place]}" for name, place in form.places}
    for name, _ in change.kept:
        place = change.places[name]
        names[name] = f"trace_{name}{AT[place] or '[0]'}"
        names[f"{name}'"] = f"now_{name}" if place == "synapse" else f"next_{name}{AT[place] or '[0]'}"
    return names


def _before(loops: Loops, names: dict[str, str]) -> list[str]:
    """Scalars, then values of each neuron: temporaries of this step and the next values of their traces."""
    lines = [f"{_target(symbol, names, 'scalar')} = {numba_expression(value, names)}" for symbol, value in loops.scalar]
    primed = [(symbol, value) for symbol, value in loops.pre if str(symbol) in names]
    if primed:
        lines.append("for j in range(pre_count):")
        lines += [f"    {_target(symbol, names, 'pre')} = {numba_expression(value, names)}" for symbol, value in primed]
    if loops.post:
        rows = [(str(symbol), index) for index, (symbol, _) in enumerate(loops.post) if str(symbol) not in names]
        lines += [f"held_{index} = held[{index}]" for _, index in rows]
        names |= {symbol: f"held_{index}[i]" for symbol, index in rows}
        lines.append("for i in range(post_count):")
        lines += [f"    {names[str(symbol)]} = {numba_expression(value, names)}" for symbol, value in loops.post]
    return lines


def _target(symbol: sympy.Symbol, names: dict[str, str], place: Place) -> str:
    """The text of a temporary; it is known by it from now on."""
    return names.setdefault(str(symbol), str(symbol).replace(" ", "_") + ("" if place == "scalar" else AT[place]))


def _row(form: Form, loops: Loops, change: Change, names: dict[str, str], carrier: bool) -> list[str]:
    """The loop over postsynaptic neurons, for presynaptic neuron j."""
    lines = ["row = w[j]"]
    if "reconstruction" in change.reads:
        lines += ["rebuilt = ZERO", "for i in range(post_count):", "    rebuilt += post[i] * row[i]"]
    lines += ["so_far = ZERO"] if "explained" in change.reads else []
    for symbol, value in loops.pre:
        if str(symbol) not in names:
            lines.append(f"{_target(symbol, names, 'scalar')} = {numba_expression(value, names)}")
    inner = ["weight = row[i]"]
    inner += ["so_far += post[i] * weight"] if "explained" in change.reads else []
    inner += [f"{names[str(symbol)]} = {numba_expression(value, names)}" for symbol, value in loops.synapse]
    inner.append(f"change = {numba_expression(loops.update, names)}")
    inner += [f"trace_{name}[j, i] = now_{name}" for name, _ in change.kept if change.places[name] == "synapse"]
    write = [f"row[i] = {_transformed(form, 'weight', names)}"]
    if carrier:
        write.append(f"carrier[j, i] = {_transformed(form, 'carrier[j, i]', names)}")
    inner += ["if writing:", *(f"    {text}" for text in write)] if change.kept else write
    return [*lines, "for i in range(post_count):", *(f"    {text}" for text in inner)]


def _transformed(form: Form, old: str, names: dict[str, str]) -> str:
    return numba_expression(form.program.transform, {**names, "w": f"({old} + change)"})


def _after(form: Form, change: Change) -> list[str]:
    """Traces of neurons take their next values; the norm is restored."""
    extent = {"scalar": "1", "pre": "pre_count", "post": "post_count"}
    lines = [
        f"for n in range({extent[change.places[name]]}):\n    trace_{name}[n] = next_{name}[n]"
        for name, _ in change.kept
        if change.places[name] != "synapse"
    ]
    if form.program.normalise != "none":
        lines.append(f"if writing:\n    normalise_{form.program.normalise}(w, pre_count, post_count)")
    return lines
