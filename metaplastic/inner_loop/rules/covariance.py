"""The covariance rule: Hebb's rule about running means, so that it also forgets.

    dw_ij = eta (y_i - <y_i>) (x_j - <x_j>)          <x> <- mean_decay <x> + (1 - mean_decay) x         Sejnowski 1977

The means are those before this step. Independent neurons drift nowhere on average.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, Fraction, LocalRule


class Covariance(LocalRule):
    """dw_ij = eta (y_i - <y_i>) (x_j - <x_j>) (Sejnowski 1977)."""

    references: ClassVar[tuple[str, ...]] = (
        "Sejnowski 1977, Storing covariance with nonlinearly interacting neurons, J Math Biol 4:303",
    )
    kind: Literal["covariance"] = "covariance"
    eta: Coefficient = 0.01
    """learning rate"""
    mean_decay: Fraction = 0.99
    """how much of the running means stays from step to step"""
    keeps_traces: bool = True
    """the means live on from trial to trial"""

    def equations(self) -> Equations:
        """The deviations are taken first, from the means as they were."""
        return Equations(
            "eta * post_deviation * pre_deviation",
            {
                "pre_deviation": "pre - pre_mean",
                "post_deviation": "post - post_mean",
                "pre_mean": "mean_decay * pre_mean + (1 - mean_decay) * pre",
                "post_mean": "mean_decay * post_mean + (1 - mean_decay) * post",
            },
        )
