"""The text of loops over the rows of weights, several rows side by side.

What lies along the rows is then read once for all of them, and their sums do not wait for each other. Lines are written
for one row `i` and one synapse `j` of it; here every row gets names of its own, and every array that is read at [j] a
number by which LLVM knows that no two of them overlap (`vector_loops`).
"""

from __future__ import annotations

import re

from metaplastic.inner_loop.kernels.vector_loops import MOST

ROWS = 4
"""rows side by side: two to six are equally fast at 64 neurons, eight slower"""


def over_rows(head: list[str], inner: list[str], tail: list[str]) -> list[str]:
    """Loops over rows i < n and synapses j < m: `head` once a row, `inner` for each synapse, `tail` at its end."""
    rest = _loop(f"for i in range({ROWS} * blocks, n):", [(head, inner, tail)])
    rows = [_named(k, head, inner, tail) for k in range(ROWS)]
    return [f"blocks = n // {ROWS}", *_loop("for block in range(blocks):", rows), *rest]


def _loop(rows: str, parts: list[tuple[list[str], list[str], list[str]]]) -> list[str]:
    heads, inners, tails = ([line for part in parts for line in part[which]] for which in range(3))
    lines = [*heads, "for j in range(m):", *(f"    {line}" for line in _apart(inners)), *tails]
    return [rows, *(f"    {line}" for line in lines)]


def _named(row: int, head: list[str], inner: list[str], tail: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The lines for row number `row` of a block: its number, and its own name for all that they assign."""
    own = {found[1] for line in head + inner if (found := re.match(r"(\w+) = ", line))} | {"i"}
    name = re.compile(rf"\b({'|'.join(sorted(own))})\b")
    lines = [[name.sub(rf"\1__{row}", line) for line in part] for part in (head, inner, tail)]
    return [f"i__{row} = {ROWS} * block + {row}", *lines[0]], lines[1], lines[2]


def _apart(lines: list[str]) -> list[str]:
    """Every x[j] as `get(x, j, number of x)` or `put`; as it is, if there are too many."""
    arrays = sorted({name for line in lines for name in re.findall(r"\b(\w+)\[j\]", line)})
    if len(arrays) > MOST:
        return lines
    number = {name: k for k, name in enumerate(arrays)}
    stored = [
        re.sub(r"^(\w+)\[j\] = (.*)$", lambda x: f"put({x[1]}, j, {x[2]}, {number[x[1]]})", line) for line in lines
    ]
    return [re.sub(r"\b(\w+)\[j\]", lambda x: f"get({x[1]}, j, {number[x[1]]})", line) for line in stored]
