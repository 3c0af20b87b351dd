"""Ray as it was found, or as it was started for one pool: private, on loopback only, and ended with the pool.

And what workers need in their environment: their share of the threads, the GPUs, the caches, and our modules.
"""

from __future__ import annotations

import getpass
import logging
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import ray

import metaplastic
from metaplastic.settings import ConfigError


class Session:
    """Ray as we found it, or as we started it: `close` ends only what we started."""

    def __init__(self, address: str | None, workers: int, cpus: float, gpus: float) -> None:
        self._ours = not ray.is_initialized()
        self.folder: str | None = None
        """private; holds Ray's files while the session is ours"""
        if not self._ours:
            return
        if address is not None:
            self._join(address)
            return
        # Ray opens its own folder to all, so it lies in a private one. Its sockets' paths must stay below 107 bytes.
        short = len(tempfile.gettempdir()) < 32
        self.folder = tempfile.mkdtemp(prefix="mp-", dir=None if short else "/tmp")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # `ray.init` of a local session turns authentication on; with a token of ours it writes none to the home folder.
        # It stays for the life of this process, because Ray reads it once.
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", os.urandom(32).hex())
        try:
            with _loopback_only():
                ray.init(
                    address="local",
                    num_cpus=max(1, math.ceil(workers * cpus)),
                    num_gpus=None if gpus else 0,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=os.path.join(self.folder, "r"),
                )
        except BaseException:
            self.close()
            raise

    def _join(self, address: str) -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            self._ours = False
            why = " ".join(str(error).split())
            raise ConfigError(
                f"execution.address: is '{address}', where no Ray cluster can be joined ({why}); wanted the address of "
                "one that runs (`ray status` on its head shows it) and its token, or none for a cluster of our own"
            ) from None

    def close(self) -> None:
        """End Ray if it is ours, and remove its files."""
        if self._ours:
            ray.shutdown()
            self._ours = False
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


@contextmanager
def _loopback_only() -> Iterator[None]:
    """A Ray started inside listens on 127.0.0.1, as it does on macOS; on Linux there is no public way to ask for it."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def worker_environment(cpus: float, gpus: float) -> dict[str, str]:
    """Variables of a worker: threads, GPUs, Numba's cache, and the way to modules that are not installed but ours."""
    threads = str(max(1, int(cpus)))
    variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
    # one for all workers of a machine, and of the runs after this one
    cache = os.path.join(tempfile.gettempdir(), f"metaplastic-numba-{getpass.getuser()}")
    variables["NUMBA_CACHE_DIR"] = os.environ.get("NUMBA_CACHE_DIR", cache)
    if gpus == 0:  # Ray leaves a worker that reserves none with all of them in sight
        variables |= {"CUDA_VISIBLE_DEVICES": "", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
    package = os.path.dirname(os.path.realpath(metaplastic.__file__))
    installed = [os.path.realpath(prefix) + os.sep for prefix in (sys.prefix, sys.base_prefix)]
    folders = [os.path.abspath(entry) for entry in sys.path if os.path.isdir(entry or ".")]
    source = [
        folder
        for folder in dict.fromkeys(folders)
        if os.path.realpath(folder) != package and not any(os.path.realpath(folder).startswith(p) for p in installed)
    ]
    return variables | ({"PYTHONPATH": os.pathsep.join(source)} if source else {})
