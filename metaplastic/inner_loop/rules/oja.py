"""Oja's rule: Hebb with just the forgetting that keeps a neuron's weights at length 1.

    dw_ij = eta (y_i x_j - y_i^2 w_ij)                                                              Oja 1982, eq. 3

With y = w x the weights of a neuron converge to the first principal component of its inputs.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class Oja(LocalRule):
    """dw_ij = eta y_i (x_j - y_i w_ij) (Oja 1982)."""

    references: ClassVar[tuple[str, ...]] = (
        "Oja 1982, A simplified neuron model as a principal component analyzer, J Math Biol 15:267",
    )
    kind: Literal["oja"] = "oja"
    eta: Coefficient = 0.002
    """learning rate"""

    def equations(self) -> Equations:
        """Oja 1982, eq. 3."""
        return Equations("eta * post * (pre - post * w)")
