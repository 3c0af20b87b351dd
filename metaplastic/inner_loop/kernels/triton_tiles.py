"""The text of the Triton kernel for networks whose synapses do not fit on chip: tile by tile, one program a lifetime.

At each step the neurons are renewed, block by block of TILE rows; then one pass over all tiles renews traces and
weights and at once adds up what the new weights bring to each neuron at the next step, as the Numba kernel does. Rates,
net inputs and traces of neurons lie in the memory of the life (`state`), which the cache holds; a barrier stands
between the two halves.
"""

from __future__ import annotations

from textwrap import indent

from metaplastic.inner_loop.formula.program import DERIVED, Place, Program
from metaplastic.inner_loop.formula.to_triton import triton_expression
from metaplastic.inner_loop.kernels import triton_source as whole
from metaplastic.inner_loop.kernels.trial_source import Shape

TILE = 64
"""rows and columns of a tile"""
X, R, XI, PRE, NEXT, CURRENT = range(whole.ROWS_OF_STATE)
"""what is kept of the neurons of a life, M numbers each"""


def check(program: Program) -> None:
    """Refuse what needs all synapses of a neuron, or all neurons, at once."""
    unknown = sorted(program.reads.intersection(DERIVED))
    if program.normalise != "none" or unknown:
        why = ", ".join([*unknown, *([f"normalise: {program.normalise}"] if program.normalise != "none" else [])])
        raise ValueError(
            f"backend is 'triton' and the network is larger than {whole.LARGEST}, where a synapse cannot be told "
            f"{why}; use backend: torch"
        )


def kernel_source(shape: Shape) -> str:
    """The module's text; `lives` takes what that of `triton_source.py` takes."""
    form = shape.form
    pointers = ", ".join(["weights", "mask", *(f"memory_{name}" for name in shape.traces)])
    rules = ", ".join([f"of_{name}" for name, _ in form.places] + [f"count_{name}" for name, _ in form.places])
    arguments = f"{pointers}, state, out, units, {whole.DRAWN}, {rules + ', ' if rules else ''}{whole.SIZES}"
    constants = ("plastic", "perturbed", "is_noisy", "ROWS", "COLUMNS")
    body = [*_begin(shape), "for t in range(steps):", *(f"    {line}" for line in _step(shape)), *_end(shape)]
    head = f"@triton.jit\ndef lives({arguments}, {', '.join(f'{name}: tl.constexpr' for name in constants)}):\n"
    return "\n".join([whole.header(), "", "", head + indent("\n".join(body), "    "), ""])


def _begin(shape: Shape) -> list[str]:
    """The start of the trial; then what the weights bring to the first step."""
    return [
        "life = tl.program_id(0)",
        "p, l = life // lifetimes, life % lifetimes",
        "key = as_key(tl.load(keys + l))",
        f"mine = state + life * {whole.ROWS_OF_STATE} * M",
        "active = tl.load(units + p)",
        *(f"is_{name} = tl.load(of_{name} + p % count_{name})" for name, at in shape.form.places if at == "scalar"),
        *(
            f"{name}_ = 0.0 + tl.load(memory_{name} + life)"
            for name, place in shape.traces.items()
            if place == "scalar"
        ),
        "for first in range(0, N, ROWS):",
        "    rows = first + tl.arange(0, ROWS)[:, None]",
        "    x = tl.load(start + p) * (uniform(word(fold(key, 0), rows)) * 2.0 - 1.0)",
        *(f"    {line}" for line in whole.clamped(shape)),
        f"    r = tl.where(rows < active, {whole.phi(shape)}, 0.0)",
        f"    tl.store(mine + {X} * M + rows, x, mask=rows < N)",
        f"    tl.store(mine + {R} * M + rows, r, mask=rows < N)",
        "tl.debug_barrier()",
        *_gather("0"),
        "tl.debug_barrier()",
        *_over_tiles([], ["w = tl.load(weights + here, mask=inside, other=0.0)", *_add()]),
        "tl.debug_barrier()",
    ]


def _gather(step: str) -> list[str]:
    """What each presynaptic neuron does at the step: plastic inputs, then the neurons' rates."""
    return [
        "for first in range(0, M, COLUMNS):",
        "    columns = first + tl.arange(0, COLUMNS)[None, :]",
        f"    given = tl.load(shown + ({step} * lifetimes + l) * inputs + columns, mask=columns < inputs, other=0.0)",
        "    behind = (columns >= inputs) & (columns < M)",
        f"    given += tl.load(mine + {R} * M + columns - inputs, mask=behind, other=0.0)",
        f"    tl.store(mine + {NEXT} * M + columns, given, mask=columns < M)",
    ]


