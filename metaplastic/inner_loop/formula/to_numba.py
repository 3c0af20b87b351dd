"""Expressions as text of scalar float32 arithmetic for Numba, and generated modules that are compiled once and kept.

A kernel's author writes the loops as text, puts `numba_expression(...)` into them and calls `load`. The module lies in
METAPLASTIC_CACHE (else ~/.cache/metaplastic/kernels) under a hash of its text and of the versions it was made for,
beside Numba's own cache of the machine code; so a formula is compiled once a machine, not once a process.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import sympy

from metaplastic.inner_loop.formula import grammar
from metaplastic.inner_loop.formula.grammar import operands

_CALLS: dict[Any, str] = {
    sympy.tanh: "tanh_of",
    sympy.exp: "exp_of",
    sympy.log: "log_of",
    grammar.absolute: "abs_of",
    grammar.signum: "sign_of",
    grammar.relu: "relu_of",
    grammar.step: "step_of",
    grammar.sigmoid: "sigmoid_of",
    grammar.clip: "clip_of",
    grammar.minimum: "min_of",
    grammar.maximum: "max_of",
}
_WRITTEN_OUT = (2, 3, 4, 5, 7)
"""powers that are functions of their own"""


def numba_expression(expr: sympy.Expr, names: Mapping[str, str]) -> str:
    """`expr` as Python text in float32, every name replaced by the text `names` gives for it ('pre' -> 'x[j]').

    The text calls the functions of `helpers_source()`. Raises KeyError for a name without a text.
    """
    if expr.is_Symbol:
        return names[str(expr)]
    if expr.is_number and not expr.args:
        return f"np.float32({float(expr)!r})"
    if expr.is_Add:
        return f"({' + '.join(numba_expression(part, names) for part in operands(expr))})"
    if expr.is_Mul:
        return _product(expr, names)
    if expr.is_Pow:
        return _power(operands(expr)[0], operands(expr)[1], names)
    arguments = ", ".join(numba_expression(part, names) for part in operands(expr))
    return f"{_CALLS[expr.func]}({arguments})"


def helpers_source() -> str:
    """The head of a generated module: imports, FAST (flags for @njit) and the functions that expressions call."""
    return Path(__file__).with_name("numba_functions.py").read_text(encoding="utf-8")


def load(source: str, name: str) -> Callable[..., Any]:
    """The function `name` of the module `source` (helpers_source() included), compiled as its decorators say.

    Decorate with `@numba.njit(cache=True, fastmath=FAST, error_model="numpy", ...)` so that it is compiled only once.
    """
    return getattr(_module(source, name), name)


@lru_cache(maxsize=1024)
def _module(source: str, name: str) -> Any:
    versions = (
        f"{platform.python_version()} {importlib.metadata.version('numba')} {importlib.metadata.version('numpy')}"
    )
    stem = f"{name}_{hashlib.sha256(f'{versions} {source}'.encode()).hexdigest()[:24]}"
    path = _kept(source, f"{stem}.py")
    spec = importlib.util.spec_from_file_location(f"metaplastic_kernels_{stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Numba finds the functions that a kept kernel calls by their module's name
    spec.loader.exec_module(module)
    return module


def _kept(source: str, file: str) -> Path:
    """The file with this text, written if it is not there; in a folder of our own if the cache cannot be written."""
    for folder in (_cache_folder, _own_folder):
        try:
            path = folder() / file
            if not (path.exists() and path.read_text(encoding="utf-8") == source):
                _write(path, source)
            return path
        except OSError as error:
            refused = error
    raise refused


def _cache_folder() -> Path:
    folder = os.environ.get("METAPLASTIC_CACHE")
    path = Path(folder).expanduser() if folder else Path.home() / ".cache" / "metaplastic" / "kernels"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


@lru_cache(maxsize=1)
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="metaplastic-kernels-"))


def _write(path: Path, source: str) -> None:
    """Whole or not at all; always with the same date, by which Numba knows that its compiled code is of this text."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(source)
    os.utime(file.name, (0, 0))
    os.replace(file.name, path)


def _product(expr: sympy.Expr, names: Mapping[str, str]) -> str:
    below = [part for part in operands(expr) if part.is_Pow and operands(part)[1].could_extract_minus_sign()]
    above = [part for part in operands(expr) if part not in below]
    text = " * ".join(numba_expression(part, names) for part in above) or "ONE"
    if not below:
        return f"({text})"
    under = " * ".join(_power(operands(part)[0], -operands(part)[1], names) for part in below)
    return f"({text} / ({under}))"


def _power(base: sympy.Expr, exponent: sympy.Expr, names: Mapping[str, str]) -> str:
    text = numba_expression(base, names)
    if exponent == 1:
        return text
    if exponent == sympy.Rational(1, 2):
        return f"sqrt_of({text})"
    if exponent.is_Integer and int(exponent) < 0:
        return f"(ONE / {_power(base, -exponent, names)})"
    if exponent.is_Integer:
        return _whole_power(text, int(exponent))
    return f"pow_of({text}, {numba_expression(exponent, names)})"


def _whole_power(text: str, exponent: int) -> str:
    """A product by squares of squares; the base is written once, or nested powers would double the text each time."""
    if exponent == 1:
        return text
    if exponent in _WRITTEN_OUT:
        return f"power_{exponent}({text})"
    if exponent % 2 == 0:
        return f"power_2({_whole_power(text, exponent // 2)})"
    if exponent % 3 == 0:
        return f"power_3({_whole_power(text, exponent // 3)})"
    return f"pow_of({text}, np.float32({exponent}))"
