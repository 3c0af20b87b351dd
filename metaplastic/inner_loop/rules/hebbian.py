"""Hebb's rule: neurons that fire together wire together.

    dw_ij = eta y_i x_j                                                  Hebb 1949; Parga et al. 2022, eq. 8

x_j presynaptic, y_i postsynaptic activity. Alone it is unstable: weights grow along the inputs' first principal
component without limit (give a `weight_limit`, `normalise` or use `oja`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class Hebbian(LocalRule):
    """dw_ij = eta y_i x_j (Hebb 1949)."""

    references: ClassVar[tuple[str, ...]] = ("Hebb 1949, The Organization of Behavior",)
    kind: Literal["hebbian"] = "hebbian"
    eta: Coefficient = 0.01
    """learning rate; below 0 the rule is anti-Hebbian"""

    def equations(self) -> Equations:
        """Hebb's product."""
        return Equations("eta * post * pre")
