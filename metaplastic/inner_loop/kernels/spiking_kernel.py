"""Spiking networks as Numba loops, for float32 on a CPU: a trial forward in time, and the gradient's scan back.

`networks/spiking.py` (1) to (4) and `gradient/adjoint.py` (5) to (7) say what is computed. One brain lives its
trials after the other, all its streams step by step, so that its weights stay in the cache and the tapes are written
in their order. A weight is touched only where its presynaptic neuron has fired: at 10 Hz that is one in a hundred. Rows
are numbered, so that LLVM knows that they do not overlap (`vector_loops.py`). The numbers are PyTorch's to rounding.
"""

from __future__ import annotations

from typing import Any, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.formula.numba_functions import FAST, ONE, ZERO
from metaplastic.inner_loop.kernels.vector_loops import get, put
from metaplastic.inner_loop.networks.spiking import SpikeTape, Spiking

_compiled = numba.njit(fastmath=FAST, error_model="numpy", nogil=True, cache=True)

NOTHING = torch.zeros(0, 0, 0, 0, 0)
"""in the place of costs that there are not"""


def fits(like: Tensor) -> bool:
    """Whether these loops can take such numbers."""
    return like.dtype == torch.float32 and like.device.type == "cpu" and not like.requires_grad


@_compiled
@no_type_check
def add_row(total, row, factor):
    """total += factor row."""
    for n in range(total.shape[0]):
        put(total, n, get(total, n, 0) + factor * get(row, n, 1), 0)


@_compiled
@no_type_check
def add_rows(total, factors, rows):
    """total += sum_j factors_j rows_j."""
    for j in range(factors.shape[0]):
        if factors[j] != ZERO:
            add_row(total, rows[j], factors[j])


@_compiled
@no_type_check
def add_outer(rows, factors, row):
    """rows_j += factors_j row."""
    for j in range(factors.shape[0]):
        if factors[j] != ZERO:
            add_row(rows[j], row, factors[j])


@_compiled
@no_type_check
def fill(row, value):
    """row = value."""
    for n in range(row.shape[0]):
        row[n] = value


@_compiled
@no_type_check
def neurons(current, state, numbers, fired, spikes, distance, slope):
    """One step of all neurons; `state` is v, b and steps of rest, `numbers` those of `Spiking`, in its order."""
    v, b, rest = state[0], state[1], state[2]
    alpha, rho, beta, theta = numbers[0], numbers[1], numbers[2], numbers[3]
    pause, height = numbers[5], numbers[6]
    for n in range(current.shape[0]):
        z, t = get(fired, n, 0), get(theta, n, 1)
        adaptation = get(b, n, 2) * get(rho, n, 3) + z
        potential = get(v, n, 4) * get(alpha, n, 5) + get(current, n, 6) - t * z
        d = (potential - get(beta, n, 7) * adaptation) / t - ONE
        waits = get(rest, n, 8)
        free = ONE if waits <= ZERO else ZERO
        fires = free if d > ZERO else ZERO
        put(b, n, adaptation, 2)
        put(v, n, potential, 4)
        put(rest, n, max(waits + get(pause, n, 9) * fires - ONE, ZERO), 8)
        put(spikes, n, fires, 10)
        put(distance, n, d, 11)
        put(slope, n, max(ONE - abs(d), ZERO) * free * get(height, n, 12) / t, 13)


@_compiled
@no_type_check
def forward(seen, w_in, w_rec, numbers, spikes, distance, slope):
    """All streams through their trials; weights are [P, L, pre, post], `numbers` [P, L, 7, N].

    `distance` may have no steps: then it is not kept.
    """
    steps, lifetimes, streams, _ = seen.shape
    individuals, _, units, _ = w_rec.shape
    current, row = np.zeros(units, w_rec.dtype), np.zeros(units, w_rec.dtype)
    state = np.zeros((streams, 3, units), w_rec.dtype)
    for p in range(individuals):
        for life in range(lifetimes):
            into, between, own = w_in[p, life], w_rec[p, life], numbers[p, life]
            state[:] = ZERO
            for t in range(steps):
                for s in range(streams):
                    fill(current, ZERO)
                    fired = spikes[t, p, life, s]
                    add_rows(current, seen[t, life, s], into)
                    add_rows(current, fired, between)
                    place = (t, p, life, s)
                    if distance.shape[0] > 0:
                        row = distance[place]
                    neurons(current, state[s], own, fired, spikes[t + 1, p, life, s], row, slope[place])


@_compiled
@no_type_check
def felt_by(signal, error, feedback, pull):
    """signal = B^T error + pull."""
    for n in range(signal.shape[0]):
        put(signal, n, get(pull, n, 1), 0)
    add_rows(signal, error, feedback)


@_compiled
@no_type_check
def carry_back(signal, slope, voltage, threshold, numbers):
    """One step of the neurons' own scan; `signal` is used up."""
    alpha, rho, beta = numbers[0], numbers[1], numbers[2]
    for n in range(signal.shape[0]):
        spike = get(slope, n, 0) * (get(signal, n, 1) + get(threshold, n, 2))
        put(voltage, n, get(voltage, n, 3) * get(alpha, n, 4) + spike, 3)
        put(threshold, n, get(threshold, n, 2) * get(rho, n, 5) - get(beta, n, 6) * spike, 2)


