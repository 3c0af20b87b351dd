"""Synaptic scaling: a neuron that is too quiet strengthens all its synapses alike, one that is too busy weakens them.

    dw_ij = w_ij (eta (target - <y_i>) + integral d_i) / target                                                      (1)
    <y_i> <- <y_i> + mean_rate (y_i - <y_i>)          d_i <- d_i + mean_rate (target - <y_i>)                        (2)

Turrigiano et al. 1998 (multiplicative, so that ratios of weights stay); van Rossum, Bi & Turrigiano 2000, eq. 5, add
the integral, by which the mean activity reaches its target exactly whatever else changes the weights; off here.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.rules.local import ANY, Coefficient, Equations, Fraction, LocalRule


class SynapticScaling(LocalRule):
    """dw_ij = eta w_ij (target - <y_i>) / target, <y_i> a running mean (Turrigiano et al. 1998)."""

    references: ClassVar[tuple[str, ...]] = (
        "Turrigiano et al. 1998, Activity-dependent scaling of quantal amplitude in neocortical neurons, Nature 391",
        "van Rossum, Bi & Turrigiano 2000, Stable Hebbian learning from spike timing-dependent plasticity, "
        "J Neurosci 20:8812",
    )
    kind: Literal["synaptic_scaling"] = "synaptic_scaling"
    eta: Coefficient = 0.001
    """how fast weights follow"""
    target: Annotated[Number, Evolves(0, above=True, per=ANY)] = 0.1
    """the mean activity that each neuron seeks"""
    mean_rate: Fraction = 0.01
    """how fast the mean follows the activity, a step"""
    integral: Coefficient = 0.0
    """of the past deviations, van Rossum's second term"""
    keeps_traces: bool = True
    """the mean lives on from trial to trial"""

    def equations(self) -> Equations:
        """The mean is renewed first."""
        means = {"mean": "mean + mean_rate * (post - mean)"}
        if self.integral == 0.0:
            return Equations("eta * w * (target - mean) / target", means)
        owed = {"owed": "owed + mean_rate * (target - mean)"}
        return Equations("w * (eta * (target - mean) + integral * owed) / target", {**means, **owed})

    def coefficients(self) -> dict[str, Number]:
        """Without the integral where it is off."""
        return {name: value for name, value in super().coefficients().items() if name != "integral" or value != 0.0}
