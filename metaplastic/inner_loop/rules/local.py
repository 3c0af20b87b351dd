"""What every local rule has: equations, numbers that may be genes, and what may happen to a weight after its change.

A named rule is a class with a docstring (equation, reference), its numbers as fields, and `equations()`. Everything
else (who reads what, kernels, LaTeX, ablations) follows from the equations.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple, cast

from pydantic import Field, model_validator

from metaplastic.core import Choice, Granularity, Number, Objective, Rule, Task, wrong
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.formula.analyse import compile_program
from metaplastic.inner_loop.formula.grammar import FormulaError
from metaplastic.inner_loop.formula.locality import check_locality
from metaplastic.inner_loop.formula.program import Norm, Place, Program
from metaplastic.inner_loop.objectives import AnswerCost, terms_of
from metaplastic.inner_loop.rules.transforms import transform_formula

ANY: tuple[Granularity, ...] = ("brain", "connection", "type_pair", "post", "pre", "synapse")
"""a coefficient may be one a brain … one a synapse"""

LIVES_AT: dict[Granularity, Place] = {
    "brain": "scalar",
    "connection": "scalar",
    "type_pair": "synapse",
    "post": "post",
    "pre": "pre",
    "synapse": "synapse",
}
"""where the values of a granularity live, seen from one connection group"""

TRANSFORMS = {"weight_decay": 0.0, "weight_limit": float("inf"), "dale": 0.0}
"""what may happen to a weight after its change -> the number at which it is off"""

Coefficient = Annotated[Number, Evolves(per=ANY)]
"""any number, at any granularity"""
Rate = Annotated[Number, Evolves(0, per=ANY)]
"""a number of at least 0, at any granularity"""
Fraction = Annotated[Number, Evolves(0, 1, per=ANY)]
"""a number in [0, 1], at any granularity"""


Count = Annotated[int, Field(ge=0)]
"""a whole number of at least 0"""


class Equations(NamedTuple):
    """A rule as text (formula/program.py says what it means)."""

    update: str
    traces: Mapping[str, str] = {}
    writes: Literal["step", "trial"] = "step"


class LocalRule(Rule):
    """A rule that a formula states."""

    worth_compiling: ClassVar[bool] = True
    """`backend: auto` makes a kernel of it; not where every individual has a formula of its own"""
    settle: Count = 0
    """steps at the start of a trial in which the signal `settled` is 0"""
    quiet_trials: Count = 0
    """trials at the start of life in which weights are not written, so that expectations can form"""
    keeps_traces: bool = False
    """traces live on from trial to trial; else they start each trial at 0"""
    weight_limit: Rate = float("inf")
    """weights are kept in [-weight_limit, weight_limit]"""
    weight_decay: Fraction = 0.0
    """fraction of a weight that is lost at every write"""
    dale: Annotated[Number, Evolves(-1, 1, per=("brain", "connection", "pre"))] = 0.0
    """sign of the weights: above 0 excitatory, below 0 inhibitory, 0 either. `{values: [...], per: pre}` gives each
    presynaptic neuron its own (Dale's law). A weight that is born with the other sign is 0 from the first write on"""
    normalise: Annotated[Option, Options("none", "max", "row")] = "none"
    """after every write: max divides a group of weights by its largest |w|, row each neuron's by their length"""

    @abstractmethod
    def equations(self) -> Equations:
        """The rule as text over signals, traces and `coefficients()`."""

    def coefficients(self) -> dict[str, Number]:
        """The numbers its equations may read, by name."""
        shared = LocalRule.model_fields
        return {name: getattr(self, name) for name in type(self).model_fields if name not in shared and name != "kind"}

    def parameter_values(self) -> dict[str, Number]:
        """Every number of the program: the coefficients, and those of decay and bounds where they are on."""
        return {**self.coefficients(), **{name: getattr(self, name) for name in self._transforms()}}

    def program(self) -> Program:
        """The parsed and analysed rule; the same object for the same text."""
        update, traces, writes = self.equations()
        places = {name: LIVES_AT[_granularity(value)] for name, value in self.parameter_values().items()}
        after = transform_formula(self._transforms())
        norm = "none" if isinstance(self.normalise, Choice) else cast(Norm, self.normalise)
        return compile_program(update, traces, writes, places, after, norm)

    def misfit(self, objective: Objective, task: Task) -> str:  # noqa: ARG002
        """A cost of the answer, which nothing would follow; a rule that never changes anything follows nothing."""
        unheard = sorted(term.kind for term in terms_of(objective) if isinstance(term, AnswerCost))
        if unheard and self.program().update != 0:
            return f"objective has {', '.join(unheard)}, which rule {self.kind} is not told of; leave it out"
        return ""

    def reads(self) -> frozenset[str]:
        """The signals it needs."""
        return self.program().reads

    def _transforms(self) -> tuple[str, ...]:
        return tuple(name for name, off in TRANSFORMS.items() if getattr(self, name) != off)

    @model_validator(mode="after")
    def _reads_well(self) -> LocalRule:
        for name in self.coefficients().keys() & TRANSFORMS.keys():
            raise wrong(f"parameter {name!r} has the name of a field of every rule; call it otherwise")
        try:
            program = self.program()
            check_locality(program, getattr(self, "locality", None))
        except FormulaError as error:
            raise wrong(str(error)) from None
        return self


def _granularity(value: Number) -> Granularity:
    return "brain" if isinstance(value, int | float) else value.per or "brain"
