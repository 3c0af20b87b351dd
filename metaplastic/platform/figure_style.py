"""How figures look: one palette that colour-blind readers can tell apart, one font, few lines, labels on the data.

Colours are those of Okabe & Ito (2008), Color Universal Design. Figures are made without pyplot, so nothing global is
left behind, and the same data give the same bytes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec, TypeVar

CHAMPION, START, OFF, CEILING, INK, QUIET = "#0072b2", "#d55e00", "#8a8a8a", "#444444", "#222222", "#6b6b6b"
OTHERS = ("#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7b3294", "#8c510a")
"""for controls, in order"""
WIDTH = 5.6
"""inches, of every figure; a page may draw it a little larger, a phone makes it smaller and it stays readable"""
LINE = 0.17
"""inches, of a line of small letters"""

STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "mathtext.fontset": "cm",
    "axes.titlesize": 9,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9a9a9a",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.axisbelow": True,
    "xtick.color": "#9a9a9a",
    "ytick.color": "#9a9a9a",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "metaplastic",
}

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


@contextmanager
def style() -> Iterator[None]:
    """Our look, inside the block only; characters that the font lacks become boxes without a warning."""
    from matplotlib import rc_context

    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def styled(draw: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """A function that draws, with our look."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
        with style():
            return draw(*args, **kwargs)

    return drawn


def new_figure(height: float, width: float = WIDTH) -> Any:
    """An empty matplotlib `Figure` of `width` by `height` inches, laid out so that nothing overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@styled
def images(figure: Any) -> tuple[bytes, bytes]:
    """The figure as SVG and as PNG (200 dots an inch), laid out once."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    svg, png = BytesIO(), BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=200)
    return svg.getvalue(), png.getvalue()


def literal(text: str, length: int = 44) -> str:
    """A user's text as it is (no mathematics in dollar signs), cut to `length` characters."""
    short = text if len(text) <= length else text[: length - 1] + "…"
    return short.replace("$", r"\$")


def ink(colour: str) -> tuple[float, ...]:
    """The colour, dark enough for small letters on white."""
    from matplotlib.colors import to_rgb

    return tuple(0.72 * part for part in to_rgb(colour))


def whole_numbers(axes: Any) -> None:
    """Few, round, whole ticks along x: trials, generations."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def label_ends(axes: Any, labels: list[tuple[float, str, str]]) -> None:
    """Write (height, text, colour) at the right border, moved apart so that none covers another."""
    low, high = axes.get_ylim()
    tall = axes.get_position().height * axes.figure.get_figheight()
    gap = (high - low) * LINE / tall
    shown = [label for label in sorted(labels) if math.isfinite(label[0])]
    for place, (_, text, colour) in zip(apart([height for height, _, _ in shown], gap), shown, strict=True):
        axes.annotate(
            text,
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=ink(colour),
            fontsize=8.5,
            annotation_clip=False,
        )


def apart(places: list[float], gap: float) -> list[float]:
    """Sorted places, moved as little as may be until neighbours are `gap` apart (least squares, by pooling).

    place_i - i gap must not fall, so this is isotonic regression, by pooling adjacent violators (Barlow et al. 1972).
    """
    blocks: list[list[float]] = []
    for index, place in enumerate(places):
        blocks.append([place - index * gap])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    shifted = [_mean(block) for block in blocks for _ in block]
    return [place + index * gap for index, place in enumerate(shifted)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
