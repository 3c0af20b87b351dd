"""A small network in every synapse: the change of a weight is what H hidden units make of what the synapse sees.

    dw_ij = eta sum_h out_h tanh(bias_h + sum_s gains_hs s_ij)          s in pre, post, w, rpe …                     (1)

The same small network serves all synapses (or, with finer `per`, a group of them); H = 4 to 16. `bounded` puts a tanh
round the sum, as Mehta et al. 2023 do. A hidden layer is additive in what it reads, so each unit costs one tanh a
synapse, and all backends have it, since it is a formula.

The units at the start are Hebb's rule: with s = x + y, d = x - y and tanh''(b) = -2 tanh(b) (1 - tanh(b)^2),

    tanh(b + g s) + tanh(b - g s) - tanh(b + g d) - tanh(b - g d) = 4 tanh''(b) g^2 x y + O(g^4)                     (2)

so that evolution begins at a rule that works. Two units cannot do it: their part that is linear in y does not cancel.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from metaplastic.core import Number, Value, wrong
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.rules.local import Coefficient, Equations, Fraction, LocalRule

MOST = 16
"""hidden units"""
GAIN, BIAS = 0.25, math.atanh(1 / math.sqrt(3))
"""g and b of equation (2): b is where tanh'' is largest"""
SCALE = -1 / (4 * 2 * (1 / math.sqrt(3)) * (2 / 3) * GAIN**2)
"""what makes the factor of x y in equation (2) 1"""


class HiddenUnit(Value):
    """out tanh(bias + sum of gains times what it reads)."""

    gains: dict[str, Coefficient]
    """what it reads -> its factor"""
    bias: Coefficient = 0.0
    """its threshold, with the other sign"""
    out: Coefficient = 1.0
    """what its activity adds to the change"""


def hebbian_units() -> tuple[HiddenUnit, ...]:
    """Equation (2)."""
    signs = ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1))
    return tuple(HiddenUnit(gains={"pre": x * GAIN, "post": y * GAIN}, bias=BIAS, out=o * SCALE) for x, y, o in signs)


class MLPRule(LocalRule):
    """dw_ij = eta sum_h out_h tanh(bias_h + sum_s gains_hs s), one small network for all synapses."""

    references: ClassVar[tuple[str, ...]] = (
        "Mehta et al. 2023, Model based inference of synaptic plasticity rules, bioRxiv 2023.12.11.571103",
        "Bengio, Bengio & Cloutier 1991, Learning a synaptic learning rule, IJCNN",
    )
    kind: Literal["mlp"] = "mlp"
    eta: Coefficient = 0.01
    """learning rate"""
    units: Annotated[tuple[HiddenUnit, ...], Field(min_length=1, max_length=MOST)] = Field(
        default_factory=hebbian_units
    )
    """the hidden units; {count: 8, reads: [pre, post, w], gene: [-2, 2]} makes 8 whose numbers are all such genes"""
    bounded: bool = False
    """a tanh round the sum"""
    trace_decay: Fraction = 0.9
    """of the eligibility e <- trace_decay e + y x, if a unit reads `e`"""

    @field_validator("units", mode="before")
    @classmethod
    def _many(cls, units: Any) -> Any:
        """A mapping with a count as so many units with genes."""
        if not isinstance(units, dict):
            return units
        if not {"count", "reads"} <= units.keys():
            raise wrong(
                f"units is {units!r}, wanted a list of units or {{count: 8, reads: [pre, post], gene: [-2, 2]}}"
            )
        gene = {name: value for name, value in units.items() if name not in ("count", "reads")}
        one = {"gains": dict.fromkeys(units["reads"], gene), "bias": gene, "out": gene}
        return [one] * int(units["count"])

    def equations(self) -> Equations:
        """Equation (1)."""
        known = {*SIGNALS, "e"}
        for name in self._read() - known:
            raise wrong(f"units: {name!r} is no signal; there are {', '.join(sorted(known))}")
        total = " + ".join(self._unit(k, unit) for k, unit in enumerate(self.units, 1))
        traces = {"e": "trace_decay * e + post * pre"} if "e" in self._read() else {}
        return Equations(f"eta * tanh({total})" if self.bounded else f"eta * ({total})", traces)

    def coefficients(self) -> dict[str, Number]:
        """eta; out_1, bias_1, pre_1 …; and the trace's decay, if there is a trace."""
        found: dict[str, Number] = {"eta": self.eta}
        for k, unit in enumerate(self.units, 1):
            found |= {f"out_{k}": unit.out, f"bias_{k}": unit.bias}
            found |= {f"{name}_{k}": value for name, value in unit.gains.items()}
        return found | ({"trace_decay": self.trace_decay} if "e" in self._read() else {})

    def _read(self) -> set[str]:
        return {name for unit in self.units for name in unit.gains}

    @staticmethod
    def _unit(k: int, unit: HiddenUnit) -> str:
        return f"out_{k} * tanh({' + '.join([f'bias_{k}', *(f'{name}_{k} * {name}' for name in unit.gains)])})"
