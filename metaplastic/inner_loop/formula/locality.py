"""What a synapse must be told for a rule to work, and how much work it is.

    pre, post        activities and own variables of its two neurons
    weight           its weight
    synapse_state    a memory of its own
    global_scalar    one number broadcast to the whole brain: reward, expectation, prediction error, a trial's clock
    feedback_vec     a number of its own for each neuron, carried down from the answer
    nonlocal         activities and weights of other postsynaptic neurons of its connection group

A rule may declare what it allows itself; one that reads more is refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple, get_args

import sympy

from metaplastic.core import near_miss
from metaplastic.inner_loop.formula.analyse import place_of
from metaplastic.inner_loop.formula.grammar import FormulaError, operands
from metaplastic.inner_loop.formula.program import DERIVED, SIGNALS, Program

Word = Literal["pre", "post", "weight", "synapse_state", "global_scalar", "feedback_vec", "nonlocal"]
"""the words of locality, from rules.md 3.1"""

_WORD_OF_PLACE: dict[str, Word] = {"pre": "pre", "post": "post", "scalar": "global_scalar", "synapse": "weight"}
_WORD_OF_SIGNAL: dict[str, Word] = {"feedback": "feedback_vec", **dict.fromkeys(DERIVED, "nonlocal")}
"""signals that are more than a variable of their place"""


class Cost(NamedTuple):
    """Arithmetic operations of a rule."""

    step: int
    """at each synapse and step"""
    write: int
    """at each synapse and write of the weights"""
    memories: int
    """numbers kept at each synapse besides its weight"""


def locality(program: Program) -> frozenset[Word]:
    """What a synapse reads."""
    words: set[Word] = {_word(name) for name in program.reads}
    if any(trace.place == "synapse" for trace in program.traces):
        words.add("synapse_state")
    return frozenset(words)


def check_locality(program: Program, declared: Collection[str] | None) -> None:
    """Refuse a program that reads more than `declared`; None allows everything."""
    if declared is None:
        return
    known = list(get_args(Word))
    for word in declared:
        if word not in known:
            raise FormulaError(f"locality {word!r} is unknown{near_miss(word, known)}; there are {', '.join(known)}")
    more = sorted(locality(program) - set(declared))
    if more:
        readers = ", ".join(sorted(_readers(program, set(more))))
        raise FormulaError(
            f"locality is declared as {', '.join(sorted(declared)) or 'nothing'}, but the rule also needs "
            f"{', '.join(more)} (it reads {readers}); declare it or take it out"
        )


def cost(program: Program) -> Cost:
    """Operations that cannot be shared between synapses, and memories."""
    at_synapses = [trace for trace in program.traces if trace.place == "synapse"]
    work = sum(_operations(trace.value, program) for trace in at_synapses)
    write = _operations(program.update, program) + 1 + int(sympy.count_ops(program.transform))
    return Cost(work + (write if program.writes == "step" else 0), write, len(at_synapses))


def _operations(expr: sympy.Expr, program: Program) -> int:
    """Operations of the parts of an expression that differ from synapse to synapse."""
    if not expr.args or place_of(expr, program) != "synapse":
        return 0
    below = sum(_operations(argument, program) for argument in operands(expr))
    return below + (len(expr.args) - 1 if expr.is_Add or expr.is_Mul else 1)


def _readers(program: Program, words: set[str]) -> set[str]:
    signals = {name for name in program.reads if _word(name) in words}
    states = {trace.name for trace in program.traces if trace.place == "synapse"} if "synapse_state" in words else set()
    return signals | states


def _word(signal: str) -> Word:
    return _WORD_OF_SIGNAL.get(signal) or _WORD_OF_PLACE[SIGNALS[signal]]
