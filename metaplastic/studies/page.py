"""The page of a study: question, method, table of claims, figures, departures, how to run it again."""

from __future__ import annotations

from pathlib import Path

from metaplastic.platform import durable
from metaplastic.platform.figure_style import images
from metaplastic.platform.report_page import Html, Picture, Section, element, join, page, table
from metaplastic.studies.study import Claim, Result, Run, Study

HEAD = ("claim", "published", "source", "measured", "within?")
WORDS = {True: "yes", False: "NO", None: "–"}


def rows(claims: list[Claim]) -> list[tuple[str, ...]]:
    """The table of claims as text."""
    return [(one.what, one.published, one.source, one.measured, WORDS[one.within]) for one in claims]


def verdict(run: Run, result: Result) -> str:
    """What came of it, in one line."""
    decided = [claim.within for claim in result.claims if claim.within is not None]
    if run.scale == "quick":
        return f"a quick look, nothing is decided by it ({sum(decided)} of {len(decided)} claims within)"
    if result.holds:
        return f"all {len(decided)} claims that decide are within"
    return f"{sum(decided)} of {len(decided)} claims that decide are within"


def command(study: Study, run: Run) -> str:
    """How to run it again."""
    scale = "" if run.scale == "default" else f" --{run.scale}"
    return f"metaplastic study {study.name} --seeds {run.seeds} --seed {run.seed}{scale}"


def write_page(study: Study, run: Run, result: Result, seconds: float) -> Path:
    """Write page.html and the figures into the study's folder."""
    pictures = []
    for drawing in result.drawings:
        svg, png = images(drawing.figure)
        durable.write(run.out / f"{drawing.name}.svg", svg)
        durable.write(run.out / f"{drawing.name}.png", png)
        pictures.append(Picture(drawing.name, svg, png, drawing.alt, drawing.caption))
    claims = table("Published and measured; a dash decides nothing.", HEAD, rows(result.claims))
    listed = [element("li", text) for text in study.departures]
    sources = [element("li", text) for text in study.references]
    sections = [
        Section("question", "Question", [element("p", study.question)]),
        Section("table", "Published and measured", [claims]),
        Section("figures", "Figures", [*pictures]),
        Section("method", "Method", [element("p", study.method)]),
        Section("departures", "Departures from the paper", [element("ul", join(listed))] if listed else []),
        Section("sources", "Sources", [element("ul", join(sources))]),
        Section("again", "Run it again", [element("pre", element("code", command(study, run)))]),
    ]
    opening: list[Html] = [element("p", verdict(run, result), class_="results")]
    closing = f"{run.seeds} seeds, seed {run.seed}, {seconds / 60:.1f} minutes"
    place = run.out / "page.html"
    durable.write(place, page(study.title, opening, [part for part in sections if part.parts], closing))
    return place
