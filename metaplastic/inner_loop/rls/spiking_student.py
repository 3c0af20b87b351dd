"""One trial of a spiking network that learns the currents of a rate network: equations (1) to (5) of
`full_force_spiking.py`.

This is the reference in PyTorch, on any device; `spiking_student_kernel.py` is the same for float32 on a CPU.
Shapes: C components, R rows of traces (slow, then fast), time first.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.rls.recursive_least_squares import step_where
from metaplastic.inner_loop.rls.student import times
from metaplastic.inner_loop.rules.sequence import State

Phase = Literal["settle", "components", "means", "learn"]
Numbers = dict[str, Tensor]
"""the rule's numbers, [P, 1] each; `slow`, `fast` and `membrane` as what stays of them after a step, `kick` is what a
spike adds to h"""
Ran = tuple[Float[Tensor, "T P L A"], Float[Tensor, "T P L N"], State]
"""z, spikes, and the state after"""


def run(
    state: State,
    own: Numbers,
    u: Float[Tensor, "T L I"],
    target: Float[Tensor, "T L A"],
    writes: Bool[Tensor, "T P L"],
    phase: Phase,
    activation: str,
) -> Ran:
    """The trial; what went in is not changed."""
    output, spikes = [], []
    for t in range(len(u)):
        state, z = step(state, own, u[t], target[t], writes[t], phase, activation)
        output.append(z)
        spikes.append(state["spikes"])
    return torch.stack(output), torch.stack(spikes), state


def step(
    state: State,
    own: Numbers,
    u: Float[Tensor, "L I"],
    target: Float[Tensor, "L A"],
    writes: Bool[Tensor, "P L"],
    phase: Phase,
    activation: str,
) -> tuple[State, Float[Tensor, "P L A"]]:
    """Equations (1) to (5) for a step; the state after it and z."""
    current = state["gain"][..., None] * (state["current"] * u[:, None]).sum(-1)
    r = ACTIVATIONS[activation].function(state["shadow"]) * (state["leak"] > 0)
    force = times(state["fixed"], r) + times(state["feedback"], target.expand(*r.shape[:2], -1))
    shadow = state["shadow"] + state["leak"] * (force + current - state["shadow"])  # (1)
    state = {**state, "shadow": shadow}
    count = state["components"].shape[-1]
    if not count:
        total = state["covariance"] + force[..., :, None] * force[..., None, :] * (phase == "components")
        return {**state, "covariance": total}, times(state["learned"], state["s"])
    wanted = times(state["components"].mT, force)
    state = spiking_step(state, own, u)
    sums = times(state["learned"], state["s"])
    if phase == "learn":
        error = sums - torch.cat([wanted, target.expand(*r.shape[:2], -1)], -1)
        one = own["forgetting"].expand(writes.shape)
        learned, inverse = step_where(writes, state["learned"], state["inverse"], state["s"], error, one)
        return {**state, "y": sums[..., :count], "learned": learned, "inverse": inverse}, sums[..., count:]
    total = state["sum"] + times(state["drive"], wanted) * (phase == "means")
    return {**state, "y": wanted, "sum": total}, sums[..., count:]


def spiking_step(state: State, own: Numbers, u: Float[Tensor, "L I"]) -> State:
    """Equations (3) and (4)."""
    here = (state["leak"] > 0).to(u)
    pushed = times(state["drive"], state["y"]) + times(state["push"], u.expand(*here.shape[:2], -1))
    towards = pushed - state["mean"] + state["h"][..., None]
    v = towards + (state["v"] - towards) * own["membrane"][..., None]
    spikes = (v >= 0) * here
    v = torch.where(spikes > 0, own["reset"][..., None], v)
    h = state["h"] * own["fast"] + own["kick"] * spikes.sum(-1)
    half = state["s"].shape[-1] // 2
    heard = spikes[..., :half] * (torch.arange(half, device=v.device) < state["heard"][..., None])
    slow, fast = (own[name][..., None] for name in ("slow", "fast"))
    s = torch.cat([state["s"][..., :half] * slow + heard, state["s"][..., half:] * fast + heard], -1)
    return {**state, "v": v, "h": h, "s": s, "spikes": spikes}
