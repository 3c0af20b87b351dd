"""The whole-trial kernel against the PyTorch reference: formulas, granularities, sizes, masks, transforms.

Most forms are run as the plain Python that they are written in (a compilation takes seconds); one is compiled.
"""

import numba
import numpy as np
import pytest
import sympy
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_formulas import formulas
from tiny_trials import KEY, TinyTrials, formula, plan, with_numbers

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop import trial_torch
from metaplastic.inner_loop.formula.grammar import parse
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.kernels import trial_kernel, trial_parts
from metaplastic.inner_loop.kernels.trial_source import Shape, hoisted, kernel_source
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.rules.mlp_rule import MLPRule
from metaplastic.inner_loop.rules.perturbation import Miconi17, NodePerturbation
from metaplastic.inner_loop.rules.sanger import OjaSubspace, Sanger
from metaplastic.inner_loop.trial_plan import TrialPlan, born, form_of

STEPS, INPUTS = 5, 3
NETWORK = RateRNN(units=4, tau=2.0, perturbation_rate=0.4, perturbation=2.0, undisturbed=1)
HEBB = {
    "update": "eta * (m + settled) * e",
    "traces": {"m": "m + 0.2 * (1 - m)", "e": "decay * e + A * post * pre + B * pre + C * post + D * w"},
    "parameters": {"eta": 0.1, "decay": 0.8, "A": 0.9, "B": -0.4, "C": 0.3, "D": -0.2},
    "settle": 2,
}


@pytest.fixture
def interpreted(monkeypatch):
    """Run kernels as plain Python, but for the random numbers."""

    def kernel(shape, name):
        module: dict = {}
        exec(kernel_source(shape), module)  # the text that is compiled otherwise
        for part in ("add_products", "clamp", "multiply", "normalise_max", "normalise_row"):
            module[part] = getattr(trial_parts, part).py_func
        module["get"] = lambda row, j, _: row[j]
        module["put"] = lambda row, j, value, _: row.__setitem__(j, value)
        module["long_vectors"] = lambda: None
        return module[name]

    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    monkeypatch.setattr(trial_kernel, "kernel", kernel)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 1)


def assert_same(one: TrialPlan, steps=STEPS, *, trials=2, plastic=True) -> torch.Tensor:
    """Both backends agree in outputs, traces and weights, over two trials; how far the weights moved.

    They add up in different orders, and what differs in the first trial grows in the second.
    """
    slow = fast = born(one)
    for number in range(trials):
        x = rng.normals(rng.fold(KEY, number), steps, len(one.noise), INPUTS)
        reward, prediction = rng.normals(rng.fold(KEY, 9 + number), 2, *slow.w.shape[:2])
        results = []
        for engine, synapses in ((trial_torch, slow), (trial_kernel, fast)):
            with np.errstate(all="ignore"):
                trial = engine.run_trial(one, synapses._replace(traces={}), x, number, plastic)
                results.append(
                    (trial.output, engine.finish(one, trial, steps, reward, prediction) if plastic else synapses)
                )
        (output, slow), (other, fast) = results
        torch.testing.assert_close(other, output, rtol=1e-5, atol=3e-5)
        torch.testing.assert_close(fast.w, slow.w, rtol=1e-5, atol=3e-5)
        exists = torch.ones(()) if one.brains.mask is None else one.brains.mask
        for name, trace in slow.traces.items():
            torch.testing.assert_close(fast.traces[name] * exists, trace * exists, rtol=1e-4, atol=3e-5)
    return (slow.w - one.brains.weights).abs().max()


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear"])
def test_every_activation(interpreted, activation):
    network = NETWORK.model_copy(update={"activation": activation, "clamped": {1: 0.7, 3: -1.0}})
    assert assert_same(plan(network, formula("0.1 * (gate * pre * post - potential)"))) > 1e-3


@pytest.mark.parametrize("writes", ["step", "trial"])
@pytest.mark.parametrize("granularity", ["brain", "connection", "post", "pre", "synapse"])
@pytest.mark.parametrize("plastic_input", [False, True])
def test_every_granularity(interpreted, granularity, writes, plastic_input):
    network = NETWORK.model_copy(update={"plastic_input": plastic_input})
    layout = network.layout(TinyTrials().spec)
    parameters = dict(HEBB["parameters"])
    for place, name in enumerate(parameters):
        numbers = rng.normals(rng.fold(KEY, place), 2, layout.length(granularity))
        parameters[name] = Values(numbers[:, 0] if granularity == "brain" else numbers, granularity)
    changes = HEBB if writes == "step" else {**HEBB, "update": "eta * e * rpe", "traces": {"e": HEBB["traces"]["e"]}}
    rule = formula(**{**changes, "parameters": parameters, "writes": writes})
    assert assert_same(plan(network, rule)) > 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": 0.1, "weight_limit": 0.5},
        {"normalise": "row"},
        {"normalise": "max", "weight_limit": 0.9},
        {"dale": -0.5, "weight_limit": 0.9},
    ],
)
@pytest.mark.parametrize("writes", ["step", "trial"])
def test_every_transform(interpreted, settings, writes):
    reads = "e" if writes == "trial" else "pre * post"
    rule = formula(
        f"0.5 * {reads} - 0.1 * w",
        traces={"e": "e + pre * post"} if writes == "trial" else {},
        writes=writes,
        **settings,
    )
    assert assert_same(plan(NETWORK, rule)) > 1e-3


