"""To keep one's choices open: how much an agent's next n actions tell about where it will be. A stream of reward.

    E_n(s) = max over p(a^n) of I(A^n; S_n)                                                                 (1)
    Blahut & Arimoto:  D_a = sum_s' P(s'|a) log [P(s'|a) / sum_b p(b) P(s'|b)],   p(a) <- p(a) exp(D_a) / Z (2)
        sum_a p(a) D_a <= log Z <= capacity <= max_a D_a;  it ends when max_a D_a - log Z is below the gap  (3)
    a world without chance:  E_n(s) = log2 of how many states n actions can reach                           (4)
    variational bound:  I >= E[log q(a | s, s') - log p(a | s)]                                             (5)

Bits. Klyubin, Polani & Nehaniv 2005; Blahut 1972, Arimoto 1972; Mohamed & Rezende 2015 (5). Functions: no kind of life
adds it to reward yet. Sizes: X states, A actions (or sequences of actions), Y what comes out.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def capacity(
    channel: Float[Tensor, "*B A Y"], gap: float = 1e-4, most: int = 10_000
) -> tuple[Float[Tensor, "*B"], Float[Tensor, "*B A"]]:
    """Capacity of channels P(y | a) in bits, and the input that reaches it, eq. (2); each ends by (3) for itself.

    Raises:
        ValueError: if rows of the channel do not sum to 1.
    """
    if not torch.allclose(channel.sum(-1), torch.ones_like(channel[..., 0]), atol=1e-5):
        raise ValueError("a channel has rows P(y | a) that sum to 1; normalise them over the last axis")
    inputs = torch.full_like(channel[..., 0], 1 / channel.shape[-2])
    for _ in range(most):
        told = _told(channel, inputs)
        weighed = inputs * told.exp()
        total = weighed.sum(-1, keepdim=True)
        going = told.amax(-1, keepdim=True) - total.log() > gap * math.log(2)
        if not going.any():
            break
        inputs = torch.where(going, weighed / total, inputs)
    return (inputs * _told(channel, inputs)).sum(-1) / math.log(2), inputs


def sequences(transition: Float[Tensor, "*B X A X"], n: int) -> Float[Tensor, "*B X An X"]:
    """P(s_n | s, a^n) of all A^n sequences of n actions, the first action counting most, from P(s' | s, a)."""
    found = transition
    for _ in range(n - 1):
        following = found[..., None, :, :, :]  # from the state after the first action
        first = transition[..., :, :, :, None, None]
        found = (first * following).sum(-3).flatten(-3, -2)
    return found


def empowerment(transition: Float[Tensor, "*B X A X"], n: int = 1, gap: float = 1e-4) -> Float[Tensor, "*B X"]:
    """Equation (1) of every state, bits; costs A^n X^2."""
    return capacity(sequences(transition, n), gap)[0]


def reachable(possible: Bool[Tensor, "*B X A X"], n: int = 1) -> Float[Tensor, "*B X"]:
    """Equation (4) of every state; `possible` says where an action leads."""
    step = possible.any(-2).to(torch.get_default_dtype())
    found = step
    for _ in range(n - 1):
        found = (found @ step > 0).to(step)
    return found.sum(-1).log2()


def variational(
    inverse: Float[Tensor, "*B A"], policy: Float[Tensor, "*B A"], action: Float[Tensor, "*B A"]
) -> Float[Tensor, "*B"]:
    """One sample of (5), bits, from log q(a | s, s'), log p(a | s) and the one-hot action."""
    return ((inverse - policy) * action).sum(-1) / math.log(2)


def _told(channel: Float[Tensor, "*B A Y"], inputs: Float[Tensor, "*B A"]) -> Float[Tensor, "*B A"]:
    """D_a of (2), nats."""
    output = (inputs[..., None] * channel).sum(-2, keepdim=True)
    ratio = torch.where(channel > 0, channel / output.clamp(min=1e-300 if channel.dtype == torch.float64 else 1e-38), 1)
    return (channel * ratio.log()).sum(-1)
