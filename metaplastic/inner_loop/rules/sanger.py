"""Neurons that share out the principal components of their inputs: Sanger's rule and Oja's subspace rule.

    sanger           dw_ij = eta y_i (x_j - sum_{k <= i} y_k w_kj)                       Sanger 1989, eq. 3          (1)
    oja_subspace     dw_ij = eta y_i (x_j - sum_k y_k w_kj)                              Oja & Karhunen 1985         (2)

With y = W x, (1) turns row i into the i-th principal component; (2) turns the rows into some orthonormal basis of the
space of the first ones. With one neuron both are Oja's rule. The sums read weights and activities of other neurons: the
signals `explained` and `reconstruction`, whose locality is `nonlocal`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from metaplastic.inner_loop.rules.local import Coefficient, Equations, LocalRule


class Sanger(LocalRule):
    """dw_ij = eta y_i (x_j - sum_{k <= i} y_k w_kj): the generalised Hebbian algorithm (Sanger 1989)."""

    references: ClassVar[tuple[str, ...]] = (
        "Sanger 1989, Optimal unsupervised learning in a single-layer linear feedforward neural network, "
        "Neural Networks 2:459",
    )
    kind: Literal["sanger"] = "sanger"
    eta: Coefficient = 0.002
    """learning rate"""

    def equations(self) -> Equations:
        """Equation (1)."""
        return Equations("eta * post * (pre - explained)")


class OjaSubspace(LocalRule):
    """dw_ij = eta y_i (x_j - sum_k y_k w_kj): a basis of the principal subspace (Oja & Karhunen 1985)."""

    references: ClassVar[tuple[str, ...]] = (
        "Oja & Karhunen 1985, On stochastic approximation of the eigenvectors and eigenvalues of the expectation of a "
        "random matrix, J Math Anal Appl 106:69",
        "Oja 1989, Neural networks, principal components, and subspaces, Int J Neural Systems 1:61",
    )
    kind: Literal["oja_subspace"] = "oja_subspace"
    eta: Coefficient = 0.002
    """learning rate"""

    def equations(self) -> Equations:
        """Equation (2)."""
        return Equations("eta * post * (pre - reconstruction)")
