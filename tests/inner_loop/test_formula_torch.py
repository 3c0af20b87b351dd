"""Expressions and programs in PyTorch: against hand-worked numbers, against loops, and whatever the batch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_formulas import NAMES, PARAMETERS, formulas, values

from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.analyse import compile_program
from metaplastic.inner_loop.formula.grammar import parse

P, L, POST, PRE = 2, 3, 5, 4
SHAPES = {"scalar": (P, L, 1, 1), "pre": (P, L, 1, PRE), "post": (P, L, POST, 1), "synapse": (P, L, POST, PRE)}
PER = {"brain": (P, 1, 1, 1), "pre": (P, 1, 1, PRE), "post": (P, 1, POST, 1), "synapse": (P, 1, POST, PRE)}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers that look random: a sequence without period, in (-1, 1)."""
    count = math.prod(shape)
    return torch.sin(torch.arange(1, count + 1, dtype=torch.float64) ** 2 * 0.7 + seed).reshape(shape)


def the_value(text: str, **known: float) -> float:
    function = to_torch.torch_function(parse(text, list(known), PARAMETERS))
    return function(
        {name: torch.full((1, 1, 1, 1), value, dtype=torch.float64) for name, value in known.items()}
    ).item()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 * pre**3 - pre / 4", 2 * -0.125 + 0.125),
        ("step(pre) + step(0 * pre + 2) + step(pre - pre)", 1.0),
        ("abs(pre) + sign(pre)", -0.5),
        ("relu(pre) + relu(-pre)", 0.5),
        ("clip(pre, -0.25, 1) + clip(8, 0, 1)", 0.75),
        ("min(pre, -1) + max(pre, 3)", 2.0),
        ("sigmoid(0 * pre)", 0.5),
        ("sigmoid(pre)", 1 / (1 + math.exp(0.5))),
        ("exp(pre) * log(3) - tanh(pre)", math.exp(-0.5) * math.log(3) - math.tanh(-0.5)),
        ("sqrt(1 - pre)", math.sqrt(1.5)),
        ("a**2 * pre**-2", 4.0),
        ("3", 3.0),
    ],
)
def test_functions_have_their_values(text: str, value: float):
    assert the_value(text, pre=-0.5, a=1.0) == pytest.approx(value, abs=1e-14)


def test_a_number_raised_to_a_parameter_is_a_power():
    assert the_value("abs(pre)**a", pre=-0.25, a=1.5) == pytest.approx(0.125)


def test_a_life_that_diverges_shows_it():
    for text in ("clip(w, -1, 1)", "min(w, 1)", "max(w, 1)", "tanh(w)", "relu(w)", "abs(w)"):
        assert math.isnan(the_value(text, w=math.nan))


@settings(max_examples=60, deadline=None)
@given(formulas, values)
def test_a_batch_of_one_formula_is_its_values_one_by_one(text: str, known: dict[str, float]):
    function = to_torch.torch_function(parse(text, NAMES, PARAMETERS))
    shapes = {"pre": "pre", "post": "post", "w": "synapse", "rpe": "scalar", "a": "post", "b": "scalar"}
    batch = {name: known[name] + 0.3 * draw(*SHAPES[place]) for name, place in shapes.items()}
    whole = function(batch).expand(P, L, POST, PRE)
    for p, lifetime, i, j in [(0, 0, 0, 0), (1, 2, 4, 3), (0, 2, 1, 3), (1, 0, 3, 1)]:
        one = {
            name: value.expand(P, L, POST, PRE)[p, lifetime, i, j].reshape(1, 1, 1, 1) for name, value in batch.items()
        }
        torch.testing.assert_close(
            whole[p, lifetime, i, j], function(one).reshape(()), rtol=1e-9, atol=1e-12, equal_nan=True
        )


UPDATES = [
    "eta * (A*post*pre + B*pre + C*post + D)",
    "eta*(post - 0.2)*(pre - A)**2",
    "eta*post",
    "D",
    "pre*post**2*w*eta",
]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(UPDATES), st.lists(st.sampled_from(list(PER)), min_size=5, max_size=5))
def test_products_are_added_to_the_same_weights_as_elementwise(text: str, granularities: list[str]):
    names = [name for name in ("eta", "A", "B", "C", "D") if name in text]
    program = compile_program(text, {}, "step", names)
    parameters = {n: draw(*PER[per], seed=k) for k, (n, per) in enumerate(zip(names, granularities, strict=False))}
    signals = {"pre": draw(*SHAPES["pre"], seed=7), "post": draw(*SHAPES["post"], seed=8)}
    w = draw(*SHAPES["synapse"], seed=9)
    new, _ = to_torch.step(program, parameters, w, {}, signals)
    naive = w + to_torch.torch_function(program.update)({**parameters, **signals, "w": w})
    torch.testing.assert_close(new, naive, rtol=1e-13, atol=1e-13)


def test_traces_read_those_before_them_as_they_are_and_the_others_as_they_were():
    program = compile_program("b", {"a": "a + b + 1", "b": "2 * a + c", "c": "10 + b + pre"}, "step", [])
    w = torch.zeros(1, 1, 1, 1)
    traces, pre = to_torch.start(program, w), {"pre": torch.full((1, 1, 1, 1), 0.5)}
    w, traces = to_torch.step(program, {}, w, traces, pre)
    assert [traces[name].item() for name in "abc"] == [1.0, 2.0, 12.5]  # a = 0 + 0 + 1, b = 2 a + 0, c = 10 + b + pre
    w, traces = to_torch.step(program, {}, w, traces, pre)
    assert [traces[name].item() for name in "abc"] == [4.0, 20.5, 31.0]  # a = 1 + 2 + 1, b = 8 + 12.5
    assert w.item() == 2.0 + 20.5


