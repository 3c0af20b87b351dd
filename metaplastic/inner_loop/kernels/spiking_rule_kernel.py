"""Formula rules in spiking networks on the CPU, fused: `spiking_life.run_plastic` as one compiled loop, float32.

Each life is computed by itself, so its bits do not depend on who lives beside it or on threads
(`numba.set_num_threads`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.decision_plan import LIVES_AT
from metaplastic.inner_loop.formula.program import Place
from metaplastic.inner_loop.formula.to_numba import load
from metaplastic.inner_loop.kernels.spiking_rule_source import SpikingForm, kernel_source
from metaplastic.inner_loop.kernels.trial_kernel import shared_out
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.rules.local import LocalRule
from metaplastic.inner_loop.rules.sequence import State
from metaplastic.inner_loop.spiking_life import NUMBERS, Neurons, Run, signals_of, waits


def form_of(rule: LocalRule, bias: bool) -> SpikingForm:
    """What the kernel's text depends on."""
    values = rule.parameter_values()
    places: list[tuple[str, Place]] = []
    for name in rule.program().parameters:
        per = getattr(values[name], "per", None) or "brain"
        places.append((name, LIVES_AT[per]))
    return SpikingForm(rule.program(), tuple(places), bias, rule.settle, waits(rule.program()))


@lru_cache(maxsize=256)
def kernel(form: SpikingForm) -> Callable[..., Any]:
    """The compiled lives; kept on disk too."""
    return load(kernel_source(form), "lives")


def run_fused(
    state: State,
    traces: dict[str, dict[str, Tensor]],
    seen: Float[Tensor, "T L I"],
    rule: LocalRule,
    bias: bool,
    plastic: bool,
) -> Run:
    """A trial of all lives, as `spiking_life.run_plastic` gives it, to floating point."""
    form = form_of(rule, bias)
    individuals, lifetimes, size = state["alpha"].shape
    lives, steps, outputs = individuals * lifetimes, len(seen), state["readout"].shape[2]
    weights = {group: _turned(state[group], lives) for group in GROUPS}
    masks = {group: _turned(state[f"mask.{group}"], lives) for group in GROUPS}
    memories = {group: {name: _memory(value, lives) for name, value in traces[group].items()} for group in GROUPS}
    output, spikes = np.zeros((lives, steps, outputs), np.float32), np.zeros((lives, steps, size), np.float32)
    kept = np.zeros((lives, 4, size), np.float32)
    given = [
        lifetimes,
        seen.transpose(0, 1).contiguous().numpy(),
        *(
            state[name].expand(individuals, lifetimes, size).reshape(lives, size).contiguous().numpy()
            for name in NUMBERS
        ),
        state["kappa"].reshape(lives).contiguous().numpy(),
        plastic,
        output,
        spikes,
        kept,
        np.array([_kind(state[f"mask.{group}"]) for group in GROUPS]),
        *weights.values(),
        *masks.values(),
        *(_placed(state[f"of.{name}.{group}"], place) for group in GROUPS for name, place in form.places),
        *(memory for group in GROUPS for memory in memories[group].values()),
    ]
    shared_out(kernel(form), lives, *given)
    back = {group: _back(weights[group], individuals, lifetimes) for group in GROUPS}
    lasting = {
        group: {name: _remembered(value, traces[group][name]) for name, value in memories[group].items()}
        for group in GROUPS
    }
    spiked = torch.from_numpy(spikes).reshape(individuals, lifetimes, steps, size).movedim(2, 0)
    answers = torch.from_numpy(output).reshape(individuals, lifetimes, steps, outputs).movedim(2, 0)
    last = _last(torch.from_numpy(kept).reshape(individuals, lifetimes, 4, size), answers[-1], seen, rule, bias)
    return Run(answers, spiked, back, lasting, last if plastic and form.waits else {})


def _last(kept: Tensor, answer: Tensor, seen: Tensor, rule: LocalRule, bias: bool) -> dict[str, dict[str, Tensor]]:
    """The signals of the last step, for a rule that waits."""
    before, spikes, potential, slope = kept.unbind(2)
    old = Neurons(potential, potential, potential, before, answer)
    new = Neurons(potential, potential, potential, spikes, answer)
    settled = potential.new_full((1, 1, 1, 1), float(len(seen) - 1 >= rule.settle))
    return signals_of(old, new, slope, seen[-1], bias, settled)


def _turned(value: Tensor, lives: int) -> np.ndarray:
    """[P, L, post, pre] as [B, pre, post], a copy."""
    return value.reshape(lives, *value.shape[2:]).mT.contiguous().clone().numpy()


def _back(value: np.ndarray, individuals: int, lifetimes: int) -> Tensor:
    return torch.from_numpy(value).mT.contiguous().reshape(individuals, lifetimes, value.shape[2], value.shape[1])


def _memory(value: Float[Tensor, "P L post pre"], lives: int) -> np.ndarray:
    """A trace as [B, pre, post], or [B, n] where it lives at one side, a copy."""
    if value.shape[2] > 1 and value.shape[3] > 1:
        return _turned(value, lives)
    return value.reshape(lives, -1).contiguous().clone().numpy()


def _remembered(value: np.ndarray, like: Tensor) -> Tensor:
    kept = torch.from_numpy(value)
    return (kept.mT if kept.ndim == 3 else kept).contiguous().reshape(like.shape)


def _placed(value: Float[Tensor, "P 1 post pre"], place: Place) -> np.ndarray:
    """A coefficient as [P, 1], [P, post], [P, pre] or [P, pre, post]."""
    if place == "synapse":
        return value[:, 0].mT.contiguous().numpy()
    return value.reshape(len(value), -1).contiguous().numpy()


def _kind(mask: Tensor) -> int:
    """0: every synapse is there; 1: all but those of neurons on themselves; 2: others lack too."""
    if bool((mask == 1).all()):
        return 0
    square = mask.shape[-1] == mask.shape[-2]
    is_rest = square and bool((mask + torch.eye(mask.shape[-1]) >= 1).all())
    return 1 if is_rest and not bool(mask.diagonal(dim1=-2, dim2=-1).any()) else 2