def _add() -> list[str]:
    return ["total += tl.sum(w * following, 1)[:, None]"]


def _over_tiles(head: list[str], inner: list[str]) -> list[str]:
    """Loops over the tiles of synapses; `total` becomes the neurons' current."""
    return [
        "for first in range(0, N, ROWS):",
        "    rows = first + tl.arange(0, ROWS)[:, None]",
        "    has_rows = rows < N",
        "    total = tl.zeros([ROWS, 1], tl.float32)",
        *(f"    {line}" for line in head),
        "    for left in range(0, M, COLUMNS):",
        "        columns = left + tl.arange(0, COLUMNS)[None, :]",
        "        inside = has_rows & (columns < M)",
        "        here = life * N * M + rows * M + columns",
        f"        following = tl.load(mine + {NEXT} * M + columns, mask=columns < M, other=0.0)",
        *(f"        {line}" for line in inner),
        f"    tl.store(mine + {CURRENT} * M + rows, total, mask=has_rows)",
    ]


def _step(shape: Shape) -> list[str]:
    """The neurons, a barrier, the synapses, a barrier."""
    return [
        *_neurons(shape),
        "tl.debug_barrier()",
        *_keep_pre(),
        "tl.debug_barrier()",
        *_gather("tl.minimum(t + 1, steps - 1)"),
        "tl.debug_barrier()",
        "if plastic and t < steps - waits:",
        *(f"    {line}" for line in _rule(shape)),
        "else:",
        *(f"    {line}" for line in _over_tiles([], ["w = tl.load(weights + here, mask=inside, other=0.0)", *_add()])),
        "tl.debug_barrier()",
    ]


def _keep_pre() -> list[str]:
    """What was shown to the synapses in this step stays beside what comes next."""
    return [
        "for first in range(0, M, COLUMNS):",
        "    columns = first + tl.arange(0, COLUMNS)[None, :]",
        f"    given = tl.load(mine + {NEXT} * M + columns, mask=columns < M, other=0.0)",
        f"    tl.store(mine + {PRE} * M + columns, given, mask=columns < M)",
    ]


def _neurons(shape: Shape) -> list[str]:
    """x, r and xi of this step, block by block."""
    lines = [
        "rows = first + tl.arange(0, ROWS)[:, None]",
        "has_rows, no_rows = rows < N, tl.zeros([ROWS, 1], tl.float32)",
        *whole.injected(shape),
        "drive = tl.load(gain + p) * tl.load(fixed + (t * lifetimes + l) * N + rows, mask=has_rows, other=0.0)",
        f"current = tl.load(mine + {CURRENT} * M + rows, mask=has_rows, other=0.0) + drive + xi",
        f"x = tl.load(mine + {X} * M + rows, mask=has_rows, other=0.0)",
        "x = x + tl.load(leak + p * N + rows, mask=has_rows, other=0.0) * (current - x)",
        *whole.clamped(shape),
        f"r = tl.where(rows < active, {whole.phi(shape)}, 0.0)",
        f"tl.store(mine + {X} * M + rows, x, mask=has_rows)",
        f"tl.store(mine + {R} * M + rows, r, mask=has_rows)",
        f"tl.store(mine + {XI} * M + rows, xi, mask=has_rows)",
        "tl.store(out + (life * steps + t) * kept + rows, r, mask=rows < kept)",
    ]
    return ["now = fold(key, t + 1)", "for first in range(0, N, ROWS):", *(f"    {line}" for line in lines)]


def _rule(shape: Shape) -> list[str]:
    """The pass over the tiles; then the traces of neurons and of the brain.

    The latter are worked out from their old values in every tile, and replaced when the pass is over.
    """
    program, names = shape.form.program, _names(shape)
    tile = ["w = tl.load(weights + here, mask=inside, other=0.0)", "pre = " + _of_columns(PRE)]
    tile += [_loaded(f"is_{name}", f"of_{name} + (p % count_{name})", place) for name, place in shape.form.places]
    tile += [f"{name}_t = {name}_" for name, place in shape.traces.items() if place == "scalar"]
    tile += [_loaded(f"{name}_t", f"memory_{name} + life", place) for name, place in shape.traces.items()]
    tile += _in_order(shape, ("scalar", "pre", "post", "synapse"))
    if program.writes == "step":
        tile += _write(shape, names)
    kept = [name for name, place in shape.traces.items() if place == "synapse"]
    tile += [f"tl.store(memory_{name} + here, {name}_t, mask=inside)" for name in kept]
    head = [f"{name} = {_of_rows(row)}" for name, row in (("x", X), ("r", R), ("xi", XI))]
    lines = [f"settled = tl.where(tl.cast(t, tl.int32) >= {shape.form.settle}, 1.0, 0.0)"]
    return [*filter(None, [*lines, *_over_tiles(head, [*filter(None, tile), *_add()])]), *_renewed(shape)]


