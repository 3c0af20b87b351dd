"""Evaluators for the tests of the executors, in a module of their own so that worker processes can import them."""

import os
import signal
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
