"""The Triton kernel under its interpreter against PyTorch; compiled for a GPU that is not there; what it refuses.

The interpreter runs in a process of its own (`tests/triton_lives.py`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_trials import RateRNN, formula, live

import metaplastic
from metaplastic.inner_loop.formula.grammar import parse
from metaplastic.inner_loop.formula.program import SIGNALS
from metaplastic.inner_loop.formula.to_triton import triton_expression
from metaplastic.inner_loop.kernels import triton_tiles
from metaplastic.inner_loop.kernels.trial_source import Shape
from metaplastic.inner_loop.kernels.triton_source import kernel_source
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.trial_plan import form_of

TESTS = Path(__file__).parents[1]
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="TRITON IS MISSING: the GPU kernels are not tested"
)


def process(script: str, *arguments: str, interpret: bool = True) -> str:
    """What a script printed, run beside the tests."""
    paths = [str(Path(metaplastic.__file__).parents[1]), str(TESTS)]
    done = subprocess.run(
        [sys.executable, str(TESTS / script), *arguments],
        env={**os.environ, "TRITON_INTERPRET": "1" if interpret else "0", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@needs_triton
def test_the_interpreted_kernel_is_the_reference():
    found = json.loads(process("triton_lives.py", "fixed"))
    assert len(found) == 9
    assert {name: worst for name, (worst, _) in found.items() if not worst < 1e-5} == {}
    assert min(moved for _, moved in found.values()) > 1e-3


@needs_triton
@pytest.mark.slow
def test_random_formulas_are_the_reference_too():
    found = json.loads(process("triton_lives.py", "random", "25"))
    assert len(found) > 20
    assert {name: worst for name, (worst, _) in found.items() if not worst < 1e-5} == {}


@needs_triton
@pytest.mark.slow
def test_the_kernels_compile_for_a_gpu_that_is_not_there():
    sizes = json.loads(process("triton_compiles.py", interpret=False))
    assert set(sizes) == {"hebb", "sanger", "miconi17", "hebb in tiles", "miconi17 in tiles"}
    assert min(sizes.values()) > 1000


def test_the_text_of_an_expression_has_plain_numbers():
    names = {name: name for name in SIGNALS}
    text = triton_expression(parse("0.5 * tanh(pre)**2 / (1 + post**3) - sqrt(w)", list(SIGNALS)), names)
    assert "np." not in text
    assert "ONE" not in text
    known = {"tanh_of": torch.tanh, "sqrt_of": torch.sqrt, "power_2": torch.square, "power_3": lambda x: x**3}
    value = eval(text, known | {"pre": torch.tensor(0.3), "post": torch.tensor(-0.4), "w": torch.tensor(0.2)})
    assert value.item() == pytest.approx(0.5 * 0.2913126**2 / (1 - 0.064) - 0.2**0.5, abs=1e-6)


def test_the_same_rule_has_the_same_text():
    shape = Shape(form_of(RateRNN(), RULES["abcd"](B=0.5)), sparse=False)
    assert kernel_source(shape) == kernel_source(Shape(form_of(RateRNN(), RULES["abcd"](C=7.0)), sparse=False))
    assert "wired" not in kernel_source(shape)
    assert "wired" in kernel_source(shape._replace(sparse=True))


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (RULES["sanger"](), "where a synapse cannot be told explained; use backend: torch"),
        (RULES["oja"](normalise="row"), "where a synapse cannot be told normalise: row; use backend: torch"),
    ],
)
def test_what_a_large_network_cannot_be_told_is_refused(rule, why: str):
    with pytest.raises(ValueError, match=why):
        triton_tiles.check(rule.program())


def test_without_a_gpu_the_backend_is_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    if importlib.util.find_spec("triton") is None:
        with pytest.raises(ValueError, match=r"backend is 'triton', which is not installed: pip install"):
            live(RateRNN(units=4), formula("0.1 * pre"), backend="triton")
        return
    with pytest.raises(ValueError, match="its kernels are for float32 on a GPU, use device: cuda, or backend: auto"):
        live(RateRNN(units=4), formula("0.1 * pre"), backend="triton")
