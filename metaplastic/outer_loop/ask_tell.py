"""The discipline of every searcher: ask, tell, ask, tell; and its state as bytes.

`ask` may be called again and gives the same genomes until `tell`. A `tell` that is refused (wrong shape, NaN, no `ask`
before it) changes nothing. If learning itself raises, the searcher is half updated and says so from then on, instead of
going on from nonsense: restore its last state.

Learning runs on one thread, whatever the number of cores: sums then have one order, so that a search goes on elsewhere
with the same bits, and small matrices are not spread over cores that are busy with lifetimes (on two busy cores a
product of 20 × 20 and 20 × 64 took 48 ms on two threads, 0.02 ms on one). It is a limit of this thread alone, by
threadpoolctl; `torch.set_num_threads` would leave the whole process changed even when it is set back.

The global generators are as they were before: EvoTorch draws from PyTorch's, for nothing, wherever it makes noise.

`state` is a pickle, because the libraries' searchers are Python objects. `restore` reads it by names on a list alone
(`searcher_pickle.py`), so a pickle that would run a stranger's code is refused.
"""

from __future__ import annotations

import pickle
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Searcher
from metaplastic.outer_loop import searcher_pickle
from metaplastic.outer_loop.searcher_settings import SearcherSettings


class AskTell(Searcher):
    """A searcher in four parts: `propose`, `learn`, `memory`, `recall`; the rest is here."""

    def __init__(self, settings: SearcherSettings, start: Float[Tensor, " G"], objectives: int, seed: int) -> None:
        self.population, self.genes, self.objectives = settings.population, len(start), objectives
        self.identity = {"settings": settings.model_dump_json(), "genes": self.genes, "objectives": objectives}
        self.start, self.seed = start, seed
        self.generation = 0
        """how many generations have been told"""
        self._asked: Tensor | None = None
        self._sound = True

    @abstractmethod
    def propose(self) -> Float[Tensor, "P G"]:
        """The genomes of the next generation; called once a generation."""

    @abstractmethod
    def learn(self, asked: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"], measures: Tensor | None) -> None:
        """Take the fitness in; float64, finite."""

    @abstractmethod
    def memory(self) -> Any:
        """What `recall` needs, picklable."""

    @abstractmethod
    def recall(self, memory: Any) -> None:
        """Become what `memory` was."""

    def ask(self) -> Float[Tensor, "P G"]:
        """The next generation, float64, each gene in [0, 1]."""
        if self._asked is None:
            with self._whole(), one_thread(), torch.random.fork_rng(devices=[]):
                self._asked = self.propose()
        return self._asked.clone()

    def tell(self, fitness: Float[Tensor, "P K"], measures: Float[Tensor, "P M"] | None = None) -> None:
        """The fitness of the genomes that `ask` gave.

        Raises:
            ValueError: if there was no `ask`, if the shape is wrong, or if a fitness is not finite.
        """
        if self._asked is None:
            raise ValueError("tell came before ask: ask for genomes, live them, then tell their fitness")
        self._check(fitness)
        self.check_measures(measures)
        with self._whole(), one_thread(), torch.random.fork_rng(devices=[]):
            self.learn(self._asked, fitness.detach().to("cpu", torch.float64), measures)
            self._asked = None
            self.generation += 1

    def state(self) -> bytes:
        """Everything needed to go on bit-exactly, at any moment; a pickle, see the file's docstring."""
        if not self._sound:
            raise RuntimeError(_HALF_UPDATED)
        begun = {"identity": self.identity, "start": self.start, "seed": self.seed}
        return pickle.dumps({**begun, "generation": self.generation, "asked": self._asked, "memory": self.memory()})

    def restore(self, state: bytes) -> None:
        """Go on from what `state` gave.

        Raises:
            ValueError: if the state is of a searcher with other settings, genes or objectives, or names what no
                searcher's state needs.
        """
        known = searcher_pickle.loads(state, type(self).__module__)
        for name, mine in self.identity.items():
            if known["identity"][name] != mine:
                raise ValueError(
                    f"the saved search has {name} {known['identity'][name]} and this one {mine}; "
                    "resume with the experiment that began it, or start a new run"
                )
        self.recall(known["memory"])
        self.start, self.seed = known["start"], known["seed"]
        self.generation, self._asked, self._sound = known["generation"], known["asked"], True

    def check_measures(self, measures: Tensor | None) -> None:
        """Refuse what this searcher cannot use."""
        if measures is not None:
            raise ValueError(
                "measures came with the fitness; only quality-diversity searchers take them, tell(fitness)"
            )

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is inside happens to its end, or this searcher is of no more use."""
        if not self._sound:
            raise RuntimeError(_HALF_UPDATED)
        self._sound = False
        yield
        self._sound = True

    def _check(self, fitness: Tensor) -> None:
        wanted = (self.population, self.objectives)
        if tuple(fitness.shape) != wanted:
            raise ValueError(
                f"fitness has shape {tuple(fitness.shape)}, wanted {wanted}: a row a genome, a column an objective"
            )
        bad = int((~fitness.isfinite()).any(dim=1).sum())
        if bad:
            raise ValueError(f"{bad} of {len(fitness)} rows of fitness are not finite; tell settle(fitness).fitness")


def one_thread() -> AbstractContextManager[Any]:
    """Linear algebra on one thread inside."""
    return _thread_pools().limit(limits=1)


@cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


_HALF_UPDATED = "this searcher failed in the middle of an update; restore its last state"
