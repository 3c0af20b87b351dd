"""What the tests of the searchers share: every kind with small settings, landscapes, and how one generation is told."""

import math
from typing import Any

import torch

from metaplastic.outer_loop.quality_diversity import Measure
from metaplastic.outer_loop.searchers import SEARCHERS

GENES, POPULATION = 6, 14
KINDS = tuple(SEARCHERS)
ZDT1_GENES = 10


def settings(kind, **changes):
    if kind == "map_elites":
        axis = {"low": 0.0, "high": 1.0, "cells": 5}
        changes.setdefault("measures", (Measure(metric="first", **axis), Measure(metric="second", **axis)))
    return SEARCHERS[kind](**{"population": POPULATION, **changes})


def build(kind, seed=3, genes=GENES, objectives=1, start=0.45, **changes) -> Any:
    return settings(kind, **changes).searcher(genes, torch.full((genes,), start), objectives, seed)


def behaviour(kind, genomes):
    return genomes[:, :2].clone() if kind == "map_elites" else None


def sphere(genomes):
    return -((genomes - 0.3) ** 2).sum(1, keepdim=True)


def rastrigin(genomes):
    """Its usual range of 10.24; the best place is at 0.3."""
    x = 10.24 * (genomes - 0.3)
    return -(x**2 - 10 * torch.cos(2 * math.pi * x) + 10).sum(1, keepdim=True)


def outwards(genomes):
    """Best at the corner farthest from the middle: drives every searcher out of the cube."""
    return ((genomes - 0.4) ** 2).sum(1, keepdim=True)


def zdt1(genomes):
    """Zitzler, Deb & Thiele 2000, negated; its front is f2 = 1 - sqrt(f1)."""
    first = genomes[:, 0]
    g = 1 + 9 * genomes[:, 1:].mean(dim=1)
    return -torch.stack([first, g * (1 - (first / g).sqrt())], dim=1)


def hypervolume(fitness, reference=-1.1):
    """Area between the reference point and the front of two maximised objectives."""
    front = fitness[(fitness > reference).all(dim=1)]
    front = front[front[:, 0].argsort(descending=True)]
    area, height = 0.0, reference
    for first, second in front.tolist():
        area += (first - reference) * max(0.0, second - height)
        height = max(height, second)
    return area


def live(kind, searcher, landscape, generations):
    """The genomes of that many generations, told."""
    lived = []
    for _ in range(generations):
        genomes = searcher.ask()
        searcher.tell(landscape(genomes), behaviour(kind, genomes))
        lived.append(genomes)
    return lived
