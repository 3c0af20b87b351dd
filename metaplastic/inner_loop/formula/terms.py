"""The additive terms of a rule: what each contributes, and the rule without one of them.

`eta (A y x + B x)` has the terms `post*pre` and `pre`; a term is named after what it reads, without its coefficients. A
clip around the whole update is looked into: the terms are those of what is clipped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import sympy

from metaplastic.inner_loop.formula.grammar import FormulaError, clip, operands
from metaplastic.inner_loop.formula.program import Program
from metaplastic.inner_loop.formula.to_text import formula_text

MOST = 200
"""terms; a formula that expands to more is one term"""


def terms(program: Program) -> list[tuple[str, sympy.Expr]]:
    """(name, expression) of each term of the update, in the order of their names; the names are unique."""
    grouped: dict[str, sympy.Expr] = {}
    for term in additive(_inside(program.update)):
        name = formula_text(_without_coefficients(term, program))
        grouped[name] = grouped.get(name, sympy.S.Zero) + term
    return sorted(grouped.items())


def without(program: Program, name: str) -> Program:
    """The program with one of its `terms` left out; parameters that nobody reads any more stay declared."""
    found = dict(terms(program))
    if name not in found:
        raise FormulaError(f"the update has no term {name!r}; it has {', '.join(found)}")
    rest = sympy.Add(*(term for other, term in found.items() if other != name))
    if isinstance(program.update, clip):
        rest = clip(rest, *operands(program.update)[1:])
    return program._replace(update=rest)


def additive(expr: sympy.Expr) -> list[sympy.Expr]:
    """The expression as a sum, products of sums multiplied out (unless there would be too many), powers not."""
    if _count(expr) <= MOST:
        expr = expr.expand(deep=False, multinomial=False, power_exp=False, power_base=False, log=False, basic=False)
    return list(sympy.Add.make_args(expr))


def with_numbers(expr: sympy.Expr, numbers: Mapping[str, float]) -> list[sympy.Expr]:
    """The terms with numbers in place of the names that `numbers` gives, the largest coefficient first."""
    return sorted(additive(filled(expr, numbers)), key=lambda term: (-_size(term), str(term)))


def filled(expr: sympy.Expr, numbers: Mapping[str, float]) -> sympy.Expr:
    """The expression with numbers in place of names."""
    known = {sympy.Symbol(name): sympy.Integer(v) if v % 1 == 0 else sympy.Float(v) for name, v in numbers.items()}
    return cast(sympy.Expr, expr.xreplace(known))


def _inside(update: sympy.Expr) -> sympy.Expr:
    return operands(update)[0] if isinstance(update, clip) else update


def _without_coefficients(term: sympy.Expr, program: Program) -> sympy.Expr:
    factors = sympy.Mul.make_args(term)
    return sympy.Mul(*(f for f in factors if not {str(s) for s in f.free_symbols} <= set(program.parameters)))


def _size(term: sympy.Expr) -> float:
    coefficient = abs(float(term.as_coeff_Mul()[0]))
    return coefficient if math.isfinite(coefficient) else math.inf


def _count(expr: sympy.Expr) -> float:
    """At least as many terms as the expression has when products are multiplied out."""
    if expr.is_Add:
        return sum(_count(part) for part in operands(expr))
    if expr.is_Mul:
        return math.prod(_count(part) for part in operands(expr))
    return 1
