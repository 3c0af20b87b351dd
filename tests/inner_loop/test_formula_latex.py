"""Rules in the field's notation, with and without numbers, and rules without one of their terms."""

from __future__ import annotations

import pytest
import sympy
import torch

from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.analyse import compile_program
from metaplastic.inner_loop.formula.grammar import FormulaError
from metaplastic.inner_loop.formula.terms import terms, without
from metaplastic.inner_loop.formula.to_latex import latex, plain

ABCD = compile_program("eta * (A*post*pre + B*pre + C*post + D)", {}, "step", ["eta", "A", "B", "C", "D"])
OJA = compile_program("eta * post * (pre - post*w)", {}, "step", ["eta"])
MICONI = compile_program(
    "clip(eta*abs(prediction)*rpe*e, -limit, limit)",
    {"e": "e + settled*(pre*(potential - mean))**3", "mean": "0.05*mean + 0.95*potential"},
    "trial",
    ["eta", "limit"],
)


def test_symbols_are_those_of_the_field():
    assert latex(OJA) == r"\Delta w_{ij} &= \eta \, y_i \, \left(x_j - y_i \, w_{ij}\right)"
    assert plain(OJA) == "Δw_ij = η y_i (x_j - y_i w_ij)"
    names = "gate * noise * feedback * drive * reward + settled * potential * w"
    assert plain(compile_program(names, {}, "step", [])) == "Δw_ij = s v_i w_ij + R d_i f_i φ'_i ξ_i"


def test_memories_have_lines_of_their_own_and_the_index_of_their_place():
    assert plain(MICONI).splitlines() == [
        "e_ij ← e_ij + s x_j^3 (v_i - mean_i)^3",
        "mean_i ← 0.05 mean_i + 0.95 v_i",
        "Δw_ij = clip(η |R̄| δ e_ij, -limit, limit)",
    ]
    assert latex(MICONI).splitlines()[2] == (
        r"\Delta w_{ij} &= \mathrm{clip}\left(\eta \, \left|\bar{R}\right| \, \delta \, e_{ij}, "
        r"- \mathrm{limit}, \mathrm{limit}\right)"
    )


def test_numbers_have_three_digits_and_the_largest_term_comes_first():
    numbers = {"eta": 0.1, "A": -0.51239, "B": 2e-5, "C": 3.0, "D": 0.0}
    assert plain(ABCD, numbers) == "Δw_ij = 0.3 y_i - 0.0512 y_i x_j + 2e-06 x_j"
    assert latex(ABCD, numbers) == r"\Delta w_{ij} &= 0.3 \, y_i - 0.0512 \, y_i \, x_j + 2 \cdot 10^{-6} \, x_j"
    assert plain(MICONI, {"eta": 0.1, "limit": 3e-4}).splitlines()[2] == "Δw_ij = clip(0.1 |R̄| δ e_ij, -0.0003, 0.0003)"


def test_words_stay_words_and_greek_becomes_greek():
    program = compile_program("theta_1*step(pre) + mean_decay*sign(w)", {}, "step", ["theta_1", "mean_decay"])
    assert plain(program) == "Δw_ij = mean_decay sign(w_ij) + θ_1 step(x_j)"
    assert r"\theta_{1}" in latex(program)
    assert r"\mathrm{mean\ decay}" in latex(program)


def test_terms_are_named_after_what_they_read():
    assert [name for name, _ in terms(ABCD)] == ["1", "post", "post*pre", "pre"]
    assert dict(terms(OJA))["post**2*w"] == -sympy.Symbol("eta") * sympy.Symbol("post") ** 2 * sympy.Symbol("w")
    assert sympy.expand(sum(term for _, term in terms(OJA)) - OJA.update) == 0


def test_a_rule_without_a_term_lacks_just_that():
    hebb = without(OJA, "post**2*w")
    assert hebb.update == sympy.prod(sympy.symbols("eta post pre"))
    pre, post, w = (torch.full((1, 1, 1, 1), value) for value in (0.5, 3.0, 2.0))
    new, _ = to_torch.step(hebb, {"eta": torch.full((1, 1, 1, 1), 0.1)}, w, {}, {"pre": pre, "post": post})
    assert new.item() == pytest.approx(2.0 + 0.1 * 1.5)
    with pytest.raises(FormulaError, match=r"no term 'prepost'; it has post\*\*2\*w, post\*pre"):
        without(OJA, "prepost")


def test_a_clip_is_looked_into():
    program = compile_program("clip(pre + 2*post*w, -1, 1)", {}, "step", [])
    assert [name for name, _ in terms(program)] == ["post*w", "pre"]
    assert str(without(program, "pre").update) == "clip(2*post*w, -1, 1)"


def test_many_factors_are_not_multiplied_out():
    program = compile_program(
        "*".join(["(pre + post + w + 1)", "(pre - w + 2)", "(post*3 + pre - 4)"] * 3), {}, "step", []
    )
    assert len(terms(program)) == 1


def test_one_over_a_coefficient_is_a_fraction():
    program = compile_program("post * (2 + 1 / mu)", {}, "step", ["mu"])
    assert r"\frac{1}{\mu}" in latex(program)
    assert "1/μ" in plain(program)


def test_sums_over_neurons_are_written_as_sums():
    program = compile_program("post * (pre - explained) + reconstruction", {}, "step", [])
    assert r"\left(\sum_{k \leq i} y_k w_{kj}\right)" in latex(program)
    assert "(Σ_k≤i y_k w_kj)" in plain(program)
    assert "(Σ_k y_k w_kj)" in plain(program)
