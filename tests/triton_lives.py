"""Run under Triton's interpreter: how far the Triton kernel is from PyTorch, for each case that it is asked for.

    TRITON_INTERPRET=1 python tests/triton_lives.py fixed        python tests/triton_lives.py random 20

Prints a JSON object: case -> [largest difference, how far the weights moved]. A process of its own, because the
interpreter must be asked for before triton is imported.
"""

import json
import sys

import torch
from hypothesis import HealthCheck, given, settings
from random_formulas import formulas
from tiny_trials import RateRNN, formula
from tiny_trials import plan as plan_of

from metaplastic.inner_loop import trial_torch
from metaplastic.inner_loop.formula.grammar import parse
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.kernels import triton_kernel, triton_source, triton_tiles
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.trial_plan import TrialPlan, born

NETWORK = RateRNN(units=4, tau=2.0, perturbation_rate=0.4, perturbation=2.0, undisturbed=1, noise=0.1)
TONIC = {"plastic_input": True, "bias": True, "clamped": {1: 0.7}, "output": "readout", "activation": "relu"}
HEBB = {
    "update": "eta * (m + settled) * e",
    "traces": {"m": "m + 0.2 * (1 - m)", "e": "decay * e + A * post * pre + B * pre + C * post + D * w"},
    "parameters": {"eta": 0.1, "decay": 0.8, "A": 0.9, "B": -0.4, "C": 0.3, "D": -0.2},
    "settle": 2,
}
NEURONS = {"y": "s + y * 0.5 + post", "x": "0.5 * x + pre * s", "s": "0.3 * s + settled"}


def fixed() -> dict[str, tuple[TrialPlan, bool]]:
    """Case -> (plan, whether tile by tile)."""
    large = NETWORK.model_copy(update={"units": 19, "density": 0.6})
    return {
        "every step": (plan(NETWORK, formula(**HEBB)), False),
        "trial's end": (plan(large, RULES["miconi17"](eta=3.0, limit=0.05, settle=1)), False),
        "tonic, read-out": (
            plan(NETWORK.model_copy(update=TONIC), formula("0.1 * (gate * pre * post - potential)")),
            False,
        ),
        "traces of neurons": (plan(NETWORK, formula("0.01 * post * pre * y * x", traces=NEURONS)), False),
        "sanger": (plan(NETWORK, RULES["sanger"](eta=0.1, normalise="row")), False),
        "dale": (plan(NETWORK, RULES["abcd"](eta=0.2, B=0.3, dale=-1.0, normalise="max")), False),
        "tiles": (plan(large, formula(**HEBB)), True),
        "tiles, traces of neurons": (
            plan(
                large.model_copy(update={**TONIC, "activation": "tanh"}),
                formula("0.01 * post * pre * y * x", traces=NEURONS),
            ),
            True,
        ),
        "tiles, trial's end": (plan(large, RULES["miconi17"](eta=3.0, limit=0.05, settle=1)), True),
    }


def plan(network: RateRNN, rule) -> TrialPlan:
    """The plan of two lives; coefficients may be one an individual."""
    return plan_of(network, rule, individuals=2, lifetimes=1)


def compared(one: TrialPlan, tiled: bool, steps: int = 3, trials: int = 2, plastic: bool = True) -> list[float]:
    """The largest difference in outputs, weights, traces and last signals; how far the weights moved."""
    triton_source.LARGEST, triton_tiles.TILE = (1, 16) if tiled else (128, 64)
    reference = found = born(one)
    worst = 0.0
    for trial in range(trials):
        x = torch.randn(steps, len(one.noise), 3, generator=torch.Generator().manual_seed(trial))
        runs = [
            engine.run_trial(one, kept, x, trial, plastic)
            for engine, kept in ((trial_torch, reference), (triton_kernel, found))
        ]
        reward, prediction = torch.full(reference.w.shape[:2], 0.5), torch.full(reference.w.shape[:2], -0.2)
        reference, found = (trial_torch.finish(one, run, steps, reward, prediction) for run in runs)
        pairs = [
            (runs[0].output, runs[1].output),
            (reference.w, found.w),
            *zip(runs[0].last, runs[1].last, strict=True),
        ]
        pairs += [(reference.traces[name], found.traces[name]) for name in reference.traces]
        worst = max([worst, *((a - b).abs().max().item() for a, b in pairs)])
    return [worst, (found.w - one.brains.weights).abs().max().item()]


def random(count: int) -> dict[str, list[float]]:
    """Updates and traces of any form, kept small so that differences do not grow from step to step."""
    results: dict[str, list[float]] = {}

    @settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(update=formulas, trace=formulas)
    def lived(update, trace):
        traces = {"e": f"0.5 * e + tanh({trace.replace('rpe', 'gate')})"}
        change = f"e + tanh({update})"
        names = [*SIGNALS, "e", "a", "b"]
        read = {str(symbol) for text in (traces["e"], change) for symbol in parse(text, names, ["a", "b"]).free_symbols}
        parameters = {name: value for name, value in (("a", 0.7), ("b", 1.3)) if name in read}
        rule = formula(f"0.01 * ({change})", traces=traces, parameters=parameters)
        for tiled in (False, True):
            one = plan_of(NETWORK, rule, individuals=1, lifetimes=1)
            results[f"{tiled} {change} {traces}"] = compared(one, tiled, steps=3, trials=1)

    lived()
    return results


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    asked = random(int(rest[0])) if what == "random" else {name: compared(*case) for name, case in fixed().items()}
    print(json.dumps(asked))
