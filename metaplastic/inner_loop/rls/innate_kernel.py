"""`innate.run` as a Numba kernel: float32, CPU, one life after the other; P of one neuron at a time is in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, no_type_check

import numba
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.inner_loop.formula.numba_functions import FAST, ZERO
from metaplastic.inner_loop.rls.student_kernel import (
    ACTIVITY,
    arrays,
    matvec,
    rates_of,
    rls_step,
    vector,
)
from metaplastic.inner_loop.rules.sequence import State
from metaplastic.rng_numba import fold, normal, word

if TYPE_CHECKING:
    from metaplastic.inner_loop.rls.innate import Phase

_compiled = numba.njit(fastmath=FAST, error_model="numpy", nogil=True, cache=True)


@_compiled
@no_type_check
def recurrent(weights, partners, counts, r, out):
    """out = W r."""
    for i in range(out.shape[0]):
        total = ZERO
        for k in range(counts[i]):
            total += weights[i, k] * r[partners[i, k]]
        out[i] = total


@_compiled
@no_type_check
def repeat(weights, partners, counts, plastic, inverse, r, innate, forgetting, lanes, room, error):
    """Equation (3) for every plastic neuron."""
    for i in range(plastic):
        count = counts[i]
        for k in range(count):
            lanes[k] = r[partners[i, k]]
        error[0] = r[i] - innate[i]
        rls_step(weights[i : i + 1, :count], inverse[i, :count, :count], lanes[:count], error, forgetting, room[:count])


@_compiled
@no_type_check
def one_life(
    kind, is_noisy, leak, white, gain, w_in, partners, counts, plastic, u, target, notes, when, reads, forgetting,
    key, x, weights, inverse, readout, inverse_readout, innate, output, rates,
):  # fmt: skip
    """Equations (1) to (4); weights … innate are changed in place."""
    size, most = x.shape[0], innate.shape[1]
    r, total, current, room = vector(size), vector(size), vector(size), vector(size)
    lanes, error, miss = vector(size), vector(1), vector(target.shape[1])
    rates_of(kind, x, leak, r)
    for t in range(u.shape[0]):
        matvec(w_in, u[t], current)
        recurrent(weights, partners, counts, r, total)
        step_key = fold(key, t)
        for i in range(size):
            noise = white[i] * normal(word(step_key, i)) if is_noisy else ZERO
            x[i] += leak[i] * (total[i] + gain * current[i] + noise - x[i])
        rates_of(kind, x, leak, r)
        matvec(readout, r, output[t])
        rates[t] = r
        if notes[t]:
            innate[t] = r[:most]
        if when[t]:
            repeat(weights, partners, counts, plastic, inverse, r, innate[t], forgetting, lanes, room, error)
        if reads[t]:
            miss[:] = output[t] - target[t]
            rls_step(readout, inverse_readout, r, miss, forgetting, room)


@_compiled
@no_type_check
def lives(
    kind, is_noisy, leak, white, gain, w_in, partners, counts, plastic, u, target, notes, when, reads, forgetting,
    key, x, weights, inverse, readout, inverse_readout, innate, output, rates,
):  # fmt: skip
    """All lives."""
    for p in range(x.shape[0]):
        for n in range(x.shape[1]):
            one_life(
                kind, is_noisy, leak[p, n], white[p, n], gain[p, n], w_in[p, n], partners[p, n], counts[p, n],
                plastic[p, n], u[n], target[n], notes[n], when[p, n], reads[p, n], forgetting[p], key[n], x[p, n],
                weights[p, n], inverse[p, n], readout[p, n], inverse_readout[p, n], innate[p, n], output[p, n],
                rates[p, n],
            )  # fmt: skip


def run(
    state: State,
    x: Float[Tensor, "P L N"],
    u: Float[Tensor, "T L I"],
    target: Float[Tensor, "T L A"],
    phase: Phase,
    forgetting: Float[Tensor, " P"],
    key: Int[Tensor, " L"],
    activation: str,
) -> tuple[Float[Tensor, "T P L A"], Float[Tensor, "T P L N"], State]:
    """As `innate.run`."""
    changed = [state[name] for name in ("weights", "inverse", "readout", "inverse_readout", "innate")]
    is_written = [*[bool(phase.recurrent.any())] * 2, *[bool(phase.readout.any())] * 2, bool(phase.notes.any())]
    after = [part.contiguous().clone() if w else part.contiguous() for part, w in zip(changed, is_written, strict=True)]
    x = x.contiguous().clone()
    output, rates = x.new_zeros(*x.shape[:2], len(u), target.shape[-1]), x.new_zeros(*x.shape[:2], len(u), x.shape[2])
    lives(
        ACTIVITY[activation], bool(state["noisy"].any()) and not phase.quiet,
        *arrays(*(state[name] for name in ("leak", "white", "gain", "current", "partners", "counts", "plastic"))),
        *arrays(u.transpose(0, 1), target.transpose(0, 1), phase.notes.T),
        *arrays(phase.recurrent.permute(1, 2, 0), phase.readout.permute(1, 2, 0), forgetting, key, x),
        *arrays(*after, output, rates),
    )  # fmt: skip
    names = ("weights", "inverse", "readout", "inverse_readout", "innate")
    return output.permute(2, 0, 1, 3), rates.permute(2, 0, 1, 3), {**state, **dict(zip(names, after, strict=True))}
