"""The text of a whole-trial kernel: what a rule's formula, an activation and the places of parameters make of it.

One pass over the weights a step: traces and weight of a synapse are renewed, and the new weight is at once multiplied
with the rate that its presynaptic neuron has at the next step. Terms of a formula that are the same along a row are
computed once a row (`hoisted`). A rule that writes at the trial's end and whose traces are sums of outer products
leaves the pass out: its factors are kept for BLOCK steps and multiplied together.

Names in the text: `old_x` and `new_x` a trace x before and after this step (`was_x`, `now_x` as one number), `of_x` a
parameter x (`is_x` as one number), `post_x_k` and `pre_x_k` the factors of a trace x.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import sympy

from metaplastic import rng_numba
from metaplastic.inner_loop.formula.factorise import Factors, factorise
from metaplastic.inner_loop.formula.program import DERIVED, SIGNALS, Place
from metaplastic.inner_loop.formula.to_numba import helpers_source, numba_expression
from metaplastic.inner_loop.kernels.hoist import along_row
from metaplastic.inner_loop.kernels.row_loops import over_rows
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.trial_plan import TrialForm

W = sympy.Symbol("w")
INDEX: dict[Place, str] = {"scalar": "[0]", "pre": "[j]", "post": "[i]", "synapse": "[i, j]"}
LENGTH: dict[Place, str] = {"scalar": "1", "pre": "m", "post": "n", "synapse": ""}
SIGNAL_TEXT = {name: name for name in ("reward", "prediction", "settled")}
SIGNAL_TEXT |= {"rpe": "(reward - prediction)", "pre": "pre[j]", "post": "post[i]", "potential": "x[i]", "w": "w_ij"}
SIGNAL_TEXT |= {"gate": "slope(x[i], post[i])", "noise": "xi[i]"}
SIGNAL_TEXT |= {"reconstruction": "rebuilt[j]", "explained": "told"}
STATE = "w, x, pre, nxt, xi, current"
DRAWN = "key, start, rate, size, white, normals, leak, gain, fixed, shown, clamp_at, clamp_to"


class Shape(NamedTuple):
    """What the text of a kernel depends on; everything else is an argument of it."""

    form: TrialForm
    sparse: bool
    """there is a mask of the synapses that exist"""

    @property
    def factors(self) -> dict[str, Factors]:
        """The synaptic traces, if none of them needs a pass over the synapses."""
        return {one.trace: one for one in factorise(self.form.program, self.form.places) or ()}

    @property
    def traces(self) -> dict[str, Place]:
        """Where each trace lives."""
        return {trace.name: trace.place for trace in self.form.program.traces}

    @property
    def arrays(self) -> dict[str, Place]:
        """The arrays that depend on the rule, in the order of arguments: traces, parameters, the mask."""
        traces: dict[str, Place] = {f"old_{name}": place for name, place in self.traces.items()}
        parameters: dict[str, Place] = {f"of_{name}": place for name, place in self.form.places}
        mask: dict[str, Place] = {"mask": "synapse"} if self.sparse else {}
        return {**traces, **parameters, **mask}

    @property
    def scratch(self) -> dict[str, str]:
        """Arrays that a life makes for itself, and their extent."""
        news = {f"new_{name}": LENGTH[place] for name, place in self.traces.items() if place != "synapse"}
        kept = {}
        for name, one in self.factors.items():
            for k in range(len(one.terms)):
                kept |= {f"post_{name}_{k}": "(BLOCK, n)", f"pre_{name}_{k}": "(BLOCK, m)"}
        told = {"reconstruction": "rebuilt", "explained": "so_far"}
        return {**news, **kept, **{told[name]: "m" for name in DERIVED if name in self.form.program.reads}}


def kernel_source(shape: Shape) -> str:
    """The module's text: `lives` (a trial up to the judgement) and `finish` (the rule's last step and its update)."""
    activation = ACTIVATIONS[shape.form.activation]
    parts = [
        _head(),
        f"@fast\ndef phi(a):\n    return {activation.kernel}",
        f"@fast\ndef slope(a, y):\n    return {activation.kernel_derivative}",
        _rule_step(shape, "step", last=False),
        _rule_step(shape, "last_step", last=True),
        _life(shape),
        _lives(shape),
        _finish(shape),
    ]
    return "\n\n\n".join(parts) + "\n"


def _head() -> str:
    """Imports; with a mark of the texts of what is imported, since Numba's cache looks at one file only."""
    texts = [Path(__file__).with_name(f"{name}.py").read_text() for name in ("trial_parts", "vector_loops")]
    texts.append(Path(rng_numba.__file__).read_text())
    mark = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    lines = [
        helpers_source(),
        f"# made with parts {mark}",
        "from numba import njit",
        "from metaplastic.inner_loop.kernels.trial_parts import BLOCK, add_products, clamp, draw_start, inject",
        "from metaplastic.inner_loop.kernels.trial_parts import multiply, normalise_max, normalise_row",
        "from metaplastic.inner_loop.kernels.vector_loops import get, put, long_vectors",
        "fast = njit(error_model='numpy', fastmath=FAST)",
        "kept = njit(error_model='numpy', fastmath=FAST, nogil=True, cache=True)",
        "tanh, sigmoid = tanh_of, sigmoid_of",
    ]
    return "\n".join(lines)


