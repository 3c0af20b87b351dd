"""What a formula may say: text -> SymPy expression, by a whitelist over Python's own grammar.

    sum      + - * /   unary -        power    x ** n, n a number or made of parameters (at most 64 in all)
    numbers  2, 0.5, 1e-3             names    the signals, traces and parameters that the caller gives

Nothing is ever evaluated: the text goes through `ast`, every node must be on the list, and the expression is built from
it. Limits on length, nesting and powers keep a hostile formula from hanging the algebra. The functions that SymPy would
simplify as if signals were complex numbers (abs, sign) or compare at length (min, max) are plain functions of our own.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection
from typing import cast

import sympy

from metaplastic.core import near_miss

LONGEST = 2000
"""characters of a formula"""
DEEPEST = 100
"""nested operations of a formula"""
HIGHEST = 64
"""power, nested powers multiplied"""


class absolute(sympy.Function):  # noqa: N801 (mathematical functions are written small)
    """|x|."""

    nargs = 1


class signum(sympy.Function):  # noqa: N801
    """-1, 0 or 1."""

    nargs = 1


class relu(sympy.Function):  # noqa: N801
    """max(x, 0)."""

    nargs = 1


class step(sympy.Function):  # noqa: N801
    """Heaviside: 1 above 0, 0 at 0 and below."""

    nargs = 1


class sigmoid(sympy.Function):  # noqa: N801
    """1 / (1 + exp(-x))."""

    nargs = 1


class clip(sympy.Function):  # noqa: N801
    """x, but not below lo nor above hi: clip(x, lo, hi)."""

    nargs = 3


class minimum(sympy.Function):  # noqa: N801
    """The smaller of two."""

    nargs = 2


class maximum(sympy.Function):  # noqa: N801
    """The larger of two."""

    nargs = 2


FUNCTIONS: dict[str, tuple[type | None, int]] = {
    "tanh": (sympy.tanh, 1),
    "exp": (sympy.exp, 1),
    "log": (sympy.log, 1),
    "sqrt": (None, 1),  # a power of 1/2
    "abs": (absolute, 1),
    "sign": (signum, 1),
    "relu": (relu, 1),
    "step": (step, 1),
    "sigmoid": (sigmoid, 1),
    "clip": (clip, 3),
    "min": (minimum, 2),
    "max": (maximum, 2),
}
"""Every function a formula may use, and its number of arguments."""

_OURS = (absolute, signum, relu, step, sigmoid, clip, minimum, maximum)

ALLOWED = f"a formula has numbers, names, + - * / **, and {', '.join(FUNCTIONS)}"

_OPERATORS = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def operands(expr: sympy.Basic) -> tuple[sympy.Expr, ...]:
    """The arguments of an expression (SymPy's `args`, which are expressions here)."""
    return cast("tuple[sympy.Expr, ...]", expr.args)


class FormulaError(ValueError):
    """A formula that cannot be read: the formula, the place, what came, what is allowed."""


def parse(text: str, names: Collection[str], exponents: Collection[str] = ()) -> sympy.Expr:
    """The expression that `text` writes over `names`; only numbers and `exponents` may stand in a power's exponent.

    Raises FormulaError with the place (first character is 1), what came and what is allowed.
    """
    if not isinstance(text, str) or not text.strip():
        raise FormulaError(f"formula is {text!r}, wanted text such as 'eta * post * pre'")
    if len(text) > LONGEST:
        raise FormulaError(f"formula has {len(text)} characters, at most {LONGEST} are allowed")
    line = " ".join(text.split())
    try:
        tree = ast.parse(line, mode="eval")
    except SyntaxError as error:
        place = error.offset or len(line)  # 0 stands for the end
        raise FormulaError(f"'{_excerpt(line, place)}', place {place}: {error.msg}; {ALLOWED}") from None
    except (RecursionError, MemoryError, ValueError):
        raise FormulaError(f"formula is nested too deeply, at most {DEEPEST} levels are allowed") from None
    return _Reader(line, names, exponents).read(tree.body)


class _Reader:
    """One formula on its way to an expression; knows the text, so that errors can name the place."""

    def __init__(self, line: str, names: Collection[str], exponents: Collection[str]) -> None:
        self.line, self.names, self.exponents = line, names, exponents

    def read(self, tree: ast.expr) -> sympy.Expr:
        if _depth(tree) > DEEPEST:
            raise FormulaError(f"formula is nested too deeply, at most {DEEPEST} levels are allowed")
        if _power(tree) > HIGHEST:
            raise self.fail(tree, f"the formula has power {_power(tree):g}, at most {HIGHEST} is allowed")
        expr = self.build(tree)
        if not all(_finite(number) for number in expr.atoms(sympy.Number)):
            raise self.fail(tree, "a constant of the formula is not a finite real number")
        whole = {number: sympy.Integer(int(number)) for number in expr.atoms(sympy.Float) if _whole(float(number))}
        return cast(sympy.Expr, expr.xreplace(whole))

    def fail(self, node: ast.AST, why: str) -> FormulaError:
        place = getattr(node, "col_offset", 0) + 1
        return FormulaError(f"'{_excerpt(self.line, place)}', place {place}: {why}")

    def build(self, node: ast.expr) -> sympy.Expr:
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self.build(node.operand)
            return -inner if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp):
            return self.operation(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        raise self.fail(node, f"{ast.unparse(node)!r} is not allowed; {ALLOWED}")

    def number(self, node: ast.Constant) -> sympy.Expr:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(node, f"{value!r} is not allowed; {ALLOWED}")
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self.fail(node, "the number is too large")
        return sympy.Integer(int(value)) if _whole(value) else sympy.Float(value)

    def name(self, node: ast.Name) -> sympy.Expr:
        if node.id not in self.names:
            known = list(self.names)
            there_are = "" if near_miss(node.id, known) else f"; there are {', '.join(known)}"
            what = "a function that wants its argument" if node.id in FUNCTIONS else "no such signal or parameter"
            raise self.fail(node, f"{node.id}: {what}{near_miss(node.id, known)}{there_are}")
        return sympy.Symbol(node.id)

    def operation(self, node: ast.BinOp) -> sympy.Expr:
        if isinstance(node.op, ast.Pow):
            self.check_exponent(node.right)
            return self.checked(node, self.build(node.left) ** self.build(node.right))
        if type(node.op) not in _OPERATORS:
            power = "; a power is written **" if isinstance(node.op, ast.BitXor) else ""
            raise self.fail(node, f"{ast.unparse(node)!r} is not allowed{power}; {ALLOWED}")
        return self.checked(node, _OPERATORS[type(node.op)](self.build(node.left), self.build(node.right)))

    def call(self, node: ast.Call) -> sympy.Expr:
        name = ast.unparse(node.func)
        if name not in FUNCTIONS:
            raise self.fail(node, f"{name}(): no such function{near_miss(name, list(FUNCTIONS))}; {ALLOWED}")
        function, count = FUNCTIONS[name]
        if node.keywords or len(node.args) != count:
            raise self.fail(node, f"{name} takes {count} argument{'s' * (count > 1)}, got {ast.unparse(node)!r}")
        arguments = [self.build(argument) for argument in node.args]
        result = function(*arguments) if function else arguments[0] ** sympy.Rational(1, 2)
        return self.checked(node, result)

    def check_exponent(self, node: ast.expr) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self.names and part.id not in self.exponents:
                raise self.fail(part, f"the exponent reads {part.id}; an exponent is a number or made of parameters")
            if isinstance(part, ast.Call):
                raise self.fail(part, "an exponent is a number or made of parameters, without functions")

    def checked(self, node: ast.expr, expr: sympy.Expr) -> sympy.Expr:
        if expr.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise self.fail(node, f"{ast.unparse(node)!r} is not a finite real number")
        if not expr.is_number or expr.is_Rational or expr.has(*_OURS):
            return expr
        if not _finite(expr):  # constants become numbers at once: towers of them would take for ever
            raise self.fail(node, f"{ast.unparse(node)!r} is not a finite real number")
        return sympy.Float(float(expr))


def _excerpt(line: str, place: int) -> str:
    """The formula, or the part of it about `place`."""
    return line if len(line) <= 120 else f"… {line[max(0, place - 31) : place + 30]} …"


def _depth(node: ast.AST) -> int:
    """Levels of nesting, without recursion (the tree may be as deep as Python's parser lets it)."""
    deepest, stack = 0, [(node, 1)]
    while stack:
        part, level = stack.pop()
        deepest = max(deepest, level if isinstance(part, ast.expr) else 0)
        stack += [(child, level + 1) for child in ast.iter_child_nodes(part)]
    return deepest


def _power(node: ast.AST) -> float:
    """The highest power in a formula, nested powers multiplied; a parameter in an exponent counts as 1."""
    inner = max((_power(child) for child in ast.iter_child_nodes(node)), default=1.0)
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)):
        return inner
    exponent = node.right
    numbers = [
        abs(n.value) for n in ast.walk(exponent) if isinstance(n, ast.Constant) and isinstance(n.value, int | float)
    ]
    size = math.prod(max(1.0, min(number, 1e6)) for number in numbers) * (HIGHEST + 1 if _has_power(exponent) else 1)
    return inner * max(1.0, size)


def _has_power(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Pow) for part in ast.walk(node))


def _whole(value: float) -> bool:
    return value.is_integer() and abs(value) < 2**53


def _finite(number: sympy.Expr) -> bool:
    try:
        return number.is_real is True and math.isfinite(float(number))
    except (OverflowError, TypeError):
        return False
