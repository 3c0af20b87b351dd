"""What do richer families of rules cost, and what do the kernels of spiking networks and GPUs bring?

Rate networks whose weights change at every step, in the fused kernel: the generalised Hebbian rule (ABCD), polynomials
of 27 terms and small networks in each synapse, beside the plain Hebbian rule. Then spiking networks with STDP and Hebb:
kernel and reference. Then, where there is a GPU, the Triton kernel beside PyTorch there. Forms take turns; ratios are
medians over the turns; kernels are compared with the reference first.

    python benchmarks/rule_families.py [--networks 64] [--units 64] [--steps 100] [--turns 5]

Exits with 1 if a kernel differs from the reference, or the spiking kernel is not 5 times as fast as it. One thread.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from synaptic_updates import INPUTS, Drive, plan_of, trial

from metaplastic import rng
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.kernels.spiking_rule_kernel import run_fused
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.networks.spiking import SpikingRNN
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.rules.polynomial import ALL
from metaplastic.inner_loop.spiking_life import FormulaTrials, run_plastic

Forms = dict[str, Callable[[], torch.Tensor]]
TARGET = 5.0
ETA = 1e-4


def medians(forms: Forms, turns: int) -> dict[str, float]:
    """Seconds of each form, after one to compile."""
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(turns + 1):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def differ(forms: Forms) -> float:
    """The largest difference between two forms' weights, as a part of the largest weight."""
    first, *others = (form().cpu() for form in forms.values())
    return max([0.0, *((other - first).abs().max().item() / first.abs().max().item() for other in others)])


def show(title: str, seconds: dict[str, float], updates: float) -> None:
    print(f"\n{title}\n{'':24}{'updates/s':>12}{'of the first':>14}")
    for name, each in seconds.items():
        print(f"{name:24}{updates / each:12.2e}{each / next(iter(seconds.values())):14.2f}")


def families(networks: int, units: int, steps: int) -> Forms:
    """Rules of growing size in the fused kernel."""
    unit = {"gains": {"pre": 0.3, "post": -0.2, "w": 0.1}, "bias": 0.1, "out": 0.5}
    rules = {
        "hebbian": RULES["hebbian"](eta=ETA),
        "abcd": RULES["abcd"](eta=ETA, B=0.1, C=-0.1, D=0.01),
        "polynomial, 27 terms": RULES["polynomial"](eta=ETA, terms=dict.fromkeys(ALL, 0.1)),
        "small network, 4 units": RULES["mlp"](eta=ETA, units=[unit] * 4),
        "small network, 16 units": RULES["mlp"](eta=ETA, units=[unit] * 16),
    }
    inputs = 0.5 * rng.normals(rng.root(2), steps, 1, INPUTS)
    return {
        name: trial(plan_of(RateRNN(units=units), rule, networks, steps), "numba", inputs)
        for name, rule in rules.items()
    }


def spiking(kind: str, networks: int, units: int, steps: int) -> Forms:
    """The reference and the kernel of a rule in spiking networks."""
    rule = RULES[kind](eta=ETA)
    key = rng.lifetime_keys(rng.root(1), torch.arange(networks), rng.INIT)
    state = FormulaTrials(rule=rule).born(SpikingRNN(units=units), Drive(steps=steps).spec, 1, key, torch.zeros(()))
    seen = 6.0 * (rng.uniforms(rng.root(3), steps, networks, INPUTS) < 0.1).float()

    def form(run: Callable) -> Callable[[], torch.Tensor]:
        def lived() -> torch.Tensor:
            traces = {group: to_torch.start(rule.program(), state[group]) for group in GROUPS}
            return run(state, traces, seen, rule, False, True).weights["recurrent"]

        return lived

    return {"numba": form(run_fused), "torch, reference": form(run_plastic)}


def on_gpu(networks: int, units: int, steps: int) -> Forms:
    """PyTorch and Triton on the GPU."""
    inputs = 0.5 * rng.normals(rng.root(2), steps, 1, INPUTS)
    rule = RULES["abcd"](eta=ETA, B=0.1)
    plan = plan_of(RateRNN(units=units), rule, networks, steps, "cuda")
    return {f"{backend}, GPU": trial(plan, backend, inputs.cuda()) for backend in ("triton", "torch")}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, default in (("networks", 64), ("units", 64), ("steps", 100), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    import numba

    numba.set_num_threads(1)
    torch.set_num_threads(1)
    size = (given.networks, given.units, given.steps)
    updates = given.networks * given.units**2 * given.steps
    shown = "{} networks of {} units, {} steps".format(*size)
    show(f"families, fused kernel: {shown}", medians(families(*size), given.turns), updates)
    passed = True
    for kind in ("stdp", "hebbian"):
        forms = spiking(kind, *size)
        passed &= differ(forms) < 1e-4
        seconds = medians(forms, given.turns)
        show(f"spiking, {kind}: {shown}", seconds, updates)
        passed &= seconds["torch, reference"] / seconds["numba"] >= TARGET
    if torch.cuda.is_available():
        forms = on_gpu(*size)
        passed &= differ(forms) < 1e-4
        show(f"rate networks on the GPU: {shown}", medians(forms, given.turns), updates)
    else:
        print("\nNO GPU HERE: the Triton kernel is not timed", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
