"""Polynomial rules: every change of a weight that is a sum of products of powers of what the synapse sees.

    dw_ij = eta m sum_abc mask_abc theta_abc x_j^a y_i^b w_ij^c,      a, b, c in {0, 1, 2}                           (1)

the Taylor expansion of any rule of x, y and w to the second power of each: 27 coefficients. Hebb is theta_110 = 1; Oja
is theta_110 = 1, theta_021 = -1. A term is named by its three powers, and a fourth digit is a power of the modulator.
Only the terms that are given exist; `terms: {gene: [-1, 1]}` stands for all 27. A mask of 0 or 1 on a term lets
evolution look for sparse rules.

The form of Confavreux et al. 2020 and Mehta et al. 2023 ("Volterra" rules), there fitted by gradient.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from metaplastic.core import Number, wrong
from metaplastic.fields import Evolves
from metaplastic.inner_loop.rules.local import ANY, Coefficient, Equations, LocalRule

ALL = tuple("".join(powers) for powers in product("012", repeat=3))
"""the names of the 27 terms: powers of pre, post and w"""
Mask = Annotated[Number, Evolves(0, 1, integer=True, per=ANY)]
"""0: the term is left out; 1: it is there"""


class Polynomial(LocalRule):
    """dw_ij = eta m sum theta_abc x_j^a y_i^b w_ij^c, the terms with powers up to 2 (Confavreux et al. 2020)."""

    references: ClassVar[tuple[str, ...]] = (
        "Confavreux et al. 2020, A meta-learning approach to (re)discover plasticity rules, NeurIPS",
        "Mehta et al. 2023, Model based inference of synaptic plasticity rules, bioRxiv 2023.12.11.571103",
    )
    kind: Literal["polynomial"] = "polynomial"
    eta: Coefficient = 0.01
    """learning rate"""
    terms: dict[str, Coefficient] = Field(default_factory=lambda: {"110": 1.0})
    """powers of pre, post and w (and of the modulator) -> theta; one number or gene alone stands for all 27"""
    masks: dict[str, Mask] = Field(default_factory=dict)
    """term -> 0 or 1; those not named are there. One number or gene alone stands for all of `terms`"""
    modulator: Literal["none", "rpe", "reward", "feedback"] = "none"
    """m: a third factor of every term, unless the term's fourth digit gives its power"""

    @field_validator("terms", mode="before")
    @classmethod
    def _all_terms(cls, terms: Any) -> Any:
        """One number or gene for each of the 27."""
        is_one = not isinstance(terms, dict) or not terms.keys().isdisjoint({"gene", "array", "values"})
        return dict.fromkeys(ALL, terms) if is_one else {str(name): value for name, value in terms.items()}

    @field_validator("masks", mode="before")
    @classmethod
    def _all_masks(cls, masks: Any, info: Any) -> Any:
        """One number or gene for each of the terms."""
        is_one = not isinstance(masks, dict) or not masks.keys().isdisjoint({"gene", "array", "values"})
        return dict.fromkeys(info.data.get("terms", ALL), masks) if is_one else {str(n): v for n, v in masks.items()}

    def equations(self) -> Equations:
        """Equation (1), over the terms that are given."""
        self._check_names()
        parts = [self._term(name) for name in self.terms]
        return Equations(f"eta * ({' + '.join(parts)})" if parts else "0")

    def coefficients(self) -> dict[str, Number]:
        """eta, theta of each term, and the masks."""
        found: dict[str, Number] = {"eta": self.eta} if self.terms else {}
        found |= {f"theta_{name}": value for name, value in self.terms.items()}
        return found | {f"mask_{name}": value for name, value in self.masks.items()}

    def _term(self, name: str) -> str:
        powers = name if len(name) == 4 else name + ("0" if self.modulator == "none" else "1")
        factors = [f"mask_{name}"] * (name in self.masks) + [f"theta_{name}"]
        for signal, power in zip(("pre", "post", "w", self.modulator), powers, strict=True):
            factors += [] if power == "0" else [signal] if power == "1" else [f"{signal}**{power}"]
        return " * ".join(factors)

    def _check_names(self) -> None:
        for name in self.terms:
            if len(name) not in (3, 4) or set(name) - set("012"):
                raise wrong(f"term {name!r} is no term, wanted the powers of pre, post and w as in '021'")
            if len(name) == 4 and name[3] != "0" and self.modulator == "none":
                raise wrong(f"term {name!r} has a power of the modulator; say which one: modulator: rpe")
        for name in self.masks.keys() - self.terms.keys():
            raise wrong(f"mask {name!r} is of no term; there are {', '.join(self.terms)}")