@_compiled
@no_type_check
def through(signal, voltage, theta, out_of):
    """What a spike does to the other neurons' voltages, and to its own by the reset; `out_of` is [post, pre]."""
    add_rows(signal, voltage, out_of)
    for n in range(signal.shape[0]):
        put(signal, n, get(signal, n, 0) - get(theta, n, 1) * get(voltage, n, 2), 0)


@_compiled
@no_type_check
def backward(error, feedback, pull, on_v, on_b, slope, seen, spikes, out_of, numbers, is_whole, window, grown):
    """Adds up dL/dW, transposed, without the factor s; `is_whole`: with what passes through other neurons."""
    g_in, g_rec, g_out = grown
    steps, lifetimes, streams, _ = seen.shape
    individuals, _, units, _ = g_rec.shape
    signal = np.zeros(units, g_rec.dtype)
    state = np.zeros((streams, 2, units), g_rec.dtype)
    for p in range(individuals):
        for life in range(lifetimes):
            own = numbers[p, life]
            state[:] = ZERO
            for t in range(steps - 1, -1, -1):
                for s in range(streams):
                    voltage, threshold = state[s, 0], state[s, 1]
                    felt_by(signal, error[t, p, life, s], feedback[p, life], pull[p, life])
                    if is_whole:
                        through(signal, voltage, own[3], out_of[p, life])
                    carry_back(signal, slope[t, p, life, s], voltage, threshold, own)
                    if on_v.shape[0] > 0:
                        add_row(voltage, on_v[t, p, life, s], ONE)
                        add_row(threshold, on_b[t, p, life, s], ONE)
                    add_outer(g_in[p, life], seen[t, life, s], voltage)
                    add_outer(g_rec[p, life], spikes[t, p, life, s], voltage)
                    add_outer(g_out[p, life], spikes[t + 1, p, life, s], error[t, p, life, s])
                if window > 0 and t % window == 0:
                    state[:] = ZERO


def numbers_of(net: Spiking) -> Float[Tensor, "P L 7 N"]:
    """alpha, rho, beta, theta, drive, refractory and dampening of each neuron."""
    return torch.cat(net[3:10], 2).contiguous()


def run_forward(
    net: Spiking, seen: Float[Tensor, "T L S I"], with_distance: bool = False
) -> tuple[Float[Tensor, "T1 P L S N"], Float[Tensor, "T P L S N"], Float[Tensor, "T_or_0 P L S N"]]:
    """Spikes (those of step 0 are none), psi_t and, if wanted, d_t."""
    individuals, lifetimes, units, _ = net.recurrent.shape
    shape = (individuals, lifetimes, seen.shape[2], units)
    spikes = net.recurrent.new_empty(len(seen) + 1, *shape)
    spikes[0] = 0
    slope = net.recurrent.new_empty(len(seen), *shape)
    distance = net.recurrent.new_empty(len(seen) if with_distance else 0, *shape)
    into, between = ((w * net.drive.mT).mT.contiguous().numpy() for w in (net.input, net.recurrent))
    tapes = spikes.numpy(), distance.numpy(), slope.numpy()
    forward(seen.contiguous().numpy(), into, between, numbers_of(net).numpy(), tapes[0], tapes[1], tapes[2])
    return spikes, slope, distance


def run_backward(
    net: Spiking,
    tape: SpikeTape,
    felt: Float[Tensor, "T P L S A"],
    feedback: Float[Tensor, "P L A N"],
    pull: Float[Tensor, "P L 1 N"] | None,
    direct: tuple[Tensor, Tensor] | None,
    is_whole: bool,
    window: int | None,
) -> tuple[Float[Tensor, "P L N I"], Float[Tensor, "P L N N"], Float[Tensor, "P L A N"]]:
    """dL/dW of input, recurrent and read-out weights, the mean of the streams."""
    individuals, lifetimes, units, inputs = net.input.shape
    sizes = ((inputs, units), (units, units), (units, felt.shape[-1]))
    grown = tuple(net.input.new_zeros(individuals, lifetimes, *size) for size in sizes)
    nothing = NOTHING.to(felt)
    on_v, on_b = direct or (nothing, nothing)
    pulled = net.input.new_zeros(individuals, lifetimes, units) if pull is None else pull[:, :, 0]
    out_of = (net.recurrent * net.drive.mT).contiguous()
    arrays = (felt, feedback, pulled, on_v, on_b, tape.slope, tape.seen, tape.spikes, out_of, numbers_of(net))
    raw: tuple[Any, ...] = tuple(part.contiguous().numpy() for part in arrays)
    call: Any = backward
    call(*raw, is_whole, window or 0, tuple(part.numpy() for part in grown))
    scale, streams = net.drive.mT, tape.seen.shape[2]
    return grown[0].mT * scale / streams, grown[1].mT * scale / streams, grown[2].mT / streams
