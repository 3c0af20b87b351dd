"""The simulated pool against closed forms, and (slow) against a real one."""

import time

import numpy as np
import pytest
import torch

from metaplastic.platform.pool_simulation import Costs, driver_limit, simulate


def equal(chunks, workers, costs=None, seconds=2.0, **more):
    return simulate([seconds], workers, costs or Costs(), weights=[1.0] * chunks, **more)


@pytest.mark.parametrize(("chunks", "workers", "rounds"), [(12, 1, 12), (12, 5, 3), (12, 12, 1), (12, 1000, 1)])
def test_a_pool_that_costs_nothing_takes_rounds_of_chunks(chunks, workers, rounds):
    it = equal(chunks, workers)
    assert it.seconds == pytest.approx(2.0 * rounds)
    assert it.efficiency == pytest.approx(chunks / (workers * rounds))
    assert (it.driver, it.lost) == (0, 0)


def test_one_worker_pays_for_every_chunk_once():
    costs = Costs(generation=0.7, service=0.03, wait=0.002, latency=0.05)
    assert equal(7, 1, costs).seconds == pytest.approx(7 * (2.0 + 0.03 + 0.002 + 0.05) + 0.7)


def test_a_full_driver_takes_its_own_time_a_chunk_whatever_the_number_of_workers():
    costs = Costs(service=0.01, latency=0.02)
    assert driver_limit(0.5, costs) == pytest.approx(1 + 52)
    for workers in (80, 160, 320):
        it = equal(6400, workers, costs, seconds=0.5)
        assert it.seconds == pytest.approx(6400 * 0.01, rel=0.02)
        assert it.driver > 0.98
    below = equal(6400, 20, costs, seconds=0.5)
    assert below.seconds == pytest.approx(6400 / 20 * (0.5 + 0.02 + 0.01), rel=0.02)


def test_the_driver_s_limit_solves_its_equation_also_when_looking_costs():
    costs = Costs(service=1e-3, wait=2e-6, latency=3e-3)
    limit = driver_limit(0.7, costs)
    assert (limit - 1) * (costs.service + costs.wait * limit) == pytest.approx(0.7 + 3e-3)
    assert driver_limit(1.0, Costs()) == float("inf")


def test_lost_work_is_done_again_as_often_as_the_theory_says():
    """A chunk of t seconds is lost with p = 1 - exp(-r t); until it is through, p / (1 - p) workers are lost."""
    it = equal(500, 10, losses=0.1, generations=20, seed=4)
    p = 1 - np.exp(-0.1 * 2.0)
    assert it.lost == pytest.approx(500 * p / (1 - p), rel=0.04)
    wasted = it.lost * (1 / 0.1 - 2.0 * (1 - p) / p + 0.1)  # mean life of those lost, and the driver's notice
    assert it.seconds * 10 == pytest.approx(500 * 2.0 + wasted, rel=0.02)


def test_a_worker_that_takes_long_to_start_costs_more():
    quick, slow = (equal(500, 10, Costs(start=s), losses=0.05, seed=2).seconds for s in (0.0, 5.0))
    assert slow > 1.1 * quick


def test_a_smaller_last_chunk_takes_its_part():
    assert simulate([2.0], 1, Costs(), weights=[1, 1, 0.25]).seconds == pytest.approx(4.5)


def test_draws_are_those_of_the_measured_times_and_the_seed():
    one, again, other = (simulate([1.0, 3.0], 3, Costs(), weights=[1] * 200, seed=s).seconds for s in (1, 1, 2))
    assert one == again != other
    assert one == pytest.approx(2.0 * 200 / 3, rel=0.1)


@pytest.mark.parametrize(
    "change", [{"times": []}, {"weights": []}, {"workers": 0}, {"times": [-1.0]}, {"losses": -1.0}, {"generations": 0}]
)
def test_numbers_that_make_no_sense_are_refused(change):
    known = {"times": [1.0], "workers": 1, "costs": Costs(), "weights": [1.0], **change}
    with pytest.raises(ValueError, match="wanted"):
        simulate(**known)


class Sleeps:
    """Takes as long as its genomes say, whatever else the machine does."""

    def score(self, genomes, key):  # noqa: ARG002
        """Fitness 0, after a while."""
        time.sleep(float(genomes[:, 0].sum()) if genomes.shape[1] else 0.0)
        return np.zeros((len(genomes), 1)), {}


@pytest.mark.slow
def test_a_real_pool_takes_what_was_simulated():
    """Within a quarter, with costs that were measured in the same minute."""
    from metaplastic.platform.ray_costs import measure_costs
    from metaplastic.platform.ray_pool import RayExecutor

    with RayExecutor(Sleeps(), 4, 1):  # a Ray with room for all pools below
        with RayExecutor(Sleeps(), 1, 1) as one:
            costs = measure_costs(one)
        for workers in (1, 2):
            for seconds in (0.01, 0.05):
                genomes = torch.tensor([[seconds * (0.5 + n % 5 / 4)] for n in range(120)], dtype=torch.float64)
                with RayExecutor(Sleeps(), workers, 1) as pool:
                    while len(pool.pids) < workers:  # all have started
                        pool.evaluate(torch.zeros(9, 0, dtype=torch.float64), 0, 0)
                    began = time.perf_counter()
                    for _ in range(2):
                        pool.evaluate(genomes, 0, 0)
                    measured = (time.perf_counter() - began) / 2
                times = genomes[:, 0].tolist()
                predicted = simulate(times, workers, costs, weights=[1.0] * 120, generations=9).seconds
                print(f"{workers} workers, {seconds:g} s: predicted {predicted:.3f} s, measured {measured:.3f} s")
                assert predicted == pytest.approx(measured, rel=0.25)
