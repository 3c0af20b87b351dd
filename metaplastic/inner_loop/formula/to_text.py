# ruff: noqa: N802 (SymPy's printers find their methods by the names of its classes)
"""An expression as text that the grammar reads back: `parse(formula_text(e)) == e`."""

from __future__ import annotations

import sympy
from sympy.printing.str import StrPrinter

from metaplastic.inner_loop.formula import grammar

_NAMES = {name: function for name, (function, _) in grammar.FUNCTIONS.items() if function is not None}
_WRITTEN: dict[str, str] = {function.__name__: name for name, function in _NAMES.items()}


class _Text(StrPrinter):
    """Our functions by the names a formula uses; numbers at full precision."""

    def _print_Function(self, expr: sympy.Expr) -> str:
        name = _WRITTEN[type(expr).__name__]
        return f"{name}({', '.join(self._print(argument) for argument in expr.args)})"

    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_ExpBase(self, expr: sympy.Expr) -> str:
        return f"exp({self._print(expr.args[0])})"

    _print_exp = _print_ExpBase


def formula_text(expr: sympy.Expr) -> str:
    """The formula, as a user would write it."""
    return _Text().doprint(expr)
