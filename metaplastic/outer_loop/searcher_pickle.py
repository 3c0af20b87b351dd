"""Reading a searcher's pickled state without running what a stranger may have put into it.

A pickle names functions and calls them. Here it may name the classes of the searchers' libraries and a few functions
that rebuild tensors, arrays and generators, and nothing else: `os.system` is refused before anything is called. Two of
the functions that honest states need could be turned round, so they have narrower ones in their place: a tensor's
bytes are read by torch's own restricted reader, and `getattr` gives methods of the searchers' objects only.

What this does not do: a hostile state can still hold wrong numbers, or so many that memory runs out.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch

from metaplastic.core import ConfigError

ROOTS = (
    "evotorch.algorithms",
    "evotorch.core",
    "evotorch.distributions",
    "evotorch.operators",
    "evotorch.optimizers",
    "evotorch.tools.hook",
    "ribs.archives",
    "ribs.emitters",
    "metaplastic.outer_loop",
)
"""modules, and those below them, whose own classes a state may hold"""
FUNCTIONS = frozenset(
    {
        ("builtins", "dict"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("datetime", "datetime"),
        ("numpy", "dtype"),
        ("numpy", "float32"),
        ("numpy", "float64"),
        ("numpy", "int32"),
        ("numpy", "int64"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.random._pcg64", "PCG64"),
        ("numpy.random._pickle", "__bit_generator_ctor"),
        ("numpy.random._pickle", "__generator_ctor"),
        ("numpy.random.bit_generator", "SeedSequence"),
        ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
        ("scipy.spatial._kdtree", "KDTree"),
        ("torch", "Size"),
        ("torch", "device"),
        ("torch", "float32"),
        ("torch", "float64"),
        ("torch", "int64"),
        ("torch._C", "Generator"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch.optim.adam", "Adam"),
    }
)
"""what else it may name"""


def loads(state: bytes, own: str) -> Any:
    """What was pickled; `own` is the module of the searcher, whose classes are allowed too.

    Raises:
        ConfigError: if the state names anything that no searcher's state needs, or is no pickle.
    """
    try:
        return _Reader(io.BytesIO(state), own).load()
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  (damaged bytes raise anything)
        raise ConfigError(
            f"the searcher's saved state cannot be read ({type(error).__name__}: {str(error)[:80]!r}); the "
            "checkpoint was not written by this version of the run's searcher"
        ) from None


class _Reader(pickle.Unpickler):
    """An unpickler that looks every name up in the lists above."""

    def __init__(self, file: io.BytesIO, own: str) -> None:
        super().__init__(file)
        self.roots = (*ROOTS, own)

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of that name, if a searcher's state may need it."""
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        if (module, name) == ("builtins", "getattr"):
            return self._method
        if (module, name) in FUNCTIONS:
            return super().find_class(module, name)
        if self._is_ours(module) and not any(part.startswith("__") for part in name.split(".")):
            found = super().find_class(module, name)
            first = super().find_class(module, name.split(".")[0])
            if isinstance(first, type) and first.__module__ == module:
                return found
        raise ConfigError(
            f"the searcher's saved state asks for {module}.{name}, which no searcher's state needs, so it was not "
            "read: the checkpoint was changed by somebody, or is of another program; start a new run"
        )

    def _is_ours(self, module: str) -> bool:
        return any(module == root or module.startswith(f"{root}.") for root in self.roots)

    def _method(self, thing: Any, name: str) -> Any:
        """A method of a searcher's object."""
        kind = thing if isinstance(thing, type) else type(thing)
        if not self._is_ours(kind.__module__) or name.startswith("__"):
            raise ConfigError(
                f"the searcher's saved state asks for {kind.__name__}.{name}, which no searcher's state needs, so it "
                "was not read; start a new run"
            )
        return getattr(thing, name)


def _storage(data: bytes) -> Any:
    """A tensor's numbers, by torch's reader that runs nothing."""
    return torch.load(io.BytesIO(data), weights_only=True)
