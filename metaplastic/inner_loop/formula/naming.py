"""What a formula is called, if the field has a name for it: what evolution wrote may be Oja's rule times 0.03.

A known rule is a formula with unknown coefficients; a program is that rule if there are numbers for them, and a factor
k that is not 0, with which both are the same polynomial of the signals and memories:

    update(program) = k update(known),   trace(program) = trace(known)                                            (1)

Coefficients of equal powers are compared and the equations solved. A formula that is no polynomial is known only if it
is k times a known one as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import sympy

from metaplastic.inner_loop.formula.analyse import compile_program
from metaplastic.inner_loop.formula.program import SIGNALS, Program
from metaplastic.inner_loop.formula.terms import filled

FACTOR = sympy.Symbol("the factor")  # no formula can have such a name
NEGLIGIBLE = 1e-9


class Known(NamedTuple):
    """A rule as the field writes it."""

    name: str
    update: str
    traces: Mapping[str, str] = {}
    positive: tuple[str, ...] = ()
    """coefficients that must be above 0"""
    scaled: bool = True
    """a factor is not among the coefficients"""


class Likeness(NamedTuple):
    """A program is `factor` times the rule called `name` with these coefficients."""

    name: str
    factor: sympy.Expr
    coefficients: dict[str, sympy.Expr]

    def __str__(self) -> str:
        """In words: Oja's rule (alpha = 2) times 0.03."""
        given = ", ".join(f"{name} = {_short(value)}" for name, value in self.coefficients.items())
        factor = "" if self.factor == 1 else f" times {_short(self.factor)}"
        return f"{self.name}{f' ({given})' if given else ''}{factor}"


KNOWN: tuple[Known, ...] = (
    Known("no change", "0"),
    Known("Hebb's rule", "post * pre"),
    Known("Oja's rule", "post * (pre - post * w)"),
    Known("Oja's rule with weights of length 1/sqrt(alpha)", "post * (pre - alpha * post * w)", {}, ("alpha",)),
    Known("Sanger's rule", "post * (pre - explained)"),
    Known("Oja's subspace rule", "post * (pre - reconstruction)"),
    Known("the instar rule", "post * (pre - w)"),
    Known("the outstar rule", "pre * (post - w)"),
    Known("weight decay", "w"),
    Known("BCM with a fixed threshold", "post * (post - theta) * pre", {}, ("theta",)),
    Known("the BCM rule", "post * (post - m) * pre", {"m": "m + rate * (post**2 - m)"}),
    Known("covariance about fixed means", "(post - a) * (pre - b)", {}, ("a", "b")),
    Known(
        "the covariance rule",
        "y * x",
        {
            "x": "pre - x_mean",
            "y": "post - y_mean",
            "x_mean": "decay * x_mean + (1 - decay) * pre",
            "y_mean": "decay * y_mean + (1 - decay) * post",
        },
    ),
    Known("reward-modulated Hebb without expectation", "reward * post * pre"),
    Known("reward-modulated Hebb", "rpe * post * pre"),
    Known("the three-factor rule", "rpe * e", {"e": "decay * e + post * pre"}),
    Known("Q-AGREL", "rpe * feedback * pre"),
    Known("node perturbation without expectation", "reward * noise * pre"),
    Known("the delta rule", "feedback * pre"),
    Known("an ABCD rule", "A * post * pre + B * pre + C * post + D", scaled=False),
)
"""every rule that has a name, the more special before the more general"""


def likeness(program: Program, numbers: Mapping[str, float] | None = None) -> Likeness | None:
    """The first of KNOWN that the program is, with `numbers` in place of its coefficients; None if it is none."""
    given = program._replace(
        update=filled(program.update, numbers or {}),
        traces=tuple(trace._replace(value=filled(trace.value, numbers or {})) for trace in program.traces),
    )
    for known in KNOWN:
        found = _compared(given, known)
        if found is not None:
            return found
    return None


def _compared(program: Program, known: Known) -> Likeness | None:
    pattern = _parsed(known)
    if len(pattern.traces) != len(program.traces) or (known.scaled and not pattern.reads <= program.reads | {"w"}):
        return None
    if pattern.update == 0 or program.update == 0:
        return Likeness(known.name, sympy.S.One, {}) if pattern.update == program.update else None
    names: dict[Any, Any] = {
        sympy.Symbol(one.name): sympy.Symbol(other.name)
        for one, other in zip(program.traces, pattern.traces, strict=True)
    }
    if len(set(names.values()) | set(pattern.parameters)) < len(names) + len(pattern.parameters):
        return None
    unknown = [sympy.Symbol(f"?{name}") for name in pattern.parameters]
    hidden: dict[Any, Any] = dict(zip(map(sympy.Symbol, pattern.parameters), unknown, strict=True))
    factor = FACTOR if known.scaled else sympy.S.One
    pairs: list[tuple[Any, Any]] = [(program.update.xreplace(names), factor * pattern.update.xreplace(hidden))]
    for one, other in zip(program.traces, pattern.traces, strict=True):
        pairs.append((one.value.xreplace(names), other.value.xreplace(hidden)))
    signals = [*map(sympy.Symbol, SIGNALS), *names.values()]
    solution = _solved(pairs, signals, [*([FACTOR] if known.scaled else []), *unknown])
    if solution is None:
        return None
    factor = solution.get(FACTOR, sympy.S.One)
    if factor == 0:
        return None
    coefficients = {name: solution[symbol] for name, symbol in zip(pattern.parameters, unknown, strict=True)}
    if any(coefficients[name].is_number and not coefficients[name].is_positive for name in known.positive):
        return None
    return Likeness(known.name, factor, coefficients)


def _solved(pairs: list[tuple[Any, Any]], signals: list, unknown: list) -> dict[Any, sympy.Expr] | None:
    """Numbers for the unknowns with which both of each pair are the same polynomial of the signals."""
    equations: list[sympy.Expr] = []
    for one, other in pairs:
        try:
            equations += sympy.Poly(sympy.expand(one - other), *signals).coeffs()
        except sympy.PolynomialError:
            return None
    free = [equation for equation in equations if equation.free_symbols & set(unknown)]
    if any(
        abs(equation) > NEGLIGIBLE if equation.is_number else True for equation in equations if equation not in free
    ):
        return None
    tidy = [sympy.nsimplify(equation, rational=True) for equation in free]
    for solution in sympy.solve(tidy, unknown, dict=True):
        values = {symbol: solution.get(symbol, sympy.S.One) for symbol in unknown}
        if all(value.is_real is not False for value in values.values()):
            return values
    return None


@cache
def _pattern(name: str) -> Program:
    known = next(one for one in KNOWN if one.name == name)
    texts = [known.update, *known.traces.values()]
    words = {word for text in texts for word in "".join(c if c.isalnum() or c == "_" else " " for c in text).split()}
    parameters = [word for word in words if word.isidentifier() and word not in {*SIGNALS, *known.traces}]
    return compile_program(known.update, known.traces, "step", parameters)


def _parsed(known: Known) -> Program:
    return _pattern(known.name)


def _short(value: sympy.Expr) -> str:
    return f"{float(value):.3g}" if value.is_number else str(value)
