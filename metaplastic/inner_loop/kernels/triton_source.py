"""The text of a whole-trial Triton kernel: one program a lifetime, weights and traces on chip from the first step on.

    x <- x + a (-x + W r + W_in u + xi);  r = phi(x);  the rule's step                                              (1)

Blocks: rows i < N (postsynaptic) and columns j < M (presynaptic: plastic inputs, then the neurons), each a power of 2
and filled with 0. What lies along the columns is made of what lies along the rows by a sum over the rows that are the
same neuron. Up to LARGEST rows and columns all of it stays in registers; a larger network goes through its synapses
tile by tile, with rates, currents and traces of neurons in memory that the cache holds (`triton_tiles.py`).
"""

from __future__ import annotations

import re
from textwrap import indent

import sympy

from metaplastic.inner_loop.formula.program import Place
from metaplastic.inner_loop.formula.to_triton import FUNCTIONS, FUNCTIONS_MODULE, plain, triton_expression
from metaplastic.inner_loop.kernels.trial_source import Shape
from metaplastic.inner_loop.networks.activation import ACTIVATIONS

LARGEST = 128
"""neurons, and presynaptic ones, of a network whose synapses stay on chip"""
ROWS_OF_STATE = 6
"""what is kept of the neurons of a life, M numbers each: x, r, xi, pre (tiles: the next pre, the current)"""
W = sympy.Symbol("w")
AT: dict[Place, str] = {"scalar": "0", "pre": "columns", "post": "rows", "synapse": "rows * M + columns"}
"""place of a number of one life in memory"""
COUNT: dict[Place, str] = {"scalar": "1", "pre": "M", "post": "N", "synapse": "N * M"}
FILL: dict[Place, str] = {"scalar": "0.0", "pre": "no_columns", "post": "no_rows", "synapse": "no_synapses"}
"""zeros of the shape that a place has on chip"""
INSIDE: dict[Place, str] = {"scalar": "True", "pre": "has_columns", "post": "has_rows", "synapse": "has_synapses"}
DRAWN = "keys, start, rate, size, white, leak, gain, fixed, shown"
SIZES = "individuals, lifetimes, steps, N, M, inputs, kept, waits"


def kernel_source(shape: Shape) -> str:
    """The module's text; `lives` is a trial up to the judgement."""
    form = shape.form
    pointers = ", ".join(["weights", "mask", *(f"memory_{name}" for name in shape.traces)])
    rules = ", ".join([f"of_{name}" for name, _ in form.places] + [f"count_{name}" for name, _ in form.places])
    arguments = f"{pointers}, state, out, units, {DRAWN}, {rules + ', ' if rules else ''}{SIZES}"
    constants = ("plastic", "perturbed", "is_noisy", "ROWS", "COLUMNS")
    body = [
        *_places(shape),
        "for t in range(steps - waits):",
        *(f"    {line}" for line in [*_network(shape), *_rule(shape)]),
        "for t in range(steps - waits, steps):",
        *(f"    {line}" for line in _network(shape)),
        *_kept(shape),
    ]
    head = f"@triton.jit\ndef lives({arguments}, {', '.join(f'{name}: tl.constexpr' for name in constants)}):\n"
    return "\n".join([header(), "", "", head + indent("\n".join(body), "    "), ""])


def header() -> str:
    """Imports."""
    return "\n".join([
        "import triton",
        "import triton.language as tl",
        f"from {FUNCTIONS_MODULE} import ({', '.join(FUNCTIONS)})",
        "from metaplastic.rng_triton import as_key, fold, normal, uniform, word",
    ])  # fmt: skip


def _places(shape: Shape) -> list[str]:
    """Which life this is, its numbers, and everything at the trial's start."""
    form = shape.form
    lines = [
        "life = tl.program_id(0)",
        "p, l = life // lifetimes, life % lifetimes",
        "rows, columns = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]",
        "exists = rows < tl.load(units + p)",
        "has_rows, has_columns = rows < N, columns < M",
        "has_synapses = has_rows & has_columns",
        "no_rows, no_columns = tl.zeros([ROWS, 1], tl.float32), tl.zeros([1, COLUMNS], tl.float32)",
        "no_synapses = tl.zeros([ROWS, COLUMNS], tl.float32)",
        "same = (columns == rows + inputs) & has_rows",
        "w = tl.load(weights + life * N * M + rows * M + columns, mask=has_synapses, other=0.0)",
    ]
    if shape.sparse:
        lines.append("wired = tl.load(mask + life * N * M + rows * M + columns, mask=has_synapses, other=0.0)")
    for name, place in shape.traces.items():
        lines.append(f"{name}_ = {FILL[place]} + {_read(f'memory_{name}', f'life * {COUNT[place]}', place)}")
    for name, place in form.places:
        lines.append(f"is_{name} = {_read(f'of_{name}', f'(p % count_{name}) * {COUNT[place]}', place)}")
    return [
        *lines,
        "a = tl.load(leak + p * N + rows, mask=has_rows, other=0.0)",
        "key = as_key(tl.load(keys + l))",
        "x = tl.load(start + p) * (uniform(word(fold(key, 0), rows)) * 2.0 - 1.0)",
        *clamped(shape),
        f"r = tl.where(exists, {phi(shape)}, 0.0)",
        "pre = no_columns",
        "xi = no_rows",
    ]


def _read(pointer: str, first: str, place: Place) -> str:
    """A load of what lives at a place, as a block of its shape."""
    if place == "scalar":
        return f"tl.load({pointer} + {first})"
    return f"tl.load({pointer} + {first} + {AT[place]}, mask={INSIDE[place]}, other=0.0)"


