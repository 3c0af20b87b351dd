"""Who works on a run: one process at a time, known by a lock that dies with it.

`flock(2)` on RUN/run.lock. The kernel gives the lock back when its process ends, however it ends, so nothing is ever
stale on a local disk and no file has to be cleaned away. Over NFS, Linux turns it into a lock of the server's: it holds
between machines as long as the server's lock service runs (it does with NFSv4), but a machine that has crashed keeps it
until the server's lease ends, 90 s by default; mounted with `nolock` or `local_lock=flock` it holds on one machine
alone. Lustre needs the mount option `flock`. Where the file system has no locks, that is said and the run goes on.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from metaplastic.platform.durable import dumps, writing
from metaplastic.settings import ConfigError

log = logging.getLogger(__name__)

LOCK = "run.lock"
WAIT_SECONDS = 1.0
"""how long a lock is tried for: those who only look (`holder`) have it for an instant"""
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


class RunLock:
    """The right to write below a run directory, which must be there; a context manager.

    Raises:
        ConfigError: on entering, if another process has it.
    """

    def __init__(self, run: Path) -> None:
        self._run, self._path = run, run / LOCK
        self._file: TextIO | None = None

    def __enter__(self) -> RunLock:
        with writing(self._path):
            file = self._path.open("a+", encoding="utf-8")
        try:
            self._take(file)
            with writing(self._path):
                file.truncate(0)
                file.write(dumps(_ourselves()) + "\n")
                file.flush()
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def _take(self, file: TextIO) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not _try(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise ConfigError(
                    f"{self._run} is in use by {_name(_read(file))}; wait for it, end it, or choose another run"
                )
            time.sleep(0.05)


def holder(run: Path) -> dict[str, Any] | None:
    """What is known of the process that works on a run (`pid`, `host`, `since`); None if nobody does."""
    try:
        file = (run / LOCK).open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with file:
        return None if _try(file, fcntl.LOCK_SH) else _read(file)


def _try(file: TextIO, kind: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            log.warning("%s: the file system keeps no locks, so a second search on this run is not noticed", file.name)
            return True
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _ourselves() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


def _read(file: TextIO) -> dict[str, Any]:
    file.seek(0)
    try:
        return dict(json.loads(file.read()))
    except ValueError:  # it has the lock and has not yet said who it is
        return {}


def _name(known: dict[str, Any]) -> str:
    if not known:
        return "another process"
    return f"process {known.get('pid')} on {known.get('host')}, since {known.get('since')}"
