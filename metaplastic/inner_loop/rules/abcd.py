"""The generalised Hebbian rule: every synapse follows a polynomial of its two neurons' activity.

    dw_ij = eta_ij (A_ij y_i x_j + B_ij x_j + C_ij y_i + D_ij)                           Najarro & Risi 2020, eq. 1

x_j is the presynaptic and y_i the postsynaptic activity, as in the authors' code. Soltoggio et al. 2007 used one set of
coefficients a network; Najarro & Risi evolve five numbers a synapse (`per: synapse`) and, on most tasks, divide each
layer by its largest weight after each step (`normalise: max`). A = 1 alone is Hebb's rule.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class ABCD(LocalRule):
    """dw_ij = eta (A y_i x_j + B x_j + C y_i + D), coefficients one a brain … one a synapse (Najarro & Risi 2020)."""

    references: ClassVar[tuple[str, ...]] = (
        "Najarro & Risi 2020, Meta-learning through Hebbian plasticity in random networks, NeurIPS, arXiv:2007.02686",
        "Soltoggio et al. 2007, Evolving neuromodulatory topologies for reinforcement learning-like problems, CEC",
    )
    kind: Literal["abcd"] = "abcd"
    eta: Coefficient = 0.01
    """learning rate"""
    A: Coefficient = 1.0
    """of the product of both activities"""
    B: Coefficient = 0.0
    """of the presynaptic activity"""
    C: Coefficient = 0.0
    """of the postsynaptic activity"""
    D: Coefficient = 0.0
    """of nothing: drift"""

    def equations(self) -> Equations:
        """Najarro & Risi 2020, eq. 1."""
        return Equations("eta * (A * post * pre + B * pre + C * post + D)")