@pytest.mark.parametrize(
    "rule",
    [
        Miconi17(eta=3.0, limit=0.05, quiet_trials=0, settle=1),
        NodePerturbation(eta=1.0, limit=0.2, quiet_trials=0, settle=1, trace_decay=0.7),
        formula(**HEBB),
        MLPRule(eta=0.2),
        formula("0.1 * rpe * e", traces={"e": "0.5 * e + (post - pre)**2 + abs(pre) * gate"}, writes="trial"),
        formula("0.1 * rpe * (e + f)", traces={"e": "e + tanh(pre * post)", "f": "0.5 * f + e * w"}, writes="trial"),
        Sanger(eta=0.1),
        OjaSubspace(eta=0.1),
        formula(
            "0.05 * (e + rpe * c * reconstruction)",
            traces={"c": "0.5 * c + reconstruction", "e": "0.8 * e + explained * post"},
            settle=1,
        ),
        formula(
            "0.1 * rpe * e",
            traces={"e": "0.8 * e + post * (pre - reconstruction)"},
            writes="trial",
        ),
        formula(
            "0.1 * rpe + 0.1 * f * p + 0.1 * q", traces={"p": "0.5 * p + pre", "f": "f + post * p", "q": "q + p * f"}
        ),
    ],
)
def test_rules_of_every_kind(interpreted, rule):
    assert assert_same(plan(NETWORK, rule), steps=11) > 1e-3


@pytest.mark.parametrize("steps", [1, 2, 8, 9, 10, 17, 18])
def test_factors_are_kept_for_every_length_of_a_trial(interpreted, steps):
    rule = formula("0.1 * e", traces={"e": "0.9 * e + pre * post - noise * abs(pre)"}, writes="trial")
    assert_same(plan(NETWORK, rule, individuals=1, lifetimes=2), steps, trials=1)


def test_sparse_and_masked_networks_with_noise_and_bias(interpreted):
    network = NETWORK.model_copy(
        update={"density": 0.6, "noise": 0.2, "bias": True, "plastic_input": True, "output": "readout"}
    )
    network = with_numbers(
        network, units=Values(torch.tensor([5.0, 11.0]), high=11.0), tau=Values(torch.tensor([2.0, 5.0]))
    )
    assert assert_same(plan(network, formula(**HEBB))) > 1e-3


def test_a_masked_network_is_the_smaller_network_exactly(interpreted):
    both = with_numbers(NETWORK, units=Values(torch.tensor([5.0, 9.0]), high=11.0))
    small = with_numbers(NETWORK, units=Values(torch.tensor([5.0]), high=11.0))
    rule, x, results = formula(**HEBB), rng.normals(KEY, STEPS, 2, INPUTS), []
    for network, individuals in ((both, 2), (small, 1)):
        one = plan(network, rule, individuals=individuals, lifetimes=2)
        with np.errstate(all="ignore"):
            trial = trial_kernel.run_trial(one, born(one), x, 0)
        results.append((trial.output[:, 0], trial.synapses.w[0, :, :5, :5]))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_without_plasticity_only_the_network_runs(interpreted):
    assert assert_same(plan(NETWORK, formula(**HEBB)), plastic=False) == 0


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(update=formulas, trace=formulas, writes=st.sampled_from(["step", "trial"]))
def test_random_formulas(interpreted, update, trace, writes):
    """Updates and traces of any form, kept small so that differences do not grow from step to step."""
    traces = {"e": f"0.5 * e + tanh({trace.replace('rpe', 'gate')})"}
    change = "e" if writes == "trial" else f"e + tanh({update})"
    names = [*SIGNALS, "e", "a", "b"]
    words = {str(symbol) for text in (traces["e"], change) for symbol in parse(text, names, ["a", "b"]).free_symbols}
    parameters = {name: value for name, value in (("a", 0.7), ("b", 1.3)) if name in words}
    rule = formula(f"0.01 * ({change})", traces=traces, writes=writes, parameters=parameters)
    assert_same(plan(NETWORK, rule, individuals=1, lifetimes=2), steps=4, trials=1)


@pytest.mark.parametrize("rule", [formula(**HEBB), Sanger(eta=0.1)])
def test_a_compiled_kernel_is_the_text_it_was_made_of(rule):
    assert assert_same(plan(NETWORK.model_copy(update={"units": 13}), rule), steps=7) > 1e-3


def test_what_is_the_same_along_a_row_is_computed_once():
    rule = formula(**HEBB)
    shape = Shape(form_of(NETWORK, rule), sparse=False)
    lines, text = hoisted(rule.program().traces[1].value, shape, 1, "c")
    assert len(lines) == 4  # decay; A post + B; C post; D
    assert "nxt" not in text
    assert "of_" not in text


def test_a_difference_is_not_multiplied_out():
    rule = formula("x", traces={"x": "x + (pre - post)**3"})
    _, text = hoisted(sympy.sympify("x + (pre - post)**3"), Shape(form_of(NETWORK, rule), sparse=False), 0, "c")
    assert text.count("power_3") == 1
