"""Meta-learning by gradient: how fitness changes with every gene, through whole lifetimes.

    d fitness / d u_g = sum over lives of  d score / d value  ·  d value / d u_g          u in the unit cube       (1)

A lifetime in PyTorch is one differentiable function of its numbers, and so is what a gene means: `evaluate` can be
differentiated from end to end wherever the task's judgement can. Choices, whole numbers, actions and limits have no
slope: their genes get 0. Memory grows with the length of a life; evolution asks for none of it, and is the judge of
whether the gradient says the truth (tests/platform/test_meta_gradient.py).

`climb` follows (1) with Adam (Kingma & Ba 2015), folded back into the cube: what an outer loop of gradients finds is a
genome as every searcher's is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.outer_loop.unit_cube import reflect
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.experiment import Experiment


class Slope(NamedTuple):
    """Fitness of genomes, and how it changes with them."""

    fitness: Float[Tensor, " P"]
    """the first objective"""
    gradient: Float[Tensor, "P G"]


class Ascent(NamedTuple):
    """Where a climb ended."""

    genome: Float[Tensor, " G"]
    fitness: Float[Tensor, " steps"]
    """before each step, in that step's lifetimes"""


def fitness_gradient(experiment: Experiment, genomes: Float[Tensor, "P G"], key: Int[Tensor, ""]) -> Slope:
    """(1) for each genome, of the first objective; lives in PyTorch, whatever the experiment's backend.

    Raises:
        ValueError: if fitness does not depend on any gene in a way that can be differentiated.
    """
    execution = experiment.execution.model_copy(update={"backend": "torch"})
    with torch.enable_grad():
        variable = genomes.detach().clone().requires_grad_()
        fitness = evaluate(experiment.model_copy(update={"execution": execution}), variable, key).fitness[:, 0]
        if not fitness.requires_grad:
            raise ValueError(
                f"{experiment.name}: fitness has no slope in any gene; wanted a task with graded answers, such as a "
                "readout, and genes that are numbers"
            )
        (gradient,) = torch.autograd.grad(fitness.sum(), variable)
    return Slope(fitness.detach(), gradient)


def climb(experiment: Experiment, steps: int, rate: float = 0.02) -> Ascent:
    """So many steps of Adam from the experiment's start, each in lifetimes of its own; `rate` is in the unit cube."""
    genome = genome_of(experiment).start()
    first, second = torch.zeros_like(genome), torch.zeros_like(genome)
    heights = []
    for step in range(1, steps + 1):
        slope = fitness_gradient(experiment, genome[None], generation_key(experiment.seed, step - 1))
        gradient = slope.gradient[0].nan_to_num(0.0)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        size = (second / (1 - 0.999**step)).sqrt() + 1e-12
        genome = reflect((genome + rate * first / (1 - 0.9**step) / size)[None])[0]
        heights.append(slope.fitness[0])
    return Ascent(genome, torch.stack(heights))
