"""Intrinsic plasticity: a neuron tunes its own gain and threshold until its activity is sparse and exponential.

    y = sigmoid(a x + b)                                                                                             (1)
    db = eta (1 - (2 + 1/mu) y + y^2 / mu)          da = eta / a + x db                Triesch 2005, eqs. 5, 6       (2)

The rule is the gradient of the Kullback-Leibler divergence between the distribution of y and the exponential one of
mean mu. In a network x is the net input that the weights of birth would bring, the one from the constant neuron
included: w_ij = a w_ij(birth), and b is added to the weight from the constant. With u = a x + b the net input as it is,

    da / a = (eta + (u - b) db) / a^2          dw_ij = w_ij da / a,   dw_i0 = db + (w_i0 - b) da / a                 (3)

a (1 + grown) and b are the neuron's own, 1 and 0 at birth. It is meant for hidden layers of sigmoid neurons with a
bias; give `eta: {values: [0.001, 0], per: connection}` to leave the linear output alone.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.rules.local import ANY, Coefficient, Equations, LocalRule


class IntrinsicPlasticity(LocalRule):
    """Gain and bias follow the gradient towards exponential activity of mean mu (Triesch 2005)."""

    references: ClassVar[tuple[str, ...]] = (
        "Triesch 2005, A gradient rule for the plasticity of a neuron's intrinsic excitability, ICANN, LNCS 3696:65",
    )
    kind: Literal["intrinsic_plasticity"] = "intrinsic_plasticity"
    eta: Coefficient = 0.001
    """learning rate"""
    mu: Annotated[Number, Evolves(0, 1, above=True, per=ANY)] = 0.1
    """the mean activity that each neuron seeks"""
    keeps_traces: bool = True
    """gain and bias are the neuron's own"""

    def equations(self) -> Equations:
        """Equations (2) and (3), all with gain and bias as they were (`bias - bias_step` in the update)."""
        step = "eta * (1 - (2 + 1/mu) * post + post**2 / mu)"
        return Equations(
            "constant * bias_step + (w - constant * (bias - bias_step)) * gain_step",
            {
                "bias_step": step,
                "gain_step": "(eta + (potential - bias) * bias_step) / (1 + grown)**2",
                "bias": "bias + bias_step",
                "grown": "grown + (1 + grown) * gain_step",
            },
        )
