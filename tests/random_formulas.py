"""Formulas for hypothesis: text of the grammar over a few signals and two parameters, tame enough to be compared."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = ["pre", "post", "w", "rpe", "a", "b"]
PARAMETERS = ["a", "b"]

_leaves = st.one_of(st.sampled_from(NAMES), st.sampled_from(["0.5", "2", "1.25", "3", "0.1"]))


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.sampled_from(["tanh", "abs", "sign", "relu", "step", "sigmoid"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({}) / (1 + ({})**2)".format, inner, inner),
        st.builds("({})**{}".format, inner, st.integers(2, 5)),
        st.builds("-({})".format, inner),
        st.builds("{}({})".format, one, inner),
        st.builds("exp(-({})**2)".format, inner),
        st.builds("sqrt(1 + abs({}))".format, inner),
        st.builds("log(1.5 + abs({}))**a".format, inner),
        st.builds("clip({}, -1.5, {})".format, inner, st.sampled_from(["0.75", "b"])),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
    )


formulas = st.recursive(_leaves, _grown, max_leaves=6)
"""text of a formula"""
values = st.fixed_dictionaries({name: st.sampled_from([-1.3, -0.7, 0.3, 0.9, 1.6]) for name in NAMES})
"""a number for every name"""
