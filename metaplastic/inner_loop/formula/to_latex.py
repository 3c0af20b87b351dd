# ruff: noqa: N802 (SymPy's printers find their methods by the names of its classes)
r"""A rule in the field's notation, as LaTeX for papers and as plain text for terminals.

    eta * post * pre    ->    \Delta w_{ij} = \eta y_i x_j        Δw_ij = η y_i x_j

j is the presynaptic and i the postsynaptic neuron. With numbers put in, terms come with the largest coefficient first.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from metaplastic.inner_loop.formula.grammar import clip, operands
from metaplastic.inner_loop.formula.program import SIGNALS, Place, Program
from metaplastic.inner_loop.formula.terms import filled, with_numbers

_SIGNS: dict[str, str] = {
    "pre": r"x_j",
    "post": r"y_i",
    "potential": r"v_i",
    "gate": r"\phi'_i",
    "noise": r"\xi_i",
    "feedback": r"f_i",
    "chance": r"p_i",
    "drive": r"d_i",
    "w": r"w_{ij}",
    "constant": r"c_j",
    "reconstruction": r"\left(\sum_{k} y_k w_{kj}\right)",
    "explained": r"\left(\sum_{k \leq i} y_k w_{kj}\right)",
    "reward": r"R",
    "prediction": r"\bar{R}",
    "rpe": r"\delta",
    "settled": r"s",
}
"""the field's symbol of every signal"""

_GREEK = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ"},
    **{"kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ"},
    **{"phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω"},
}
_INDEX: dict[Place, str] = {"scalar": "", "pre": "j", "post": "i", "synapse": "ij"}
_PLAIN = {
    r"\sum": "Σ",
    r" \leq ": "≤",
    r"\left": "",
    r"\right": "",
    r"\phi'": "φ'",
    r"\xi": "ξ",
    r"\bar{R}": "R̄",
    r"\delta": "δ",
    "{": "",
    "}": "",
}
_NAMES = {"absolute": "abs", "signum": "sign", "minimum": "min", "maximum": "max"}


def latex(program: Program, numbers: Mapping[str, float] | None = None) -> str:
    """The rule's equations, one a line (to stand in an align environment); with `numbers`, to 3 digits."""
    printer = _Latex(_symbols(program), _memories(program))
    change = _equation(printer, r"\Delta w_{ij}", program.update, numbers, " &= ")
    traces = [
        _equation(printer, printer.names[trace.name], trace.value, numbers, r" &\leftarrow ")
        for trace in program.traces
    ]
    return " \\\\\n".join([*traces, change])


def plain(program: Program, numbers: Mapping[str, float] | None = None) -> str:
    """The rule's equations as text, one a line."""
    names = {name: _plain_symbol(symbol) for name, symbol in _symbols(program).items()}
    printer = _Plain(names, _memories(program))
    change = _equation(printer, "Δw_ij", program.update, numbers, " = ")
    traces = [_equation(printer, printer.names[trace.name], trace.value, numbers, " ← ") for trace in program.traces]
    return "\n".join([*traces, change])


