"""metaplastic: evolve, live and dissect plastic neural networks.

An experiment is a tree of frozen values (network, learning rule, objective, task); any of them may be a gene.
`core.py` is the contract page; the rooms are `tasks`, `inner_loop`, `outer_loop`, `platform`, `studies`, `clusters`.

Public names are looked up when they are first used, so `import metaplastic` loads nothing heavy.
"""

import os
import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC: dict[str, str] = {
    "Array": "metaplastic.core",
    "Choice": "metaplastic.core",
    "ConfigError": "metaplastic.core",
    "Experiment": "metaplastic.platform.experiment",
    "Gene": "metaplastic.core",
    "Numbers": "metaplastic.core",
    "dump": "metaplastic.platform.experiment_file",
    "evaluate": "metaplastic.platform.evaluate",
    "live_experiment": "metaplastic.platform.evaluate",
    "load": "metaplastic.platform.experiment_file",
    "make": "metaplastic.tasks.registry",
    "resume": "metaplastic.platform.relaunch",
    "search": "metaplastic.platform.search",
}
"""public name -> the module that defines it, e.g. `"Gene": "metaplastic.core"`; one visible dict, extend it here"""

__all__ = ["__version__", *_PUBLIC]  # pyright: ignore[reportUnsupportedDunderAll]


def _refuse_the_package_folder_on_the_path() -> None:
    """Explain the trap before it bites: our room `platform` would hide Python's own `platform`, which torch needs.

    Raises:
        ImportError: if the package folder itself is an entry of `sys.path`.
    """
    folder = os.path.dirname(os.path.realpath(__file__))
    if any(os.path.realpath(entry) == folder for entry in sys.path):
        raise ImportError(
            f"the package folder {folder} itself is on sys.path, where metaplastic/platform hides Python's own "
            "'platform' and torch cannot start; put its parent there instead, run from another folder with "
            "`python -m metaplastic`, and ship the repository root or the wheel to Ray, never this folder",
            name=__name__,
        )


_refuse_the_package_folder_on_the_path()


def __getattr__(name: str) -> Any:
    """The public name `name`, imported on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'metaplastic' has no attribute {name!r}; public names: {sorted(__all__)}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All names, those not yet looked up included, so that tab completion knows them."""
    return sorted({*globals(), *_PUBLIC})
