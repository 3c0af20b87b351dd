"""One trial of a rate network whose weights are fitted by recursive least squares as it runs: FORCE and full-FORCE.

    x <- x + a (-x + c + I + xi),   I = W_in [1, u],   r = phi(x)                                             (1)
    FORCE        c = J r + W_fb z                   z = W_out r, the only thing learned                     (2)
    full-FORCE   c = W r                            W and W_out are learned, both from 0                    (3)
        teacher  x' <- x' + a (-x' + F + I),        F = J phi(x') + W_fb z*,   W r should be F              (4)

c is what the step before left: the learned rows y = [W r; W_out r] (before their change), and F of the teacher. J and
W_fb are the network's own in (2), the teacher's in (3). Sussillo & Abbott 2009; DePasquale et al. 2018, eqs. 3 to 6.

This is the reference in PyTorch, on any device; `student_kernel.py` is the same for float32 on a CPU.
Shapes: M learned rows (A, or N + A), time first.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.rls.recursive_least_squares import step_where


class Plant(NamedTuple):
    """What no trial changes."""

    fixed: Float[Tensor, "P L N N"]
    """J"""
    feedback: Float[Tensor, "P L N A"]
    """W_fb"""
    leak: Float[Tensor, "P N"]
    """a"""
    current: Float[Tensor, "L N I"]
    """W_in, the bias first if there is one; without its gain"""
    gain: Float[Tensor, " P"]
    """of W_in"""
    white: Float[Tensor, "P N"]
    """deviation of xi; 0 where there is no neuron"""
    is_noisy: bool
    activation: str
    teaches: bool
    """(3) and (4), not (2)"""


class Student(NamedTuple):
    """What a trial changes."""

    learned: Float[Tensor, "P L M N"]
    """W_out, below W if that is learned"""
    inverse: Float[Tensor, "P L N N"]
    """P"""
    x: Float[Tensor, "P L N"]
    told: Float[Tensor, "P L M"]
    """y, the learned rows' last sums"""
    shadow: Float[Tensor, "P L N_or_0"]
    """x' of the teacher"""
    aim: Float[Tensor, "P L N_or_0"]
    """F"""


class Lesson(NamedTuple):
    """What a trial shows and wants."""

    u: Float[Tensor, "T L I"]
    """the bias first, if there is one"""
    target: Float[Tensor, "T L A"]
    """z*"""
    writes: Bool[Tensor, "T P L"]
    forgetting: Float[Tensor, " P"]
    key: Int[Tensor, " L"]
    """of this trial's noise"""


class Ran(NamedTuple):
    """What came of it."""

    student: Student
    output: Float[Tensor, "T P L A"]
    """z, before the step's own change"""
    rates: Float[Tensor, "T P L N"] | None


def run(plant: Plant, student: Student, lesson: Lesson, keep_rates: bool = False) -> Ran:
    """The trial; what went in is not changed."""
    phi, size = ACTIVATIONS[plant.activation].function, plant.leak.shape[1]
    is_here = (plant.leak > 0).to(plant.leak)[:, None]
    output, rates = [], []
    for t in range(len(lesson.u)):
        current = plant.gain[:, None, None] * (plant.current * lesson.u[t][:, None]).sum(-1)
        r = phi(student.x) * is_here
        recurrent = student.told[..., :size] if plant.teaches else times(plant.fixed, r)
        heard = 0 if plant.teaches else times(plant.feedback, student.told)
        noise = plant.white[:, None] * noise_of(lesson.key, t, size, plant.leak) if plant.is_noisy else 0
        x = student.x + plant.leak[:, None] * (recurrent + heard + current + noise - student.x)
        r = phi(x) * is_here
        told, wanted = times(student.learned, r), lesson.target[t].expand(*x.shape[:2], -1)
        shadow, aim = student.shadow, student.aim
        if plant.teaches:
            shadow = shadow + plant.leak[:, None] * (aim + current - shadow)
            aim = times(plant.fixed, phi(shadow) * is_here) + times(plant.feedback, wanted)
            wanted = torch.cat([aim, wanted], -1)
        learned, inverse = student.learned, student.inverse
        if lesson.writes[t].any():
            learned, inverse = step_where(
                lesson.writes[t], learned, inverse, r, told - wanted, lesson.forgetting[:, None]
            )
        student = Student(learned, inverse, x, told, shadow, aim)
        output.append(told[..., -lesson.target.shape[-1] :])
        rates.append(r if keep_rates else None)
    return Ran(student, torch.stack(output), torch.stack(rates) if keep_rates else None)


def times(w: Float[Tensor, "P L post pre"], r: Float[Tensor, "P L pre"]) -> Float[Tensor, "P L post"]:
    """w r; summed alike in every batch."""
    return (w * r[..., None, :]).sum(-1)


def noise_of(key: Int[Tensor, " L"], t: int, size: int, like: Tensor) -> Float[Tensor, "L N"]:
    """Standard normal numbers of step t."""
    return rng.normals(rng.fold(key, t), size).to(like)