def _rule_step(shape: Shape, name: str, last: bool) -> str:
    """One step of the rule and, unless it is the last, the input currents of the next step of the network."""
    body = ["post = nxt[m - n :]", *_told(shape), *_neuron_traces(shape)]
    body += _factors(shape) if shape.factors and not last else _synapses(shape, last)
    body += [*_renew(shape), "long_vectors()"]
    arguments = ", ".join([STATE, "n", "m", "settled", "reward", "prediction", "q", *shape.arrays, *shape.scratch])
    return f"@fast\ndef {name}({arguments}):\n" + indent("\n".join(body), "    ")


def _told(shape: Shape) -> list[str]:
    """What the neurons together tell of each input, before a weight has changed; `explained` adds it up on the way."""
    lines = [f"{name}[:m] = ZERO" for name in ("rebuilt", "so_far") if name in shape.scratch]
    loops = "for i in range(n):\n    row = w[i]\n    for j in range(m):\n"
    sums = loops + "        rebuilt[j] = rebuilt[j] + post[i] * row[j]"
    return [*lines, sums] if "rebuilt" in shape.scratch else lines


def _names(shape: Shape, upto: int, rows: bool) -> dict[str, str]:
    """Texts of all names for trace number `upto`: traces before it are renewed. `rows`: inside a loop over a row."""
    texts = {signal: SIGNAL_TEXT[signal] for signal in SIGNALS if signal in SIGNAL_TEXT}
    for name, place in shape.form.places:
        inside = {"scalar": f"is_{name}", "synapse": f"row_of_{name}[j]"} if rows else {}
        texts[name] = inside.get(place, f"of_{name}{INDEX[place]}")
    for index, (name, place) in enumerate(shape.traces.items()):
        one, all_of_them = ("now", "new") if index < upto else ("was", "old")
        local = place == "synapse" or (rows and place == "scalar")
        texts[name] = f"{one}_{name}" if local else f"{all_of_them}_{name}{INDEX[place]}"
    return texts


def _neuron_traces(shape: Shape) -> list[str]:
    """Traces of one a brain or a neuron, in their order."""
    lines = []
    for index, trace in enumerate(shape.form.program.traces):
        if trace.place == "synapse":
            continue
        text = numba_expression(trace.value, _names(shape, index, rows=False))
        loop = {"scalar": "if True:", "pre": "for j in range(m):", "post": "for i in range(n):"}[trace.place]
        lines += [loop, f"    new_{trace.name}{INDEX[trace.place]} = {text}"]
    return lines


def _renew(shape: Shape) -> list[str]:
    """new becomes old."""
    lines = []
    for name, place in shape.traces.items():
        if place != "synapse":
            count = LENGTH[place]
            lines += [f"for k in range({count}):", f"    old_{name}[k] = new_{name}[k]"]
    return lines


def _factors(shape: Shape) -> list[str]:
    """The factors of every synaptic trace at this step, kept at place q; then the network's next input currents."""
    lines = []
    for index, trace in enumerate(shape.form.program.traces):
        if trace.name not in shape.factors:
            continue
        names = _names(shape, index, rows=False)
        for k, (post, pre) in enumerate(shape.factors[trace.name].terms):
            lines += ["for i in range(n):", f"    post_{trace.name}_{k}[q, i] = {numba_expression(post, names)}"]
            lines += ["for j in range(m):", f"    pre_{trace.name}_{k}[q, j] = {numba_expression(pre, names)}"]
    return [*lines, "multiply(w, nxt, current, n, m)"]


