"""Faults of workers, injected one by one: each was seen, was counted, and changed no number."""

import os
import signal
import time

import pytest
import ray
import torch
from toy_evaluators import (
    ByKey,
    CannotLoad,
    Dies,
    Fails,
    Hangs,
    KillsOnLoad,
    NeedsModule,
    SmallMemory,
    Sphere,
    Surroundings,
)

from metaplastic.platform.executor import EvaluationError, LocalExecutor
from metaplastic.platform.faults import FAULTS, Patience
from metaplastic.platform.ray_pool import PoolError, RayExecutor

P, G, CHUNK = 13, 5, 3
WARM, FAULT = 76, 77
QUICK = Patience(multiple=4, floor=2, grace=60)


@pytest.fixture(scope="module", autouse=True)
def session():
    """One Ray with room for two workers of every pool of the module."""
    with RayExecutor(Sphere(), workers=2, chunk=CHUNK) as owner:
        yield owner
    assert not ray.is_initialized()


@pytest.fixture
def genomes():
    return torch.linspace(0.0, 0.9, P * G, dtype=torch.float64).reshape(G, P).T.contiguous()


def sphere(genomes, key=FAULT):
    return LocalExecutor(Sphere(), CHUNK).evaluate(genomes, key, 0)


def same(one, other):
    assert one.fitness.equal(other.fitness)
    for name, metric in other.metrics.items():
        assert one.metrics[name].equal(metric)


def warm(pool, genomes):
    """A generation without faults, so that first chunks have been timed."""
    pool.evaluate(genomes, WARM, 0)
    assert not any(pool.faults.values())


