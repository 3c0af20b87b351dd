"""Formula rules in spiking networks: against the network without them, by hand, and kernel against reference."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from tiny_trials import KEY, TinyTrials, formula

from metaplastic import rng
from metaplastic.core import Gene
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.kernels import spiking_rule_kernel
from metaplastic.inner_loop.kernels.spiking_rule_kernel import run_fused
from metaplastic.inner_loop.kernels.spiking_rule_source import kernel_source
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.networks.spiking import SpikingRNN, run
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.sequence_life import stacked
from metaplastic.inner_loop.spiking_life import FormulaTrials, run_plastic
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.experiment import Experiment

NETWORK = SpikingRNN(units=7, tau=8.0, refractory=2.0, threshold=0.5, gain=1.5, input_gain=1.2, adaptive=0.4)
TASK = TinyTrials(steps=12)


def born(rule, network: SpikingRNN = NETWORK, individuals: int = 2, lifetimes: int = 2, dtype=torch.float32):
    """A state and the observations of a trial [T, L, I and bias]."""
    key = rng.lifetime_keys(KEY, torch.arange(lifetimes), rng.INIT)
    state = FormulaTrials(rule=rule).born(network, TASK.spec, individuals, key, torch.zeros((), dtype=dtype))
    seen = TASK.render(torch.arange(lifetimes), 0, KEY).x.to(dtype)
    return state, network.shown(seen[:, :, None])[:, :, 0]


def traces_of(rule, state) -> dict[str, dict[str, torch.Tensor]]:
    return {group: to_torch.start(rule.program(), state[group]) for group in GROUPS}


def test_a_rule_that_changes_nothing_leaves_the_network_as_it_runs_alone():
    rule = RULES["hebbian"](eta=0.0)
    state, seen = born(rule, dtype=torch.float64)
    found = run_plastic(state, traces_of(rule, state), seen, rule, False, True)
    alone = run(NETWORK.tensors(state), seen[:, :, None])
    assert found.spikes.sum() > 20
    assert torch.equal(found.spikes, alone.rates[..., 0, :])
    torch.testing.assert_close(found.output, alone.output[..., 0, :])
    assert all(torch.equal(found.weights[group], state[group]) for group in GROUPS)


def test_synapses_of_each_group_see_their_own_two_sides():
    """Hebb's rule: the sum over steps of what stood on both sides, from the spikes that were recorded."""
    rule = RULES["hebbian"](eta=1e-9)  # so small that no spike moves
    state, seen = born(rule, dtype=torch.float64)
    found = run_plastic(state, traces_of(rule, state), seen, rule, False, True)
    z = found.spikes
    before = torch.cat([torch.zeros_like(z[:1]), z[:-1]])
    wanted = {
        "input": torch.einsum("tpln,tli->plni", z, seen),
        "recurrent": torch.einsum("tpln,tplm->plnm", z, before),
        "readout": torch.einsum("tpla,tpln->plan", found.output, z),
    }
    for group in GROUPS:
        change = (found.weights[group] - state[group]) / 1e-9
        torch.testing.assert_close(change, wanted[group] * state[f"mask.{group}"], rtol=0, atol=1e-5)


def test_what_waits_for_the_judgement_is_told_of_it():
    rule = RULES["reward_stdp"](eta=0.5, trace_decay=0.9)
    state, _ = born(rule, dtype=torch.float64)
    whole = FormulaTrials(rule=rule)
    trials = stacked([TASK.render(torch.arange(2), 0, KEY)], state["alpha"])
    lived = whole.trial(NETWORK, state, trials, torch.arange(2), 0, True)
    assert torch.equal(lived.state["recurrent"], state["recurrent"])
    reward, expected = torch.full((2, 2, 1), 0.5, dtype=torch.float64), torch.full((2, 2, 1), 0.2, dtype=torch.float64)
    after = whole.told(lived.state, reward, expected)
    twice = whole.told(lived.state, 2 * reward - expected, expected)
    change = after["recurrent"] - state["recurrent"]
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(twice["recurrent"] - state["recurrent"], 2 * change)
    assert not any(name.startswith("last.") for name in after)


@pytest.fixture
def interpreted(monkeypatch):
    """Run kernels as plain Python."""

    def kernel(form):
        module: dict = {}
        exec(kernel_source(form), module)  # the text that is compiled otherwise
        return module["lives"]

    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    monkeypatch.setattr(spiking_rule_kernel, "kernel", kernel)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 1)


