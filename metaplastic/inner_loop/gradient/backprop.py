"""Backpropagation of the labelled error, one decision at a time: the ceiling that local rules are compared with.

    C = -log softmax(q)_best                                     cross-entropy of the best answer            (1)
    delta_K = onehot(best) - softmax(q) = -dC/dq                                                             (2)
    delta_k = phi'(a_k) * (W_{k+1}^T delta_{k+1})                                                            (3)
    dW_k = eta delta_k y_{k-1}^T = -eta dC/dW_k                                                              (4)

Rumelhart, Hinton & Williams 1986; Parga et al. 2022, eqs. 9-10. It is told the best answer, which no other rule is, and
what it is told goes down the network's feedback connections: with `feedback: random` it is feedback alignment
(Lillicrap et al. 2016). Each factor of (4) is at the synapse, but the error vector (2) is not local information.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class Backprop(LocalRule):
    """dw_ij = eta delta_i x_j, delta the labelled error carried down (Rumelhart, Hinton & Williams 1986)."""

    references: ClassVar[tuple[str, ...]] = (
        "Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, Nature 323",
    )
    teacher: ClassVar[Literal["label_error"]] = "label_error"
    kind: Literal["backprop"] = "backprop"
    eta: Coefficient = 0.05
    """learning rate a decision"""

    def equations(self) -> Equations:
        """Equation (4); `feedback` is (2) and (3)."""
        return Equations("eta * feedback * pre")
