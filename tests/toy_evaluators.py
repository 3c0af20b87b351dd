"""Evaluators for the tests of the executors, in a module of their own so that worker processes can import them."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import torch


class Sphere:
    """Two objectives that depend on the genome and the key; a curve and a whole number as metrics."""

    def score(self, genomes, key):
        """Fitness [p, 2] and metrics."""
        x = torch.from_numpy(genomes)
        noise = torch.sin(x * (key % 1009))
        fitness = torch.stack([-(x**2).sum(1), (torch.softmax(x, 1) * noise).sum(1)], dim=1)
        metrics = {"curve": np.sqrt(genomes[:, :3]).astype(np.float32), "size": (genomes[:, 0] * 9).astype(int)}
        return fitness.numpy(), metrics


class Threads:
    """Its fitness is the number of torch's threads."""

    def score(self, genomes, key):  # noqa: ARG002
        """Fitness [p, 1]."""
        return np.full((len(genomes), 1), float(torch.get_num_threads())), {}


class Fails:
    """Raises where the first gene is above a limit; otherwise a `Sphere`."""

    def __init__(self, above):
        self.above = above

    def score(self, genomes, key):
        """As `Sphere`, or a ValueError."""
        if (genomes[:, 0] > self.above).any():
            raise ValueError(f"a gene above {self.above}")
        return Sphere().score(genomes, key)


class ByKey:
    """Another evaluator for every key."""

    def __init__(self, evaluators):
        self.evaluators = evaluators

    def score(self, genomes, key):
        """What the key's evaluator says."""
        return self.evaluators[key].score(genomes, key)


class Dies:
    """The worker that gets the individual with first gene 0 kills itself, the first `times` times; then a `Sphere`."""

    def __init__(self, folder, times):
        self.folder, self.times = Path(folder), times

    def score(self, genomes, key):
        """As `Sphere`, if it lives."""
        if (genomes[:, 0] == 0).any():
            deaths = len(list(self.folder.glob("death-*")))
            if deaths < self.times:
                (self.folder / f"death-{deaths}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return Sphere().score(genomes, key)


class CannotLoad:
    """Pickles, but does not come back."""

    def __setstate__(self, state):
        raise ValueError("this evaluator needs a data set that is not here")

    def __getstate__(self):
        return {"something": 1}

    def score(self, genomes, key):
        """Never reached in a worker."""
        raise NotImplementedError


class Hangs:
    """As `Dies`, but the process sleeps for ever, or (`stop`) is stopped as by SIGSTOP."""

    def __init__(self, folder, times, stop):
        self.folder, self.times, self.stop = Path(folder), times, stop

    def score(self, genomes, key):
        """As `Sphere`, if it goes on."""
        if (genomes[:, 0] == 0).any():
            hung = len(list(self.folder.glob("hung-*")))
            if hung < self.times:
                (self.folder / f"hung-{hung}").write_text(str(os.getpid()))
                if self.stop:
                    os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(1e6)
        return Sphere().score(genomes, key)


class SmallMemory:
    """A `Sphere` that holds no more than `most` individuals at once; otherwise it raises as `error` says."""

    def __init__(self, most, error="type"):
        self.most, self.error = most, error

    def score(self, genomes, key):
        """As `Sphere`, or out of memory."""
        if len(genomes) > self.most:
            if self.error == "type":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            if self.error == "host":
                torch.empty(2**60, dtype=torch.uint8)  # torch's allocator refuses: a RuntimeError
            raise RuntimeError("CUDA error: out of memory")
        return Sphere().score(genomes, key)


class KillsOnLoad:
    """Pickles, but the process that unpickles it dies."""

    def __setstate__(self, state):
        os.kill(os.getpid(), signal.SIGKILL)

    def __getstate__(self):
        return {"something": 1}

    def score(self, genomes, key):
        """Never reached in a worker."""
        raise NotImplementedError


class NeedsModule:
    """Its module cannot be imported where it is unpickled."""

    def __reduce__(self):
        return __import__, ("a_module_that_is_not_there",)

    def score(self, genomes, key):
        """Never reached in a worker."""
        raise NotImplementedError


class Surroundings:
    """Tells what its process was given: number of threads, of GPUs in sight; whether Numba has a folder."""

    def score(self, genomes, key):  # noqa: ARG002
        """Fitness [p, 3]."""
        threads = {os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "NUMBA")}
        seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "all").split(",") if name]
        row = [
            float(next(iter(threads)) or -1) if len(threads) == 1 else -1.0,
            len(seen),
            "NUMBA_CACHE_DIR" in os.environ,
        ]
        return np.tile(np.array(row, dtype=float), (len(genomes), 1)), {}


class Sabotaged:
    """An evaluator that goes wrong in a worker when it meets one genome (for the first time, or always).

    `how` is kill, stop or raise. Beside the driver, whose process number it was made with, it always raises.
    """

    def __init__(self, evaluator, folder, gene, how, always=False):
        self.evaluator, self.folder, self.gene, self.how, self.always = evaluator, Path(folder), gene, how, always
        self.driver = os.getpid()

    def score(self, genomes, key):
        """As the evaluator, if nothing goes wrong."""
        if (genomes[:, 0] == self.gene).any():
            markers = list(self.folder.glob("wrong-*"))
            if self.always or not markers:
                (self.folder / f"wrong-{len(markers)}").touch()
                if self.how == "raise" or os.getpid() == self.driver:
                    raise ValueError("this genome is poison")
                os.kill(os.getpid(), signal.SIGKILL if self.how == "kill" else signal.SIGSTOP)
        return self.evaluator.score(genomes, key)


class Gated:
    """A `Sphere` that for one key leaves its process number in a folder, and waits there for a file named gate."""

    def __init__(self, folder, key):
        self.folder, self.key = Path(folder), key

    def score(self, genomes, key):
        """As `Sphere`, when the gate is open."""
        if key == self.key:
            (self.folder / f"at-{os.getpid()}").touch()
            while not (self.folder / "gate").exists():
                time.sleep(0.01)
        return Sphere().score(genomes, key)
