"""full-FORCE: all recurrent weights are fitted to what a driven, untrained network does (DePasquale et al. 2018).

    teacher   x' <- x' + a (-x' + F + I),   F = g J phi(x') + U z*                                           (1)
    student   x <- x + a (-x + W r + I),    z = W_out r,   W = W_out = 0 at birth                            (2)
    with probability 1 / interval a step, by one P:   W <- W - (W r - F) k',   W_out <- W_out - (z - z*) k'   (3)

The network's gain is the teacher's; the student needs none (Parga et al. 2022 print one in eq. 5, but fit W r to F).
Parga et al., eqs. 14 to 17. Checked with the authors' demonstrations: N = 300, g = 1.5, tau 10 ms, dt 1 ms, P_0 = I,
U and W_in ~ U(-1, 1), a write with probability 1/2 a step. Departures: F is that of the step that the student makes
next, so that a student with W r = F follows its teacher exactly; the student is not driven by its teacher before it
learns; no hints. In the authors' code both networks start from the same x ~ N(0, 1), here from U(-start, start).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.decision_plan import numbers
from metaplastic.inner_loop.rls.force import Fitted


class FullForce(Fitted):
    """Targets for every neuron, from a network that is driven by what the read-out should be."""

    references: ClassVar[tuple[str, ...]] = (
        "DePasquale et al. 2018, full-FORCE: a target-based method for training recurrent networks, PLoS ONE 13",
        "Parga et al. 2022",
    )
    kind: Literal["full_force"] = "full_force"
    teaches: ClassVar[bool] = True
    at_random: bool = True
    """writes come with probability 1 / interval a step; else every `interval`-th step"""

    def writes(self, shape: tuple[int, int, int], key: Int[Tensor, " L"], like: Tensor) -> Tensor:
        """At which steps [T, P, L] weights are written."""
        if not self.at_random:
            return super().writes(shape, key, like)
        return at_random(numbers(self, shape[1], like)["interval"], shape[0], key)


def at_random(interval: Float[Tensor, " P"], steps: int, key: Int[Tensor, " L"]) -> Bool[Tensor, "T P L"]:
    """Steps that come with probability 1 / interval each; the same coins serve every individual."""
    coins = rng.uniforms(key, steps).T
    return coins[:, None] < (1 / interval).to(torch.float32)[:, None]
