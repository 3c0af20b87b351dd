"""The fused kernel against the PyTorch reference, over formulas, sizes, granularities, critics and policies.

Most forms are run as the plain Python that they are written in (a compilation takes seconds); some are compiled.
"""

import numba
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_decisions import KEY, TinyTask, formula, plan

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.decision_life import LEARNED, live_decisions
from metaplastic.inner_loop.decision_plan import Plan
from metaplastic.inner_loop.gradient.backprop import Backprop
from metaplastic.inner_loop.kernels import decision_kernel
from metaplastic.inner_loop.kernels.decision_kernel import live_fused
from metaplastic.inner_loop.kernels.decision_source import kernel_source
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.hebbian import Hebbian
from metaplastic.inner_loop.rules.intrinsic import IntrinsicPlasticity
from metaplastic.inner_loop.rules.mlp_rule import MLPRule
from metaplastic.inner_loop.rules.polynomial import Polynomial
from metaplastic.inner_loop.rules.q_agrel import QAgrel
from metaplastic.inner_loop.rules.sanger import OjaSubspace, Sanger
from metaplastic.inner_loop.rules.scaling import SynapticScaling

HOMEOSTASIS = {"kind": "homeostasis", "weight": 0.5, "target": 0.2, "rate": 0.4}
MIXED = {"kind": "mixture", "terms": [{"kind": "reward", "weight": 0.7}, {"kind": "energy"}, HOMEOSTASIS]}


@pytest.fixture
def interpreted(monkeypatch):
    """Run kernels as plain Python."""

    def kernel(form):
        module: dict = {}
        exec(kernel_source(form), module)  # the text that is compiled otherwise
        return module["lives"]

    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    monkeypatch.setattr(decision_kernel, "kernel", kernel)
    monkeypatch.setattr(numba, "get_num_threads", lambda: 1)


def assert_same(one: Plan) -> None:
    """Both backends give one record and end with the same weights."""
    slow = live_decisions(one, (LEARNED,))
    with np.errstate(all="ignore"):
        fast = live_fused(one, (LEARNED,))
    for part in ("metrics", "recordings"):
        assert getattr(fast, part).keys() == getattr(slow, part).keys()
        for name, value in getattr(slow, part).items():
            torch.testing.assert_close(
                getattr(fast, part)[name], value, rtol=1e-5, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}"
            )
    torch.testing.assert_close(fast.score, slow.score, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast.curve, slow.curve, rtol=1e-5, atol=1e-6)


def per(granularity: str, network: Feedforward, individuals: int, number: int) -> float | Values:
    """A coefficient of this granularity, with values of its own everywhere."""
    if granularity == "number":
        return 0.07
    length = network.layout(TinyTask().spec).length(granularity)
    data = 0.15 * rng.uniforms(rng.fold(KEY, number), individuals, length)
    return Values(data[:, 0] if granularity == "brain" else data, granularity)


GRANULARITIES = st.sampled_from(["number", "brain", "connection", "post", "pre", "synapse"])
NEEDED = {
    "A * rpe * feedback * pre": "",
    "A * (rpe * feedback * pre + B * pre + A * post + B)": "",
    "A * reward * tanh(post * pre) - B * w": "",
    "A * rpe * feedback * (pre - post * w) + B * drive * pre": "",
    "A * prediction * gate * relu(pre) + B * sign(potential) * abs(w)": "",
    "A * rpe * e * pre + B * f": "ef",
    "A * (rpe * feedback - B * chance + drive) * pre": "",
    "A * clip(post * pre, -0.3, B) * g - 0.1 * h * post": "gh",
}
"""changes -> the traces that they read"""
CHANGES = st.sampled_from(list(NEEDED))
TRACES = {"e": "B * e + feedback", "f": "0.5 * f + e * pre", "g": "0.9 * g + 0.1 * rpe", "h": "0.5 * h + pre"}


@st.composite
def choices(draw) -> dict:
    """Short lives of any kind of rule, network and brain, as plain words and numbers."""
    individuals = draw(st.integers(1, 3))
    return {
        "network": {
            "units": draw(st.integers(1, 6)),
            "layers": draw(st.integers(0, 2)),
            "activation": draw(st.sampled_from(["relu", "tanh", "sigmoid", "linear"])),
            "feedback": draw(st.sampled_from(["symmetric", "learned", "random"])),
            "initial": draw(st.sampled_from(["normal", "uniform"])),
            "bias": draw(st.booleans()),
        },
        "sizes": draw(st.none() | st.lists(st.integers(1, 9), min_size=individuals, max_size=individuals)),
        "granularities": {name: draw(GRANULARITIES) for name in "AB"},
        "rule": {
            "update": draw(CHANGES),
            "keeps_traces": draw(st.booleans()),
            "weight_decay": draw(st.sampled_from([0.0, 0.1])),
            "weight_limit": draw(st.sampled_from([float("inf"), 0.8])),
            "normalise": draw(st.sampled_from(["none", "none", "max", "row"])),
            "quiet_trials": draw(st.sampled_from([0, 2])),
        },
        "tests": draw(st.integers(0, 2)),
        "silent": draw(st.sampled_from([0.0, 0.6])),
        "individuals": individuals,
        "lifetimes": draw(st.integers(1, 2)),
        "objective": draw(st.sampled_from(["reward", MIXED])),
        "policy": draw(st.sampled_from(["greedy", "softmax", "epsilon_greedy", "max_boltzmann"])),
        "critic": draw(st.sampled_from(["action_value", "action_probability", "running_average", "zero"])),
    }