CASES = {
    "stdp": RULES["stdp"](eta=0.02),
    "soft stdp": RULES["stdp"](eta=0.02, softness=2.0, weight_limit=0.9),
    "reward stdp": RULES["reward_stdp"](eta=0.02),
    "inhibitory stdp": RULES["inhibitory_stdp"](eta=0.01, dale=-1.0),
    "hebb": RULES["hebbian"](eta=0.02, weight_decay=0.01),
    "sanger": RULES["sanger"](eta=0.02),
    "oja subspace": RULES["oja_subspace"](eta=0.02, weight_decay=0.01),
    "a memory at each place": formula(
        "0.02 * (s * gate * potential - w * x) * e + 0.001 * constant",
        traces={"s": "0.5 * s + settled", "x": "0.5 * x + pre", "y": "0.5 * y + post", "e": "0.8 * e + x * y"},
        settle=3,
        normalise="row",
    ),
}


def assert_same(rule, network: SpikingRNN = NETWORK) -> None:
    """Kernel and reference agree over two trials in everything that a trial gives; and something changes."""
    state, seen = born(rule, network)
    one = two = (state, traces_of(rule, state))
    for _ in range(2):
        slow = run_plastic(one[0], one[1], seen, rule, network.bias, True)
        with np.errstate(all="ignore"):
            fast = run_fused(two[0], two[1], seen, rule, network.bias, True)
        assert torch.equal(fast.spikes, slow.spikes)
        torch.testing.assert_close(fast.output, slow.output, rtol=1e-5, atol=1e-5)
        for group in GROUPS:
            torch.testing.assert_close(fast.weights[group], slow.weights[group], rtol=1e-5, atol=1e-5)
            for name, value in slow.traces[group].items():
                torch.testing.assert_close(fast.traces[group][name], value, rtol=1e-5, atol=1e-5)
            for name, value in slow.last.get(group, {}).items():
                torch.testing.assert_close(fast.last[group][name].expand_as(value), value, rtol=1e-5, atol=1e-5)
        assert fast.last.keys() == slow.last.keys()
        one, two = ((state | done.weights, dict(done.traces)) for done in (slow, fast))
    moved = (one[0]["recurrent"] - state["recurrent"]).abs().max()
    assert moved > 1e-4 or rule.program().writes == "trial"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("settings", [{}, {"density": 0.6, "bias": True}])
def test_the_kernels_text_says_what_the_reference_does(interpreted, name: str, settings: dict):
    assert_same(CASES[name], NETWORK.model_copy(update=settings))


def test_a_compiled_kernel_is_the_text_it_was_made_of():
    assert_same(CASES["stdp"], NETWORK.model_copy(update={"units": 13}))


# as an experiment


def lived(rule, **options):
    return live(
        NETWORK, rule, Reward(), Greedy(), RunningAverage(), TASK,
        individuals=2, lifetime=torch.arange(2), key=KEY, **options,
    )  # fmt: skip


def test_a_spiking_network_lives_with_a_formula_rule_in_both_backends():
    rule = CASES["reward stdp"]
    slow, fast = (lived(rule, backend=backend) for backend in ("torch", "numba"))
    assert slow.curve.shape == (2, 2, 4)
    torch.testing.assert_close(fast.score, slow.score, rtol=1e-4, atol=1e-5)
    still = lived(rule.model_copy(update={"quiet_trials": 99}), backend="torch")
    assert not torch.equal(still.score, slow.score)


def test_what_the_kernel_cannot_tell_is_refused():
    with pytest.raises(ValueError, match="backend is 'triton', in spiking networks there is no such; use auto"):
        lived(RULES["stdp"](), backend="triton")


def test_its_coefficients_are_genes():
    rule = RULES["stdp"](eta=Gene(1e-4, 0.1, log=True, per="connection"), depression=Gene(0, 2))
    one = Experiment(name="spikes", task=TASK, network=NETWORK, rule=rule, lifetimes=2, execution={"backend": "torch"})
    genome = genome_of(one)
    assert genome.length == 3 + 1
    fitness = evaluate(one, torch.stack([genome.start(), 0.9 * torch.ones(4).double()]), generation_key(0, 0)).fitness
    assert fitness.isfinite().all()
    assert fitness[0] != fitness[1]
