"""The curves that networks are trained to draw: functions of time, as tables made once a process in float64.

    triangle, square, sawtooth   of amplitude 1, rising through 0 at t = 0 (the square: up first)
    sum4      sum_k a_k sin(2 pi k t / 600 ms), a = (1, 1/2, 1/6, 1/3) 1.3 / 1.5                                   (1)
    sum16     sum_k a_k sin(2 pi k t / 1200 ms + phi_k), k = 1 .. 16, scaled to max 1; a, phi drawn once           (2)
    rising    sin(2 pi phi(s)), s = t / T in (0, 1]: phi = s (6 s + 3) to s = 1/2, then -3 + s (15 - 6 s)           (3)
    product   sin(2 pi 4 Hz t) sin(2 pi 6 Hz t)                                                                    (4)
    lorenz    x' = 10 (y - x), y' = x (28 - z) - y, z' = x y - 8/3 z, a unit of time is 100 ms                     (5)
    van_der_pol   x' = y, y' = mu (1 - x^2) y - x, a unit of time is 50 ms                                         (6)

(5) and (6) are solved by Runge & Kutta's method of fourth order with steps of at most a hundredth of a unit, after 50
units that are left out, and scaled so that the largest value is 1; they last `SERIES` ms and then start again.
Sources: (1) Sussillo & Abbott 2009 and its demonstration code; (3) DePasquale et al. 2018, code; (4) to (6) Nicola &
Clopath 2017. The amplitudes in (1), the units of time, and (4) to (6) are recalled, not checked; (2) has amplitudes and
phases of our own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng

SERIES = 20_000.0
"""ms after which a curve that has no period starts again"""
LEFT_OUT = 50
"""units of time before an attractor's table begins"""
SUM4 = (1.3 / 1.5, 1.3 / 3.0, 1.3 / 9.0, 1.3 / 4.5)
"""amplitudes of (1)"""
MANY = 10
"""curves among which a cue selects"""

Curve = Callable[[Float[Tensor, " T"]], Float[Tensor, "T A"]]

_TABLES: dict[tuple[object, ...], Tensor] = {}
"""(name, dt, device) -> table. A plain dict, because torch.compile sees through it"""


def turns(ms: float, shape: Callable[[Tensor], Tensor]) -> Curve:
    """A curve of this period from a function of the phase in turns."""
    return lambda t: shape((t / ms) % 1.0)[:, None]


def sine(phase: Float[Tensor, "*T"]) -> Float[Tensor, "*T"]:
    """sin of a phase in turns."""
    return torch.sin(2 * math.pi * phase)


