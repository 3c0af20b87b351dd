"""The cascade of Benna & Fusi: a synapse is a chain of beakers, of which the first is the weight that is seen.

    C_k du_k/dt = g_{k-1,k} (u_{k-1} - u_k) - g_{k,k+1} (u_k - u_{k+1}),    k = 1 … m,  u_{m+1} = 0          (1)
    C_k = x^{k-1},   g_{k,k+1} = x^{1-k} / alpha,    u_1 = w - w(birth);     dW is poured into u_1            (2)

Benna & Fusi 2016. A change leaks into ever larger and slower beakers and comes back from them, so what is left of it
falls as t^{-1/2} from alpha to about alpha x^{2m-2} writes (and exponentially after), where one beaker that leaks would
forget exponentially from the beginning. No task's end is needed. One step of (1) a write, by Euler's method, which is
stable for alpha of at least 2. Departure: weights are counted from those of birth, to which the last beaker leaks, so a
brain that learns nothing stays as it was born. A synapse has m numbers.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from metaplastic.core import Number
from metaplastic.fields import Evolves
from metaplastic.inner_loop.consolidation.base import Consolidation, Groups, Kept, Written, brain, place


class BennaFusi(Consolidation):
    """u_1 <- u_1 + dw_ij, then C_k du_k/dt = g (u_{k-1} - u_k) - g' (u_k - u_{k+1}), w = u_1 (Benna & Fusi 2016)."""

    references = ("Benna & Fusi 2016, Computational principles of synaptic memory consolidation, Nat Neurosci 19:1697",)
    kind: Literal["benna_fusi"] = "benna_fusi"
    beakers: Annotated[int, Field(ge=1, le=64)] = 8
    """m"""
    alpha: Annotated[Number, Evolves(2)] = 4.0
    """time constant of the first beaker, writes"""
    ratio: Annotated[Number, Evolves(1)] = 2.0
    """x: each beaker is so many times larger than the one before, its tube so many times narrower"""

    def start(self, weights: Groups) -> Kept:
        """All beakers as full as at birth."""
        kept: Kept = {}
        for name, w in weights.items():
            empty = torch.zeros_like(w)[:, :, None].expand(-1, -1, self.beakers - 1, -1, -1)
            kept |= {place("birth", name): w.clone(), place("beakers", name): empty.contiguous()}
        return kept

    def write(self, written: Written, kept: Kept) -> tuple[Groups, Kept]:
        """The change enters the first beaker, then all flow for a step."""
        changes, after = {}, dict(kept)
        for name, change in written.changes.items():
            first = written.weights[name] - kept[place("birth", name)]
            u = torch.cat([(first + change)[:, :, None], kept[place("beakers", name)]], 2)
            flown = self.flow(u)
            changes[name] = change + (flown[:, :, 0] - u[:, :, 0])
            after[place("beakers", name)] = flown[:, :, 1:]
        return changes, after

    def flow(self, u: Float[Tensor, "P L m post pre"]) -> Float[Tensor, "P L m post pre"]:
        """One step of (1)."""
        alpha, x = brain(self.alpha, u)[:, None], brain(self.ratio, u)[:, None]
        k = torch.arange(self.beakers, device=u.device)[:, None, None].to(u)
        falls = u - torch.nn.functional.pad(u[:, :, 1:], (0, 0, 0, 0, 0, 1))
        poured = torch.nn.functional.pad(falls[:, :, :-1], (0, 0, 0, 0, 1, 0))
        return u + (x ** (1 - 2 * k) * poured - x ** (-2 * k) * falls) / alpha
