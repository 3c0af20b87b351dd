"""Individuals that could not be scored, kept with their genomes, and lived again in this process.

One line of quarantine.jsonl each: number, generation, individual, kind, error, genome [G]. An individual's life is a
function of its genome, the seed and the generation, so what killed a worker far away happens again here, in the sight
of a debugger:

    python -m pdb -m metaplastic live RUN --quarantined 0
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import ConfigError
from metaplastic.platform import durable
from metaplastic.platform.evaluate import evaluate, generation_key
from metaplastic.platform.executor import Failure
from metaplastic.platform.experiment_file import load
from metaplastic.platform.run import EXPERIMENT, RunDirectory
from metaplastic.platform.scorer import one_torch_thread

QUARANTINE = "quarantine.jsonl"
KEPT = 100
"""individuals; metrics.jsonl counts all of them"""


def keep(run: Path, failure: Failure, genome: Float[Tensor, " G"]) -> None:
    """Add an individual, unless it is there already (a run that went on lives some generations twice)."""
    known = entries(run)
    if len(known) >= KEPT or any(
        (one["generation"], one["individual"]) == (failure.generation, failure.individual) for one in known
    ):
        return
    entry = {
        "number": len(known),
        "generation": failure.generation,
        "individual": failure.individual,
        "kind": failure.kind,
        "error": failure.error,
        "genome": genome.tolist(),
    }
    durable.append_line(run / QUARANTINE, durable.dumps(entry))


def entries(run: Path) -> list[dict[str, Any]]:
    """The individuals in quarantine, in order; a last line that a crash cut short is left out."""
    path = run / QUARANTINE
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise ConfigError(f"{path}: a line is not JSON ({error}); delete it, or the file") from None


def live_again(run: Path, number: int) -> str:
    """Live individual `number` of a run's quarantine in this process; what came of it, as text.

    Raises:
        ConfigError: if there is none of that number. Whatever the life itself raises.
    """
    directory = RunDirectory.open(run)
    known = entries(run)
    if not 0 <= number < len(known):
        there = f"there are {', '.join(str(one['number']) for one in known)}" if known else "there are none"
        raise ConfigError(f"--quarantined: is {number}, which {run} does not hold; {there}")
    entry, experiment = known[number], load(directory.path / EXPERIMENT)
    genome = torch.tensor([entry["genome"]], dtype=torch.float64)
    with one_torch_thread():
        result = evaluate(experiment, genome, generation_key(experiment.seed, entry["generation"]))
    fitness = ", ".join(f"{value:.6g}" for value in result.fitness[0].tolist())
    return (
        f"individual {entry['individual']} of generation {entry['generation']}, in quarantine: {entry['error']}\n"
        f"lived again in this process, with the same randomness: fitness {fitness}"
    )