def chosen(given: dict) -> Plan:
    """The lives that were chosen."""
    individuals, update = given["individuals"], given["rule"]["update"]
    network = Feedforward(**given["network"])
    if given["sizes"]:
        network = network.model_copy(update={"units": Values(torch.tensor(given["sizes"]), "brain", 9)})
    traces = {name: value for name, value in TRACES.items() if name in NEEDED[update]}
    read = f"{update} {traces}"
    parameters = {
        name: per(granularity, network, individuals, number)
        for number, (name, granularity) in enumerate(given["granularities"].items())
        if name in read
    }
    return plan(
        formula(**given["rule"], parameters=parameters, traces=traces),
        network,
        TinyTask(trials=4, test_trials=given["tests"], pays="drawn", silent=given["silent"]),
        **{name: given[name] for name in ("objective", "policy", "critic", "individuals", "lifetimes")},
    )


NAMED = [
    Backprop(eta=0.1),
    Fixed(),
    QAgrel(eta=0.1),
    Sanger(eta=0.1),
    OjaSubspace(eta=0.1),
    SynapticScaling(eta=0.1, mean_rate=0.5),
    IntrinsicPlasticity(eta=0.05, mu=0.4),
    Polynomial(eta=0.1, terms={"110": 1.0, "021": -1.0, "102": 0.5}),
    MLPRule(eta=0.2),
    Hebbian(eta=0.1, dale=1.0, weight_limit=0.7),
]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices())
def test_the_kernels_text_says_what_the_reference_does(interpreted, given):
    assert_same(chosen(given))


@pytest.mark.parametrize("feedback", ["symmetric", "learned", "random"])
@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.kind)
def test_the_kernels_text_of_named_rules_says_what_the_reference_does(interpreted, rule, feedback):
    network = Feedforward(units=5, layers=2, feedback=feedback)
    policy = {"kind": "max_boltzmann", "epsilon": 0.7}
    assert_same(plan(rule, network, TinyTask(pays="drawn"), policy=policy, individuals=2, lifetimes=2))


def compiled_plan(rule, **some) -> Plan:
    network = Feedforward(units=21, activation=some.pop("activation", "relu"), layers=some.pop("layers", 1))
    task = TinyTask(trials=7, test_trials=3, inputs=37, actions=5, pays="drawn", silent=0.4)
    return plan(rule, network, task, policy="softmax", **some)


COMPILED = {
    "q_agrel": lambda: compiled_plan(QAgrel(eta=0.1), individuals=3, lifetimes=4),
    "polynomial": lambda: compiled_plan(
        formula("A * tanh(post * pre) * rpe - 0.1 * w + 0.01 * drive", parameters={"A": 0.1}, weight_limit=0.9),
        individuals=2,
        lifetimes=3,
        activation="tanh",
        layers=2,
        objective=MIXED,
        critic="running_average",
    ),
}


@pytest.mark.parametrize("name", COMPILED)
def test_the_compiled_kernel_gives_what_the_reference_gives(name):
    assert_same(COMPILED[name]())


def test_a_life_is_the_same_bits_whatever_else_is_lived_and_on_how_many_threads():
    whole = live_fused(COMPILED["q_agrel"](), (LEARNED,))
    threads = numba.get_num_threads()
    try:
        for count in range(1, min(3, threads) + 1):
            numba.set_num_threads(count)
            again = live_fused(COMPILED["q_agrel"](), (LEARNED,))
            assert torch.equal(again.score, whole.score)
            assert all(torch.equal(again.recordings[name], w) for name, w in whole.recordings.items())
    finally:
        numba.set_num_threads(threads)
    for first in range(4):
        alone = live_fused(compiled_plan(QAgrel(eta=0.1), lifetimes=1, first=first), (LEARNED,))
        assert torch.equal(alone.curve[0, 0], whole.curve[2, first])
        assert all(torch.equal(w[0, 0], whole.recordings[name][1, first]) for name, w in alone.recordings.items())


def test_missing_neurons_leave_exactly_the_network_that_is_without_them():
    one = compiled_plan(QAgrel(eta=0.1), individuals=2, lifetimes=3)
    few = one._replace(brains=one.brains._replace(units=torch.tensor([13, 21])))
    small = one.brains._replace(
        units=torch.tensor([13, 13]),
        sizes=((13, 38), (5, 14)),
        weights=tuple(
            birth._replace(draw=birth.draw[:, :post, :pre])
            for birth, (post, pre) in zip(one.brains.weights, ((13, 38), (5, 14)), strict=True)
        ),
    )
    padded, cut = live_fused(few, (LEARNED,)), live_fused(one._replace(brains=small), (LEARNED,))
    assert torch.equal(padded.score[0], cut.score[0])
    assert torch.equal(padded.recordings[f"{LEARNED}.hidden"][0, :, :13], cut.recordings[f"{LEARNED}.hidden"][0])
    assert torch.equal(padded.recordings[f"{LEARNED}.output"][0, ..., :14], cut.recordings[f"{LEARNED}.output"][0])


def test_silent_inputs_are_left_out_only_where_the_change_is_proportional_to_them():
    def text(rule):
        source = kernel_source(plan(rule).form)
        return source[source.index("def learn(") : source.index("def life(")]

    assert "for k in range(count)" in text(QAgrel())
    assert "if rpe == ZERO" in text(QAgrel())
    assert "for k in range(count)" not in text(formula("pre + post"))
    assert "for k in range(count)" not in text(QAgrel(weight_decay=0.1))
    assert "if reward == ZERO" not in text(formula("reward * pre + 0.1 * pre"))


def test_only_what_the_rule_reads_is_computed():
    source = kernel_source(plan(formula("reward * pre")).form)
    life = source[source.index("def life(") :]
    assert "send_down(" not in life
    assert "rpe =" not in life
    assert "drive_0[i] =" not in life
