"""Expressions as Numba text: the same numbers as PyTorch, kept modules, and failures that show."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from random_formulas import NAMES, PARAMETERS, formulas, values

from metaplastic.inner_loop.formula import to_numba
from metaplastic.inner_loop.formula.grammar import FUNCTIONS, parse
from metaplastic.inner_loop.formula.to_torch import torch_function

KERNEL = """
@numba.njit(cache=True, fastmath=FAST, error_model="numpy")
def many(w, pre, post, rpe, a, b, out):
    for n in range(w.shape[0]):
"""
FORMULAS = [
    "a*(pre*post - post**2*w) + b",
    "tanh(3*pre*w) + sigmoid(post) - exp(-w**2)",
    "clip(a*rpe*w, -0.3, b) + min(pre, post)*max(w, 0.1)",
    "relu(pre) - step(post)*abs(w) + sign(pre*rpe)",
    "log(1 + abs(w))/(1 + pre**2) + sqrt(abs(post))",
    "w**5 - pre**6/4 + post**7*0.01 + abs(w)**a + (1 + pre**2)**-3",
    "(pre*(post - rpe))**3 + 0.75",
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path))
    to_numba._module.cache_clear()
    return tmp_path


def exact() -> dict[str, object]:
    """The functions of `numba_functions`, in Python, with 64 bits and libm's tanh."""
    module = to_numba.load(to_numba.helpers_source(), "tanh_of").py_func.__globals__
    known = {name: getattr(f, "py_func", f) for name, f in module.items() if not name.startswith("__")}
    simple = {"tanh_of": math.tanh, "sigmoid_of": lambda x: 1 / (1 + math.exp(-x)), "exp_of": math.exp}
    simple |= {"log_of": math.log, "sqrt_of": math.sqrt, "pow_of": math.pow}
    for n in (2, 3, 4, 5, 7):
        simple[f"power_{n}"] = lambda x, n=n: x**n
    simple["clip_of"] = lambda x, low, high: min(max(x, low), high)
    # beside a float32 (what `sign_of` gives) a Python float would be rounded to 32 bits, a float64 is not
    simple = {name: lambda *x, of=of: np.float64(of(*x)) for name, of in simple.items()}
    return known | simple | {"np": SimpleNamespace(float32=float), "ONE": 1.0}


@settings(max_examples=100, deadline=None)
@given(formulas, values)
@example("(pre) / (1 + (sign(pre))**2)", dict.fromkeys(NAMES, -1.3))
@example("(sign(pre) + exp(-(pre)**2))", dict.fromkeys(NAMES, -1.3))
def test_the_text_says_what_pytorch_computes(text: str, known: dict[str, float]):
    expr = parse(text, NAMES, PARAMETERS)
    code = to_numba.numba_expression(expr, {name: f"v[{name!r}]" for name in NAMES})
    tensors = {name: torch.full((1, 1, 1, 1), value, dtype=torch.float64) for name, value in known.items()}
    doubles = {name: np.float64(value) for name, value in known.items()}  # a Python float would become a float32 here
    result = eval(code, exact() | {"v": doubles})  # our own text, from a parsed expression
    assert float(result) == pytest.approx(torch_function(expr)(tensors).item(), rel=1e-9, abs=1e-12)


def test_compiled_kernels_agree_with_pytorch_to_five_digits(cache: Path):
    exprs = [parse(text, NAMES, PARAMETERS) for text in FORMULAS]
    names = {name: name if name in PARAMETERS else f"{name}[n]" for name in NAMES}
    lines = [f"        out[{k}, n] = {to_numba.numba_expression(expr, names)}\n" for k, expr in enumerate(exprs)]
    kernel = to_numba.load(to_numba.helpers_source() + KERNEL + "".join(lines), "many")
    signals = [np.sin(np.arange(1, 202, dtype=np.float32) ** 2 * c).astype(np.float32) * 1.5 for c in (1, 2, 3, 4)]
    out = np.empty((len(FORMULAS), 201), dtype=np.float32)
    kernel(*signals, np.float32(1.25), np.float32(0.4), out)
    order = dict(zip(["w", "pre", "post", "rpe"], signals, strict=True))
    known = {name: torch.from_numpy(v).double()[:, None, None, None] for name, v in order.items()}
    known |= {"a": torch.full((1, 1, 1, 1), 1.25), "b": torch.full((1, 1, 1, 1), 0.4, dtype=torch.float64)}
    for k, expr in enumerate(exprs):
        wanted = torch_function(expr)(known).flatten().numpy()
        np.testing.assert_allclose(out[k], wanted, rtol=1e-5, atol=1e-5, err_msg=FORMULAS[k])
    assert list(cache.glob("many_*.py"))


def compiled(expression: str, *arguments: str, name: str = "one") -> Any:
    """A kernel that returns one expression."""
    head = f"@numba.njit(fastmath=FAST, error_model='numpy')\ndef {name}({', '.join(arguments)}):"
    return to_numba.load(f"{to_numba.helpers_source()}\n{head}\n    return {expression}\n", name)


