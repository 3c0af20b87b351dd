"""The parts of a whole-trial kernel that no formula changes, for Numba: float32, weights as w[post, pre].

A weight's row lies over presynaptic neurons, so that a neuron's input is one contiguous sum. `n` neurons and `m`
presynaptic ones are active; arrays may be larger. The functions carry no annotations, so that run-time type checkers
leave them to Numba, and say so.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit

from metaplastic import rng_numba
from metaplastic.inner_loop.formula.numba_functions import FAST, ONE, ZERO

TWO, TO_UNIT, LOW24 = np.float32(2.0), np.float32(2.0**-24), np.uint64(0xFFFFFF)

BLOCK = 8
"""steps whose outer products are added to a trace at once"""

fast = njit(error_model="numpy", fastmath=FAST)


@fast
@no_type_check
def multiply(w, z, current, n, m):
    """current_i = sum_j w_ij z_j, four rows at a time so that z is loaded once for them."""
    blocks = n // 4
    for block in range(blocks):
        i = 4 * block
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        t0, t1, t2, t3 = ZERO, ZERO, ZERO, ZERO
        for j in range(m):
            t0 += w0[j] * z[j]
            t1 += w1[j] * z[j]
            t2 += w2[j] * z[j]
            t3 += w3[j] * z[j]
        current[i], current[i + 1], current[i + 2], current[i + 3] = t0, t1, t2, t3
    for i in range(4 * blocks, n):
        row, total = w[i], ZERO
        for j in range(m):
            total += row[j] * z[j]
        current[i] = total


@fast
@no_type_check
def clamp(x, clamp_at, clamp_to):
    """Hold the tonic neurons at their level."""
    for k in range(clamp_at.shape[0]):
        x[clamp_at[k]] = clamp_to[k]


@fast
@no_type_check
def draw_start(x, key, start, n):
    """x ~ U(-start, start), from the words of step 0."""
    first = rng_numba.fold(key, 0)
    for i in range(n):
        x[i] = start * (TWO * rng_numba.uniform(rng_numba.word(first, i)) - ONE)


@fast
@no_type_check
def inject(xi, key, step, rate, size, white, normals, n):
    """xi of a step: a perturbation of size U(-1, 1) `size` with chance `rate`, and white noise."""
    if rate > ZERO:
        now = rng_numba.fold(key, step + 1)
        for i in range(n):
            word = rng_numba.word(now, i)
            amount = size * (TWO * np.float32(word & LOW24) * TO_UNIT - ONE)
            xi[i] = amount if rng_numba.uniform(word) < rate else ZERO
    else:
        for i in range(n):
            xi[i] = ZERO
    if normals.shape[0] > 0:
        for i in range(n):
            xi[i] = xi[i] + white[i] * normals[step, i]


@fast
@no_type_check
def add_products(e, posts, pres, count, decay, fades, n, m):
    """e <- decay^count e + sum_q decay^(count-1-q) posts[q] pres[q]^T for up to BLOCK steps at once.

    `fades`: e itself decays; not so for the further products of one trace.
    """
    for q in range(count, BLOCK):
        for i in range(n):
            posts[q, i] = ZERO
        for j in range(m):
            pres[q, j] = ZERO
    faded = np.empty(BLOCK, np.float32)
    factor = ONE
    for q in range(BLOCK):
        faded[q] = ZERO
    for q in range(count - 1, -1, -1):
        faded[q] = factor
        factor = factor * decay
    factor = factor if fades else ONE
    a0, a1, a2, a3, a4, a5, a6, a7 = pres[0], pres[1], pres[2], pres[3], pres[4], pres[5], pres[6], pres[7]
    for i in range(n):
        f0, f1, f2, f3 = posts[0, i] * faded[0], posts[1, i] * faded[1], posts[2, i] * faded[2], posts[3, i] * faded[3]
        f4, f5, f6, f7 = posts[4, i] * faded[4], posts[5, i] * faded[5], posts[6, i] * faded[6], posts[7, i] * faded[7]
        row = e[i]
        for j in range(m):
            early = f0 * a0[j] + f1 * a1[j] + f2 * a2[j] + f3 * a3[j]
            late = f4 * a4[j] + f5 * a5[j] + f6 * a6[j] + f7 * a7[j]
            row[j] = factor * row[j] + (early + late)


@fast
@no_type_check
def normalise_row(w, n, m):
    """Divide each neuron's weights by their Euclidean length."""
    for i in range(n):
        row, total = w[i], ZERO
        for j in range(m):
            total += row[j] * row[j]
        scale = ONE / math.sqrt(total) if total > ZERO else ONE
        for j in range(m):
            row[j] = row[j] * scale


@fast
@no_type_check
def normalise_max(w, n, m):
    """Divide by the largest |w|."""
    largest = ZERO
    for i in range(n):
        for j in range(m):
            largest = max(largest, abs(w[i, j]))
    if largest > ZERO:
        for i in range(n):
            for j in range(m):
                w[i, j] = w[i, j] / largest
