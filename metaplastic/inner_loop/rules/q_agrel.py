"""Q-AGREL: a global prediction error times an attentional signal that marks who caused the chosen action.

    dw_ij = eta delta f_i x_j          delta = r - q_chosen                                           Pozzi et al. 2018

f_i is 1 at the chosen output and 0 at the others; below, it is what feedback connections carry down from it, gated by
the neuron's own phi' (the network computes it). With symmetric feedback this is exactly the gradient descent of
delta^2 / 2 for the chosen output. The prediction must be the critic `action_value`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class QAgrel(LocalRule):
    """dw_ij = eta rpe feedback_i x_j (Pozzi, Bohte & Roelfsema 2018)."""

    references: ClassVar[tuple[str, ...]] = (
        "Pozzi, Bohte & Roelfsema 2018, A biologically plausible learning rule for deep learning in the brain, "
        "arXiv:1811.01768",
    )
    kind: Literal["q_agrel"] = "q_agrel"
    eta: Coefficient = 0.01
    """learning rate a decision; the paper's 0.5 and 1 are for means over batches of 100 decisions"""

    def equations(self) -> Equations:
        """Pozzi et al. 2018, the rule for any depth."""
        return Equations("eta * rpe * feedback * pre")
