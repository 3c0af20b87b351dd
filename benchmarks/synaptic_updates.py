"""How many synapses a second? Plastic recurrent networks whose weights change at every step, in four ways.

    x <- x + a (-x + W r + W_in u);  r = tanh(x)
    m <- m + rate (settled - m)                                      a modulator of each brain
    e_ij <- decay e_ij + A r_i r_j(t-1) + B r_j(t-1) + C r_i + D     a generalised Hebbian eligibility, coefficients
                                                                     of each brain
    w_ij <- w_ij + m e_ij                                            at every step

The package's fused kernel (numba) and its reference (PyTorch, eager), and the same arithmetic in JAX as one would write
it (vmap over networks, scan over steps) and network by network (lax.map), and in PyTorch by hand, in place. Then a rule
that writes at a trial's end (Miconi 2017): step by step and factorised. All forms of a comparison do the same work, are
checked against each other, and take turns; the printed ratios are medians over the turns.

    python benchmarks/synaptic_updates.py [--networks 1024] [--units 64] [--steps 200] [--turns 7] [--threads 2]

Exits with 1 if a ratio is below its target, with 2 if JAX is not there to compare with.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch

from metaplastic import rng
from metaplastic.core import Task, TaskSpec, Values
from metaplastic.inner_loop.critics import Zero
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.perturbation import Miconi17
from metaplastic.inner_loop.trial_life import ENGINES
from metaplastic.inner_loop.trial_plan import TrialPlan, born, make_plan

TARGETS = {"torch, reference": 25.0, "jax vmap + scan": 5.5, "jax lax.map": 3.5}
"""how many times faster the kernel must be"""
FACTORISED_TARGET = 9.0
HEBB = {"A": 0.01, "B": 0.001, "C": -0.001, "D": 0.0001, "decay": 0.9, "rate": 0.1}
INPUTS = 3


class Drive(Task):
    """A trial of so many steps; its inputs are made here, its outputs are not judged."""

    kind: str = "drive"
    trials: int = 1
    test_trials: int = 0
    steps: int = 200

    @property
    def spec(self) -> TaskSpec:
        return TaskSpec("Drive-v0", {}, INPUTS, 1, "readout", 1.0, self.steps, 1, 0.0, 1.0, 1.0)


def hebbian(coefficients: dict[str, torch.Tensor]) -> FormulaRule:
    """The rule at the head of this page, with coefficients [P] of each network."""
    traces = {"m": "m + rate * (settled - m)", "e": "decay * e + A * post * pre + B * pre + C * post + D"}
    rule = FormulaRule(update="m * e", traces=traces, parameters=dict.fromkeys(coefficients, 0.5))
    return rule.model_copy(update={"parameters": {name: Values(value) for name, value in coefficients.items()}})


def population(networks: int) -> dict[str, torch.Tensor]:
    """Coefficients of each network, within 10 % of `HEBB`, as an evolving population would have them."""
    spread = 1 + 0.1 * (2 * rng.uniforms(rng.root(3), len(HEBB), networks) - 1)
    return {name: value * row for (name, value), row in zip(HEBB.items(), spread, strict=True)}


def plan_of(network: RateRNN, rule, networks: int, steps: int, device: str = "cpu") -> TrialPlan:
    key = rng.root(1).to(device)
    return make_plan(network, rule, Reward(), Zero(), Drive(steps=steps), networks, torch.arange(1), key, device)


def trial(plan: TrialPlan, backend: str, inputs: torch.Tensor) -> Callable[[], torch.Tensor]:
    """A whole trial of the package, as every life makes them; gives the weights after it."""
    engine, synapses = ENGINES[backend](), born(plan)
    nothing = synapses.w.new_zeros(synapses.w.shape[:2])

    def run() -> torch.Tensor:
        done = engine.run_trial(plan, synapses, inputs, 0)
        return engine.finish(plan, done, len(inputs), nothing, nothing).w

    return run


def start(plan: TrialPlan) -> tuple[torch.Tensor, torch.Tensor]:
    """x at the start [N] and the input weights [N, I], equal in all networks."""
    key = rng.fold(rng.fold(plan.noise, 0), 0)
    return 0.1 * (2 * rng.uniforms(key, plan.brains.size)[0] - 1), plan.brains.input_weights[0]


def torch_trial(plan: TrialPlan, inputs: torch.Tensor, given: dict[str, torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The trial as one would write it in eager PyTorch for speed: products of matrices, in place."""
    leak = float(plan.brains.leak[0, 0])
    x0, weights = start(plan)
    current = inputs[:, 0] @ weights.T
    A, B, C, D, decay, rate = (value[:, None] for value in given.values())

    def run() -> torch.Tensor:
        w = plan.brains.weights[:, 0].clone()
        e, m, x = torch.zeros_like(w), torch.zeros_like(rate), x0.repeat(len(w), 1)
        r = torch.tanh(x)
        for u in current:
            x = x + leak * (torch.bmm(w, r[:, :, None])[:, :, 0] + u - x)
            now = torch.tanh(x)
            m = m + rate * (1.0 - m)
            left, right = torch.stack([A * now + B, C * now + D], 2), torch.stack([r, torch.ones_like(r)], 1)
            e.mul_(decay[..., None]).baddbmm_(left, right)
            w.addcmul_(e, m[..., None])
            r = now
        return w[:, None]

    return run


