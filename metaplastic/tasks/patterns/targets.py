"""The curves that networks are trained to draw: functions of time, as tables made once a process in float64.

    sine, triangle, square   of amplitude 1, rising through 0 at t = 0 (the square: up first)
    sum4      sum_k a_k sin(2 pi k t / 1200 ms), a = (1, 1/2, 1/6, 1/3) 1.3 / 1.5                                  (1)
    sum16     sum_k a_k sin(2 pi k t / 1200 ms + phi_k), k = 1 .. 16, scaled to max 1; a, phi drawn once           (2)
    rising    sin(2 pi t (1 + 2 t)), t in s, in the first of two seconds, then its mirror image in time, negative   (3)
    product   sin(2 pi 4 Hz t) sin(2 pi 6 Hz t)                                                                    (4)
    lorenz    x' = 10 (y - x), y' = x (28 - z) - y, z' = x y - 8/3 z                                               (5)
    van_der_pol   x' = mu (x - x^3 / 3 - y), y' = x / mu, a unit of time is 50 ms                                  (6)

(5) and (6) are solved by Runge & Kutta's method of fourth order with steps of at most a hundredth of a unit, after 50
units that are left out, and every variable is scaled so that its largest value is 1; they last `SERIES` ms and then
start again. A unit of time of (5) is 100 ms for `lorenz` (its x alone) and 1 s for `lorenz_3d`.

Sources: (1) Sussillo & Abbott 2009, its demonstration code with a time constant of 10 ms; (3) DePasquale et al. 2018,
its Matlab code; (4) to (6) Nicola & Clopath 2017, its code (whose `sawtooth` is asin(sin), which is a triangle; its
scales differ from ours). Recalled, not checked: the unit of `lorenz`, and the periods of triangle, square and sine. The
amplitudes and phases of (2), `one_shot` and `selected` are our own.
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
GRID = 6000
"""points of a period at which the largest value of a sum is looked for"""
MANY = 10
"""curves among which a cue selects"""

Curve = Callable[[Float[Tensor, " T"]], Float[Tensor, "T A"]]
State = tuple[float, ...]
Rates = Callable[[State], State]
"""of change, a unit of time"""

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
    return 1 - 4 * ((phase + 0.25) % 1.0 - 0.5).abs()


def square(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """1 in the first half of the turn, then -1."""
    return torch.where(phase < 0.5, 1.0, -1.0).to(phase.dtype)


def sum4(phase: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """(1)."""
    return sum((a * sine(k * phase) for k, a in enumerate(SUM4, 1)), torch.zeros_like(phase))


def drawn_sum(number: int, order: int) -> Callable[[Tensor], Tensor]:
    """Sum number `number` of sines of orders 1 .. `order`, amplitudes and phases from U(.2, 1) and U(0, 1) turns."""
    words = rng.words(rng.fold(rng.root(2009), number), 2 * order)
    size, start = (rng.uniform(word).double() for word in words.reshape(2, order))

    def unscaled(phase: Tensor) -> Tensor:
        orders = torch.arange(1, order + 1, dtype=phase.dtype)
        return (sine(phase[:, None] * orders + start) * (0.2 + 0.8 * size)).sum(-1)

    largest = unscaled(torch.arange(GRID, dtype=torch.float64) / GRID).abs().max()
    return lambda phase: unscaled(phase) / largest


def rising(t: Float[Tensor, " T"]) -> Float[Tensor, "T 1"]:
    """(3); t in ms."""
    seconds = t[: len(t) // 2] / 1000
    half = sine(seconds * (1 + 2 * seconds))
    return torch.cat((half, -half.flip(0)))[:, None]


def selected(t: Float[Tensor, " T"]) -> Float[Tensor, "T 1"]:
    """`MANY` curves of 600 ms, one after the other."""
    phase = t[: len(t) // MANY] / 600
    return torch.cat([drawn_sum(10 + k, 4)(phase) for k in range(MANY)])[:, None]


def lorenz(state: State) -> State:
    """(5)."""
    x, y, z = state
    return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z


def van_der_pol(mu: float) -> Rates:
    """(6)."""
    return lambda state: (mu * (state[0] - state[0] ** 3 / 3 - state[1]), state[0] / mu)


def integrated(rates: Rates, begin: State, step: float, count: int) -> Float[Tensor, "T A"]:
    """`count` states `step` units of time apart, by Runge & Kutta's method of fourth order, from `begin` on."""
    parts = max(1, math.ceil(step / 0.01 - 1e-9))
    h, state, rows = step / parts, begin, []
    for _ in range(count):
        rows.append(state)
        for _ in range(parts):
            state = _runge_kutta(rates, state, h)
    return torch.tensor(rows, dtype=torch.float64)