class _Latex(LatexPrinter):
    """SymPy's LaTeX with our symbols, functions and 3 digits."""

    def __init__(self, names: Mapping[str, str], memories: frozenset[str]) -> None:
        super().__init__({"order": "none", "mul_symbol": r" \, "})
        self.names, self.memories = names, memories

    def _print_Mul(self, expr: sympy.Expr) -> str:
        return super()._print_Mul(_ordered(expr, self.memories))

    def _print_Symbol(self, expr: sympy.Symbol, style: str = "plain") -> str:  # noqa: ARG002 (as in the base class)
        return self.names.get(str(expr), str(expr))

    def _print_Float(self, expr: sympy.Float) -> str:
        mantissa, _, exponent = f"{float(expr):.3g}".partition("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa

    def _print_Function(self, expr: sympy.Expr, exp: str | None = None) -> str:
        name = type(expr).__name__
        inner = ", ".join(self._print(argument) for argument in expr.args)
        text = rf"\left|{inner}\right|" if name == "absolute" else rf"{_latex_name(name)}\left({inner}\right)"
        return f"{text}^{{{exp}}}" if exp else text


class _Plain(StrPrinter):
    """SymPy's text with our symbols, products without a sign and 3 digits."""

    def __init__(self, names: Mapping[str, str], memories: frozenset[str]) -> None:
        super().__init__({"order": "none"})
        self.names, self.memories = names, memories

    def _print_Mul(self, expr: sympy.Expr) -> str:
        return super()._print_Mul(_ordered(expr, self.memories))

    def doprint(self, expr: sympy.Expr) -> str:
        return super().doprint(expr).replace("**", "^").replace("*", " ")

    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        return self.names.get(str(expr), str(expr))

    def _print_Float(self, expr: sympy.Float) -> str:
        return f"{float(expr):.3g}"

    def _print_Function(self, expr: sympy.Expr) -> str:
        name = type(expr).__name__
        inner = ", ".join(self._print(argument) for argument in expr.args)
        return f"|{inner}|" if name == "absolute" else f"{_NAMES.get(name, name)}({inner})"


def _memories(program: Program) -> frozenset[str]:
    return frozenset(trace.name for trace in program.traces)


def _ordered(expr: sympy.Expr, memories: frozenset[str]) -> sympy.Expr:
    """Factors in the order of the field: number, coefficients, broadcast scalars, post, pre, weight, memories."""
    if not expr.is_Mul:  # SymPy prints 1 / x as a product
        return expr
    rows = ("scalar", "post", "pre", "synapse")

    def rank(factor: sympy.Expr) -> tuple[int, str]:
        names = {str(symbol) for symbol in factor.free_symbols}
        signals = [rows.index(SIGNALS[name]) + 1 for name in names & SIGNALS.keys()]
        row = -1 if factor.is_number else 5 if names & memories else max(signals, default=0)
        return row, str(factor)

    return sympy.Mul(*sorted(operands(expr), key=rank), evaluate=False)


def _equation(
    printer: _Latex | _Plain, left: str, expr: sympy.Expr, numbers: Mapping[str, float] | None, joint: str
) -> str:
    if numbers is None:
        return left + joint + printer.doprint(expr)
    if isinstance(expr, clip):  # the bounds stay, what is clipped is sorted
        inner, *bounds = operands(expr)
        parts = [_sum(printer, inner, numbers), *(printer.doprint(filled(bound, numbers)) for bound in bounds)]
        opened, closed = (r"\mathrm{clip}\left(", r"\right)") if isinstance(printer, _Latex) else ("clip(", ")")
        return left + joint + opened + ", ".join(parts) + closed
    return left + joint + _sum(printer, expr, numbers)


def _sum(printer: _Latex | _Plain, expr: sympy.Expr, numbers: Mapping[str, float]) -> str:
    text = " + ".join(printer.doprint(term) for term in with_numbers(expr, numbers))
    return text.replace("+ - ", "- ").replace("+ -", "- ")


def _symbols(program: Program) -> dict[str, str]:
    """Every name of the program -> its LaTeX."""
    named = {name: _letters(name) for name in program.parameters}
    traces = {trace.name: _indexed(_letters(trace.name), _INDEX[trace.place]) for trace in program.traces}
    return {**{name: _SIGNS[name] for name in SIGNALS}, **named, **traces}


def _letters(name: str) -> str:
    """A name as LaTeX: a Greek letter or a letter, what follows its _ as an index; or upright words."""
    head, _, tail = name.partition("_")
    if head in _GREEK or len(head) == 1:
        symbol = rf"\{head}" if head in _GREEK else head
        tail = tail if len(tail) < 2 else rf"\mathrm{{{tail}}}"
        return f"{symbol}_{{{tail}}}" if tail else symbol
    return rf"\mathrm{{{name.replace('_', ' ')}}}".replace(" ", r"\ ")


def _indexed(symbol: str, index: str) -> str:
    if not index:
        return symbol
    return rf"{symbol[:-1]},{index}}}" if "_{" in symbol else rf"{symbol}_{{{index}}}"


def _plain_symbol(symbol: str) -> str:
    for name, letter in sorted(_GREEK.items(), key=lambda pair: -len(pair[0])):
        symbol = symbol.replace(rf"\{name}", letter)
    for old, new in {**_PLAIN, r"\mathrm": "", r"\ ": "_"}.items():
        symbol = symbol.replace(old, new)
    return symbol.replace("\\bar", "")


def _latex_name(name: str) -> str:
    known = {"tanh": r"\tanh", "exp": r"\exp", "log": r"\log", "minimum": r"\min", "maximum": r"\max"}
    return known.get(name, rf"\mathrm{{{_NAMES.get(name, name)}}}")
