"""Ctrl-C: the first asks for a stop at the end of the generation, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


class StopRequest:
    """A context in which the first SIGINT or SIGTERM sets `requested`; a second one raises KeyboardInterrupt.

    `announce` is called once, with what will happen, at the first. Outside of the main thread, where Python lets nobody
    handle signals, it does nothing.
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self.requested = False
        self._announce = announce
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (the signature of a handler)
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if self._announce:
            self._announce("stopping after this generation, which is saved; press Ctrl-C again to stop at once")