def attractor(rates: Rates, size: int, unit: float, outputs: int) -> Curve:
    """The curve of a system of `size` variables, `unit` ms a unit of time; its first `outputs` variables, scaled."""

    def curve(t: Tensor) -> Tensor:
        dt = float(t[1] - t[0])
        begin = tuple(integrated(rates, (1.0, 0.9, 20.0)[:size], 1.0, LEFT_OUT + 1)[-1].tolist())
        states = integrated(rates, begin, dt / unit, len(t))[:, :outputs]
        return states / states.abs().amax(0)

    return curve


def _runge_kutta(rates: Rates, state: State, h: float) -> State:
    k1 = rates(state)
    k2 = rates(tuple(s + h / 2 * d for s, d in zip(state, k1, strict=True)))
    k3 = rates(tuple(s + h / 2 * d for s, d in zip(state, k2, strict=True)))
    k4 = rates(tuple(s + h * d for s, d in zip(state, k3, strict=True)))
    slopes = zip(state, k1, k2, k3, k4, strict=True)
    return tuple(s + (a + 2 * b + 2 * c + d) * (h / 6) for s, a, b, c, d in slopes)


CURVES: dict[str, tuple[float, int, Curve]] = {
    "sine": (200.0, 1, turns(200, sine)),
    "sine_fast": (60.0, 1, turns(60, sine)),
    "sine_slow": (8000.0, 1, turns(8000, sine)),
    "sine_600": (600.0, 1, turns(600, sine)),
    "triangle": (600.0, 1, turns(600, triangle)),
    "square": (600.0, 1, turns(600, square)),
    "sawtooth": (200.0, 1, turns(200, triangle)),
    "sum4": (1200.0, 1, turns(1200, sum4)),
    "sum16": (1200.0, 1, turns(1200, drawn_sum(0, 16))),
    "one_shot": (2000.0, 1, turns(2000, drawn_sum(1, 8))),
    "rising": (2000.0, 1, rising),
    "selected": (600.0 * MANY, 1, selected),
    "product": (500.0, 1, lambda t: (sine(t * 0.004) * sine(t * 0.006))[:, None]),
    "lorenz": (SERIES, 1, attractor(lorenz, 3, 100.0, 1)),
    "lorenz_3d": (SERIES, 3, attractor(lorenz, 3, 1000.0, 3)),
    "van_der_pol": (SERIES, 2, attractor(van_der_pol(0.3), 2, 50.0, 2)),
    "van_der_pol_relaxation": (SERIES, 2, attractor(van_der_pol(5.0), 2, 50.0, 2)),
}
"""name -> ms until it starts again, outputs, the curve"""


def table(name: str, dt: float, device: torch.device | str) -> Float[Tensor, "T A"]:
    """A curve every dt ms until it starts again, float32."""
    key = (name, dt, str(device))
    if key not in _TABLES:
        length, _, curve = CURVES[name]
        t = torch.arange(round(length / dt), dtype=torch.float64) * dt
        _TABLES[key] = curve(t).to(torch.float32).to(device)
    return _TABLES[key]


def at(name: str, dt: float, step: Int[Tensor, "*T"]) -> Float[Tensor, "*T A"]:
    """The curve at these steps, counted from its start."""
    known = table(name, dt, step.device)
    return known.index_select(0, (step % len(known)).reshape(-1)).reshape(*step.shape, known.shape[-1])
