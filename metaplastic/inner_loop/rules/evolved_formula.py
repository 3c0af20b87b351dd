"""A rule whose formula is a gene: evolution writes it, in Cartesian genetic programming (formula/cartesian.py).

    dw_ij = eta f(inputs),   f put together from `functions` by `wiring`, one vector of whole numbers              (1)

{kind: evolved_formula, nodes: 12, inputs: [pre, post, w, rpe]} has 3 nodes + 1 genes, each a whole number; every
searcher can drive it, `mu_plus_lambda` is made for it. Each individual has a formula of its own, and individuals with
the same active nodes live together. A champion is written with its wiring as plain numbers; take them out to search
again.

Jordan, Schmidt, Senn & Petrovici 2021, whose functions are + - * / and the constants 0.1, 1 and 10, and whose mutations
move nodes: the defaults here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import sympy
from pydantic import Field, field_validator

from metaplastic.core import Gene, Number, near_miss, wrong
from metaplastic.fields import Evolves, Structural
from metaplastic.inner_loop.formula import cartesian
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.formula.to_text import formula_text
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule

BROKEN = "log(-1 - abs(w))"
"""the change that a formula makes which is none: NaN at every synapse, a failed life"""
Wire = Annotated[Number, Evolves(0, integer=True)]
"""a whole number of the wiring"""


class EvolvedFormula(LocalRule):
    """dw_ij = eta f, with f a formula that evolution writes (Jordan et al. 2021)."""

    references: ClassVar[tuple[str, ...]] = (
        "Jordan, Schmidt, Senn & Petrovici 2021, Evolving interpretable plasticity for spiking networks, "
        "eLife 10:e66273",
        "Miller & Thomson 2000, Cartesian genetic programming, EuroGP",
    )
    worth_compiling: ClassVar[bool] = False
    kind: Literal["evolved_formula"] = "evolved_formula"
    eta: Coefficient = 0.01
    """learning rate, the factor of the whole formula"""
    nodes: Annotated[int, Field(ge=1, le=64)] = 12
    """nodes that a formula may have"""
    inputs: tuple[str, ...] = ("pre", "post", "w")
    """what it may read: signals, `traces` and `numbers`"""
    constants: tuple[float, ...] = (0.1, 1.0, 10.0)
    """numbers that it may use"""
    numbers: dict[str, Coefficient] = Field(default_factory=dict)
    """coefficients that it may use, by name: evolution may tune them while it writes"""
    functions: tuple[str, ...] = ("add", "sub", "mul", "div")
    """what a node may be"""
    traces: dict[str, str] = Field(default_factory=dict)
    """memories that it may read: name -> next value"""
    writes: Literal["step", "trial"] = "step"
    """when w changes: at every step, or once at a trial's end"""
    wiring: Annotated[tuple[Wire, ...], Structural()] = Field(default=(), validate_default=True)
    """the genome of the formula; left out, it is all genes"""

    @field_validator("functions")
    @classmethod
    def _are_functions(cls, functions: tuple[str, ...]) -> tuple[str, ...]:
        known = list(cartesian.PRIMITIVES)
        for name in functions or ("",):
            if name not in known:
                raise wrong(f"has {name!r}, which is no function{near_miss(name, known)}; there are {', '.join(known)}")
        return functions

    @field_validator("wiring", mode="before")
    @classmethod
    def _grown(cls, wiring: Any, info: Any) -> Any:
        """Genes where there is nothing; else numbers within their bounds."""
        if not {"inputs", "functions", "constants", "numbers", "nodes", "traces"} <= info.data.keys():
            return ()  # one of them is wrong, and says so
        data = info.data
        names = {*SIGNALS, *data["traces"], *data["numbers"]}
        for name in data["inputs"]:
            if name not in names:
                raise wrong(f"inputs has {name!r}, which is none{near_miss(name, list(names))}")
        limits = cartesian.bounds(len(_terminals(data)), len(data["functions"]), data["nodes"])
        if not wiring:
            return [Gene(low, high, integer=True) if high > low else low for low, high in limits]
        if len(wiring) != len(limits):
            raise wrong(f"has {len(wiring)} numbers, wanted {len(limits)}: 3 for each of {data['nodes']} nodes and 1")
        for place, (value, (low, high)) in enumerate(zip(wiring, limits, strict=True)):
            if isinstance(value, int | float) and not low <= value <= high:
                raise wrong(f"has {value} at place {place}, wanted a number in [{low}, {high}]")
        return wiring

    def structure(self, numbers: Sequence[int]) -> list[int]:
        """A genome's numbers (of those places that are genes) with 0 for the nodes that its formula does not read."""
        given = iter(numbers)
        genome = [int(v) if isinstance(v, int | float) else next(given) for v in self.wiring]
        read = cartesian.active(genome, len(_terminals(self)), self.functions)
        whole = [value if place // cartesian.GENES in read else 0 for place, value in enumerate(genome[:-1])]
        return [*whole, genome[-1]]

    def expression(self) -> sympy.Expr | None:
        """f, simplified as it was put together; None if the wiring makes none. The wiring is plain numbers."""
        genome = [int(value) for value in self.wiring]  # pyright: ignore[reportArgumentType]
        return cartesian.decoded(genome, _terminals(self), self.functions)

    def equations(self) -> Equations:
        """(1); while the wiring is genes, a formula that reads all it may read."""
        if any(not isinstance(value, int | float) for value in self.wiring):
            everything = " + ".join([*self.inputs, *(name for name in self.numbers if name not in self.inputs)])
            return Equations(f"eta * ({everything or '1'})", self._traces(everything), self.writes)
        expr = self.expression()
        text = BROKEN if expr is None else formula_text(expr)
        return Equations("0" if expr == 0 else f"eta * ({text})", self._traces(text), self.writes)

    def coefficients(self) -> dict[str, Number]:
        """Those that the formula reads."""
        update, traces, _ = self.equations()
        read = _words(update, *traces.values())
        return {name: value for name, value in {"eta": self.eta, **self.numbers}.items() if name in read}

    def as_formula(self) -> FormulaRule:
        """The same rule as a formula that is not evolved, which every backend compiles."""
        update, traces, writes = self.equations()
        shared = {name: getattr(self, name) for name in LocalRule.model_fields if name != "kind"}
        return FormulaRule(update=update, traces=dict(traces), writes=writes, parameters=self.coefficients(), **shared)

    def _traces(self, text: str) -> dict[str, str]:
        """The traces that the formula reads, and those that they read, in their order."""
        reached, todo = set[str](), _words(text)
        while todo:
            name = todo.pop()
            if name in self.traces and name not in reached:
                reached.add(name)
                todo |= _words(self.traces[name])
        return {name: value for name, value in self.traces.items() if name in reached}


def _terminals(rule: Any) -> tuple[str, ...]:
    """Inputs, coefficients and constants, of a rule or of its data."""
    data = (
        rule if isinstance(rule, dict) else {name: getattr(rule, name) for name in ("inputs", "numbers", "constants")}
    )
    more = [name for name in data["numbers"] if name not in data["inputs"]]
    return (*data["inputs"], *more, *(f"{value:g}" for value in data["constants"]))


def _words(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text)}