def triangle(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """0, 1, 0, -1, 0 at quarters of the turn."""
    return 1 - 4 * ((phase + 0.75) % 1.0 - 0.5).abs()


def square(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """1 in the first half of the turn, then -1."""
    return torch.where(phase < 0.5, 1.0, -1.0).to(phase.dtype)


def sawtooth(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """From 0 to 1, then from -1 to 0."""
    return 2 * ((phase + 0.5) % 1.0) - 1


def sum4(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """(1)."""
    return sum((a * sine(k * phase) for k, a in enumerate(SUM4, 1)), torch.zeros_like(phase))


def drawn_sum(number: int, order: int) -> Callable[[Tensor], Tensor]:
    """Sum number `number` of sines of orders 1 .. `order`, amplitudes and phases from U(.2, 1) and U(0, 1) turns."""
    words = rng.words(rng.fold(rng.root(2009), number), 2 * order)
    size, start = (rng.uniform(word).double() for word in words.reshape(2, order))

    def shape(phase: Tensor) -> Tensor:
        orders = torch.arange(1, order + 1, dtype=phase.dtype)
        curve = (sine(phase[:, None] * orders + start) * (0.2 + 0.8 * size)).sum(-1)
        return curve / curve.abs().max()

    return shape


def rising(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """(3); the phase is s."""
    return sine(torch.where(phase <= 0.5, phase * (6 * phase + 3), -3 + phase * (15 - 6 * phase)))


def lorenz(state: tuple[float, ...]) -> tuple[float, ...]:
    """(5)."""
    x, y, z = state
    return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z


def van_der_pol(mu: float) -> Callable[[tuple[float, ...]], tuple[float, ...]]:
    """(6)."""
    return lambda state: (state[1], mu * (1 - state[0] ** 2) * state[1] - state[0])


def integrated(
    rates: Callable[[tuple[float, ...]], tuple[float, ...]], begin: tuple[float, ...], step: float, count: int
) -> Float[Tensor, "T A"]:
    """`count` states `step` units of time apart, by Runge & Kutta's method of fourth order, from `begin` on."""
    parts = max(1, math.ceil(step / 0.01 - 1e-9))
    h, state, rows = step / parts, begin, []
    for _ in range(count):
        rows.append(state)
        for _ in range(parts):
            state = _runge_kutta(rates, state, h)
    return torch.tensor(rows, dtype=torch.float64)


def attractor(rates: Callable[[tuple[float, ...]], tuple[float, ...]], size: int, unit: float, outputs: int) -> Curve:
    """The curve of a system of `size` variables, `unit` ms a unit of time; its first `outputs` variables, scaled."""

    def curve(t: Tensor) -> Tensor:
        dt = float(t[1] - t[0])
        begin = tuple(integrated(rates, (1.0, 0.9, 20.0)[:size], 1.0, LEFT_OUT + 1)[-1].tolist())
        states = integrated(rates, begin, dt / unit, len(t))[:, :outputs]
        return states / states.abs().amax(0)

    return curve


def _runge_kutta(
    rates: Callable[[tuple[float, ...]], tuple[float, ...]], state: tuple[float, ...], h: float
) -> tuple[float, ...]:
    def along(slope: tuple[float, ...], time: float) -> tuple[float, ...]:
        return tuple(s + time * d for s, d in zip(state, slope, strict=True))

    k1 = rates(state)
    k2 = rates(along(k1, h / 2))
    k3 = rates(along(k2, h / 2))
    k4 = rates(along(k3, h))
    return along(tuple(a + 2 * b + 2 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)), h / 6)


CURVES: dict[str, tuple[float, int, Curve]] = {
    "sine": (200.0, 1, turns(200, sine)),
    "sine_fast": (60.0, 1, turns(60, sine)),
    "sine_slow": (8000.0, 1, turns(8000, sine)),
    "sine_600": (600.0, 1, turns(600, sine)),
    "triangle": (600.0, 1, turns(600, triangle)),
    "square": (600.0, 1, turns(600, square)),
    "sawtooth": (200.0, 1, turns(200, sawtooth)),
    "sum4": (600.0, 1, turns(600, sum4)),
    "sum16": (1200.0, 1, turns(1200, drawn_sum(0, 16))),
    "one_shot": (2000.0, 1, turns(2000, drawn_sum(1, 8))),
    "product": (500.0, 1, lambda t: (sine(t * 0.004) * sine(t * 0.006))[:, None]),
    "lorenz": (SERIES, 1, attractor(lorenz, 3, 100.0, 1)),
    "lorenz_3d": (SERIES, 3, attractor(lorenz, 3, 100.0, 3)),
    "van_der_pol": (SERIES, 2, attractor(van_der_pol(0.3), 2, 50.0, 2)),
    "van_der_pol_relaxation": (SERIES, 2, attractor(van_der_pol(5.0), 2, 50.0, 2)),
}
"""name -> ms until it starts again, outputs, the curve"""


def table(name: str, dt: float, device: torch.device | str) -> Float[Tensor, "T A"]:
    """A curve every dt ms until it starts again, float32; `rising` and `selected` (all curves in turn) too."""
    key = (name, dt, str(device))
    if key not in _TABLES:
        _TABLES[key] = _made(name, dt).to(torch.float32).to(device)
    return _TABLES[key]


def length(name: str) -> float:
    """ms until a curve starts again."""
    return {"rising": 2000.0, "selected": 600.0 * MANY}.get(name) or CURVES[name][0]


def outputs(name: str) -> int:
    """How many outputs draw it."""
    return 1 if name in ("rising", "selected") else CURVES[name][1]


def _made(name: str, dt: float) -> Tensor:
    count = round(length(name) / dt)
    t = torch.arange(count, dtype=torch.float64) * dt
    if name == "rising":
        return rising((t + dt) / length(name))[:, None]
    if name == "selected":
        one = t[: count // MANY] / (length(name) / MANY)
        return torch.cat([drawn_sum(10 + k, 4)(one) for k in range(MANY)])[:, None]
    return CURVES[name][2](t)


def at(name: str, dt: float, step: Int[Tensor, "*T"]) -> Float[Tensor, "*T A"]:
    """The curve at these steps, counted from its start."""
    known = table(name, dt, step.device)
    return known.index_select(0, (step % len(known)).reshape(-1)).reshape(*step.shape, known.shape[-1])
