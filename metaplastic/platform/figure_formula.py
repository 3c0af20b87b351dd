"""A formula as a picture: LaTeX set by matplotlib's own mathtext, long lines broken before + and -."""

from __future__ import annotations

import re
from typing import Any

from metaplastic.platform.figure_style import WIDTH, new_figure, style, styled

SIZE = 14.0
"""points"""
MARGIN = 5.0
"""points round the picture"""
INDENT = 26.0
"""points by which a continued line is set in"""

_OPENING = ("{", "(", "[", r"\left")
_TOKEN = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|[{}()\[\]+-]")


@styled
def formula(equations: list[str]) -> Any:
    """One equation under the other, the picture as large as they are.

    Raises:
        ValueError: if mathtext does not know the LaTeX (it has no environments such as cases).
    """
    lines = [(indent, line) for equation in equations for indent, line in broken(equation)]
    sizes = [_extent(line) for _, line in lines]
    heights = [max(height + 7.0, 1.75 * SIZE) for _, height, _ in sizes]
    width = max(indent + width for (indent, _), (width, _, _) in zip(lines, sizes, strict=True)) + 2 * MARGIN
    height = sum(heights) + 2 * MARGIN
    figure = new_figure(height / 72, width / 72)
    top = height - MARGIN
    for (indent, line), (_, tall, depth), space in zip(lines, sizes, heights, strict=True):
        baseline = top - (space - tall) / 2 - (tall - depth)
        figure.text((MARGIN + indent) / width, baseline / height, f"${line}$", fontsize=SIZE, va="baseline")
        top -= space
    return figure


def fits(latex: str) -> bool:
    """Whether mathtext can set it."""
    with style():
        try:
            _extent(latex)
        except ValueError:
            return False
        return True


def broken(equation: str) -> list[tuple[float, str]]:
    """(indent, LaTeX) of each line of an equation that must not be wider than a figure."""
    room = WIDTH * 72 - 2 * MARGIN
    lines: list[tuple[float, str]] = []
    indent, line = 0.0, ""
    for term in terms(equation):
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
