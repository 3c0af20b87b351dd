"""Whole trials as a Triton kernel: one program a lifetime, its synapses on chip. The contract of `trial_torch.py`.

float32. The kernel is made of a rule's text (`triton_source.py`) and compiled once for each rule; a network of more
than LARGEST neurons goes through its synapses tile by tile (`triton_tiles.py`). What waits for the judgement is done in
PyTorch, once a trial. TRITON_INTERPRET=1, set before triton is imported, runs the same text on the CPU.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop import trial_torch
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.to_numba import load
from metaplastic.inner_loop.kernels import triton_source, triton_tiles
from metaplastic.inner_loop.kernels.trial_source import Shape
from metaplastic.inner_loop.trial_plan import Last, Synapses, Trial, TrialPlan, fixed_current, shown

finish = trial_torch.finish
"""The synapses after the judgement; in PyTorch."""


def is_there() -> bool:
    """Whether triton can be imported."""
    return importlib.util.find_spec("triton") is not None


def run_trial(
    plan: TrialPlan,
    synapses: Synapses,
    x: Float[Tensor, "T L I"],
    trial: int,
    plastic: bool = True,
    perturbed: bool = True,
    keep_rates: bool = False,
) -> Trial:
    """One trial of all lives, up to the judgement.

    Raises:
        ValueError: if a network too large to stay on chip has a rule that needs all its synapses at once.
    """
    brains, (individuals, lifetimes, size, presynaptic) = plan.brains, synapses.w.shape
    shape = Shape(plan.form, brains.mask is not None)
    tiled = max(size, presynaptic) > triton_source.LARGEST
    lives, kept = individuals * lifetimes, size if brains.readout is not None or keep_rates else brains.outputs
    w = synapses.w.contiguous().clone()
    traces = synapses.traces or to_torch.start(plan.form.program, w)
    traces = {name: trace.contiguous().clone() for name, trace in traces.items()}
    state, out = w.new_zeros(lives, triton_source.ROWS_OF_STATE, presynaptic), w.new_zeros(lives, len(x), kept)
    given = [w, _mask(plan, w), *traces.values(), state, out, brains.units.to(torch.int32), *_drawn(plan, x, trial)]
    given += _coefficients(plan)
    sizes = (individuals, lifetimes, len(x), size, presynaptic, brains.plastic_inputs, kept, int(plan.form.waits))
    rows, columns = (_power_of_two(count) for count in (size, presynaptic))
    if tiled:
        triton_tiles.check(plan.form.program)
        rows = columns = triton_tiles.TILE
    kernel(shape, tiled)[(lives,)](
        *given, *sizes, plastic, perturbed, brains.is_noisy, rows, columns, num_warps=_warps(rows * columns)
    )
    if not plastic:
        w, traces = synapses.w, synapses.traces or to_torch.start(plan.form.program, w)
    of = state.reshape(individuals, lifetimes, -1, presynaptic)
    last = Last(of[:, :, 3], of[:, :, 1, :size], of[:, :, 0, :size], of[:, :, 2, :size])
    rates = out.reshape(individuals, lifetimes, len(x), kept).permute(2, 0, 1, 3)
    output = rates[..., : brains.outputs]
    if brains.readout is not None:
        output = torch.stack([trial_torch.read_out(plan, now) for now in rates])
    return Trial(Synapses(w, traces), last, output, rates if keep_rates else None)


@lru_cache(maxsize=1024)
def kernel(shape: Shape, tiled: bool) -> Any:
    """The kernel of a rule; Triton compiles it at its first call and keeps it on disk."""
    return load((triton_tiles if tiled else triton_source).kernel_source(shape), "lives")


def _mask(plan: TrialPlan, w: Tensor) -> Tensor:
    """1 where there is a synapse, one matrix a life; one number that is not read, if there is one everywhere."""
    mask = plan.brains.mask
    return w.new_ones(1) if mask is None else mask.expand_as(w).contiguous()


def _drawn(plan: TrialPlan, x: Tensor, trial: int) -> list[Tensor]:
    """Random numbers and inputs, in the order of `triton_source.DRAWN`."""
    brains, inputs = plan.brains, shown(plan, x)
    perturbation = (brains.perturbation_rate, brains.perturbation)
    plastic_input = inputs if brains.plastic_inputs else inputs[..., :0]
    tensors = [brains.start, *perturbation, brains.white, brains.leak, brains.input_gain]
    tensors += [fixed_current(plan, inputs), plastic_input if plastic_input.numel() else inputs.new_zeros(1)]
    return [rng.fold(plan.noise, trial), *(tensor.contiguous() for tensor in tensors)]


def _coefficients(plan: TrialPlan) -> list[Any]:
    """Coefficients, then of how many individuals each is."""
    values = [plan.parameters[name].contiguous() for name, _ in plan.form.places]
    return [*values, *(len(value) for value in values)]


def _power_of_two(count: int) -> int:
    return max(16, 1 << (count - 1).bit_length())


def _warps(synapses: int) -> int:
    """Enough threads to hold a block of synapses in registers."""
    return min(16, max(1, synapses // 1024))
