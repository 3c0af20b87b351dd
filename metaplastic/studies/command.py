"""What `metaplastic study` does: the list of studies, or one of them with its table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from metaplastic.core import ConfigError
from metaplastic.platform.executor import one_torch_thread
from metaplastic.studies.page import HEAD, rows, verdict
from metaplastic.studies.registry import all_studies, study
from metaplastic.studies.study import Run, run_study


def list_studies() -> Table:
    """Name, question and time of every study."""
    table = Table("study", "question", "minutes", box=None, pad_edge=False)
    for one in all_studies():
        table.add_row(one.name, one.question, f"{one.minutes:g}" if one.minutes else "not measured")
    return table


def study_command(
    name: str, out: Path | None, *, seeds: int, seed: int, quick: bool, full: bool, data_root: Path | None
) -> Any:
    """Run a study; what the command prints at the end.

    Raises:
        ConfigError: if there is no such study, both scales are asked for, or the folder is taken.
    """
    if quick and full:
        raise ConfigError("--quick and --full were both given, wanted one of them")
    one = study(name)
    scale = "quick" if quick else "full" if full else "default"
    place = out or Path("studies") / name
    run = Run(place, seeds, seed, scale, lambda text: print(text, file=sys.stderr, flush=True), data_root)
    with one_torch_thread():
        result = run_study(one, run)
    table = Table(*HEAD, box=None, pad_edge=False)
    for row in rows(result.claims):
        table.add_row(*(Text(cell) for cell in row))
    return Group(Text(one.title), table, Text(verdict(run, result)), Text(f"page: {place / 'page.html'}"))
