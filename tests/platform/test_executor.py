"""Executors give the same numbers however the work is cut, and one bad individual costs itself alone."""

import numpy as np
import pytest
import torch
from toy_evaluators import Fails, Sphere, Threads

from metaplastic.platform.executor import EvaluationError, LocalExecutor, make_executor

P, G = 11, 5


def population(first_gene=None):
    genomes = torch.linspace(0.01, 0.9, P * G, dtype=torch.float64).reshape(G, P).T.contiguous()
    if first_gene is not None:
        genomes[:, 0] = torch.tensor(first_gene, dtype=torch.float64)
    return genomes


class Plain:
    """An evaluator from a function of the genomes."""

    def __init__(self, function):
        self.function = function

    def score(self, genomes, key):  # noqa: ARG002
        return self.function(genomes)


@pytest.mark.parametrize("chunk", [1, 3, 7, 11, 64])
def test_the_chunk_size_changes_nothing(chunk):
    whole = LocalExecutor(Sphere(), chunk=P).evaluate(population(), key=77, generation=0)
    cut = LocalExecutor(Sphere(), chunk=chunk).evaluate(population(), key=77, generation=0)
    assert torch.equal(cut.fitness, whole.fitness)
    assert torch.equal(cut.metrics["curve"], whole.metrics["curve"])


def test_rows_come_back_in_the_order_of_the_genomes():
    genomes = population()
    result = LocalExecutor(Plain(lambda g: (g[:, 1:2] * 10, {"first": g[:, 0]})), chunk=4).evaluate(genomes, 0, 0)
    assert torch.equal(result.fitness, genomes[:, 1:2] * 10)
    assert torch.equal(result.metrics["first"], genomes[:, 0])


def test_metrics_keep_their_shapes_and_whole_numbers_become_floats():
    metrics = LocalExecutor(Sphere(), chunk=4).evaluate(population(), 77, 0).metrics
    assert metrics["curve"].shape == (P, 3)
    assert metrics["curve"].dtype == torch.float32
    assert metrics["size"].dtype == torch.float64


def test_a_failing_individual_gets_nan_and_the_others_keep_their_numbers():
    genomes = population(np.arange(P) / 20)
    genomes[6, 0] = 0.99
    healthy = LocalExecutor(Sphere(), chunk=4).evaluate(genomes, 77, 0)
    executor = LocalExecutor(Fails(above=0.9), chunk=4)
    result = executor.evaluate(genomes, 77, generation=5)
    others = torch.arange(P) != 6
    assert result.fitness[6].isnan().all()
    assert result.metrics["curve"][6].isnan().all()
    assert torch.equal(result.fitness[others], healthy.fitness[others])
    assert [(f.generation, f.individual, f.error) for f in executor.failures] == [
        (5, 6, "ValueError: a gene above 0.9")
    ]
    assert "toy_evaluators.py" in executor.failures[0].trace


def test_the_first_failure_stops_the_run_where_that_is_asked_for():
    genomes = population(np.arange(P) / 20)
    executor = LocalExecutor(Fails(above=0.42), chunk=4, on_failure="raise")
    with pytest.raises(EvaluationError, match=r"individual 9 of generation 2 failed: ValueError: a gene above 0.42"):
        executor.evaluate(genomes, 77, generation=2)


def test_a_first_generation_without_survivors_stops_with_the_first_error():
    with pytest.raises(EvaluationError, match=r"all 11 individuals of generation 0 failed.*ValueError: a gene above 0"):
        LocalExecutor(Fails(above=0), chunk=4).evaluate(population(), 77, generation=0)


def test_a_later_generation_without_survivors_is_all_nan():
    executor = LocalExecutor(Fails(above=0.5), chunk=4)
    executor.evaluate(population([0.2] * P), 77, generation=0)
    result = executor.evaluate(population([0.8] * P), 78, generation=1)
    assert result.fitness.shape == (P, 2)
    assert result.fitness.isnan().all()
    assert len(executor.failures) == P


def test_a_wrong_shape_is_the_individual_s_error_with_the_wanted_shape():
    with pytest.raises(EvaluationError, match=r"fitness has shape \(1,\), wanted \(1, K\)"):
        LocalExecutor(Plain(lambda g: (g[:, 0], {})), chunk=4).evaluate(population(), 0, 0)


def test_torch_computes_in_one_thread_inside_and_in_as_many_as_before_outside():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fitness = LocalExecutor(Threads(), chunk=4).evaluate(population(), 0, 0).fitness
        assert (fitness == 1).all()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_evaluator_may_write_into_the_genomes_it_is_given():
    genomes = population()
    before = genomes.clone()

    def scribble(some):
        some *= 2
        return some[:, :1], {}

    LocalExecutor(Plain(scribble), chunk=4).evaluate(genomes, 0, 0)
    assert torch.equal(genomes, before)


def test_zero_workers_is_this_process():
    with make_executor(Sphere(), workers=0, chunk=4) as executor:
        assert isinstance(executor, LocalExecutor)


@pytest.mark.parametrize(("workers", "chunk", "text"), [(-1, 4, "workers is -1"), (0, 0, "chunk is 0")])
def test_numbers_that_make_no_sense_are_refused(workers, chunk, text):
    with pytest.raises(ValueError, match=text):
        make_executor(Sphere(), workers, chunk)


def test_an_empty_population_is_refused():
    with pytest.raises(ValueError, match="population is empty"):
        LocalExecutor(Sphere(), chunk=4).evaluate(torch.zeros(0, G, dtype=torch.float64), 0, 0)
