"""`spiking_student.run` as a Numba kernel: float32, CPU, one life after the other."""

from __future__ import annotations

from typing import no_type_check

import numba
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metaplastic.inner_loop.formula.numba_functions import FAST, ZERO
from metaplastic.inner_loop.rls.spiking_student import Numbers, Phase, Ran
from metaplastic.inner_loop.rls.student_kernel import (
    ACTIVITY,
    arrays,
    matvec,
    matvec_add,
    rates_of,
    rls_step,
    vector,
)
from metaplastic.inner_loop.rules.sequence import State

SETTLE, COMPONENTS, MEANS, LEARN = range(4)
CODES: dict[Phase, int] = {"settle": SETTLE, "components": COMPONENTS, "means": MEANS, "learn": LEARN}
CHANGED = ("shadow", "covariance", "sum", "v", "y", "h", "s", "learned", "inverse")
FIXED = ("leak", "fixed", "feedback", "gain", "current", "components", "drive", "push", "mean", "heard")
NUMBERS = ("membrane", "slow", "fast", "reset", "kick", "forgetting")
_compiled = numba.njit(fastmath=FAST, error_model="numpy", nogil=True, cache=True)


@_compiled
@no_type_check
def teach(kind, leak, fixed, feedback, gain, w_in, u, target, shadow, r, force, current):
    """Equation (1)."""
    rates_of(kind, shadow, leak, r)
    matvec(fixed, r, force)
    matvec_add(feedback, target, force)
    matvec(w_in, u, current)
    for i in range(shadow.shape[0]):
        shadow[i] += leak[i] * (force[i] + gain * current[i] - shadow[i])


@_compiled
@no_type_check
def fire(leak, drive, push, mean, heard, u, numbers, v, y, h, s, pushed, spikes):
    """Equations (3) and (4)."""
    membrane, slow, fast, reset, kick, _ = numbers
    matvec(drive, y, pushed)
    matvec_add(push, u, pushed)
    count, half = ZERO, s.shape[0] // 2
    for k in range(half):
        s[k] *= slow
        s[half + k] *= fast
    for i in range(v.shape[0]):
        towards = pushed[i] - mean[i] + h[0]
        v[i] = towards + (v[i] - towards) * membrane
        spikes[i] = ZERO
        if v[i] >= 0 and leak[i] > 0:
            v[i], spikes[i] = reset, 1
            count += 1
            if i < heard:
                s[i] += 1
                s[half + i] += 1
    h[0] = h[0] * fast + kick * count


@_compiled
@no_type_check
def square(covariance, force):
    """covariance += force force'."""
    for i in range(force.shape[0]):
        for j in range(force.shape[0]):
            covariance[i, j] += force[i] * force[j]


@_compiled
@no_type_check
def one_life(
    kind, phase, leak, fixed, feedback, gain, w_in, components, drive, push, mean, heard, numbers, u, target, writes,
    shadow, covariance, total, v, y, h, s, learned, inverse, output, spikes,
):  # fmt: skip
    """Equations (1) to (5); shadow … inverse are changed in place."""
    size, count, rows = shadow.shape[0], y.shape[0], learned.shape[0]
    r, force, current, pushed = vector(size), vector(size), vector(size), vector(size)
    wanted, sums, error, k = vector(count), vector(rows), vector(rows), vector(s.shape[0])
    for t in range(u.shape[0]):
        teach(kind, leak, fixed, feedback, gain, w_in, u[t], target[t], shadow, r, force, current)
        if count == 0:
            if phase == COMPONENTS:
                square(covariance, force)
            matvec(learned, s, output[t])
            continue
        matvec(components, force, wanted)
        fire(leak, drive, push, mean, heard, u[t], numbers, v, y, h, s, pushed, spikes[t])
        matvec(learned, s, sums)
        output[t] = sums[count:]
        if phase != LEARN:
            y[:] = wanted
            if phase == MEANS:
                matvec_add(drive, wanted, total)
            continue
        y[:] = sums[:count]
        if writes[t]:
            error[:count] = sums[:count] - wanted
            error[count:] = sums[count:] - target[t]
            rls_step(learned, inverse, s, error, numbers[5], k)


@_compiled
@no_type_check
def lives(
    kind, phase, leak, fixed, feedback, gain, w_in, components, drive, push, mean, heard, numbers, u, target, writes,
    shadow, covariance, total, v, y, h, s, learned, inverse, output, spikes,
):  # fmt: skip
    """All lives."""
    for p in range(v.shape[0]):
        for n in range(v.shape[1]):
            one = numbers[p, n]
            own = (one[0], one[1], one[2], one[3], one[4], one[5])
            one_life(
                kind, phase, leak[p, n], fixed[p, n], feedback[p, n], gain[p, n], w_in[p, n], components[p, n],
                drive[p, n], push[p, n], mean[p, n], heard[p, n], own, u[n], target[n], writes[p, n], shadow[p, n],
                covariance[p, n], total[p, n], v[p, n], y[p, n], h[p, n], s[p, n], learned[p, n], inverse[p, n],
                output[p, n], spikes[p, n],
            )  # fmt: skip


def run(
    state: State,
    own: Numbers,
    u: Float[Tensor, "T L I"],
    target: Float[Tensor, "T L A"],
    writes: Bool[Tensor, "T P L"],
    phase: Phase,
    activation: str,
) -> Ran:
    """As `spiking_student.run`."""
    state = {**state, "components": state["components"].mT, "h": state["h"][..., None]}
    after = [state[name].contiguous().clone() for name in CHANGED]
    shape = (*state["v"].shape[:2], len(u))
    output, spikes = u.new_zeros(*shape, target.shape[-1]), u.new_zeros(*shape, state["v"].shape[-1])
    numbers = torch.stack([own[name].expand(shape[:2]) for name in NUMBERS], -1)
    lives(
        ACTIVITY[activation], CODES[phase], *arrays(*(state[name] for name in FIXED)),
        *arrays(numbers, u.transpose(0, 1), target.transpose(0, 1), writes.permute(1, 2, 0)),
        *arrays(*after, output, spikes),
    )  # fmt: skip
    found = dict(zip(CHANGED, after, strict=True))
    found |= {"h": found["h"][..., 0], "spikes": spikes[:, :, -1], "components": state["components"].mT}
    return output.permute(2, 0, 1, 3), spikes.permute(2, 0, 1, 3), {**state, **found}
