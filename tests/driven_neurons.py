"""Neurons of one layer that a rule changes while inputs come: for the tests of what unsupervised rules find."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from metaplastic.inner_loop.formula import to_torch


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers that look random: a sequence without period, in (-1, 1)."""
    count = math.prod(shape)
    return torch.sin(torch.arange(1, count + 1, dtype=torch.float64) ** 2 * 0.7 + seed).reshape(shape)


def numbers(rule: Any) -> dict[str, torch.Tensor]:
    """The rule's parameters, one a brain."""
    plain = rule.parameter_values().items()
    return {name: torch.full((1, 1, 1, 1), float(value), dtype=torch.float64) for name, value in plain}


def correlated(steps: int, *lives: int, inputs: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs [T, P, L, 1, pre] and their principal components, the first first, [pre, pre]: a row each."""
    mix = draw(inputs, inputs, seed=3)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, *lives, 1, inputs, dtype=torch.float64, generator=generator) @ mix
    return x / x.std(), torch.linalg.eigh(mix.T @ mix).eigenvectors.flip(-1).T


def driven(
    rule: Any,
    x: torch.Tensor,
    w: torch.Tensor,
    phi: Callable[[torch.Tensor], torch.Tensor] = lambda potential: potential,
    has_bias: bool = False,
    seen: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    """The weights [P, L, post, pre] after inputs [T, P, L, 1, pre]; `seen` gets the activities [P, L, post, 1]."""
    program, parameters = rule.program(), numbers(rule)
    traces = to_torch.start(program, w)
    constant = torch.zeros_like(x[0])
    constant[..., : int(has_bias)] = 1
    for pre in x:
        potential = (w * pre).sum(3, keepdim=True)
        signals = {"pre": pre, "post": phi(potential), "potential": potential, "constant": constant}
        w, traces = to_torch.step(program, parameters, w, traces, signals)
        if seen is not None:
            seen.append(signals["post"])
    return w