def _synapses(shape: Shape, last: bool) -> list[str]:
    """The pass over all synapses."""
    program = shape.form.program
    writes = last or program.writes == "step"
    drives = not last and (not writes or program.normalise == "none")
    synaptic = [(index, trace) for index, trace in enumerate(program.traces) if trace.place == "synapse"]
    head, inner = _rows(shape, writes), ["w_ij = row_w[j]"]
    if "so_far" in shape.scratch:
        inner += ["so_far[j] = so_far[j] + post[i] * w_ij", "told = so_far[j]"]
    inner += [f"was_{trace.name} = row_old_{trace.name}[j]" for _, trace in synaptic]
    for index, trace in synaptic:
        constants, text = hoisted(trace.value, shape, index, f"c{index}")
        head += constants
        inner += [f"now_{trace.name} = {text}", f"row_old_{trace.name}[j] = now_{trace.name}"]
    if writes:
        more, lines = _write(shape)
        head, inner = head + more, inner + lines
    if drives:
        head, inner = [*head, "total = ZERO"], [*inner, "total = total + w_ij * nxt[j]"]
    lines = [*_scalars(shape), *over_rows(head, inner, ["current[i] = total"] if drives else [])]
    if writes and program.normalise != "none":
        lines.append(f"normalise_{program.normalise}(w, n, m)")
    return lines if last or drives else [*lines, "multiply(w, nxt, current, n, m)"]


def _scalars(shape: Shape) -> list[str]:
    """Numbers of one a brain as local variables, which no store to an array can seem to change."""
    lines = [f"is_{name} = of_{name}[0]" for name, place in shape.form.places if place == "scalar"]
    for name, place in shape.traces.items():
        if place == "scalar":
            lines += [f"was_{name} = old_{name}[0]", f"now_{name} = new_{name}[0]"]
    return lines


def _rows(shape: Shape, writes: bool) -> list[str]:
    """The rows that a pass reads."""
    arrays = [name for name, place in shape.arrays.items() if place == "synapse" and (writes or name != "mask")]
    return [f"row_{name} = {name}[i]" for name in ("w", *arrays)]


def _write(shape: Shape) -> tuple[list[str], list[str]]:
    """w <- transform(w + update), 0 where there is no synapse: what is done once a row, and for each synapse."""
    program, count = shape.form.program, len(shape.form.program.traces)
    constants, text = hoisted(program.update, shape, count, "u")
    inner = [] if program.update == 0 else [f"w_ij = w_ij + {text}"]
    if program.transform != W:
        inner.append(f"w_ij = {numba_expression(program.transform, _names(shape, count, rows=True))}")
    if shape.sparse:
        inner.append("w_ij = w_ij * row_mask[j]")
    return constants, [*inner, "row_w[j] = w_ij"]


def hoisted(expr: sympy.Expr, shape: Shape, upto: int, prefix: str) -> tuple[list[str], str]:
    """The text of `expr` for one synapse, and before it lines that compute what is the same for a whole row."""
    names = _names(shape, upto, rows=True)
    places: dict[str, Place] = {**SIGNALS, **shape.traces, **dict(shape.form.places)}
    moving = {sympy.Symbol(name) for name, place in places.items() if place in ("pre", "synapse")}
    constants: list[sympy.Expr] = []
    inner = along_row(expr, moving, constants, prefix)
    lines = [f"{prefix}_{k} = {numba_expression(value, names)}" for k, value in enumerate(constants)]
    return lines, numba_expression(inner, {**names, **{f"{prefix}_{k}": f"{prefix}_{k}" for k in range(len(lines))}})


