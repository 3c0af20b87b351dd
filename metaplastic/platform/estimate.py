"""Before a search is launched: what it would take on 1, 2, 4, … workers, from a generation that is timed here.

A worker of the real pool lives chunks of the first generation, the first of them twice, so that what compiles is told
apart; the driver's work and the pool's costs are timed too (`ray_costs.py`). The rest is simulated
(`pool_simulation.py`). Another machine's cores may be faster or slower than these, and workers on one machine share its
memory's bandwidth, so take the same kind of machine where it matters.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from metaplastic.core import ConfigError, Evaluation
from metaplastic.outer_loop.failed_fitness import settle
from metaplastic.platform import checkpoint
from metaplastic.platform.estimate_progress import Steps
from metaplastic.platform.evaluate import generation_key, genome_of
from metaplastic.platform.executor import EvaluationError
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.metrics import generation_record
from metaplastic.platform.pool_simulation import Costs, Simulated, simulate


class Offer(NamedTuple):
    """What a launch would give; None: not said, and then nothing is refused for it."""

    workers: int
    """Ray actors, in all"""
    nodes: int = 1
    memory: int | None = None
    """MiB of each node"""
    hours: float | None = None
    """time limit"""
    gpus: int = 0
    """of each node"""
    meant: bool = False
    """the number of workers was asked for, so that idle ones are a mistake"""


class Measured(NamedTuple):
    """A search, timed on this machine."""

    population: int
    chunk: int
    """individuals"""
    lifetimes: int
    """of each individual"""
    generations: int
    compiling: float
    """s, by which a worker's first chunk takes longer"""
    times: tuple[float, ...]
    """s, of chunks after the first"""
    memory: float
    """MiB, of a worker at its peak"""
    driver_memory: float
    """MiB, of the driver at its peak"""
    gpu: float
    """MiB, of a worker on its GPU"""
    costs: Costs

    def weights(self, chunk: int | None = None) -> list[float]:
        """The chunks of a generation as parts of a measured one; `chunk`: if they held that many individuals."""
        size = chunk or self.chunk
        sizes = [min(size, self.population - first) for first in range(0, self.population, size)]
        return [each / min(self.chunk, self.population) for each in sizes]

    def on(self, workers: int, losses: float = 0.0, chunk: int | None = None) -> Simulated:
        """A generation on `workers`, of which each is lost `losses` times a day."""
        weights = self.weights(chunk)
        return simulate(
            self.times,
            workers,
            self.costs,
            weights=weights,
            losses=losses / 86400,
            generations=max(3, 10_000 // len(weights)),
        )

    def search_seconds(self, generation: float) -> float:
        """The whole search, a generation taking that long; without the comparison at its end."""
        return self.costs.start + self.compiling + self.generations * generation


def check_offer(experiment: Experiment, offer: Offer, given: set[str]) -> None:
    """Refuse what needs no timing to be seen; `given`: settings of `execution` that were said."""
    execution, reasons = experiment.execution, []
    if experiment.search is None:
        raise ConfigError(
            "search: is not given, so there is no search whose time could be told; see `metaplastic live`"
        )
    population = _population(experiment)
    chunks = math.ceil(population / execution.chunk)
    if offer.meant and chunks < offer.workers:
        mend = (
            f"wanted execution.chunk={population // offer.workers}"
            if offer.workers <= population
            else f"wanted at most {population} workers (with execution.chunk=1), or a larger population"
        )
        reasons.append(
            f"execution.chunk: is {execution.chunk}, which makes {chunks} chunks of {population} individuals, but "
            f"there are {offer.workers} workers, so {offer.workers - chunks} would idle; {mend}"
        )
    if offer.gpus and "device" in given and not execution.device.startswith("cuda"):
        reasons.append(
            f"gpus: is {offer.gpus}, but execution.device is '{execution.device}', which uses none; wanted "
            "execution.device=cuda, or no GPUs"
        )
    elif execution.device.startswith("cuda") and not torch.cuda.is_available():
        reasons.append(
            f"execution.device: is '{execution.device}', but this machine has no such GPU to time lifetimes on; "
            "estimate on a machine with one, or with execution.device=cpu"
        )
    if reasons:
        raise ConfigError("\n".join(reasons))


def measure(experiment: Experiment, seconds: float, steps: Steps) -> Measured:
    """Live chunks of the first generation on one worker for about `seconds`, at least two; and time the driver.

    Raises:
        ConfigError: if there is nothing to search, or the lives fail.
    """
    from metaplastic.platform.ray_costs import TOLD, Probe, measure_costs, peak_memory
    from metaplastic.platform.ray_pool import PoolError, RayExecutor
    from metaplastic.platform.search import ExperimentEvaluator, new_searcher

    genome = genome_of(experiment)
    if genome.length == 0:
        raise ConfigError("the experiment has no genes, so there is no search to tell the time of")
    searcher = new_searcher(experiment, genome)
    genomes = searcher.ask()
    execution = experiment.execution
    gpus = execution.gpus or float(execution.device.startswith("cuda"))
    steps.step("starting Ray and a worker")
    try:
        with RayExecutor(
            Probe(ExperimentEvaluator(experiment)), 1, execution.chunk, cpus=execution.cpus, gpus=gpus
        ) as pool:
            began = time.perf_counter()
            pool.evaluate(torch.zeros(1, 0, dtype=torch.float64), 0, 0)
            start = time.perf_counter() - began
            parts = _live(experiment, genomes, pool, seconds, steps)
            steps.step("timing the pool")
            costs = measure_costs(pool)
    except (EvaluationError, PoolError) as error:
        raise ConfigError(str(error).partition("\n")[0]) from None
    steps.step("timing the driver")
    costs = costs._replace(start=start, generation=_driver(experiment, genome, searcher, genomes, parts))
    times, memory, gpu = ([float(part.metrics[name].nan_to_num(0).max()) for part in parts] for name in TOLD)
    return Measured(
        population=len(genomes),
        chunk=execution.chunk,
        lifetimes=experiment.lifetimes,
        generations=experiment.generations,
        compiling=max(0.0, times[0] - times[1]),
        times=tuple(times[1:]),
        memory=max(memory),
        driver_memory=peak_memory(),
        gpu=max(gpu),
        costs=costs,
    )


def _live(experiment: Experiment, genomes: torch.Tensor, pool: Any, seconds: float, steps: Steps) -> list[Evaluation]:
    """Whole chunks, the first one twice, until the time is over."""
    size = min(experiment.execution.chunk, len(genomes))
    firsts = [0, *range(0, len(genomes) - size + 1, size)]
    key = int(generation_key(experiment.seed, 0))
    parts: list[Evaluation] = []
    began = time.perf_counter()
    for number, first in enumerate(firsts):
        if number > 1 and time.perf_counter() - began > seconds:
            break
        steps.step(
            f"chunk {max(1, number)} of {len(firsts) - 1}" + (", which may compile" if number == 0 else ""),
            done=number / len(firsts),
        )
        parts.append(pool.evaluate(genomes[first : first + size], key, 0))
    return parts


def _driver(
    experiment: Experiment, genome: Any, searcher: Any, genomes: torch.Tensor, parts: list[Evaluation]
) -> float:
    """Seconds of the driver's work between two generations; lives that were not lived repeat those that were."""
    from metaplastic.platform.ray_costs import TOLD

    lived = torch.arange(len(genomes)) % sum(len(part.fitness) for part in parts[1:])
    evaluation = Evaluation(
        torch.cat([part.fitness for part in parts[1:]])[lived],
        {n: torch.cat([part.metrics[n] for part in parts[1:]])[lived] for n in parts[1].metrics if n not in TOLD},
    )
    settings: Any = experiment.search
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        settled = settle(evaluation.fitness)
        searcher.tell(settled.fitness, settings.behaviour(evaluation.metrics, settled.failed))
        generation_record(
            0,
            evaluation,
            objectives=experiment.objectives(),
            genes=genome.values(genomes),
            best_so_far=settled.fitness[0].tolist(),
            lifetimes=len(genomes),
            seconds=1.0,
            steps=0,
        )
        checkpoint.save(Path(folder), _checkpoint(experiment, searcher, genomes, settled.fitness))
        searcher.ask()
        return time.perf_counter() - began


def _checkpoint(
    experiment: Experiment, searcher: Any, genomes: torch.Tensor, fitness: torch.Tensor
) -> checkpoint.Checkpoint:
    return checkpoint.Checkpoint(
        generation=0,
        seed=experiment.seed,
        searcher=searcher.state(),
        best_genome=genomes[0].numpy(),
        best_fitness=fitness[0].numpy(),
        histories={"genomes": genomes.numpy(), "fitness": fitness.numpy()},
    )


def _population(experiment: Experiment) -> int:
    settings: Any = experiment.search
    return settings.population


def worker_counts(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return sorted({2**power for power in range(most.bit_length())} | {most})


def better_chunk(measured: Measured, workers: int, losses: float) -> tuple[int, float] | None:
    """A chunk with which a generation is at least a tenth quicker, and how many times; if its time is in proportion."""
    now = measured.on(workers, losses).seconds
    sizes = {math.ceil(measured.population / (workers * pieces)) for pieces in (1, 2, 3, 4, 6, 8)} - {measured.chunk}
    quickest = min(((measured.on(workers, losses, size).seconds, -size) for size in sizes), default=(now, 0))
    return (-quickest[1], now / quickest[0]) if quickest[0] < now / 1.1 else None


def reasons_against(measured: Measured, offer: Offer, seconds: float) -> list[str]:
    """Why the offer cannot hold the search, which takes `seconds` on it; nothing if it can."""
    reasons = []
    most = math.ceil(offer.workers / offer.nodes)
    wanted = most * measured.memory + measured.driver_memory
    if offer.memory is not None and wanted > offer.memory:
        room = max(0, int((offer.memory - measured.driver_memory) / measured.memory))
        reasons.append(
            f"memory: is {offer.memory / 1024:.3g}G a node, but {most} workers of {measured.memory:,.0f} MiB and the "
            f"driver's {measured.driver_memory:,.0f} MiB need {wanted / 1024:.3g}G; wanted "
            f"--memory {math.ceil(wanted / 1024) + 1}G, or at most {room} workers a node"
        )
    if offer.hours is not None and seconds > offer.hours * 3600:
        reasons.append(
            f"hours: is {offer.hours:g}, but the search takes about {seconds / 3600:.3g} hours on {offer.workers} "
            f"workers; wanted --hours {seconds / 3600 * 1.2:.2g}, more workers, or fewer generations"
        )
    return reasons