def gone(pid):
    """Whether a process has ended (or waits for its parent only)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("stop", [False, True], ids=["sleeps for ever", "stopped"])
def test_a_worker_that_hangs_is_killed_and_its_piece_done_again(genomes, tmp_path, stop):
    with RayExecutor(ByKey({WARM: Sphere(), FAULT: Hangs(tmp_path, 1, stop)}), 1, CHUNK, patience=QUICK) as pool:
        warm(pool, genomes)
        same(pool.evaluate(genomes, FAULT, 1), sphere(genomes))
        assert pool.faults["hung"] >= 1
        assert pool.faults["workers_lost"] >= 1
        assert pool.faults["retries"] >= 1
        assert not pool.failures
        pid = int((tmp_path / "hung-0").read_text())
        deadline = time.monotonic() + 20
        while not gone(pid):
            assert time.monotonic() < deadline, "the hung process lives on"
            time.sleep(0.01)


def test_an_individual_that_hangs_for_ever_is_found_and_the_others_keep_their_numbers(genomes, tmp_path):
    with RayExecutor(ByKey({WARM: Sphere(), FAULT: Hangs(tmp_path, 99, False)}), 2, 2, patience=QUICK) as pool:
        warm(pool, genomes)
        result = pool.evaluate(genomes, FAULT, 1)
        assert result.fitness[0].isnan().all()
        assert result.fitness[1:].equal(sphere(genomes).fitness[1:])
        assert [(f.individual, f.kind) for f in pool.failures] == [(0, "hung")]
        assert pool.faults["hung"] >= 3  # twice with its neighbour, and alone
        assert pool.faults["bisected"] >= pool.faults["quarantined"] == 1


def test_an_individual_that_kills_is_found_and_the_others_keep_their_numbers(genomes, tmp_path):
    with RayExecutor(ByKey({WARM: Sphere(), FAULT: Dies(tmp_path, times=99)}), 1, CHUNK, attempts=1) as pool:
        warm(pool, genomes)
        result = pool.evaluate(genomes, FAULT, 1)
        assert result.fitness[0].isnan().all()
        assert result.fitness[1:].equal(sphere(genomes).fitness[1:])
        assert [(f.individual, f.kind) for f in pool.failures] == [(0, "died")]
        assert pool.faults["workers_lost"] >= 2
        assert pool.faults["bisected"] >= 1
        assert pool.faults["quarantined"] == 1


def test_a_user_s_bug_costs_no_worker(genomes):
    with RayExecutor(Fails(above=0.1), 1, CHUNK) as pool:
        result = pool.evaluate(genomes, FAULT, 0)
        bad = genomes[:, 0] > 0.1
        assert result.fitness[bad].isnan().all()
        assert result.fitness[~bad].equal(sphere(genomes).fitness[~bad])
        assert pool.faults["quarantined"] == int(bad.sum()) > 0
        assert pool.faults["bisected"] > 0
        assert pool.faults["workers_lost"] == pool.faults["retries"] == 0
        assert {f.kind for f in pool.failures} == {"raised"}


def test_the_first_failure_stops_the_run_where_that_is_asked_for(genomes):
    with (
        RayExecutor(Fails(above=0.1), 1, CHUNK, "raise") as pool,
        pytest.raises(EvaluationError, match=r"ValueError: a gene above 0\.1") as raised,
    ):
        pool.evaluate(genomes, FAULT, 0)
    assert str(raised.value).count("Traceback (most recent call last)") == 1


def test_a_worker_out_of_memory_goes_on_with_half(genomes):
    with RayExecutor(SmallMemory(2), 1, 7) as pool:
        same(pool.evaluate(genomes, FAULT, 0), sphere(genomes))
        assert pool.faults["out_of_memory"] == 2  # 7 to 4, 4 to 2; it keeps to that in the second chunk
        assert pool.faults["workers_lost"] == pool.faults["bisected"] == pool.faults["quarantined"] == 0


@pytest.mark.parametrize("error", ["type", "text", "host"])
def test_this_process_out_of_memory_goes_on_with_half(genomes, error):
    executor = LocalExecutor(SmallMemory(3, error), 7)
    same(executor.evaluate(genomes, FAULT, 0), sphere(genomes))
    assert executor.faults["out_of_memory"] == 2
    assert executor.faults["bisected"] == 0


def test_an_individual_that_fits_into_no_memory_is_a_failure(genomes):
    executor = LocalExecutor(SmallMemory(0), 4)
    with pytest.raises(EvaluationError, match="OutOfMemoryError"):
        executor.evaluate(genomes, FAULT, 0)
    assert {f.kind for f in executor.failures} == {"out_of_memory"}


def test_a_cluster_without_room_is_told_with_what_was_asked_and_what_there_is(genomes):
    with (
        RayExecutor(Sphere(), 3, CHUNK, cpus=50, gpus=1, placement=1.0) as pool,
        pytest.raises(PoolError, match="wanted 3 workers with 50 CPU and 1 GPU each, the cluster has 2 CPU and 0 GPU"),
    ):
        pool.evaluate(genomes, FAULT, 0)


@pytest.mark.parametrize(
    ("evaluator", "text"),
    [
        (CannotLoad(), "ValueError: this evaluator needs a data set that is not here"),
        (NeedsModule(), "No module named 'a_module_that_is_not_there'"),
        (KillsOnLoad(), "workers were lost 3 times in a row"),
    ],
)
def test_workers_that_cannot_start_stop_the_run_soon_with_the_reason(genomes, evaluator, text):
    with RayExecutor(evaluator, 1, CHUNK) as pool, pytest.raises(PoolError) as raised:
        pool.evaluate(genomes, FAULT, 0)
    line, _, trace = str(raised.value).partition("\n")
    assert text in line
    assert trace.count(line.partition(": ")[2]) <= 1
    assert pool.events["started"] <= 3


def test_a_worker_has_its_share_of_threads_no_gpu_that_it_did_not_ask_for_and_a_cache(genomes):
    with RayExecutor(Surroundings(), 1, CHUNK) as pool:
        assert pool.evaluate(genomes, FAULT, 0).fitness.tolist() == [[1.0, 0.0, 1.0]] * P


def test_several_workers_lost_at_once_are_one_loss_in_a_row(genomes):
    with RayExecutor(Sphere(), 2, CHUNK) as pool:
        while len(pool.pids) < 2:
            pool.evaluate(genomes, FAULT, 0)
        for pid in pool.pids.values():
            os.kill(pid, signal.SIGKILL)
        same(pool.evaluate(genomes, FAULT, 1), sphere(genomes))
        assert pool.faults["workers_lost"] == 2
        assert set(pool.faults) == set(FAULTS)
