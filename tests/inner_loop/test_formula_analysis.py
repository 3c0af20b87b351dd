"""From texts to a program: where traces live, what a synapse must be told, and which rules make no sense."""

from __future__ import annotations

import pytest
import sympy

from metaplastic.inner_loop.formula.analyse import compile_program
from metaplastic.inner_loop.formula.grammar import FormulaError
from metaplastic.inner_loop.formula.locality import check_locality, cost, locality


def test_a_trace_lives_where_what_it_reads_can_be_known():
    traces = {
        "clock": "clock + settled",
        "x_mean": "0.9 * x_mean + 0.1 * pre * clock",
        "jump": "potential - y_mean",
        "y_mean": "0.5 * y_mean + 0.5 * potential",
        "e": "e + jump * x_mean",
        "scaled": "clock * w",
    }
    program = compile_program("e + scaled", traces, "step", [])
    assert {trace.name: trace.place for trace in program.traces} == {
        "clock": "scalar",
        "x_mean": "pre",
        "jump": "post",
        "y_mean": "post",
        "e": "synapse",
        "scaled": "synapse",
    }
    assert program.reads == {"settled", "pre", "potential", "w"}


def test_a_trace_that_reads_a_later_one_lives_with_it():
    program = compile_program("a", {"a": "b + 1", "b": "pre * post"}, "step", [])
    assert [trace.place for trace in program.traces] == ["synapse", "synapse"]


def test_a_coefficient_of_the_other_side_puts_a_trace_at_the_synapse():
    program = compile_program("m * post", {"m": "k * m + pre"}, "step", {"k": "post"})
    assert program.traces[0].place == "synapse"
    assert compile_program("m * post", {"m": "k * m + pre"}, "step", {"k": "pre"}).traces[0].place == "pre"


def test_the_same_texts_give_the_same_program():
    first = compile_program("eta * pre", {}, "step", ["eta"])
    assert compile_program("eta * pre", {}, "step", {"eta": "scalar"}) is first
    assert hash(first) == hash(first._replace())


@pytest.mark.parametrize(
    ("update", "traces", "writes", "parameters", "message"),
    [
        ("eta * pre", {}, "step", [], r"update: 'eta \* pre', place 1: eta: no such signal or parameter"),
        ("e", {"e": "e + prs"}, "step", [], r"trace e: 'e \+ prs', place 5: prs: .*did you mean 'pre'"),
        ("pre", {}, "step", ["eta"], "parameter 'eta' is read by no formula"),
        ("pre", {"e": "e + pre"}, "step", [], "trace 'e' never reaches the update"),
        ("pre", {"e": "f + pre", "f": "e"}, "step", [], "trace 'e' never reaches the update"),
        ("pre * post", {"pre": "pre"}, "step", [], "trace 'pre' has the name of a signal"),
        ("tanh * post", {}, "step", ["tanh"], "parameter 'tanh' has the name of a function"),
        ("e", {"e": "e + pre"}, "step", ["e"], "'e' is both a trace and a parameter"),
        ("pre", {}, "step", ["lambda"], "parameter 'lambda' is no name"),
        ("pre", {"2e": "pre"}, "step", [], "trace '2e' is no name"),
        ("rpe * pre", {}, "trial", [], "update reads 'pre', but with writes: trial it is applied once"),
        ("e", {"e": "e + rpe * pre"}, "trial", [], "trace 'e' reads 'rpe', which with writes: trial is known only"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(update, traces, writes, parameters, message):
    with pytest.raises(FormulaError, match=message):
        compile_program(update, traces, writes, parameters)


def test_locality_is_read_off_the_formulas():
    traces = {"e": "e + pre * noise"}
    assert locality(compile_program("eta * rpe * e", traces, "trial", ["eta"])) == {
        "pre",
        "post",
        "synapse_state",
        "global_scalar",
    }
    assert locality(compile_program("feedback * pre - w", {}, "step", [])) == {"feedback_vec", "pre", "weight"}
    assert locality(compile_program("0", {}, "step", [])) == set()


def test_a_rule_that_reads_more_than_it_declares_is_refused():
    program = compile_program("feedback * pre - w", {}, "step", [])
    check_locality(program, None)
    check_locality(program, ["feedback_vec", "pre", "weight", "post"])
    with pytest.raises(FormulaError, match=r"also needs feedback_vec, weight \(it reads feedback, w\)"):
        check_locality(program, ["pre", "post"])
    with pytest.raises(FormulaError, match=r"locality 'wieght' is unknown \(did you mean 'weight'\?\)"):
        check_locality(program, ["wieght"])


def test_operations_are_counted_where_they_differ_between_synapses():
    traces = {"e": "0.9 * e + tanh(post)**2 * pre", "m": "0.5 * m + post"}
    program = compile_program("rpe * e - m * w", traces, "step", [])
    # e: one product with pre, one with 0.9, one sum; update: rpe e, m w, -, and the sum with w
    assert cost(program).memories == 1
    assert cost(program).step == 2 + 1 + 1 + (1 + 2 + 1) + 1 - 1
    deferred = compile_program("rpe * e", {"e": "e + post * pre"}, "trial", [])
    assert cost(deferred)._asdict() == {"step": 2, "write": 2, "memories": 1}


def test_the_transform_reads_the_weight_and_parameters_alone():
    program = compile_program("pre", {}, "step", ["limit"], transform="clip(w, -limit, limit)")
    assert {str(symbol) for symbol in program.transform.free_symbols} == {"w", "limit"}
    assert compile_program("pre", {}, "step", []).transform == sympy.Symbol("w")
    with pytest.raises(FormulaError, match="transform: 'w \\* pre', place 5: pre: no such signal"):
        compile_program("pre", {}, "step", [], transform="w * pre")
