"""Running modified GRUs: (1) to (3) of `modified_gru.py` over all steps of a batch of trials, and the way back.

With g_t = dL/dx_t, s = alpha lambda, q the bracket of (2), z_l and z_g what s() is taken of:

    dq = s g,   dz_l = alpha (q - x) lambda (1 - lambda) g,   h = W^T dq,   dz_g = h r gamma (1 - gamma)       (4)
    g_{t-1} += (1 - s) g + 1{x > 0} (gamma h + W_l^T dz_l + W_g^T dz_g)                                        (5)

A step of autograd would cost many times the arithmetic. Shapes: T steps, P brains, B trials, N units, X inputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.networks.modified_gru import BLOCKS, Cells


class Ran(NamedTuple):
    """What a network did."""

    rates: Float[Tensor, "T P B N"]
    output: Float[Tensor, "T P B R"]


def run(cells: Cells, told: Float[Tensor, "T P_or_1 B X"], xi: Float[Tensor, "T _ B N"] | None) -> Ran:
    """All steps from the start of a trial, differentiable by `cells.weights`; `xi` is of sd 1, None: no noise. What is
    told at step 0 is not heard: the first output is that of x_0."""
    steps, _, trials, inputs = told.shape
    people, n = len(cells.weights), cells.units
    u = told[1:].transpose(0, 1).reshape(-1, (steps - 1) * trials, inputs).expand(people, -1, -1)
    weight, bias = cells.parameter("input.weight"), cells.parameter("input.bias")
    drive = torch.baddbmm(bias[:, None], u, weight.mT).unflatten(1, (steps - 1, trials)).transpose(0, 1).contiguous()
    if xi is not None:
        quiet = drive[..., : 2 * n], drive[..., 2 * n :] + cells.noise[:, None, None] * xi[1:]
        drive = torch.cat(quiet, -1)
    start = cells.parameter("start")
    x = Unrolled.apply(drive, cells.parameter("recurrent.weight"), start, cells.alpha)
    rates = torch.relu(torch.cat((start[None, :, None].expand(1, -1, trials, -1), x)))
    flat = rates.transpose(0, 1).flatten(1, 2)
    out = torch.baddbmm(cells.parameter("output.bias")[:, None], flat, cells.parameter("output.weight").mT)
    return Ran(rates, out.unflatten(1, (steps, trials)).transpose(0, 1))


class Unrolled(torch.autograd.Function):
    """x_1 .. x_T of (1) and (2), from what enters from outside."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        drive: Float[Tensor, "T P B N3"],
        w: Float[Tensor, "P N3 N"],
        start: Float[Tensor, "P N"],
        alpha: Float[Tensor, " P"],
    ) -> Float[Tensor, "T P B N"]:
        """Step by step."""
        steps, people, trials, _ = drive.shape
        n = start.shape[1]
        to_gates, to_candidate = w[:, : 2 * n].mT.contiguous(), w[:, 2 * n :].mT.contiguous()
        x = drive.new_empty(steps + 1, people, trials, n)
        x[0] = start[:, None]
        kept = steps if any(ctx.needs_input_grad) else 1
        gates, bracket = drive.new_empty(kept, people, trials, 2 * n), drive.new_empty(kept, people, trials, n)
        rate = alpha[:, None, None]
        for t in range(steps):
            r, gate, q = torch.relu(x[t]), gates[t % kept], bracket[t % kept]
            torch.baddbmm(drive[t, ..., : 2 * n], r, to_gates, out=gate).sigmoid_()
            torch.baddbmm(drive[t, ..., 2 * n :], r.mul_(gate[..., n:]), to_candidate, out=q)
            torch.lerp(x[t], q, gate[..., :n] * rate, out=x[t + 1])
        ctx.save_for_backward(x, gates, bracket, w, alpha)
        return x[1:]

    @staticmethod
    def backward(ctx: Any, d_x: Float[Tensor, "T P B N"]) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(4) and (5)."""
        x, gates, q, w, alpha = ctx.saved_tensors
        n = x.shape[-1]
        to_gates, to_candidate = w[:, : 2 * n].contiguous(), w[:, 2 * n :].contiguous()
        update, reset, before = gates[..., :n], gates[..., n:], x[:-1]
        r, awake = torch.relu(before), (before > 0).to(x)
        s = alpha[:, None, None] * update
        by_update, by_reset = (q - before) * s * (1 - update), r * reset * (1 - reset)
        d_drive = torch.empty(*d_x.shape[:-1], BLOCKS * n, dtype=x.dtype, device=x.device)
        carry = torch.zeros_like(d_x[0])
        for t in reversed(range(len(d_x))):
            g, row = carry + d_x[t], d_drive[t]
            d_q = s[t] * g
            row[..., 2 * n :] = d_q
            torch.mul(by_update[t], g, out=row[..., :n])
            h = torch.bmm(d_q, to_candidate)
            torch.mul(by_reset[t], h, out=row[..., n : 2 * n])
            d_r = torch.baddbmm(h.mul_(reset[t]), row[..., : 2 * n], to_gates)
            carry = torch.addcmul(g.sub_(d_q), awake[t], d_r)
        lanes = [part.transpose(0, 1).flatten(1, 2) for part in (d_drive, r, r * reset)]
        d_gates = torch.bmm(lanes[0][..., : 2 * n].mT, lanes[1])
        d_candidate = torch.bmm(lanes[0][..., 2 * n :].mT, lanes[2])
        return d_drive, torch.cat((d_gates, d_candidate), 1), carry.sum(1), None