def test_no_double_precision_enters_a_kernel(cache: Path):
    expr = parse("0.1*tanh(pre) + w**3/3 - clip(w, -0.7, 2)", ["pre", "w"])
    kernel = compiled(to_numba.numba_expression(expr, {"pre": "x", "w": "w"}), "x", "w")
    kernel(np.float32(0.3), np.float32(0.2))
    assert str(kernel.nopython_signatures[0].return_type) == "float32"
    body = kernel.inspect_llvm(kernel.signatures[0]).split("cpython")[0]
    assert "float" in body
    assert "double" not in body


def test_the_rational_tanh_is_accurate():
    x = np.linspace(-12, 12, 20001, dtype=np.float32)
    tanh = to_numba.load(to_numba.helpers_source(), "tanh_of")
    assert max(abs(tanh(v) - math.tanh(float(v))) for v in x) < 5e-7
    assert tanh(np.float32(0)) == 0
    assert [tanh(np.float32(end)) for end in (np.inf, -np.inf)] == pytest.approx([1, -1], abs=5e-7)


FORGETFUL = ["clip(w, -1, 1)", "tanh(w)", "min(w, 1)", "max(w, 1)", "relu(w)", "abs(w)", "sigmoid(w)"]


def test_fast_arithmetic_does_not_hide_a_life_that_diverges(cache: Path):
    parts = [to_numba.numba_expression(parse(f, ["w"]), {"w": "w"}) for f in [*FORGETFUL, "w + w**2"]]
    kernel = compiled(f"({', '.join([*parts, 'w - w', 'ZERO * w'])})", "w")
    for part, value in zip([*parts, "w - w", "0 w"], kernel(np.float32(np.nan)), strict=True):
        assert math.isnan(value), part
    assert math.isnan(kernel(np.float32(np.inf))[-2])


def test_a_rule_that_diverges_ends_in_something_not_finite(cache: Path):
    change = to_numba.numba_expression(parse("0.5*post**2*w - post*w**3", ["post", "w"]), {"post": "y", "w": "w"})
    head = "@numba.njit(fastmath=FAST, error_model='numpy')\ndef life(w, x, steps):\n    for _ in range(steps):\n"
    body = f"        y = w * x\n        w = w + {change}\n    return w\n"
    life = to_numba.load(f"{to_numba.helpers_source()}\n{head}{body}", "life")
    assert math.isfinite(life(np.float32(0.5), np.float32(0.5), 50))
    assert not math.isfinite(life(np.float32(3), np.float32(2), 50))


def test_a_name_without_a_text_is_our_mistake():
    with pytest.raises(KeyError, match="post"):
        to_numba.numba_expression(parse("pre*post", ["pre", "post"]), {"pre": "x"})


def test_nested_powers_do_not_blow_the_text_up():
    text = "pre"
    for _ in range(6):
        text = f"(1 + ({text})**2)"
    code = to_numba.numba_expression(parse(text, ["pre"]), {"pre": "x"})
    assert len(code) < 300


def test_every_function_has_a_text():
    for name, (_, count) in FUNCTIONS.items():
        expr = parse(f"{name}({', '.join(['w', 'pre', 'post'][:count])})", ["w", "pre", "post"])
        assert "_of(" in to_numba.numba_expression(expr, {"w": "w", "pre": "x", "post": "y"})


def test_a_module_is_written_once_and_again_when_it_was_damaged(cache: Path):
    source = "def answer():\n    return 42\n"
    assert to_numba.load(source, "answer")() == 42
    (file,) = cache.glob("answer_*.py")
    first = file.stat()
    assert first.st_mtime == 0  # by its date Numba knows whether its machine code is of this text
    to_numba._module.cache_clear()
    assert to_numba.load(source, "answer")() == 42
    assert file.stat().st_ino == first.st_ino
    file.write_text("def answer():\n    return 0\n")
    to_numba._module.cache_clear()
    assert to_numba.load(source, "answer")() == 42
    assert not list(cache.glob("*.part"))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("METAPLASTIC_CACHE", str(tmp_path / "file"))
    to_numba._module.cache_clear()
    assert to_numba.load("def half():\n    return 0.5\n", "half")() == 0.5


DOUBLED = """
@numba.njit(cache=True, fastmath=FAST, error_model="numpy")
def doubled(x):
    return tanh_of(x) * np.float32(2)
"""
CHILD = """
import numpy as np, sys
from metaplastic.inner_loop.formula import to_numba
kernel = to_numba.load(to_numba.helpers_source() + sys.argv[1], "doubled")
kernel(np.float32(1))
print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""


def test_a_second_process_finds_the_machine_code(cache: Path):
    kernel = to_numba.load(to_numba.helpers_source() + DOUBLED, "doubled")
    kernel(np.float32(1))
    assert sum(kernel.stats.cache_misses.values()) == 1
    env = {**os.environ, "PYTHONPATH": str(Path(to_numba.__file__).parents[3]), "METAPLASTIC_CACHE": str(cache)}
    command = [sys.executable, "-c", CHILD, DOUBLED]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["1", "0"]
