"""Whole trials as a Numba kernel: one lifetime after the other, so that its weights stay in the cache of one core.

The same contract as `trial_torch.py`, float32 and CPU only; the text of the kernel is made in `trial_source.py` and
compiled once for each rule. Results do not depend on how lives are split over calls or threads
(`numba.set_num_threads`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.formula.to_numba import load
from metaplastic.inner_loop.kernels.trial_source import Shape, kernel_source
from metaplastic.inner_loop.trial_plan import Last, Synapses, Trial, TrialPlan, fixed_current, shown
from metaplastic.inner_loop.trial_torch import draw_white

LINE = 16
"""numbers in a cache line, which is also the longest vector"""
SHARES = 4
"""pieces a thread: lives of different sizes take different times"""


def run_trial(
    plan: TrialPlan,
    synapses: Synapses,
    x: Float[Tensor, "T L I"],
    trial: int,
    plastic: bool = True,
    perturbed: bool = True,
    keep_rates: bool = False,
) -> Trial:
    """One trial of all lives, up to the judgement."""
    brains, (individuals, lifetimes, size, presynaptic) = plan.brains, synapses.w.shape
    lives, whole = individuals * lifetimes, brains.readout is not None or keep_rates
    kept = size if whole else brains.outputs
    writes = plastic and plan.form.program.writes == "step"
    before = synapses.w.contiguous()
    w = _zeros(*before.shape) if writes else before
    traces = {name: trace.contiguous().clone() for name, trace in synapses.traces.items()}
    traces = traces or _start(plan, w)
    potential, noise, current = (_zeros(lives, size) for _ in range(3))
    pre, following = _zeros(lives, presynaptic), _zeros(lives, presynaptic)
    out = _zeros(lives, len(x), kept)
    shared_out(
        kernel(_shape(plan), "lives"),
        lives,
        *_arrays(before.flatten(0, 1), w.flatten(0, 1), potential, pre, following, noise, current, brains.units),
        brains.plastic_inputs,
        *_drawn(plan, x, trial, perturbed),
        len(x),
        plastic,
        writes,
        out.numpy(),
        *_arrays(*_flat(traces), *_parameters(plan)),
    )
    shape = (individuals, lifetimes, size)
    last = Last(
        pre.reshape((*synapses.w.shape[:2], presynaptic)),
        following[:, brains.plastic_inputs :].reshape(shape),
        potential.reshape(shape),
        noise.reshape(shape),
    )
    rates = out.reshape(individuals, lifetimes, len(x), kept).permute(2, 0, 1, 3)
    return Trial(Synapses(w, traces), last, _read_out(plan, rates), rates if keep_rates else None)


def finish(
    plan: TrialPlan, trial: Trial, steps: int, reward: Float[Tensor, "P L"], prediction: Float[Tensor, "P L"]
) -> Synapses:
    """The synapses after the judgement: the rule's last step, if it waited, and its update. Uses up `trial`."""
    w, traces = trial.synapses
    if not plan.form.waits:
        return trial.synapses
    w = w.clone() if plan.form.program.writes == "trial" else w
    brains, last = plan.brains, trial.last
    following = torch.nn.functional.pad(last.post, (brains.plastic_inputs, 0))
    state = (w, last.potential, last.pre, following, last.noise, torch.zeros_like(last.potential))
    shared_out(
        kernel(_shape(plan), "finish"),
        reward.numel(),
        *_arrays(*(part.flatten(0, 1) for part in state), brains.units),
        brains.plastic_inputs,
        w.shape[1],
        np.float32(steps > plan.form.settle),
        *_arrays(reward.flatten(), prediction.flatten(), *_flat(traces), *_parameters(plan)),
    )
    return Synapses(w, traces)


@lru_cache(maxsize=1024)
def kernel(shape: Shape, name: str) -> Callable[..., Any]:
    """The compiled function `lives` or `finish` of a rule; kept on disk too."""
    _check_long_formulas()
    return load(kernel_source(shape), name)


