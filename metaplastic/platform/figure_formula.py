"""A formula as a picture: LaTeX set by matplotlib's own mathtext, long lines broken before + and -."""

from __future__ import annotations

import re
from typing import Any

from metaplastic.platform.figure_style import WIDTH, new_figure, style, styled

SIZE = 14.0
"""points"""
MARGIN = 5.0
"""points round the picture"""
GAP = 7.0
"""points between rows"""
INDENT = 20.0
"""points by which a continued line is set in, from where the right sides begin"""

_OPENING = ("{", "(", "[", r"\left")
_TOKEN = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|[{}()\[\]+-]")


@styled
def formula(equations: list[str]) -> Any:
    """Equations one under the other, aligned at their first `&`, the picture as large as they are.

    Raises:
        ValueError: if mathtext does not know the LaTeX (it has no environments such as cases).
    """
    sides = [_sides(equation) for equation in equations]
    column = max(_extent(left)[0] if left else 0.0 for left, _ in sides)
    pieces: list[tuple[float, int, str]] = []  # (x, row, LaTeX)
    row = 0
    for left, right in sides:
        if left:
            pieces.append((column - _extent(left)[0], row, left))
        for indent, line in broken(right, WIDTH * 72 - 2 * MARGIN - column):
            pieces.append((column + indent, row, line))
            row += 1
    return _drawn(pieces, row)


def _drawn(pieces: list[tuple[float, int, str]], rows: int) -> Any:
    """Each piece at its place, every row as high as its highest piece."""
    sizes = [_extent(piece) for _, _, piece in pieces]
    above, below = [0.7 * SIZE] * rows, [0.4 * SIZE] * rows
    for (_, row, _), (_, height, depth) in zip(pieces, sizes, strict=True):
        above[row] = max(above[row], height - depth)
        below[row] = max(below[row], depth)
    width = max(x + wide for (x, _, _), (wide, _, _) in zip(pieces, sizes, strict=True)) + 2 * MARGIN
    height = sum(above) + sum(below) + GAP * (rows - 1) + 2 * MARGIN
    figure = new_figure(height / 72, width / 72)
    for x, row, piece in pieces:
        down = MARGIN + sum(above[: row + 1]) + sum(below[:row]) + GAP * row
        figure.text((MARGIN + x) / width, 1 - down / height, f"${piece}$", fontsize=SIZE, va="baseline")
    return figure


def _sides(equation: str) -> tuple[str, str]:
    """What stands left and right of the first `&` of a line of an align environment, without its line end."""
    left, mark, right = equation.strip().removesuffix("\\\\").partition("&")
    return (left.strip(), right.strip()) if mark else ("", left.strip())


def fits(latex: str) -> bool:
    """Whether mathtext can set it."""
    with style():
        try:
            _extent(latex)
        except ValueError:
            return False
        return True


def broken(side: str, room: float = WIDTH * 72 - 2 * MARGIN) -> list[tuple[float, str]]:
    """(indent, LaTeX) of each line of a side of an equation that has `room` points; a single long term stays whole."""
    lines: list[tuple[float, str]] = []
    indent, line = 0.0, ""
    for term in terms(side):
        if line and indent + _extent(line + term)[0] > room:
            lines.append((indent, line))
            indent, line = INDENT, ""
        line += term
    return [*lines, (indent, line)]


def terms(latex: str) -> list[str]:
    """Pieces that may begin a new line: split before each + and - that stands outside of every bracket."""
    pieces, depth, start = [], 0, 0
    for found in _TOKEN.finditer(latex):
        token, place = found[0], found.start()
        if token in "+-":
            before = latex[start:place]
            follows_a_term = before.endswith(" ") and before.strip() and not before.rstrip().endswith("=")
            if depth == 0 and follows_a_term:
                pieces.append(before)
                start = place
        else:
            depth += 1 if token in _OPENING else -1
    return [*pieces, latex[start:]]


def _extent(latex: str) -> tuple[float, float, float]:
    """Width, height (with depth) and depth in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    width, height, depth, *_ = MathTextParser("path").parse(f"${latex}$", dpi=72, prop=FontProperties(size=SIZE))
    return float(width), float(height), float(depth)