def phi(shape: Shape) -> str:
    """The activity of the net input x, as text."""
    return _named(ACTIVATIONS[shape.form.activation].kernel)


def _named(text: str) -> str:
    """An activation's text with the names of here for its net input `a` and activity `y`."""
    return re.sub(r"\by\b", "r", re.sub(r"\ba\b", "x", plain(text)))


def clamped(shape: Shape) -> list[str]:
    """x with the tonic neurons at their level."""
    return [f"x = tl.where(rows == {index}, {level!r}, x)" for index, level in shape.form.clamped]


def _network(shape: Shape) -> list[str]:
    """(1) without the rule, and the output."""
    return [
        "pre = tl.sum(tl.where(same, r + no_synapses, 0.0), 0)[None, :]",
        "pre += tl.load(shown + (t * lifetimes + l) * inputs + columns, mask=columns < inputs, other=0.0)",
        "now = fold(key, t + 1)",
        *injected(shape),
        "drive = tl.load(gain + p) * tl.load(fixed + (t * lifetimes + l) * N + rows, mask=has_rows, other=0.0)",
        "current = tl.sum(w * pre, 1)[:, None] + drive + xi",
        "x = x + a * (current - x)",
        *clamped(shape),
        f"r = tl.where(exists, {phi(shape)}, 0.0)",
        "tl.store(out + (life * steps + t) * kept + rows, r, mask=rows < kept)",
    ]


def injected(shape: Shape) -> list[str]:
    """xi of the rows at this step."""
    return [
        "xi = no_rows",
        "if perturbed:",
        "    drawn = word(now, rows)",
        "    far = (drawn & 0xFFFFFF).to(tl.int32).to(tl.float32) * (2.0 * 2.0**-24) - 1.0",
        f"    late = tl.cast(t, tl.int32) >= {shape.form.undisturbed}",
        "    hit = (uniform(drawn) < tl.load(rate + p)) & late",
        "    xi = tl.where(hit, tl.load(size + p) * far, 0.0)",
        "if is_noisy:",
        "    xi += tl.load(white + p * N + rows, mask=has_rows, other=0.0) * normal(word(fold(now, 0), rows))",
        "xi = tl.where(has_rows, xi, 0.0)",
    ]


def signal_names(shape: Shape) -> dict[str, str]:
    """How signals and coefficients are called in the text; the judgement is still 0."""
    names = {"pre": "pre", "post": "r", "potential": "x", "noise": "xi", "w": "w", "settled": "settled"}
    names |= {
        "gate": f"({_named(ACTIVATIONS[shape.form.activation].kernel_derivative)})",
        "reconstruction": "reconstruction",
        "explained": "explained",
    }
    names |= dict.fromkeys(("reward", "prediction", "rpe"), "0.0")
    return names | {name: f"is_{name}" for name, _ in shape.form.places}


def _rule(shape: Shape) -> list[str]:
    """One step of the rule."""
    program, names = shape.form.program, signal_names(shape)
    lines = [f"settled = tl.where(tl.cast(t, tl.int32) >= {shape.form.settle}, 1.0, 0.0)"]
    if "reconstruction" in program.reads:
        lines.append("reconstruction = tl.sum(r * w, 0)[None, :]")
    if "explained" in program.reads:
        lines.append("explained = tl.cumsum(r * w, 0)")
    names |= {name: f"{name}_" for name in shape.traces}
    for trace in program.traces:
        lines.append(f"{trace.name}_ = {FILL[trace.place]} + {triton_expression(trace.value, names)}")
    if program.writes == "step":
        lines += _write(shape, names)
    return ["if plastic:", *(f"    {line}" for line in lines)]


def _write(shape: Shape, names: dict[str, str]) -> list[str]:
    """w <- transform(w + update), the mask, the norm."""
    program = shape.form.program
    lines = [] if program.update == 0 else [f"w = w + {triton_expression(program.update, names)}"]
    if program.transform != W:
        lines.append(f"w = no_synapses + {triton_expression(program.transform, names)}")
    lines.append(f"w = tl.where(has_synapses, {'w * wired' if shape.sparse else 'w'}, 0.0)")
    if program.normalise == "max":
        lines.append("most = tl.max(tl.max(tl.abs(w), 1)[:, None], 0)[:, None]")
    if program.normalise == "row":
        lines.append("most = tl.sqrt(tl.sum(w * w, 1)[:, None])")
    return lines + (["w = w / tl.where(most > 0.0, most, 1.0)"] if program.normalise != "none" else [])


def _kept(shape: Shape) -> list[str]:
    """What lasts: weights, traces, and the signals of the last step."""
    lines = ["tl.store(weights + life * N * M + rows * M + columns, w, mask=has_synapses)"]
    for name, place in shape.traces.items():
        at = "" if place == "scalar" else f" + {AT[place]}"
        inside = "" if place == "scalar" else f", mask={INSIDE[place]}"
        lines.append(f"tl.store(memory_{name} + life * {COUNT[place]}{at}, {name}_{inside})")
    for number, name in enumerate(("x", "r", "xi")):
        lines.append(f"tl.store(state + (life * {ROWS_OF_STATE} + {number}) * M + rows, {name}, mask=has_rows)")
    lines.append(f"tl.store(state + (life * {ROWS_OF_STATE} + 3) * M + columns, pre, mask=has_columns)")
    return lines
