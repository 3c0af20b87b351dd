"""Many numbers at once are the numbers one by one: the operators, their threads, under vmap, in a compiled graph."""

import subprocess
import sys

import pytest
import torch

from metaplastic import rng, rng_arrays


def keys(*shape):
    return rng.fold(rng.root(11), torch.arange(torch.Size(shape).numel())).reshape(shape)


@pytest.fixture
def passes(monkeypatch):
    """Calls a function of `rng` in PyTorch's own passes."""

    def call(function, *given, **more):
        with monkeypatch.context() as patched:
            patched.setattr(rng_arrays, "FROM", 1 << 60)
            return function(*given, **more)

    return call


@pytest.mark.parametrize(("shape", "n", "first"), [((3000,), 3, 0), ((40, 50), 33, 7), ((1,), 9001, 2), ((), 8200, 0)])
def test_words_have_the_same_bits(passes, shape, n, first):
    made = rng.words(keys(*shape), n, first)
    assert made.dtype == torch.int64
    assert torch.equal(made, passes(rng.words, keys(*shape), n, first))


@pytest.mark.parametrize("gaussian", ["boxmuller", "integer"])
def test_normals_and_uniforms_have_the_same_bits(passes, gaussian):
    key = keys(41, 100)
    assert torch.equal(rng.normals(key, 5, 2, gaussian=gaussian), passes(rng.normals, key, 5, 2, gaussian=gaussian))
    assert torch.equal(rng.uniforms(key, 7), passes(rng.uniforms, key, 7))


def test_keys_may_be_a_view_and_are_not_written_to():
    key = keys(100, 200)
    before = key.clone()
    assert torch.equal(rng.normals(key.T, 3), rng.normals(key.T.contiguous(), 3))
    assert torch.equal(key, before)


def test_threads_share_the_keys_out(monkeypatch):
    key = keys(1001)
    alone = rng_arrays.words(key, 33), *rng_arrays.pairs(key, 33)
    monkeypatch.setattr(rng_arrays, "SHARED_FROM", 1000)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        shared = rng_arrays.words(key, 33), *rng_arrays.pairs(key, 33)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, alone, shared))


def test_vmap_gives_the_numbers_of_the_batched_call():
    key = keys(4, 3000)
    assert torch.equal(torch.vmap(lambda one: rng.normals(one, 3), in_dims=1)(key), rng.normals(key.T, 3))
    assert torch.equal(torch.vmap(lambda one: rng.words(one, 3))(key), rng.words(key, 3))


COMPILED = """
import torch
from metaplastic import rng

key = rng.fold(rng.root(11), torch.arange(3000))
draw = lambda some: (rng.normals(some, 3), rng.words(some, 3))
compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
assert all(map(torch.equal, compiled(key), draw(key)))
"""


def test_a_compiled_graph_calls_the_operators():
    # in a process of its own: type checkers break graphs
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