def jax_trials(
    plan: TrialPlan, inputs: torch.Tensor, given: dict[str, torch.Tensor]
) -> dict[str, Callable[[], torch.Tensor]]:
    """The same trial in JAX, for all networks at once and one after the other."""
    import jax
    import numpy as np
    from jax import numpy as jnp

    leak = float(plan.brains.leak[0, 0])
    x0, weights = (jnp.asarray(part.numpy()) for part in start(plan))
    current = jnp.asarray(inputs[:, 0].numpy()) @ weights.T

    def one(life):
        w, A, B, C, D, decay, rate = life

        def step(state, current):
            w, e, x, r, m = state
            x = x + leak * (w @ r + current - x)
            now = jnp.tanh(x)
            m = m + rate * (1.0 - m)
            e = decay * e + (A * now + B)[:, None] * r[None] + (C * now + D)[:, None]
            return (w + m * e, e, x, now, m), now[0]

        state = (w, jnp.zeros_like(w), x0, jnp.tanh(x0), jnp.float32(0))
        state, out = jax.lax.scan(step, state, current)
        return state[0], out

    lives = tuple(jnp.asarray(part.numpy()) for part in (plan.brains.weights[:, 0], *given.values()))
    forms = {"jax vmap + scan": jax.jit(jax.vmap(one)), "jax lax.map": jax.jit(lambda lives: jax.lax.map(one, lives))}

    def runner(form) -> Callable[[], torch.Tensor]:
        return lambda: torch.from_numpy(np.array(jax.block_until_ready(form(lives))[0]))[:, None]

    return {name: runner(form) for name, form in forms.items()}


def in_turns(forms: dict[str, Callable[[], torch.Tensor]], turns: int) -> dict[str, list[float]]:
    """Seconds of each form in each turn, after one to compile; their results agree."""
    results = {name: form() for name, form in forms.items()}
    first = next(iter(results.values()))
    for name, result in results.items():
        error = float((result - first).abs().max() / first.abs().max())
        if error > 1e-3:
            raise AssertionError(f"{name} differs from {next(iter(results))} by {error:.1e} of the largest weight")
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(turns):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def show(title: str, seconds: dict[str, list[float]], updates: int, targets: dict[str, float]) -> bool:
    """The table of a comparison with the first form; whether every target is reached."""
    reference, passed = next(iter(seconds)), True
    print(f"\n{title}\n{'':24}{'updates/s':>12}{'times slower':>14}{'target':>9}")
    for name, times in seconds.items():
        pairs = zip(times, seconds[reference], strict=True)
        ratio = statistics.median(other / ours for other, ours in pairs)
        wanted = f"{targets[name]:9.1f}" if name in targets else ""
        passed = passed and ratio >= targets.get(name, 0.0)
        print(f"{name:24}{updates / statistics.median(times):12.2e}{ratio:14.1f}{wanted}")
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, default in (("networks", 1024), ("units", 64), ("steps", 200), ("turns", 7), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    import numba

    numba.set_num_threads(given.threads)
    torch.set_num_threads(given.threads)
    updates = given.networks * given.units**2 * given.steps
    inputs = 0.5 * rng.normals(rng.root(2), given.steps, 1, INPUTS)
    coefficients = population(given.networks)
    plan = plan_of(RateRNN(units=given.units), hebbian(coefficients), given.networks, given.steps)
    forms = {
        "numba": trial(plan, "numba", inputs),
        "torch, reference": trial(plan, "torch", inputs),
        "torch, by hand": torch_trial(plan, inputs, coefficients),
    }
    try:
        forms |= jax_trials(plan, inputs, coefficients)
        has_jax = True
    except ImportError as why:
        print(f"JAX IS NOT HERE, nothing is compared with it ({why}); install the extra 'benchmark'", file=sys.stderr)
        has_jax = False
    size = f"{given.networks} networks of {given.units} units, {given.steps} steps, {given.threads} threads"
    passed = show(f"weights written at every step: {size}", in_turns(forms, given.turns), updates, TARGETS)
    perturbed = RateRNN(units=given.units, perturbation_rate=0.003, perturbation=16.0)
    plan = plan_of(perturbed, Miconi17(), given.networks, given.steps)
    forms = {name: trial(plan, backend, inputs) for name, backend in FORMS.items()}
    seconds = in_turns(forms, given.turns)
    passed &= show(
        f"Miconi 2017, written at the trial's end: {size}", seconds, updates, {"torch, step by step": FACTORISED_TARGET}
    )
    return 1 if not passed else 0 if has_jax else 2


FORMS = {"numba, factorised": "numba", "torch, factorised": "torch", "torch, step by step": "step"}
"""name -> backend"""

if __name__ == "__main__":
    sys.exit(main())
