"""A pool of Ray actors gives the numbers of one process, also when a worker dies; more faults: `test_faults_*.py`."""

import os
import signal
import stat

import pytest
import ray
import torch
from toy_evaluators import ByKey, Dies, Fails, Sphere, Threads

from metaplastic.platform.executor import LocalExecutor
from metaplastic.platform.ray_pool import RayExecutor

P, G, CHUNK = 13, 5, 3


PLAIN, OTHER, RAISES, THREADS = 77, 78, 79, 80
EVALUATORS = ByKey({PLAIN: Sphere(), OTHER: Sphere(), RAISES: Fails(above=0.15), THREADS: Threads()})


@pytest.fixture(scope="module", autouse=True)
def session():
    """One Ray with room for all pools of the module: an executor that finds Ray running leaves it so."""
    with RayExecutor(EVALUATORS, workers=6, chunk=CHUNK) as owner:
        yield owner
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def three_workers():
    with RayExecutor(EVALUATORS, workers=3, chunk=CHUNK) as pool:
        yield pool


@pytest.fixture
def genomes():
    rows = torch.linspace(0.0, 0.9, P * G, dtype=torch.float64).reshape(G, P).T.contiguous()
    assert rows[0, 0] == 0
    return rows


def alone(genomes, key):
    return LocalExecutor(EVALUATORS, CHUNK).evaluate(genomes, key, 0)


def same(one, other):
    assert one.fitness.equal(other.fitness)
    assert list(one.metrics) == list(other.metrics)
    for name, metric in one.metrics.items():
        assert metric.equal(other.metrics[name])


def test_three_workers_give_the_numbers_of_one_process(three_workers, genomes):
    for key in (PLAIN, OTHER):
        same(three_workers.evaluate(genomes, key, 0), alone(genomes, key))
    assert len(set(three_workers.pids.values()) - {os.getpid()}) == len(three_workers.pids) > 0


def test_one_worker_gives_the_numbers_of_one_process_and_being_killed_between_generations_changes_nothing(genomes):
    with RayExecutor(EVALUATORS, 1, CHUNK) as pool:
        same(pool.evaluate(genomes, OTHER, 0), alone(genomes, OTHER))
        os.kill(next(iter(pool.pids.values())), signal.SIGKILL)
        same(pool.evaluate(genomes, PLAIN, 1), alone(genomes, PLAIN))
        assert pool.events["workers_lost"] == 1


def test_two_workers_give_the_numbers_of_one_process_also_when_one_dies_in_the_middle(genomes, tmp_path):
    with RayExecutor(Dies(tmp_path, times=1), 2, CHUNK) as pool:
        same(pool.evaluate(genomes, PLAIN, 0), alone(genomes, PLAIN))
        events = dict(pool.events)
        assert events.pop("started") in (2, 3)  # the other may be done before a third has started
        assert events == {"workers_lost": 1, "retries": 1}
        same(pool.evaluate(genomes, OTHER, 1), alone(genomes, OTHER))
        assert pool.events["workers_lost"] == 1
        assert not pool.failures


def test_an_individual_that_raises_is_a_failure_as_in_one_process(three_workers, genomes):
    here = LocalExecutor(EVALUATORS, CHUNK)
    expected, result = here.evaluate(genomes, RAISES, 0), three_workers.evaluate(genomes, RAISES, 0)
    assert torch.equal(result.fitness.nan_to_num(-9), expected.fitness.nan_to_num(-9))
    assert 0 < len(three_workers.failures) < P
    assert [f[:3] for f in three_workers.failures] == [f[:3] for f in here.failures]
    assert three_workers.faults["workers_lost"] == 0


def test_torch_computes_in_one_thread_in_a_worker(three_workers, genomes):
    assert (three_workers.evaluate(genomes, THREADS, 0).fitness == 1).all()


def test_ray_s_files_and_sockets_are_private(session):
    assert stat.S_IMODE(os.stat(session.session.folder).st_mode) == 0o700


def test_a_ray_of_our_own_listens_on_loopback_only():
    assert ray.util.get_node_ip_address() == "127.0.0.1"


def test_an_executor_that_found_ray_running_leaves_it_running():
    with RayExecutor(Sphere(), 1, CHUNK):
        pass
    assert ray.is_initialized()


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers is 0"):
        RayExecutor(Sphere(), 0, CHUNK)
