"""Input lines as groups of neurons: each neuron of a line at level x fires in a step with probability x rate dt."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng

FEWEST = 20.0
"""expected spikes of a group in the shortest time that a line is on: with them one in 5e8 is missed"""


def fired(
    lines: Float[Tensor, "*T C"], key: Int[Tensor, "*B"], step: Int[Tensor, "*T"], neurons: int, p: float
) -> Float[Tensor, "*T N"]:
    """Spikes (0 or 1) of `neurons` for every line, one line after the other; p is rate dt."""
    level = lines.repeat_interleave(neurons, -1)
    words = rng.each_word(rng.fold(key, step), level.shape[-1])
    return (rng.uniform(words) < level * p).to(lines.dtype)


def complaint(neurons: int, rate: float, dt: float, ms: float) -> str | None:
    """Why a line that is on for some ms cannot be told by such neurons; None if it can, or if there are none."""
    if not neurons:
        return None
    if rate * dt > 1000:
        return f"rate is {rate:g} Hz, wanted at most {1000 / dt:g}: one spike in every {dt:g} ms"
    expected = neurons * rate * ms / 1000
    if expected < FEWEST:
        least = FEWEST / (rate * ms / 1000) if rate else float("inf")
        return (
            f"neurons is {neurons}, wanted at least {least:.0f} at rate {rate:g} Hz: the group of a line that is on "
            f"for {ms:g} ms fires {expected:g} spikes, and from {FEWEST:g} on none is missed"
        )
    return None
