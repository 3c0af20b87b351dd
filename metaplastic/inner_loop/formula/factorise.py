"""Eligibilities that need no synapses until they are read: sums of products of a postsynaptic and a presynaptic part.

    e(t) = lambda e(t-1) + sum_k f_k(t) g_k(t)     =>     e(T) = sum_t sum_k lambda^(T-t) f_k(t) g_k(t)         (1)

with f_k of the postsynaptic neuron and g_k of the presynaptic one: T N rank-one changes of N x N numbers become one
matrix product a trial. Powers of a product are products of powers, so Miconi's (2017) cubed trace
(x_j (v_i - mean v_i))^3 is of this form too. Any other trace gives None and is run step by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import sympy
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from metaplastic.inner_loop.formula.analyse import join
from metaplastic.inner_loop.formula.grammar import absolute, operands, signum
from metaplastic.inner_loop.formula.program import DERIVED, SIGNALS, Place, Program

MOST = 64
"""products, before equal ones are joined; a formula with more is run step by step"""

ALIGNED = 16
"""numbers in a full line of memory (64 bytes of float32)"""

Products = tuple[tuple[sympy.Expr, sympy.Expr], ...]
"""(postsynaptic part, presynaptic part), ...; numbers and scalars stand in the postsynaptic part"""


class Factors(NamedTuple):
    """A synaptic trace as (1)."""

    trace: str
    decay: sympy.Expr
    """lambda: a number, or made of parameters"""
    terms: Products
    """the (f_k, g_k)"""


def split(expr: sympy.Expr, places: Mapping[str, Place]) -> Products | None:
    """`expr` as a sum of products of a post- and a presynaptic part, or None; `places` of every name it reads."""
    products = _products(expr, places)
    if products is None:
        return None
    by_pre: dict[sympy.Expr, list[sympy.Expr]] = {}
    for post, pre in products:
        by_pre.setdefault(pre, []).append(post)
    return tuple((sympy.Add(*posts), pre) for pre, posts in by_pre.items())


@lru_cache(maxsize=1024)
def factorise(program: Program, parameters: tuple[tuple[str, Place], ...] = ()) -> tuple[Factors, ...] | None:
    """The program's synaptic traces as (1), or None if one of them is not that or the rule writes at every step.

    `parameters` says where parameters live that are not one a brain or connection: (("decay", "post"), ...).
    """
    if program.writes == "step":
        return None
    places = _all_places(program, parameters)
    synaptic = [trace for trace in program.traces if trace.place == "synapse"]
    names = {trace.name for trace in synaptic}
    if any(_reads(trace.value, names - {trace.name} | {"w", *DERIVED}) for trace in program.traces):
        return None
    found = [_factors(trace.name, trace.value, places, program.parameters) for trace in synaptic]
    return None if None in found else tuple(factors for factors in found if factors)


def accumulate(
    post: Float[Tensor, "T B K post"], pre: Float[Tensor, "T B K pre"], decay: float | Float[Tensor, " B"] = 1.0
) -> Float[Tensor, "B post pre"]:
    """Equation (1) from e = 0: one batched matrix product over the K T products of a trial.

    Rows are padded so that every matrix of the batch starts at a full line of memory: BLAS chooses its code by that,
    and the bits of a life must not depend on who stands beside it.
    """
    steps, batch, terms, post_count = post.shape
    pre_count = pre.shape[3]
    post, pre = (functional.pad(part, (0, -part.shape[3] % ALIGNED)) for part in (post, pre))
    age = torch.arange(steps - 1, -1, -1, dtype=post.dtype, device=post.device)
    if isinstance(decay, Tensor):
        post = post * (decay[None, :] ** age[:, None])[:, :, None, None]
    elif decay != 1:
        post = post * (decay**age)[:, None, None, None]
    left = post.permute(1, 0, 2, 3).reshape(batch, steps * terms, -1)
    right = pre.permute(1, 0, 2, 3).reshape(batch, steps * terms, -1)
    return torch.bmm(left.mT, right)[:, :post_count, :pre_count]


def _factors(name: str, value: sympy.Expr, places: Mapping[str, Place], parameters: tuple[str, ...]) -> Factors | None:
    trace = sympy.Symbol(name)
    rest = value.subs(trace, 0)
    decay = value.diff(trace)  # free of the trace itself only if the trace is read linearly
    if {str(s) for s in decay.free_symbols} - set(parameters) or _place(decay, places) != "scalar":
        return None
    terms = split(rest, places)
    return None if terms is None else Factors(name, decay, terms)


def _all_places(program: Program, parameters: tuple[tuple[str, Place], ...]) -> dict[str, Place]:
    scalars: dict[str, Place] = dict.fromkeys(program.parameters, "scalar")
    return {**SIGNALS, **scalars, **dict(parameters), **{trace.name: trace.place for trace in program.traces}}


def _reads(expr: sympy.Expr, names: set[str]) -> bool:
    return any(str(symbol) in names for symbol in expr.free_symbols)


def _place(expr: sympy.Expr, places: Mapping[str, Place]) -> Place:
    return join(places.get(str(symbol), "scalar") for symbol in expr.free_symbols)


def _products(expr: sympy.Expr, places: Mapping[str, Place]) -> list[tuple[sympy.Expr, sympy.Expr]] | None:
    """All products, not yet joined; parts that read one side only are never taken apart."""
    place = _place(expr, places)
    if place != "synapse":
        return [(sympy.S.One, expr)] if place == "pre" else [(expr, sympy.S.One)]
    if expr.is_Add:
        return _joined([_products(term, places) for term in operands(expr)])
    if expr.is_Mul:
        return _multiplied([_products(factor, places) for factor in operands(expr)])
    if expr.is_Pow:
        return _power(expr, places)
    if expr.func in (absolute, signum):  # |a b| = |a| |b|, sign(a b) = sign(a) sign(b)
        inner = _products(operands(expr)[0], places)
        return None if inner is None or len(inner) != 1 else [_mapped(expr.func, inner[0])]
    return None


def _power(expr: sympy.Expr, places: Mapping[str, Place]) -> list[tuple[sympy.Expr, sympy.Expr]] | None:
    base, exponent = operands(expr)
    inner = _products(base, places)
    if inner is None:
        return None
    if len(inner) == 1 and (exponent.is_Integer or (base.func is absolute and _place(exponent, places) == "scalar")):
        return [(inner[0][0] ** exponent, inner[0][1] ** exponent)]
    if exponent.is_Integer and 1 < int(exponent) <= 4:
        return _multiplied([inner] * int(exponent))
    return None


def _mapped(function: Any, pair: tuple[sympy.Expr, sympy.Expr]) -> tuple[sympy.Expr, sympy.Expr]:
    return function(pair[0]), function(pair[1])


def _joined(parts: list[list[tuple[sympy.Expr, sympy.Expr]] | None]) -> list[tuple[sympy.Expr, sympy.Expr]] | None:
    if any(part is None for part in parts):
        return None
    products = [product for part in parts if part for product in part]
    return products if len(products) <= MOST else None


def _multiplied(parts: list[list[tuple[sympy.Expr, sympy.Expr]] | None]) -> list[tuple[sympy.Expr, sympy.Expr]] | None:
    products: list[tuple[sympy.Expr, sympy.Expr]] = [(sympy.S.One, sympy.S.One)]
    for part in parts:
        if part is None or len(products) * len(part) > MOST:
            return None
        products = [(a * c, b * d) for a, b in products for c, d in part]
    return products
