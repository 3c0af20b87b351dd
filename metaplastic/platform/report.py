"""The report of a run: one HTML page that holds everything, and its figures as files beside it.

It is made from the files of a run directory alone, so it can be drawn again at any time, also of a run that still goes
on; sections appear when their files do.
"""

from __future__ import annotations

from pathlib import Path

from metaplastic.core import ConfigError
from metaplastic.platform import durable
from metaplastic.platform.report_page import Html, Picture, element, join, page
from metaplastic.platform.report_sections import SECTIONS
from metaplastic.platform.report_summary import three_lines, what_was_done
from metaplastic.platform.run import RunDirectory
from metaplastic.platform.run_results import Results, read_results

FIGURES = (
    "comparison", "learning_curves", "fitness", "pareto", "archive", "formula_symbolic", "formula", "ablation", "genes",
)  # fmt: skip
"""every figure that a report may have; those of an earlier report that this one lacks are removed"""


def write_report(run: Path) -> Path:
    """Write `report.html` and `figures/*.svg|png` of a run directory; each file is replaced in one step.

    Returns:
        the path of the page.

    Raises:
        ConfigError: if there is no such directory.
    """
    directory = RunDirectory(Path(run))
    if not directory.path.is_dir():
        raise ConfigError(f"{run}: no such run directory")
    results = read_results(directory.path)
    sections = [section for make in SECTIONS if (section := make(results))]
    pictures = [part for section in sections for part in section.parts if isinstance(part, Picture)]
    closing = (
        "Drawn by metaplastic from the files of this run; figures/ holds the pictures as SVG and PNG."
        if pictures
        else "This run has left no results yet."
    )
    html = page(results.name, _opening(results), sections, closing)
    _write_figures(directory.figures, pictures)
    durable.write(directory.report, html)
    return directory.report


def _opening(results: Results) -> list[Html]:
    """Notes, what was done, the three lines, and what could not be read."""
    notes, done = str(results.experiment.get("notes") or ""), what_was_done(results)
    parts = [element("p", notes, class_="notes")] if notes else []
    if done:
        parts.append(element("p", done))
    if lines := three_lines(results):
        parts.append(element("div", join(lines), class_="results"))
    if results.problems:
        parts.append(element("div", join([element("p", text) for text in results.problems]), class_="problems"))
    return parts


def _write_figures(folder: Path, pictures: list[Picture]) -> None:
    if pictures:
        folder.mkdir(exist_ok=True)
    for picture in pictures:
        durable.write(folder / f"{picture.name}.svg", picture.svg)
        durable.write(folder / f"{picture.name}.png", picture.png)
    for name in set(FIGURES) - {picture.name for picture in pictures}:
        for kind in ("svg", "png"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
