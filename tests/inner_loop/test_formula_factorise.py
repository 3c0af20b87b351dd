"""Eligibilities as one matrix product a trial: equal to the step-by-step trace, and refused where they are not."""

from __future__ import annotations

import math
import re

import pytest
import sympy
import torch

from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.analyse import compile_program
from metaplastic.inner_loop.formula.factorise import accumulate, factorise, split
from metaplastic.inner_loop.formula.program import SIGNALS, Program

T, P, L, POST, PRE = 7, 2, 3, 5, 4


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    count = math.prod(shape)
    return torch.sin(torch.arange(1, count + 1, dtype=torch.float64) ** 2 * 0.7 + seed).reshape(shape)


def deferred(text: str, **more: str) -> Program:
    parameters = [name for name in ("k", "n") if re.search(rf"\b{name}\b", text)]
    return compile_program("rpe * e", {"e": text, **more}, "trial", parameters)


CASES = {
    "node perturbation": deferred("e + settled * pre * noise"),
    "Miconi's cube": deferred("e + settled*(pre*(potential - mean))**3", mean="0.05*mean + 0.95*potential"),
    "decay, two products": deferred("0.8*e + post*tanh(pre) - 3*potential**2*pre"),
    "a decay that is a parameter": deferred("(1 - k)*e + (post - 0.5)*(pre + 2)"),
    "a leaky mean": deferred("e + 0.1*(pre*post - e)"),
    "any power of the size": deferred("e + sign(pre*potential)*abs(pre*potential)**n"),
    "a sum, squared": deferred("e + (pre + post)**2"),
    "two memories": deferred("e + x*pre_mean", x="0.5*x + post", pre_mean="0.9*pre_mean + pre"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_matrix_product_is_the_trace_step_by_step(name: str):
    program = CASES[name]
    parameters = {n: torch.tensor([0.25, 1.5], dtype=torch.float64).reshape(P, 1, 1, 1) for n in program.parameters}
    signals = {
        "pre": draw(T, P, L, 1, PRE),
        "post": draw(T, P, L, POST, 1, seed=1),
        "potential": draw(T, P, L, POST, 1, seed=2),
        "noise": draw(T, P, L, POST, 1, seed=3),
        "settled": (torch.arange(T) > 1).double().reshape(T, 1, 1, 1, 1).expand(T, P, L, 1, 1),
    }
    factors = factorise(program)
    assert factors is not None
    ((_, decay, terms),) = factors
    w = torch.zeros(P, L, POST, PRE, dtype=torch.float64)
    traces, posts, pres = to_torch.start(program, w), [], []
    for t in range(T):
        now = {n: s[t] for n, s in signals.items()}
        before = traces
        _, traces = to_torch.step(program, parameters, w, traces, now)
        # traces before e in the program are read as they are now, those after it as they were
        order = [trace.name for trace in program.traces]
        known = {n: traces[n] if order.index(n) < order.index("e") else before[n] for n in order}
        known |= {**now, **parameters}
        posts.append(torch.stack([to_torch.torch_function(f)(known).expand(P, L, POST, 1) for f, _ in terms]))
        pres.append(torch.stack([to_torch.torch_function(g)(known).expand(P, L, 1, PRE) for _, g in terms]))
    flat_post = torch.stack(posts).reshape(T, len(terms), P * L, POST).transpose(1, 2)
    flat_pre = torch.stack(pres).reshape(T, len(terms), P * L, PRE).transpose(1, 2)
    fading = to_torch.torch_function(decay)({**parameters, "like": w[:1, :1, :1, :1]}).expand(P, L, 1, 1).reshape(P * L)
    e = accumulate(flat_post, flat_pre, fading).reshape(P, L, POST, PRE)
    torch.testing.assert_close(e, traces["e"], rtol=1e-12, atol=1e-12)


def test_miconis_cube_falls_apart_into_one_product():
    factors = factorise(CASES["Miconi's cube"])
    assert factors is not None
    mean, potential, pre, settled = sympy.symbols("mean potential pre settled")
    assert factors[0].decay == 1
    assert factors[0].terms == ((settled * (potential - mean) ** 3, pre**3),)


@pytest.mark.parametrize(
    "text",
    [
        "e + tanh(pre*post)",
        "e + pre*post*w",
        "tanh(e) + pre*post",
        "pre*e + post",
        "e**2 + pre*post",
        "abs(e) + pre*post",
        "e + (pre*post)**n",
        "e + exp(pre - post)",
        "e + clip(pre*post, -1, 1)",
    ],
)
def test_other_traces_are_left_to_the_steps(text: str):
    assert factorise(deferred(text)) is None


def test_a_rule_that_writes_at_every_step_or_mixes_synaptic_traces_is_left_to_the_steps():
    assert factorise(compile_program("e", {"e": "e + pre*post"}, "step", [])) is None
    assert factorise(compile_program("f", {"e": "e + pre*post", "f": "0.9*f + e"}, "trial", [])) is None


def test_a_decay_of_every_synapse_is_left_to_the_steps():
    program = deferred("k*e + pre*post")
    assert factorise(program) is not None
    assert factorise(program, (("k", "synapse"),)) is None


def test_a_coefficient_goes_to_the_side_it_lives_on():
    a, b, post, pre = sympy.symbols("a b post pre")
    assert split(a * b * post * pre, {**SIGNALS, "a": "pre", "b": "post"}) == ((b * post, a * pre),)
    assert split(a * post * pre, {**SIGNALS, "a": "synapse"}) is None


def test_too_many_products_are_left_to_the_steps():
    text = "*".join(f"(pre + {k}*post)" for k in range(2, 10))
    assert split(deferred(f"e + {text}").traces[0].value - sympy.Symbol("e"), SIGNALS) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(17, 19), (1, 33), (16, 17)])
def test_the_product_has_the_same_bits_whoever_is_in_the_batch(dtype: torch.dtype, sizes: tuple[int, int]):
    post, pre = draw(37, 11, 2, sizes[0]).to(dtype), draw(37, 11, 2, sizes[1], seed=4).to(dtype)
    whole = accumulate(post, pre, 0.97)
    for first, count in [(0, 1), (3, 1), (5, 2), (1, 7), (10, 1)]:
        assert torch.equal(
            whole[first : first + count],
            accumulate(post[:, first : first + count], pre[:, first : first + count], 0.97),
        )
