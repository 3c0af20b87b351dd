"""A rule that the user writes down: its formula is the experiment.

{kind: formula, update: eta * (post * pre - post**2 * w), parameters: {eta: {gene: [1e-4, 0.1], log: true}}}
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metaplastic.core import Number
from metaplastic.inner_loop.formula.locality import Word
from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class FormulaRule(LocalRule):
    """Any local rule, as text over the signals of a synapse (formula/program.py) and coefficients of one's own."""

    kind: Literal["formula"] = "formula"
    update: str
    """the change of w"""
    traces: dict[str, str] = Field(default_factory=dict)
    """memories: name -> next value, in the order in which they are renewed"""
    writes: Literal["step", "trial"] = "step"
    """when w changes: at every step, or once at a trial's end"""
    parameters: dict[str, Coefficient] = Field(default_factory=dict)
    """coefficients: name -> number, gene or array"""
    locality: tuple[Word, ...] | None = None
    """what a synapse may read; a rule that reads more is refused"""

    def equations(self) -> Equations:
        """As written."""
        return Equations(self.update, self.traces, self.writes)

    def coefficients(self) -> dict[str, Number]:
        """As written."""
        return dict(self.parameters)