def _life(shape: Shape) -> str:
    """A trial of one life, up to the judgement."""
    made = [f"{name} = np.zeros({extent}, np.float32)" for name, extent in shape.scratch.items()]
    arguments = ", ".join(["before", STATE, "n", "inputs", DRAWN, "steps", "plastic", "writes", "out", *shape.arrays])
    passed = ", ".join([STATE, "n", "m", "settled", "ZERO", "ZERO", "q", *shape.arrays, *shape.scratch])
    form = shape.form
    body = [
        "m = inputs + n",
        *made,
        "if writes:",
        "    w[:] = before",
        "draw_start(x, key, start, n)",
        "clamp(x, clamp_at, clamp_to)",
        "post = nxt[inputs:]",
        "for i in range(n):",
        "    post[i] = phi(x[i])",
        "for j in range(inputs):",
        "    nxt[j] = shown[0, j]",
        "multiply(w, nxt, current, n, m)",
        "disturbed = rate > ZERO or normals.shape[0] > 0",
        "q = 0",
        "for t in range(steps):",
        "    for j in range(m):",
        "        pre[j] = nxt[j]",
        "    if disturbed:",
        f"        inject(xi, key, t, rate if t >= {form.undisturbed} else ZERO, size, white, normals, n)",
        "    for i in range(n):",
        "        a = current[i] + gain * fixed[t, i] + xi[i]",
        "        x[i] = x[i] + leak[i] * (a - x[i])",
        "    clamp(x, clamp_at, clamp_to)",
        "    for i in range(n):",
        "        post[i] = phi(x[i])",
        "    for k in range(min(out.shape[1], n)):",
        "        out[t, k] = post[k]",
        f"    if t + 1 == steps and {form.waits or 'not plastic'}:",
        "        break",
        "    for j in range(inputs):",
        "        nxt[j] = shown[min(t + 1, steps - 1), j]",
        "    if not plastic:",
        "        multiply(w, nxt, current, n, m)",
        "        continue",
        f"    settled = ONE if t >= {form.settle} else ZERO",
        f"    step({passed})",
        *(f"    {line}" for line in _flush(shape)),
        "long_vectors()",
    ]
    return f"@fast\ndef life({arguments}):\n" + indent("\n".join(body), "    ")


def _flush(shape: Shape) -> list[str]:
    """Add the kept factors to their traces, when the block is full."""
    if not shape.factors:
        return []
    lines = ["q += 1", "if q == BLOCK or t + 2 == steps:"]
    for name, one in shape.factors.items():
        decay = numba_expression(one.decay, _names(shape, 0, rows=False))
        for k in range(len(one.terms)):
            lines.append(f"    add_products(old_{name}, post_{name}_{k}, pre_{name}_{k}, q, {decay}, {k == 0}, n, m)")
    return [*lines, "    q = 0"]


def _lives(shape: Shape) -> str:
    """A trial of the lives first .. last - 1."""
    arrays = ", ".join(shape.arrays)
    drawn = (
        "keys[l], start[p], rate[p], size[p], white[p], normals[min(l, normals.shape[0] - 1)], leak[p], gain[p], "
        "fixed[l], shown[min(l, shown.shape[0] - 1)], clamp_at, clamp_to"
    )
    state = ", ".join(f"{name}[b]" for name in STATE.split(", "))
    arguments = (
        f"first, last, before, {STATE}, units, inputs, {DRAWN.replace('key,', 'keys,')}, steps, plastic, writes, out"
    )
    body = [
        "lifetimes = keys.shape[0]",
        "for b in range(first, last):",
        "    p, l = b // lifetimes, b % lifetimes",
        f"    life(before[b], {state}, units[p], inputs, {drawn}, steps, plastic, writes, out[b]{_slices(shape)})",
        "long_vectors()",
    ]
    return f"@kept\ndef lives({', '.join(filter(None, (arguments, arrays)))}):\n" + indent("\n".join(body), "    ")


def _finish(shape: Shape) -> str:
    """The rule's last step in the lives first .. last - 1, now that the trial is judged."""
    arrays = "".join(f", {name}" for name in shape.arrays)
    made = [f"    {name} = np.zeros({extent}, np.float32)" for name, extent in shape.scratch.items()]
    state = ", ".join(f"{name}[b]" for name in STATE.split(", "))
    scratch = "".join(f", {name}" for name in shape.scratch)
    body = [
        "for b in range(first, last):",
        "    p, l = b // lifetimes, b % lifetimes",
        "    n, m = units[p], units[p] + inputs",
        *made,
        f"    last_step({state}, n, m, settled, reward[b], prediction[b], 0{_slices(shape)}{scratch})",
    ]
    arguments = f"first, last, {STATE}, units, inputs, lifetimes, settled, reward, prediction{arrays}"
    return f"@kept\ndef finish({arguments}):\n" + indent("\n".join(body), "    ")


def _slices(shape: Shape) -> str:
    """The part of every array that is one life's."""
    texts = []
    for name in shape.arrays:
        if name == "mask":
            texts.append("mask[min(p, mask.shape[0] - 1), min(l, mask.shape[1] - 1)]")
        elif name.startswith("of_"):
            texts.append(f"{name}[min(p, {name}.shape[0] - 1)]")
        else:
            texts.append(f"{name}[b]")
    return "".join(f", {text}" for text in texts)