@lru_cache(maxsize=1)
def _check_long_formulas() -> None:
    """A pass over many arrays is made of vectors only if LLVM may check that none of them overlap (its limit is 8)."""
    import llvmlite.binding

    llvmlite.binding.set_option("metaplastic", "--runtime-memory-check-threshold=128")


def shared_out(function: Callable[..., Any], lives: int, *given: Any) -> None:
    """A kernel for all lives, shared out over threads."""
    threads = numba.get_num_threads()
    ends = np.linspace(0, lives, min(lives, threads * SHARES if threads > 1 else 1) + 1).astype(int).tolist()
    if threads == 1:
        function(0, lives, *given)
    else:
        list(_pool(threads).map(lambda piece: function(*piece, *given), itertools.pairwise(ends)))


@lru_cache(maxsize=8)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "metaplastic-kernel")


def _shape(plan: TrialPlan) -> Shape:
    return Shape(plan.form, plan.brains.sparse)


def _zeros(*shape: int) -> Tensor:
    """Zeros at a boundary of cache lines, first touched by the thread that needs them."""
    count = math.prod(shape)
    room = np.zeros(count + LINE, np.float32)
    first = -(room.ctypes.data // room.itemsize) % LINE
    return torch.from_numpy(room[first : first + count].reshape(shape))


def _start(plan: TrialPlan, w: Float[Tensor, "P L N M"]) -> dict[str, Tensor]:
    """The traces before the first step."""
    individuals, lifetimes, post, pre = w.shape
    extent = {"scalar": (1, 1), "pre": (1, pre), "post": (post, 1), "synapse": (post, pre)}
    return {trace.name: _zeros(individuals, lifetimes, *extent[trace.place]) for trace in plan.form.program.traces}


def _arrays(*tensors: Tensor) -> list[np.ndarray]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _flat(traces: dict[str, Tensor]) -> list[Tensor]:
    """Traces as [B, 1], [B, pre], [B, post] or [B, post, pre]."""
    flat = []
    for trace in traces.values():
        lives, post, pre = trace.shape[0] * trace.shape[1], *trace.shape[2:]
        flat.append(trace.view(lives, post, pre) if post > 1 and pre > 1 else trace.view(lives, post * pre))
    return flat


def _parameters(plan: TrialPlan) -> list[Tensor]:
    """Parameters as [P, 1], [P, post], [P, pre] or [P, post, pre], then the mask."""
    found = []
    for name, place in plan.form.places:
        value = plan.parameters[name]
        found.append(value if place == "synapse" else value.reshape(len(value), -1))
    return found + ([plan.brains.mask] if plan.brains.sparse and plan.brains.mask is not None else [])


def _drawn(plan: TrialPlan, x: Tensor, trial: int, perturbed: bool) -> list[np.ndarray]:
    """Random numbers and inputs, in the order of `trial_source.DRAWN`."""
    brains, key = plan.brains, rng.fold(plan.noise, trial)
    inputs = shown(plan, x)
    white = draw_white(plan, rng.fold(key, torch.arange(1, len(x) + 1)[:, None]))
    fixed = fixed_current(plan, inputs).transpose(0, 1)
    rate = brains.perturbation_rate if perturbed else torch.zeros_like(brains.perturbation_rate)
    tensors = _arrays(
        key,
        brains.start,
        rate,
        brains.perturbation,
        brains.white,
        torch.zeros(1, 0, 1) if white is None else white.transpose(0, 1),
        brains.leak,
        brains.input_gain,
        fixed,
        inputs.transpose(0, 1) if brains.plastic_inputs else torch.zeros(1, 1, 0),
    )
    clamped = plan.form.clamped
    at, to = np.array([i for i, _ in clamped], np.int64), np.array([level for _, level in clamped], np.float32)
    return [*tensors, at, to]


def _read_out(plan: TrialPlan, rates: Float[Tensor, "T P L K"]) -> Float[Tensor, "T P L A"]:
    if plan.brains.readout is None:
        return rates[..., : plan.brains.outputs]
    return torch.stack([(plan.brains.readout * step[:, :, None]).sum(-1) for step in rates])
