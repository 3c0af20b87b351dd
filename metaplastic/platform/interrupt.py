"""Signals that ask a search to stop: it ends its generation, saves, says how to go on, and exits with their own code.

| signal | who sends it | exit code |
|---|---|---|
| SIGINT | Ctrl-C | 130, as shells say it (128 + 2); a second one stops at once, with the same code |
| SIGTERM | `kill`, Kubernetes, Slurm, a shutdown | 143 (128 + 15) |
| SIGUSR1 | notice of a time limit or preemption: `sbatch --signal=USR1@120` | 75, EX_TEMPFAIL of sysexits.h: go on |

A repeated SIGTERM or SIGUSR1 changes nothing: launchers send them to every process of a job, some more than once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 75}
NAMES = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGUSR1: "SIGUSR1, notice of a time limit or preemption",
}


class StopRequest:
    """A context in which a first signal sets `signal`; a second Ctrl-C raises KeyboardInterrupt.

    `announce` is called once, with what will happen, at the first. Outside of the main thread, where Python lets nobody
    handle signals, it does nothing.
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self.signal: signal.Signals | None = None
        self.announce = announce
        self.after = "after this generation, which is saved"
        """when the search will stop, for the announcement"""
        self._before: dict[signal.Signals, object] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def __enter__(self) -> StopRequest:
        self.listen()
        return self

    def listen(self) -> None:
        """Take the signals, again if another library (Ray, for one) has taken them since."""
        if threading.current_thread() is threading.main_thread():
            for number in CODES:
                before = signal.signal(number, self._receive)
                self._before.setdefault(number, before)

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature of a handler)
        if self.signal is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.signal = signal.Signals(number)
        if self.announce:
            again = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
            with suppress(RuntimeError):  # the signal came while the terminal was being written to; the end says it too
                self.announce(f"{NAMES[self.signal]}: stopping {self.after}{again}")
