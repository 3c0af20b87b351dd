"""Evolution writes a rule that finds the first principal component: what it finds is Oja's, or as good.

A linear neuron sees 200 correlated inputs; fitness is the cosine of its weights with the first principal component,
minus a fifth of the distance of their length from 1 (at most 1), the mean of 8 lives. The formula is put together of
+, -, * and three inputs by (1 + 8) search over 12 nodes.

Measured, seeds 0 to 9, at most 500 generations: seeds 1, 4 and 8 write Oja's rule itself, after 439, 305 and 33; the
others end at .77 to .83 (Oja .958, Hebb .768), with rules such as `pre*(post + w) - 2*w`.
"""

from __future__ import annotations

from functools import cache, lru_cache

import pytest
import sympy
import torch
from driven_neurons import draw

from metaplastic.core import Layout
from metaplastic.inner_loop.formula.naming import likeness
from metaplastic.inner_loop.formula.to_torch import torch_function
from metaplastic.inner_loop.rules.evolved_formula import EvolvedFormula
from metaplastic.outer_loop.formula_evolution import MuPlusLambda
from metaplastic.outer_loop.genome import Genome

LIVES, STEPS, PRE, ETA = 8, 200, 4, 0.05
RULE = EvolvedFormula(nodes=12, functions=("add", "sub", "mul"), constants=())
WORST = -10.0


@lru_cache(maxsize=1)
def world() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs [T, L, 1, pre], weights at birth and the first principal components [L, 1, pre]."""
    turn = torch.linalg.qr(torch.stack([draw(PRE, PRE, seed=seed) for seed in range(LIVES)])).Q
    deviations = torch.tensor([1.5, 0.9, 0.6, 0.4], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(STEPS, LIVES, 1, PRE, dtype=torch.float64, generator=generator) * deviations @ turn
    return x, 0.3 * draw(LIVES, 1, PRE, seed=20), turn[:, :1]


@cache
def fitness(change: sympy.Expr) -> float:
    """How well the change finds the component, without its scale."""
    x, w, component = world()
    function = torch_function(change)
    for pre in x:
        post = (w * pre).sum(-1, keepdim=True)
        w = w + ETA * function({"pre": pre, "post": post, "w": w})
    size = w.norm(dim=-1)
    if not bool((size < 1e100).all()):
        return WORST
    cosine = torch.cosine_similarity(w, component, dim=-1).abs()
    return (cosine - 0.2 * (size - 1).abs().clamp(max=1)).mean().item()


def rule_of(genome: Genome, one: torch.Tensor) -> EvolvedFormula:
    return genome.individual(one)[0]


def searched(seed: int, generations: int, enough: float) -> tuple[EvolvedFormula, float, int]:
    """The best rule, its fitness, and after how many generations it was there."""
    genome = Genome(RULE, lambda _: Layout(()))
    settings = MuPlusLambda(population=9, mutations=3.0, redrawn=1.0)
    searcher = settings.searcher(genome.length, genome.start(), 1, seed)
    best, score, done = RULE, WORST, 0
    while done < generations and score < enough:
        genomes = searcher.ask()
        rules = [rule_of(genome, one) for one in genomes]
        expressions = [rule.expression() for rule in rules]
        scores = [WORST if expr is None else fitness(expr) for expr in expressions]
        searcher.tell(torch.tensor(scores, dtype=torch.float64)[:, None])
        if max(scores) > score:
            score = max(scores)
            best = rules[scores.index(score)]
        done += 1
    return best, score, done


def ojas() -> float:
    pre, post, w = sympy.symbols("pre post w")
    return fitness(post * (pre - post * w))


def test_ojas_rule_is_better_than_hebbs_in_this_world():
    pre, post = sympy.symbols("pre post")
    assert ojas() > 0.9
    assert 0.7 < fitness(pre * post) < 0.8


@pytest.mark.slow
def test_oja_is_found_again():
    found = [searched(seed, 500, ojas() - 0.01) for seed in range(10)]
    for rule, score, generation in found:
        print(f"{score:.3f} after {generation:3d}: {rule.expression()}  {likeness(rule.program(), {'eta': 1.0})}")
    assert sum(score >= ojas() - 0.01 for _, score, _ in found) >= 3
