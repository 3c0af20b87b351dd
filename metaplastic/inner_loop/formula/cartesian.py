"""Formulas as genomes: Cartesian genetic programming over the grammar of formulas.

A genome is one row of nodes, each a function and the places of its two arguments among the inputs and the nodes before
it, and at the end the place of the output:

    [f_1, a_1, b_1,   f_2, a_2, b_2,   …   f_n, a_n, b_n,   out]                       Miller & Thomson 2000        (1)

All are whole numbers, so the genome is a vector that any searcher can move. A function of one argument leaves the
second alone, and most nodes are not reached from the output: mutations of those change nothing now and much later
(neutral drift). The tree is put together as an expression, which simplifies itself; division by 0, powers beyond the
grammar's and expressions that swell make a formula that is none: its changes are NaN, its life has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

import sympy

from metaplastic.inner_loop.formula import grammar
from metaplastic.inner_loop.formula.to_text import formula_text

LONGEST = 120
"""operations of an expression; one that needs more is none"""
GENES = 3
"""numbers a node"""


class Primitive(NamedTuple):
    """A function that a node may be."""

    arguments: int
    made: Callable[..., sympy.Expr]


def _quotient(a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
    return sympy.nan if b == 0 else a / b


PRIMITIVES: dict[str, Primitive] = {
    "add": Primitive(2, lambda a, b: a + b),
    "sub": Primitive(2, lambda a, b: a - b),
    "mul": Primitive(2, lambda a, b: a * b),
    "div": Primitive(2, _quotient),
    "square": Primitive(1, lambda a: a**2),
    "neg": Primitive(1, lambda a: -a),
    "sqrt": Primitive(1, lambda a: a ** sympy.Rational(1, 2)),
    **{
        name: Primitive(count, cast(Any, function))
        for name, (function, count) in grammar.FUNCTIONS.items()
        if function is not None and name != "clip"
    },
}
"""name -> what it makes of its arguments"""


def bounds(inputs: int, functions: int, nodes: int) -> list[tuple[int, int]]:
    """The least and the largest value of each number of (1)."""
    found = []
    for node in range(nodes):
        last = inputs + node - 1
        found += [(0, functions - 1), (0, last), (0, last)]
    return [*found, (0, inputs + nodes - 1)]


def active(genome: Sequence[int], inputs: int, functions: Sequence[str]) -> list[int]:
    """The nodes that reach the output, in order."""
    reached, todo = set[int](), [genome[-1] - inputs]
    while todo:
        node = todo.pop()
        if node < 0 or node in reached:
            continue
        reached.add(node)
        which, *places = genome[GENES * node : GENES * (node + 1)]
        todo += [place - inputs for place in places[: PRIMITIVES[functions[which]].arguments]]
    return sorted(reached)


def decoded(genome: Sequence[int], inputs: Sequence[str], functions: Sequence[str]) -> sympy.Expr | None:
    """The expression of a genome over the inputs, names or numbers as text; None if it is none."""
    return _decoded(tuple(genome), tuple(inputs), tuple(functions))


@lru_cache(maxsize=65536)
def _decoded(genome: tuple[int, ...], inputs: tuple[str, ...], functions: tuple[str, ...]) -> sympy.Expr | None:
    known: dict[int, sympy.Expr] = {place: _terminal(text) for place, text in enumerate(inputs)}
    for node in active(genome, len(inputs), functions):
        which, *places = genome[GENES * node : GENES * (node + 1)]
        primitive = PRIMITIVES[functions[which]]
        expr = primitive.made(*(known[place] for place in places[: primitive.arguments]))
        if not is_sound(expr):
            return None
        known[len(inputs) + node] = expr
    return known[genome[-1]]


def is_sound(expr: sympy.Expr) -> bool:
    """Whether the grammar would read it, and whether it is short enough."""
    if expr.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo) or int(sympy.count_ops(expr)) > LONGEST:
        return False
    text = formula_text(expr)
    if len(text) > grammar.LONGEST:
        return False
    try:
        return grammar.parse(text, {str(symbol) for symbol in expr.free_symbols}) is not None
    except grammar.FormulaError:
        return False


def encoded(expr: sympy.Expr, inputs: Sequence[str], functions: Sequence[str], nodes: int) -> list[int]:
    """A genome whose expression is `expr`; the nodes that are left over repeat the first input's sum with itself.

    Raises:
        ValueError: if the expression needs what is not among the functions and inputs, or more nodes.
    """
    places: dict[sympy.Expr, int] = {_terminal(text): place for place, text in enumerate(inputs)}
    genome: list[int] = []

    def node(name: str, *arguments: int) -> int:
        if name not in functions:
            raise ValueError(f"{expr} needs the function {name}; there are {', '.join(functions)}")
        genome.extend([list(functions).index(name), arguments[0], arguments[-1]])
        return len(inputs) + len(genome) // GENES - 1

    def place(part: sympy.Expr) -> int:
        if part not in places:
            places[part] = _placed(part, place, node)
        return places[part]

    out = place(expr)
    used = len(genome) // GENES
    if used > nodes:
        raise ValueError(f"{expr} needs {used} nodes; there are {nodes}")
    return [*genome, *([0, 0, 0] * (nodes - used)), out]


def _placed(part: sympy.Expr, place: Callable[[sympy.Expr], int], node: Callable[..., int]) -> int:
    """The node of an expression that is no input."""
    arguments = grammar.operands(part)
    if part.is_Number and part.is_negative:
        return node("neg", place(-part))
    if part.is_Add or part.is_Mul:
        first, *rest = arguments
        if part.is_Mul and first == -1:
            return node("neg", place(part.func(*rest)))
        return node("add" if part.is_Add else "mul", place(first), place(part.func(*rest)))
    if part.is_Pow and arguments[1] == 2:
        return node("square", place(arguments[0]))
    if part.is_Pow and arguments[1] == sympy.Rational(1, 2):
        return node("sqrt", place(arguments[0]))
    name = next((name for name, (function, _) in grammar.FUNCTIONS.items() if function is part.func), None)
    if name is None:
        raise ValueError(f"{part} is no function of the grammar and no input")
    return node(name, *map(place, arguments))


def _terminal(text: str) -> sympy.Expr:
    try:
        number = float(text)
    except ValueError:
        return sympy.Symbol(text)
    return sympy.Integer(int(number)) if number.is_integer() else sympy.Float(number)
