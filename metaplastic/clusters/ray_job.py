"""Ray Jobs: a search submitted to a cluster that is there, which it outlives your laptop on.

The runtime environment ships one folder: that with the experiment and your own modules, which may be the repository of
metaplastic itself, or hold its wheel. It is never the package folder, whose `platform` would hide Python's own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metaplastic.clusters.description import Launch, RayJob, package_folder
from metaplastic.clusters.order import Order, need, search_words
from metaplastic.clusters.plan import Plan, yaml_text
from metaplastic.settings import ConfigError, explain

FILE = "runtime_env.yaml"
LEFT_OUT = [".git", ".venv", "/runs", "/launches", "/build", "*.egg-info", "__pycache__", ".pytest_cache"]
"""what is not shipped; Ray leaves out what .gitignore names as well"""
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""variables that Ray finds a token by"""


def plan(launch: Launch, order: Order, environment: Mapping[str, str] = os.environ) -> Plan:
    """The runtime environment, and `ray job submit`."""
    settings = with_address(launch.ray_job, environment)
    address = need(
        settings.address,
        "ray_job.address",
        "the cluster's Jobs server by --address or RAY_ADDRESS, http://127.0.0.1:8265",
    )
    folder = Path(settings.folder or order.folder)
    need(
        launch.run_dir,
        "run_dir",
        "a folder that the cluster's head sees and that outlives the job (what is shipped does not)",
    )
    words = search_words(launch, order, _inside(order.experiment, folder), resolved=False)
    python = (settings.python, "-m", "metaplastic")
    return Plan(
        {FILE: yaml_text(runtime_env(launch, folder))},
        (("ray", "job", "submit", "--address", address, "--no-wait", "--runtime-env", FILE, "--", *python, *words),),
        environment={"RAY_AUTH_MODE": settings.auth, "RAY_API_SERVER_ADDRESS": address},
        modules={"aiohttp": "ray[default]"},
        after=(f"state: ray job list --address {address}    output: ray job logs --address {address} -f ID",),
    )


def check_here(launch: Launch, environment: Mapping[str, str] = os.environ) -> None:
    """What only the machine that submits can tell: whether there is a token."""
    if launch.ray_job.auth == "disabled" or any(environment.get(name) for name in TOKENS):
        return
    if not (Path.home() / ".ray" / "auth_token").is_file():
        raise ConfigError(
            "ray_job.auth: is token, but there is none; put the cluster's into a file of mode 0600 and name it in "
            "RAY_AUTH_TOKEN_PATH (a cluster without authentication: ray_job.auth=disabled)"
        )


def with_address(settings: RayJob, environment: Mapping[str, str]) -> RayJob:
    """The settings with RAY_ADDRESS where they give no address."""
    found = environment.get("RAY_ADDRESS")
    if settings.address or not found:
        return settings
    try:
        return RayJob.model_validate({**settings.model_dump(), "address": found})
    except ValidationError as errors:
        raise ConfigError("\n".join(f"RAY_ADDRESS: {line}" for line in explain(errors))) from None


def runtime_env(launch: Launch, folder: Path) -> dict[str, Any]:
    """What the job and its workers are given."""
    package = package_folder(folder)
    if package:
        raise ConfigError(
            f"ray_job.folder: is {folder}, in the package folder, where metaplastic/platform hides Python's own "
            f"'platform' and every worker dies; ship {package.parent}, or another folder"
        )
    environment: dict[str, Any] = {
        "working_dir": str(folder),
        "excludes": LEFT_OUT,
        "env_vars": {"RAY_USAGE_STATS_ENABLED": "0", **launch.env},
    }
    if launch.ray_job.wheel:
        wheel = folder / launch.ray_job.wheel
        if wheel.suffix != ".whl" or not wheel.is_file():
            raise ConfigError(
                f"ray_job.wheel: there is no wheel {wheel}; make one by `make wheel`, inside of ray_job.folder"
            )
        environment["pip"] = [f"${{RAY_RUNTIME_ENV_CREATE_WORKING_DIR}}/{_inside(wheel, folder)}"]
    return environment


def _inside(file: Path, folder: Path) -> str:
    """A file's place in the folder that is shipped."""
    if not file.is_relative_to(folder):
        raise ConfigError(
            f"{file}: lies outside of {folder}, which is shipped; launch from above it, or set ray_job.folder"
        )
    return str(file.relative_to(folder))
