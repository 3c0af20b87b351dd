"""No plasticity: weights stay as at birth, and all adaptation is in the activity (as in meta-RL, Wang et al. 2018)."""

from __future__ import annotations

from typing import Literal

from metaplastic.inner_loop.rules.local import Equations, LocalRule


class Fixed(LocalRule):
    """dw_ij = 0."""

    kind: Literal["fixed"] = "fixed"

    def equations(self) -> Equations:
        """Nothing changes."""
        return Equations("0")
