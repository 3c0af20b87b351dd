"""What a launcher comes to: files, and commands that are run in their folder. To be shown, written, or carried out."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from metaplastic.settings import ConfigError

TOKEN = "token"
"""file of a cluster's own authentication token; made when the plan is carried out, never shown"""


@dataclass(frozen=True)
class Plan:
    """Files and commands, and what to tell afterwards."""

    files: Mapping[str, str] = field(default_factory=dict)
    """name -> text"""
    commands: tuple[tuple[str, ...], ...] = ()
    """words of each command"""
    environment: Mapping[str, str] = field(default_factory=dict)
    """variables of the commands, beside those that are there"""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Python modules that the commands need -> what to install"""
    token: bool = False
    """the commands read `token`, a fresh secret"""
    after: tuple[str, ...] = ()
    """lines about what to do next"""

    def show(self) -> str:
        """All of it as text: what would be written and run."""
        parts = [f"# ---- {name}\n{text.rstrip()}\n" for name, text in self.files.items()]
        if len(parts) == 1:  # one file and no heading: `--dry-run > job.sbatch` is a job
            parts = list(self.files.values())
        return "\n".join([*parts, *self._commands_as_comments()]).rstrip() + "\n"

    def _commands_as_comments(self) -> list[str]:
        variables = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return ["# ---- to be run:", *(f"# {' '.join([*variables, shlex.join(c)])}" for c in self.commands)]

    def write(self, folder: Path) -> list[Path]:
        """Write the files into a private folder; nothing that differs is overwritten."""
        for name, text in self.files.items():
            path = folder / name
            if path.exists() and path.read_text(encoding="utf-8") != text:
                raise ConfigError(
                    f"{path} is there with other content, and nothing is overwritten; choose another --out"
                )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, text in self.files.items():
                (folder / name).write_text(text, encoding="utf-8")
        except OSError as why:
            raise ConfigError(f"{folder}: cannot be written: {why}") from None
        return [folder / name for name in self.files]

    def submit(self, folder: Path) -> int:
        """Write the files and run the commands one after the other; the first exit code that is not 0, else 0."""
        self.check_tools()
        self.write(folder)
        if self.token:
            write_token(folder / TOKEN)
        for command in self.commands:
            words = [_found(command[0]), *command[1:]]
            code = attended(words, folder, {**os.environ, **self.environment})
            if code:
                return code
        return 0

    def check_tools(self) -> None:
        """Refuse to begin what would break off for want of a program."""
        for command in self.commands:
            if not _found(command[0]):
                raise ConfigError(
                    f"{command[0]} is not on this machine, so nothing was submitted; run this where it is, or see what "
                    "would be submitted by --dry-run"
                )
        for module, package in self.modules.items():
            if find_spec(module) is None:
                raise ConfigError(
                    f"{self.commands[0][0]} needs {module}, which is not installed: pip install '{package}'"
                )


def attended(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run a command to its own end; its exit code (128 + n, if signal n ended it).

    A stop is the command's to handle, which may take a generation: Ctrl-C reaches it from the terminal as it reaches
    us, other signals are passed on, and we wait. (`subprocess.run` kills it a quarter of a second after Ctrl-C.)
    """
    running = subprocess.Popen(words, cwd=folder, env=environment)

    def pass_on(number: int, frame: Any) -> None:  # noqa: ARG001  (the signature of a handler)
        running.send_signal(number)

    def leave(number: int, frame: Any) -> None:
        """The terminal has told the command already."""

    handlers = {signal.SIGINT: leave, signal.SIGTERM: pass_on, signal.SIGUSR1: pass_on}
    ours = threading.current_thread() is threading.main_thread()  # where alone Python handles signals
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()} if ours else {}
    try:
        code = running.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


class _Readable(yaml.SafeDumper):
    """The safe dumper, with texts of several lines written as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)


def yaml_text(*documents: Any) -> str:
    """Plain values as YAML, in the order in which they were made; several documents one after the other."""
    return yaml.dump_all(documents, Dumper=_Readable, sort_keys=False, width=120, allow_unicode=True)


def _found(program: str) -> str:
    """Where a program is, on the path or beside our Python; '' if it is not there."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent)) or ""


def write_token(path: Path) -> None:
    """A fresh token that only its owner reads; one that is there stays, since a cluster may know it."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
