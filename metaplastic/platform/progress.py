"""How a search is getting on: a live display on a terminal, one plain line a generation elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BLOCKS = "▁▂▃▄▅▆▇█"
RECENT = 10
"""generations whose duration the time left is estimated from"""


class Progress(ABC):
    """Shows the records of a search of `generations`, by the first objective; a context manager."""

    def __init__(self, generations: int, objective: str, console: Console) -> None:
        self.generations, self.objective, self.console = generations, objective, console
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._is_heard = True

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        return

    def update(self, record: Mapping[str, Any]) -> None:
        """Show a generation (a record of `metrics.generation_record`)."""
        self._seconds.append(record["seconds"])
        self._attempt(lambda: self._show(record))

    def say(self, text: str) -> None:
        """A line of its own."""
        self._attempt(lambda: self._say(text))

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _attempt(self, show: Callable[[], None]) -> None:
        """Show, unless nobody listens any more: a closed pipe or a log file on a full disk does not end a search."""
        if self._is_heard:
            try:
                show()
            except OSError:
                self._is_heard = False

    @abstractmethod
    def _show(self, record: Mapping[str, Any]) -> None: ...

    def _numbers(self, record: Mapping[str, Any]) -> dict[str, str]:
        """What both displays tell, as text."""
        fitness, done = record["fitness"][self.objective], record["generation"] + 1
        return {
            "generation": f"{done}/{self.generations}",
            "best": number(record["best_so_far"][self.objective]),
            "median": number(fitness["median"]),
            "failed": str(record["failed"]),
            "lifetimes/s": rate(record["lifetimes_per_second"]),
            "left": duration(time_left(self._seconds, max(0, self.generations - done))),
        }


class PlainProgress(Progress):
    """One line a generation, for log files."""

    def _show(self, record: Mapping[str, Any]) -> None:
        self._say("  ".join(f"{name} {value}" for name, value in self._numbers(record).items()))


class LiveProgress(Progress):
    """A bar, the numbers and the course of the best fitness, redrawn in place."""

    def __init__(self, generations: int, objective: str, console: Console) -> None:
        super().__init__(generations, objective, console)
        self._best: list[float] = []
        self._live = Live(Text(f"generation 0/{generations}"), console=console, auto_refresh=False)

    def __enter__(self):
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def _show(self, record: Mapping[str, Any]) -> None:
        best = record["best_so_far"][self.objective]
        if best is not None:
            self._best.append(best)
        numbers = Table.grid(padding=(0, 3))
        values = self._numbers(record)
        numbers.add_row(*(Text(name, style="dim") for name in values))
        numbers.add_row(*(Text(value, style="bold") for value in values.values()))
        whole = Table.grid()
        whole.add_row(ProgressBar(self.generations, record["generation"] + 1, width=60))
        whole.add_row(numbers)
        whole.add_row(Text.assemble((f"best {self.objective}  ", "dim"), sparkline(self._best, 48)))
        self._live.update(whole, refresh=True)


def show_progress(generations: int, objective: str, console: Console | None = None) -> Progress:
    """The display that fits the console (standard error if absent)."""
    console = console or Console(stderr=True)
    return (LiveProgress if console.is_terminal else PlainProgress)(generations, objective, console)


def time_left(seconds: Iterable[float], generations: int) -> float:
    """Seconds that so many generations take, if they take as long as the recent ones."""
    return median(seconds) * generations


def number(value: float | None) -> str:
    """Four significant digits, '–' if there is none."""
    return "–" if value is None else f"{value:.4g}"


def rate(value: float | None) -> str:
    """Whole numbers with thousands apart, small ones with a digit more."""
    return "–" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def duration(seconds: float) -> str:
    """1:02:03, 2:03 or 0:03."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


def sparkline(values: list[float], width: int) -> str:
    """The course of the values in at most `width` characters, lowest ▁ to highest █."""
    if not values:
        return ""
    count = min(width, len(values))
    some = [values[(index + 1) * len(values) // count - 1] for index in range(count)]
    low, span = min(some), max(some) - min(some)
    return "".join(_BLOCKS[round((value - low) / span * 7) if span > 0 else 0] for value in some)
