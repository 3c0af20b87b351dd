"""Studies: a published result as something that can be run. Each trains, measures, draws, and compares with the paper.

    claim | published | measured | within?

`source` says where the number in `published` comes from (`Source`): a bound of ours is never called published. A study
writes a folder: page.html (question, method, departures, table, figures), result.json, the figures, and the arrays it
measured, so that they can be analysed elsewhere.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from metaplastic.core import ConfigError
from metaplastic.platform import durable

Source = Literal["published", "our bound", "second hand", "recalled", "derived", "proposed"]
"""published: the number was read in the source; our bound: the finding was, the number is ours; second hand: read in
notes on it or off a figure; recalled: from memory of it; derived: exact; proposed: finding and bound are ours"""


class Claim(NamedTuple):
    """One row of the table."""

    what: str
    published: str
    """the number or the bound, as text"""
    source: Source
    measured: str
    within: bool | None
    """None: shown beside the others, decides nothing"""


class Drawing(NamedTuple):
    """One figure."""

    name: str
    figure: Any
    """a matplotlib Figure, drawn with `platform/figure_style.py`"""
    alt: str
    """what it shows, for those who do not see it"""
    caption: str


@dataclass
class Result:
    """What a study found."""

    claims: list[Claim]
    drawings: list[Drawing] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    """everything behind the table and the figures, plain values or arrays, for result.json"""

    @property
    def holds(self) -> bool:
        """Every claim that decides is within."""
        return all(claim.within for claim in self.claims if claim.within is not None)


@dataclass(frozen=True)
class Run:
    """How a study is to be run."""

    out: Path
    """its folder, made and empty"""
    seeds: int = 8
    """agents (networks, lives) trained from different births; the unit of replication"""
    seed: int = 0
    """all randomness follows from it"""
    scale: Literal["quick", "default", "full"] = "default"
    """quick: a look, nothing is decided; default: what is accepted; full: the paper's own protocol"""
    say: Callable[[str], None] = print
    """progress, a line at a time"""
    data_root: Path | None = None
    """where data sets lie, for the studies that need them"""


class Study(ABC):
    """One published result. Subclasses are named in `registry.py`."""

    name: ClassVar[str]
    """what the command line calls it"""
    title: ClassVar[str]
    question: ClassVar[str]
    """what is asked, in a sentence or two"""
    method: ClassVar[str]
    """what is done, in brief"""
    departures: ClassVar[Sequence[str]]
    """everything that is not as in the paper"""
    references: ClassVar[Sequence[str]]
    minutes: ClassVar[float | None]
    """what the default takes on two cores, as measured; None: the default has not been run to its end"""

    @abstractmethod
    def run(self, run: Run) -> Result:
        """Train, measure, draw."""


def run_study(study: Study, run: Run) -> Result:
    """Run a study and write its folder; what it found.

    Raises:
        ConfigError: if the folder is there and holds something.
    """
    if run.out.exists() and (not run.out.is_dir() or any(run.out.iterdir())):
        raise ConfigError(f"out is {run.out}, which is not empty, and nothing is overwritten; choose another --out")
    if run.seeds < 1:
        raise ConfigError(f"seeds is {run.seeds}, wanted at least 1")
    run.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    result = study.run(run)
    seconds = time.monotonic() - began
    from metaplastic.studies.page import write_page

    write_page(study, run, result, seconds)
    table = [claim._asdict() for claim in result.claims]
    facts = {"study": study.name, "seeds": run.seeds, "seed": run.seed, "scale": run.scale, "seconds": seconds}
    found = {**facts, "holds": result.holds, "claims": table, "numbers": result.numbers}
    durable.write(run.out / "result.json", durable.dumps(found, indent=1) + "\n")
    return result


def read_result(folder: Path) -> dict[str, Any]:
    """What `run_study` kept in result.json."""
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def mean_and_error(values: Sequence[float], digits: int = 3) -> str:
    """`mean ± s.e.m. (n = k)` over seeds, as a table shows it."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return f"{mean:.{digits}f} (n = 1)"
    spread = (sum((value - mean) ** 2 for value in values) / (count - 1) / count) ** 0.5
    return f"{mean:.{digits}f} ± {spread:.{digits}f} (n = {count})"


def enough(holds: Sequence[bool], share: float = 0.75) -> bool:
    """Whether so many of the seeds hold (6 of 8, 7 of 8 at .875): published success rates are below 1."""
    return sum(holds) >= share * len(holds) - 1e-9
