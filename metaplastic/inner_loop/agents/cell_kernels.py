"""The cells of `cells.py` as Numba loops, for float32 on a CPU: one pass over a step's numbers instead of ten.

Arrays are the tapes [P, T, B, ...] whole, so that a step costs one call. tanh is rational (numba_functions.py), which
differs from the library's by 5e-7 at most; sums stay with the BLAS. Equations (1) to (3) and their derivatives. Rows
are numbered, so that LLVM knows that they do not overlap (vector_loops.py); without that the loops take many times as
long. All forward steps are called alike, and all backward ones, whether a cell needs everything or not.
"""

from typing import no_type_check

from numba import njit

from metaplastic.inner_loop.formula.numba_functions import FAST, ONE, ZERO, sigmoid_of, tanh_of
from metaplastic.inner_loop.kernels.vector_loops import get, long_vectors, put

kernel = njit(fastmath=FAST, error_model="numpy", nogil=True)


@kernel
@no_type_check
def lstm_run(step, gates, squashed, cell, hidden):
    """c_t, h_t and the gates from the sums in `gates[:, step]`."""
    agents, _, lanes, h = squashed.shape
    for p in range(agents):
        for b in range(lanes):
            a, s = gates[p, step, b], squashed[p, step, b]
            before, c, out = cell[p, step, b], cell[p, step + 1, b], hidden[p, step + 1, b]
            for k in range(3 * h):
                put(a, k, sigmoid_of(get(a, k, 0)), 0)
            for k in range(3 * h, 4 * h):
                put(a, k, tanh_of(get(a, k, 0)), 0)
            for k in range(h):
                c_now = get(a, h + k, 0) * get(before, k, 1) + get(a, k, 0) * get(a, 3 * h + k, 0)
                flat = tanh_of(c_now)
                put(c, k, c_now, 2)
                put(s, k, flat, 3)
                put(out, k, get(a, 2 * h + k, 0) * flat, 4)
    long_vectors()


@kernel
@no_type_check
def lstm_back(step, gates, squashed, cell, hidden, d_hidden, d_state, d_cell):  # noqa: ARG001
    """Derivatives by the sums in place of `gates[:, step]`, by c_{t-1} in place; `d_state` is used up."""
    agents, _, lanes, h = squashed.shape
    for p in range(agents):
        for b in range(lanes):
            a, s = gates[p, step, b], squashed[p, step, b]
            before, coming, told, carried = cell[p, step, b], d_state[p, b], d_hidden[p, step, b], d_cell[p, b]
            at_i, at_f, at_o, at_g = a[:h], a[h : 2 * h], a[2 * h : 3 * h], a[3 * h :]
            for k in range(h):
                i, f, o, g = get(at_i, k, 0), get(at_f, k, 1), get(at_o, k, 2), get(at_g, k, 3)
                flat = get(s, k, 4)
                d = get(told, k, 5) + get(coming, k, 6)
                dc = get(carried, k, 7) + d * o * (ONE - flat * flat)
                put(at_i, k, dc * g * (i - i * i), 0)
                put(at_f, k, dc * get(before, k, 8) * (f - f * f), 1)
                put(at_o, k, d * flat * (o - o * o), 2)
                put(at_g, k, dc * i * (ONE - g * g), 3)
                put(carried, k, dc * f, 7)
                put(coming, k, ZERO, 6)
    long_vectors()


@kernel
@no_type_check
def gru_run(step, gates, squashed, cell, hidden):  # noqa: ARG001
    """h_t and the gates from the sums in `gates[:, step]`."""
    agents, _, lanes, h = squashed.shape
    for p in range(agents):
        for b in range(lanes):
            a, n = gates[p, step, b], squashed[p, step, b]
            before, out = hidden[p, step, b], hidden[p, step + 1, b]
            for k in range(2 * h):
                put(a, k, sigmoid_of(get(a, k, 0)), 0)
            for k in range(h):
                new = tanh_of(get(a, 2 * h + k, 0) + get(a, k, 0) * get(a, 3 * h + k, 0))
                put(n, k, new, 1)
                put(out, k, new + get(a, h + k, 0) * (get(before, k, 2) - new), 3)
    long_vectors()


@kernel
@no_type_check
def gru_back(step, gates, squashed, cell, hidden, d_hidden, d_state, d_cell):  # noqa: ARG001
    """Derivatives by the sums in place of `gates[:, step]`; what goes to h_{t-1} directly stays in `d_state`."""
    agents, _, lanes, h = squashed.shape
    for p in range(agents):
        for b in range(lanes):
            a, n = gates[p, step, b], squashed[p, step, b]
            before, coming, told = hidden[p, step, b], d_state[p, b], d_hidden[p, step, b]
            at_r, at_u, at_x, at_m = a[:h], a[h : 2 * h], a[2 * h : 3 * h], a[3 * h :]
            for k in range(h):
                r, u, m, new = get(at_r, k, 0), get(at_u, k, 1), get(at_m, k, 3), get(n, k, 4)
                d = get(told, k, 5) + get(coming, k, 6)
                dn = d * (ONE - u) * (ONE - new * new)
                put(at_x, k, dn, 2)
                put(at_r, k, dn * m * (r - r * r), 0)
                put(at_u, k, d * (get(before, k, 8) - new) * (u - u * u), 1)
                put(at_m, k, dn * r, 3)
                put(coming, k, d * u, 6)
    long_vectors()


KERNELS = {"lstm": (lstm_run, lstm_back), "gru": (gru_run, gru_back)}
"""kind of the cell -> forward, backward"""
