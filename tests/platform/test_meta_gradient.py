"""The gradient through lifetimes: against finite differences, against what evolution sees, and uphill."""

from __future__ import annotations

import pytest
import torch
from tiny_decisions import TinyTask
from tiny_trials import TinyTrials
from tiny_trials import live as live_trials

from metaplastic import rng
from metaplastic.core import Gene, Values
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.rules.abcd import ABCD
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.meta_gradient import climb, fitness_gradient

NETWORK, TASK = RateRNN(units=5, tau=4.0), TinyTrials(trials=3, test_trials=2, steps=6)
NAMES = ("eta", "A", "B", "C", "D")
AT = (0.03, 0.8, -0.5, 0.4, 0.2)


def experiment(**settings) -> Experiment:
    genes = {name: Gene(value - 0.5, value + 0.5) for name, value in zip(NAMES[1:], AT[1:], strict=True)}
    parts = {"task": TASK, "network": NETWORK, "rule": ABCD(eta=Gene(0.001, 0.1, log=True, start=0.03), **genes)}
    torch_alone = {"backend": "torch"}
    return Experiment(**{"name": "slope", **parts, "lifetimes": 6, "execution": torch_alone, **settings})


def score(coefficients: torch.Tensor) -> torch.Tensor:
    """The mean test score [P] of lives with coefficients [P, 5], in double precision."""
    rule = ABCD().model_copy(update={n: Values(c) for n, c in zip(NAMES, coefficients.unbind(1), strict=True)})
    record = live_trials(NETWORK, rule, TASK, individuals=len(coefficients), lifetimes=4, dtype=torch.float64)
    return record.score.mean(1)


def test_the_gradient_through_a_lifetime_is_what_finite_differences_find():
    at = torch.tensor([AT], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(score(at).sum(), at)
    step = 1e-5 * torch.eye(len(AT), dtype=torch.float64)
    with torch.no_grad():
        differences = (score(at + step) - score(at - step)) / 2e-5
    torch.testing.assert_close(gradient[0], differences, rtol=1e-4, atol=1e-8)
    assert (gradient.abs() > 1e-4).all()


def test_evolution_sees_the_same_direction():
    """Mirrored perturbations, weighted by their fitness (Salimans et al. 2017): no gradient is taken."""
    at = torch.tensor([AT], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(score(at).sum(), at)
    noise = rng.normals(rng.root(5), 64, len(AT)).double()
    with torch.no_grad():
        better = score(at + 0.01 * noise) - score(at - 0.01 * noise)
    estimate = (better[:, None] * noise).mean(0)
    assert torch.cosine_similarity(estimate, gradient[0], dim=0) > 0.9


def test_the_gradient_of_the_genome_is_that_of_the_fitness_that_searchers_are_told():
    one, key = experiment(), generation_key(0, 3)
    genomes = torch.stack([genome_of(one).start(), torch.full((5,), 0.4, dtype=torch.float64)])
    slope = fitness_gradient(one, genomes, key)
    assert torch.equal(slope.fitness, evaluate(one, genomes, key).fitness[:, 0])
    step = 0.02 * torch.eye(5, dtype=torch.float64)  # float32 inside: steps must be long
    for genome, gradient in zip(genomes, slope.gradient, strict=True):
        differences = evaluate(one, genome + step, key).fitness - evaluate(one, genome - step, key).fitness
        assert torch.cosine_similarity(differences[:, 0] / 0.04, gradient, dim=0) > 0.99


def test_a_climb_ends_higher_than_it_began():
    one = experiment(lifetimes=8)
    ascent = climb(one, 12, rate=0.05)
    start = genome_of(one).start()
    fresh = evaluate(one, torch.stack([start, ascent.genome]), generation_key(0, 999)).fitness[:, 0]
    assert fresh[1] > fresh[0] + 0.01
    assert ascent.fitness.shape == (12,)


def test_a_task_of_choices_has_no_slope_and_says_so():
    one = experiment(task=TinyTask(), network=Feedforward(units=3))
    with pytest.raises(ValueError, match="slope: fitness has no slope in any gene; wanted a task with graded answers"):
        fitness_gradient(one, genome_of(one).start()[None], generation_key(0, 0))