def test_traces_have_the_size_of_their_place():
    traces = {"s": "settled", "x": "pre", "y": "post", "e": "pre*post"}
    program = compile_program("s*x*y*e", traces, "step", [])
    assert {n: t.shape[2:] for n, t in to_torch.start(program, draw(P, L, POST, PRE)).items()} == {
        "s": (1, 1),
        "x": (1, PRE),
        "y": (POST, 1),
        "e": (POST, PRE),
    }


def test_a_trial_rule_writes_at_the_trials_end_alone():
    program = compile_program("rpe * e", {"e": "e + pre*post"}, "trial", [])
    w, signals = draw(P, L, POST, PRE), {"pre": draw(*SHAPES["pre"]), "post": draw(*SHAPES["post"], seed=3)}
    after, traces = to_torch.step(program, {}, w, to_torch.start(program, w), signals)
    assert torch.equal(after, w)
    rpe = draw(*SHAPES["scalar"], seed=1)
    torch.testing.assert_close(
        to_torch.trial_end(program, {}, w, traces, {"rpe": rpe}), w + rpe * signals["pre"] * signals["post"]
    )
    stepwise = compile_program("rpe * pre", {}, "step", [])
    assert torch.equal(to_torch.trial_end(stepwise, {}, w, {}, {"rpe": rpe}), w)


def test_after_the_update_come_decay_and_bounds_then_the_mask_then_the_norm():
    program = compile_program("post", {}, "step", [], transform="clip(w / 2, -1, 1)", normalise="max")
    w = torch.tensor([[4.0, -9.0, 1.0], [0.5, 0.0, 7.0]])[None, None]
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    new, _ = to_torch.step(program, {}, w, {}, {"post": torch.tensor([[1.0], [-0.5]])[None, None]}, mask)
    # (w + post) / 2 in [-1, 1]: [[1, -1, 1], [0, -.25, 1]], masked, then by the largest, 1
    assert new[0, 0].tolist() == [[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    rows = to_torch.normalised(torch.tensor([[3.0, -4.0], [0.0, 0.0]]), "row")
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(-0.8)], [0.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_life_has_the_same_bits_whoever_lives_beside_it(dtype: torch.dtype):
    update = "eta*(A*post*pre + B*pre) + tanh(post*w)*sign(pre)"
    program = compile_program(update + " - 0.01*m*e", {"m": "0.9*m+post", "e": "e + m*pre"}, "step", ["eta", "A", "B"])
    parameters = {n: draw(P, 1, 1, 1, seed=k).to(dtype) for k, n in enumerate(["eta", "A", "B"])}
    w = draw(P, L, POST, PRE).to(dtype)
    signals = {"pre": draw(*SHAPES["pre"], seed=5).to(dtype), "post": draw(*SHAPES["post"], seed=6).to(dtype)}
    traces = to_torch.start(program, w)
    whole, memories = to_torch.step(
        program, parameters, *to_torch.step(program, parameters, w, traces, signals), signals
    )
    one = {n: v[1:2, 2:3] for n, v in signals.items()}
    first = {n: v[1:2] for n, v in parameters.items()}
    begun = to_torch.step(program, first, w[1:2, 2:3], {n: v[1:2, 2:3] for n, v in traces.items()}, one)
    alone, memory = to_torch.step(program, first, *begun, one)
    assert torch.equal(whole[1, 2], alone[0, 0])
    assert all(torch.equal(memories[n][1, 2], memory[n][0, 0]) for n in memory)


def test_the_order_of_a_product_does_not_depend_on_the_number_of_lives():
    lives = 9  # then a postsynaptic signal of all lives holds more numbers than a coefficient of all synapses
    function = to_torch.torch_function(parse("a*post*pre*(w + 0.1)*rpe", NAMES, PARAMETERS))
    batch = {"a": draw(P, 1, POST, PRE), "post": draw(P, lives, POST, 1), "pre": draw(P, lives, 1, PRE)}
    batch |= {"w": draw(P, lives, POST, PRE, seed=2), "rpe": draw(P, lives, 1, 1)}
    batch = {name: value.float() for name, value in batch.items()}
    whole = function(batch)
    for p, k in [(0, 0), (1, 4), (1, 8)]:
        alone = {n: v[p : p + 1] if n == "a" else v[p : p + 1, k : k + 1] for n, v in batch.items()}
        assert torch.equal(function(alone)[0, 0], whole[p, k])


def test_dtype_follows_the_weights():
    program = compile_program("0.1*post*pre + step(w)*clip(pre, -0.5, 0.5) + 0.25", {}, "step", [])
    signals = {"pre": draw(*SHAPES["pre"]).float(), "post": draw(*SHAPES["post"]).float()}
    assert to_torch.step(program, {}, draw(P, L, POST, PRE).float(), {}, signals)[0].dtype == torch.float32


def test_a_lifetime_has_the_gradient_that_finite_differences_find():
    traces = {"e": "k*e + tanh(post)*pre**2", "m": "0.5*m + post"}
    program = compile_program("eta*(e - m*w) + A*sigmoid(pre*post)", traces, "step", ["eta", "k", "A"])

    def life(w, eta, k, A, pre, post):
        memories = to_torch.start(program, w)
        for t in range(3):
            signals = {"pre": pre[t], "post": post[t] + (w * pre[t]).sum(3, keepdim=True)}
            w, memories = to_torch.step(program, {"eta": eta, "k": k, "A": A}, w, memories, signals)
        return w

    shapes = [(1, 2, 3, 2), (1, 1, 1, 1), (1, 1, 3, 1), (1, 1, 3, 2), (3, 1, 2, 1, 2), (3, 1, 2, 3, 1)]
    inputs = [(0.5 * draw(*shape, seed=k)).requires_grad_() for k, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(life, inputs)
