"""What an estimate is doing: a bar on a terminal, a line for each step elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Tells steps on standard error; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.bar: Progress | None = None
        if self.console.is_terminal:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=None)

    def __enter__(self) -> Steps:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def step(self, text: str, done: float | None = None) -> None:
        """Say what begins now; `done`: how much of the whole is behind."""
        if self.bar:
            self.bar.update(self.task, description=text, total=None if done is None else 1.0, completed=done or 0.0)
        else:
            self.console.print(f"estimate: {text}", markup=False, highlight=False, soft_wrap=True)