def _names(shape: Shape) -> dict[str, str]:
    return whole.signal_names(shape) | {name: f"{name}_t" for name in shape.traces}


def _in_order(shape: Shape, places: tuple[Place, ...]) -> list[str]:
    """The next values of the traces that live at these places, from the old ones."""
    zeros = {
        "scalar": "0.0",
        "pre": _zeros("1, COLUMNS"),
        "post": _zeros("ROWS, 1"),
        "synapse": _zeros("ROWS, COLUMNS"),
    }
    return [
        f"{trace.name}_t = {zeros[trace.place]} + {triton_expression(trace.value, _names(shape))}"
        for trace in shape.form.program.traces
        if trace.place in places
    ]


def _zeros(extent: str) -> str:
    return f"tl.zeros([{extent}], tl.float32)"


def _loaded(name: str, pointer: str, place: Place) -> str:
    """A line that loads the part of a tile of what lives at a place; '' for a scalar, which is there already."""
    count, at, inside = {
        "scalar": ("", "", ""),
        "pre": ("M", "columns", "columns < M"),
        "post": ("N", "rows", "has_rows"),
        "synapse": ("N * M", "rows * M + columns", "inside"),
    }[place]
    first, _, number = pointer.partition(" + ")
    return (
        "" if place == "scalar" else f"{name} = tl.load({first} + {number} * {count} + {at}, mask={inside}, other=0.0)"
    )


def _of_rows(row: int) -> str:
    return f"tl.load(mine + {row} * M + rows, mask=has_rows, other=0.0)"


def _of_columns(row: int) -> str:
    return f"tl.load(mine + {row} * M + columns, mask=columns < M, other=0.0)"


def _write(shape: Shape, names: dict[str, str]) -> list[str]:
    """w <- transform(w + update) and the mask, stored."""
    program = shape.form.program
    lines = [] if program.update == 0 else [f"w = w + {triton_expression(program.update, names)}"]
    if program.transform != whole.W:
        lines.append(f"w = {_zeros('ROWS, COLUMNS')} + {triton_expression(program.transform, names)}")
    if shape.sparse:
        lines.append("w = w * tl.load(mask + here, mask=inside, other=0.0)")
    return [*lines, "w = tl.where(inside, w, 0.0)", "tl.store(weights + here, w, mask=inside)"]


def _renewed(shape: Shape) -> list[str]:
    """The traces of neurons and of the brain become their next values."""
    lines, traces = [], shape.traces
    old = [f"{name}_t = {name}_" for name, place in traces.items() if place == "scalar"]
    sides: dict[Place, list[str]] = {
        "post": [
            "for first in range(0, N, ROWS):",
            "    rows = first + tl.arange(0, ROWS)[:, None]",
            "    has_rows = rows < N",
            *(f"    {name} = {_of_rows(row)}" for name, row in (("x", X), ("r", R), ("xi", XI))),
        ],
        "pre": [
            "for first in range(0, M, COLUMNS):",
            "    columns = first + tl.arange(0, COLUMNS)[None, :]",
            f"    pre = {_of_columns(PRE)}",
        ],
    }
    for side, loop in sides.items():
        own = [name for name, place in traces.items() if place == side]
        if not own:
            continue
        at, inside, count = ("rows", "has_rows", "N") if side == "post" else ("columns", "columns < M", "M")
        body = [_loaded(f"is_{n}", f"of_{n} + (p % count_{n})", at_) for n, at_ in shape.form.places if at_ == side]
        body += [*old, *(_loaded(f"{name}_t", f"memory_{name} + life", side) for name in own)]
        body += _in_order(shape, ("scalar", side))
        body += [f"tl.store(memory_{name} + life * {count} + {at}, {name}_t, mask={inside})" for name in own]
        lines += ["tl.debug_barrier()", *loop, *(f"    {line}" for line in body)]
    scalars = [f"{name}_ = {name}_t" for name, place in traces.items() if place == "scalar"]
    return [*lines, *old, *_in_order(shape, ("scalar",)), *scalars]


def _end(shape: Shape) -> list[str]:
    """Scalars that last."""
    return [f"tl.store(memory_{name} + life, {name}_)" for name, place in shape.traces.items() if place == "scalar"]
