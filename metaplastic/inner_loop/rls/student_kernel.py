"""`student.run` as a Numba kernel: one life after the other, so that its J, W and P stay in the cache of one core.

float32, CPU. The numbers follow `student.py` to rounding; those of a life do not depend on which others are in the
batch. Between two products with an N x N matrix lie N operations, so a step costs the passes over J, P and W alone.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numba
import numpy as np
import torch
from torch import Tensor

from metaplastic.inner_loop.formula.numba_functions import FAST, ZERO, sigmoid_of, tanh_of
from metaplastic.inner_loop.rls.student import Lesson, Plant, Ran, Student
from metaplastic.rng_numba import fold, normal, word

ACTIVITY = {"tanh": 0, "relu": 1, "sigmoid": 2, "linear": 3}
_compiled = numba.njit(fastmath=FAST, error_model="numpy", nogil=True, cache=True)


@_compiled
@no_type_check
def activity(kind, a):
    """phi."""
    if kind == 0:
        return tanh_of(a)
    if kind == 1:
        return max(a, ZERO)
    return sigmoid_of(a) if kind == 2 else a


@_compiled
@no_type_check
def rates_of(kind, x, leak, r):
    """r = phi(x), 0 where there is no neuron."""
    for i in range(x.shape[0]):
        r[i] = activity(kind, x[i]) if leak[i] > 0 else ZERO


@_compiled
@no_type_check
def vector(size):
    """Room for `size` numbers."""
    return np.zeros(size, np.float32)


@_compiled
@no_type_check
def matvec(w, r, out):
    """out = w r."""
    for i in range(w.shape[0]):
        total = ZERO
        for j in range(w.shape[1]):
            total += w[i, j] * r[j]
        out[i] = total


@_compiled
@no_type_check
def matvec_add(w, r, out):
    """out += w r."""
    for i in range(w.shape[0]):
        total = ZERO
        for j in range(w.shape[1]):
            total += w[i, j] * r[j]
        out[i] += total


@_compiled
@no_type_check
def rank_one(w, left, right):
    """w -= left right'."""
    for i in range(w.shape[0]):
        scale = left[i]
        for j in range(w.shape[1]):
            w[i, j] -= scale * right[j]


@_compiled
@no_type_check
def rls_step(w, inverse, r, error, forgetting, k):
    """Equation (1) of `recursive_least_squares.py`, in place; k is room for N numbers."""
    size = r.shape[0]
    matvec(inverse, r, k)
    total = forgetting
    for j in range(size):
        total += r[j] * k[j]
    half = np.float32(math.sqrt(np.float32(1) / total))
    for j in range(size):
        k[j] *= half
    rank_one(inverse, k, k)
    if forgetting != np.float32(1):
        for i in range(size):
            for j in range(size):
                inverse[i, j] /= forgetting
    for j in range(size):
        k[j] *= half
    rank_one(w, error, k)


@_compiled
@no_type_check
def one_life(
    kind, teaches, is_noisy, fixed, feedback, leak, w_in, gain, white, u, target, writes, forgetting, key,
    learned, inverse, x, told, shadow, aim, output, rates,
):  # fmt: skip
    """Equations (1) to (4) of one life; learned … aim are changed in place."""
    steps, size, actions = u.shape[0], x.shape[0], target.shape[1]
    r, total, current, k = vector(size), vector(size), vector(size), vector(size)
    error = vector(learned.shape[0])
    rates_of(kind, x, leak, r)
    for t in range(steps):
        matvec(w_in, u[t], current)
        if teaches:
            total[:] = told[:size]
        else:
            matvec(fixed, r, total)
            matvec_add(feedback, told, total)
        step_key = fold(key, t)
        for i in range(size):
            current[i] *= gain
            noise = white[i] * normal(word(step_key, i)) if is_noisy else ZERO
            x[i] += leak[i] * (total[i] + current[i] + noise - x[i])
        rates_of(kind, x, leak, r)
        matvec(learned, r, told)
        if teaches:
            for i in range(size):
                shadow[i] += leak[i] * (aim[i] + current[i] - shadow[i])
            rates_of(kind, shadow, leak, total)
            matvec(fixed, total, aim)
            matvec_add(feedback, target[t], aim)
        first = learned.shape[0] - actions
        output[t] = told[first:]
        if rates.shape[0] > 0:
            rates[t] = r
        if writes[t]:
            error[:first] = told[:first] - aim[:first]
            error[first:] = told[first:] - target[t]
            rls_step(learned, inverse, r, error, forgetting, k)


@_compiled
@no_type_check
def lives(
    kind, teaches, is_noisy, fixed, feedback, leak, w_in, gain, white, u, target, writes, forgetting, key,
    learned, inverse, x, told, shadow, aim, output, rates,
):  # fmt: skip
    """All lives; the first axes are individuals and lifetimes."""
    for p in range(x.shape[0]):
        for n in range(x.shape[1]):
            one_life(
                kind, teaches, is_noisy, fixed[p, n], feedback[p, n], leak[p], w_in[n], gain[p], white[p], u[n],
                target[n], writes[p, n], forgetting[p], key[n], learned[p, n], inverse[p, n], x[p, n], told[p, n],
                shadow[p, n], aim[p, n], output[p, n], rates[p, n],
            )  # fmt: skip


def run(plant: Plant, student: Student, lesson: Lesson, keep_rates: bool = False) -> Ran:
    """As `student.run`."""
    individuals, lifetimes, size = student.x.shape
    steps, actions = len(lesson.u), lesson.target.shape[-1]
    after = Student(*(part.contiguous().clone() for part in student))
    output = student.x.new_zeros(individuals, lifetimes, steps, actions)
    rates = student.x.new_zeros(individuals, lifetimes, steps if keep_rates else 0, size)
    lives(
        ACTIVITY[plant.activation], plant.teaches, plant.is_noisy,
        *arrays(plant.fixed, plant.feedback, plant.leak, plant.current, plant.gain, plant.white),
        *arrays(lesson.u.transpose(0, 1), lesson.target.transpose(0, 1), lesson.writes.permute(1, 2, 0)),
        *arrays(lesson.forgetting, lesson.key), *arrays(*after), *arrays(output, rates),
    )  # fmt: skip
    return Ran(after, output.permute(2, 0, 1, 3), rates.permute(2, 0, 1, 3) if keep_rates else None)


def fits(like: Tensor) -> bool:
    """Whether the kernel can run lives of this dtype on this device."""
    return like.dtype == torch.float32 and like.device.type == "cpu"


def arrays(*parts: Tensor) -> list[np.ndarray]:
    """As the kernels take them."""
    return [part.contiguous().numpy() for part in parts]
