"""The BCM rule: a neuron strengthens what drives it above a threshold that follows its own activity.

    dw_ij = eta y_i (y_i - theta_i) x_j          theta_i <- theta_i + threshold_rate (y_i^2 - theta_i)

Bienenstock, Cooper & Munro 1982 in the quadratic form of Intrator & Cooper 1992. The neuron becomes selective: of two
patterns shown equally often one gives the response 2, the other 0. The threshold must move faster than the weights.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, Fraction, LocalRule


class BCM(LocalRule):
    """dw_ij = eta y_i (y_i - theta_i) x_j, theta_i the running mean of y_i^2 (Bienenstock, Cooper & Munro 1982)."""

    references: ClassVar[tuple[str, ...]] = (
        "Bienenstock, Cooper & Munro 1982, Theory for the development of neuron selectivity, J Neurosci 2:32",
        "Intrator & Cooper 1992, Objective function formulation of the BCM theory, Neural Networks 5:3",
    )
    kind: Literal["bcm"] = "bcm"
    eta: Coefficient = 0.001
    """learning rate"""
    threshold_rate: Fraction = 0.1
    """how fast theta follows y^2, a step"""
    keeps_traces: bool = True
    """theta lives on from trial to trial"""

    def equations(self) -> Equations:
        """theta is renewed first."""
        return Equations("eta * post * (post - theta) * pre", {"theta": "theta + threshold_rate * (post**2 - theta)"})
