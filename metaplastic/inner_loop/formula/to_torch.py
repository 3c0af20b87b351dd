"""Expressions and whole rules as batched PyTorch: differentiable, any dtype, any device.

Shapes of what an expression reads, which broadcast against each other:

    scalar signals [P, L, 1, 1]     pre [P, L, 1, pre]     post [P, L, post, 1]     synapse [P, L, post, pre]
    parameters [P, 1, 1 | post, 1 | pre], as `Layout.expand(...)[:, None]` gives them

Factors are multiplied and terms added from the smallest place to the largest, so that the fewest operations touch all
synapses. A change that is a sum of few products of a post- and a presynaptic part (`factorise.split`) is added product
by product: that makes no temporary of the weights' size, is as fast as one rank-k matrix product, and, unlike a matrix
product, gives the same bits however a batch is cut.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from typing import Any, cast

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.inner_loop.formula import grammar
from metaplastic.inner_loop.formula.factorise import split
from metaplastic.inner_loop.formula.grammar import operands
from metaplastic.inner_loop.formula.program import SIGNALS, Place, Program

Values = Mapping[str, Any]
"""Everything an expression may read, by name: tensors."""
Function = Callable[[Values], Tensor]

_W = sympy.Symbol("w")

RANK = 4
"""a change of at most so many products is added product by product; above, elementwise is as fast"""


@lru_cache(maxsize=4096)
def torch_function(expr: sympy.Expr) -> Function:
    """`expr` as a function of named tensors; sub-expressions that occur twice are computed once."""
    shared, (body, *_) = sympy.cse([expr], symbols=sympy.numbered_symbols("_shared"))
    parts = [(str(symbol), _closure(part)) for symbol, part in shared]
    last = _closure(cast(sympy.Expr, body))

    def function(values: Values) -> Tensor:
        known = dict(values)
        for name, part in parts:
            known[name] = part(known)
        result = last(known)
        if isinstance(result, Tensor):
            return result
        like = next(iter(values.values()))
        return like.new_full((1,) * like.dim(), result)

    return function


def start(program: Program, w: Float[Tensor, "P L post pre"]) -> dict[str, Float[Tensor, "P L one_or_post one_or_pre"]]:
    """The traces at birth: zeros of the size of their place, like the weights `w`."""
    individuals, lifetimes, post, pre = w.shape
    extent = {"scalar": (1, 1), "pre": (1, pre), "post": (post, 1), "synapse": (post, pre)}
    return {trace.name: w.new_zeros(individuals, lifetimes, *extent[trace.place]) for trace in program.traces}


def step(
    program: Program,
    parameters: Values,
    w: Float[Tensor, "P L post pre"],
    traces: Values,
    signals: Values,
    mask: Tensor | None = None,
) -> tuple[Float[Tensor, "P L post pre"], dict[str, Tensor]]:
    """One step of the rule: the new weights (the same, if the rule writes at the trial's end) and traces.

    `mask`, broadcastable to w, is 1 where there is a synapse; elsewhere the weight becomes 0.
    """
    known = derived(program, {**parameters, **signals, **traces, "w": w})
    for trace in program.traces:
        known[trace.name] = torch_function(trace.value)(known)
    if program.writes == "step":
        w = changed(program, known, mask)
    return w, {trace.name: known[trace.name] for trace in program.traces}


def trial_end(
    program: Program,
    parameters: Values,
    w: Float[Tensor, "P L post pre"],
    traces: Values,
    signals: Values,
    mask: Tensor | None = None,
) -> Float[Tensor, "P L post pre"]:
    """The weights after a trial's end; the same, if the rule writes at every step. `signals`: the trial's scalars."""
    if program.writes == "step":
        return w
    return changed(program, {**parameters, **signals, **traces, "w": w}, mask)


def changed(program: Program, known: Values, mask: Tensor | None = None) -> Float[Tensor, "P L post pre"]:
    """The weights after one update; everything the update reads is in `known`, w too."""
    known = derived(program, known)
    if program.update != 0:
        known = {**known, "w": _updated(program, known)}
    if program.transform != _W:
        known = {**known, "w": torch_function(program.transform)(known)}
    w = known["w"] if mask is None else known["w"] * mask
    return w if program.normalise == "none" else normalised(w, program.normalise)


def derived(program: Program, known: Values) -> dict[str, Any]:
    """`known` with the signals of DERIVED that the program reads, unless they are given: from the weights as they are.

    reconstruction [P, L, 1, pre] is sum_k post_k w_kj, explained [P, L, post, pre] the sums of its first terms.
    """
    found = dict(known)
    if "reconstruction" in program.reads:
        found.setdefault("reconstruction", (known["post"] * known["w"]).sum(-2, keepdim=True))
    if "explained" in program.reads:
        found.setdefault("explained", (known["post"] * known["w"]).cumsum(-2))
    return found


def normalised(w: Float[Tensor, "*B post pre"], how: str) -> Float[Tensor, "*B post pre"]:
    """max: divided by the largest |w| of the group; row: each row by its Euclidean length. Zeros stay zeros."""
    size = w.abs().amax((-2, -1), keepdim=True) if how == "max" else w.square().sum(-1, keepdim=True).sqrt()
    return w / torch.where(size > 0, size, torch.ones_like(size))


def _updated(program: Program, known: Values) -> Float[Tensor, "P L post pre"]:
    """w + update, by products where the update is a sum of few."""
    traces = {trace.name: trace.place for trace in program.traces}
    places = tuple((name, _place(known[name])) for name in program.parameters)
    products = _products(program.update, (*traces.items(), *places))
    w = known["w"]
    if products is None:
        return w + torch_function(program.update)(known)
    for post, pre in products:
        w = torch.addcmul(w, post(known), pre(known))
    return w


@lru_cache(maxsize=4096)
def _products(
    update: sympy.Expr, places: tuple[tuple[str, Place], ...]
) -> tuple[tuple[Function, Function], ...] | None:
    """The update as few products post part times pre part, or None if it is not that."""
    terms = split(update, {**SIGNALS, **dict(places)})
    if terms is None or len(terms) > RANK:
        return None
    return tuple((torch_function(post), torch_function(pre)) for post, pre in terms)


def _place(value: Tensor) -> Place:
    post, pre = value.shape[-2] > 1, value.shape[-1] > 1
    return "synapse" if post and pre else "post" if post else "pre" if pre else "scalar"


def _closure(expr: sympy.Expr) -> Callable[[Values], Tensor | float]:
    if expr.is_Symbol:
        name = str(expr)
        return lambda values: values[name]
    if expr.is_number and not expr.args:
        number = float(expr)
        return lambda _: number
    if expr.is_Pow:
        return _power(expr)
    parts = [_closure(argument) for argument in operands(expr)]
    if expr.is_Add or expr.is_Mul:
        joined: Callable[[Any, Any], Any] = operator.add if expr.is_Add else operator.mul
        return lambda values: reduce(joined, sorted((part(values) for part in parts), key=_size))
    function = _FUNCTIONS[expr.func]
    return lambda values: function(*(part(values) for part in parts))


def _power(expr: sympy.Expr) -> Callable[[Values], Tensor | float]:
    base, exponent = _closure(operands(expr)[0]), operands(expr)[1]
    if exponent == -1:
        return lambda values: 1.0 / _tensor(base(values))
    if exponent.is_number:
        number = float(exponent)
        return lambda values: base(values) ** number
    power = _closure(exponent)
    return lambda values: base(values) ** power(values)


def _size(part: Tensor | float) -> int:
    """Rank of a part's place: the order of a sum must not depend on the batch, or results would."""
    if not isinstance(part, Tensor) or part.dim() < 2:
        return 0
    return 1 + (part.shape[-1] > 1) + 2 * (part.shape[-2] > 1)


def _tensor(value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def _clip(x: Tensor | float, low: Tensor | float, high: Tensor | float) -> Tensor:
    return torch.minimum(torch.maximum(_tensor(x), _like(low, x)), _like(high, x))


def _like(value: Tensor | float, other: Tensor | float) -> Tensor:
    """A number in the dtype and device of `other`; `torch.minimum` does not mix a number with a tensor."""
    if isinstance(value, Tensor) or not isinstance(other, Tensor):
        return _tensor(value)
    return other.new_tensor(value)


def _step(x: Tensor | float) -> Tensor:
    x = _tensor(x)
    return (x > 0).to(x.dtype)


_FUNCTIONS: dict[type, Callable[..., Tensor]] = {
    sympy.tanh: lambda x: torch.tanh(_tensor(x)),
    sympy.exp: lambda x: torch.exp(_tensor(x)),
    sympy.log: lambda x: torch.log(_tensor(x)),
    grammar.absolute: lambda x: torch.abs(_tensor(x)),
    grammar.signum: lambda x: torch.sign(_tensor(x)),
    grammar.relu: lambda x: torch.relu(_tensor(x)),
    grammar.step: _step,
    grammar.sigmoid: lambda x: torch.sigmoid(_tensor(x)),
    grammar.clip: _clip,
    grammar.minimum: lambda x, y: torch.minimum(_like(x, y), _like(y, x)),
    grammar.maximum: lambda x, y: torch.maximum(_like(x, y), _like(y, x)),
}
