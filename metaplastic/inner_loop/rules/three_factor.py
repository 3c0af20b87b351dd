"""The three-factor rule: coincidences leave an eligibility, a broadcast reward prediction error turns it into change.

    e_ij <- trace_decay e_ij + y_i x_j          dw_ij = eta (R - Rbar) e_ij

Fremaux, Sprekeler & Gerstner 2010, in the rate form; the mean reward must be subtracted, or the rule drifts with
E[R] E[e]. trace_decay = 1 - dt/tau for an eligibility that lasts tau ms. In tasks of one-step decisions give
`keeps_traces: true` if an eligibility is to outlast its decision.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, Fraction, LocalRule


class ThreeFactor(LocalRule):
    """dw_ij = eta rpe e_ij with e_ij a fading memory of y_i x_j (Fremaux, Sprekeler & Gerstner 2010)."""

    references: ClassVar[tuple[str, ...]] = (
        "Fremaux, Sprekeler & Gerstner 2010, Functional requirements for reward-modulated STDP, J Neurosci 30:13326",
    )
    kind: Literal["three_factor"] = "three_factor"
    eta: Coefficient = 0.01
    """learning rate"""
    trace_decay: Fraction = 0.9
    """how much of the eligibility stays from step to step"""

    def equations(self) -> Equations:
        """Written once, at the trial's end, when the reward is known."""
        return Equations("eta * rpe * e", {"e": "trace_decay * e + post * pre"}, "trial")
