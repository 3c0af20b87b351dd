"""What `metaplastic estimate` tells and refuses; one real measurement, the rest from numbers that are known."""

import os
import sys

import pytest
from small_search import small, small_file
from typer.testing import CliRunner

from metaplastic import cli
from metaplastic.core import ConfigError
from metaplastic.platform.estimate import (
    Measured,
    Offer,
    better_chunk,
    check_offer,
    reasons_against,
    worker_counts,
)
from metaplastic.platform.estimate_table import lines, table
from metaplastic.platform.pool_simulation import Costs

GIB = 1024
KNOWN = Measured(
    population=50,
    chunk=8,
    lifetimes=3,
    generations=100,
    compiling=5.0,
    times=(1.5, 2.5),
    memory=700.0,
    driver_memory=500.0,
    gpu=0.0,
    costs=Costs(generation=0.1, service=0.001, latency=0.003, start=4.0),
)


def test_a_generation_on_one_worker_is_the_sum_of_its_chunks():
    assert KNOWN.weights() == [1, 1, 1, 1, 1, 1, 0.25]
    assert KNOWN.on(1).seconds == pytest.approx(6.25 * 2.0 + 0.1, rel=0.05)
    assert KNOWN.search_seconds(12.6) == pytest.approx(1260 + 9)


def test_workers_are_doubled_up_to_those_of_the_launch():
    assert worker_counts(1) == [1]
    assert worker_counts(12) == [1, 2, 4, 8, 12]
    assert worker_counts(16) == [1, 2, 4, 8, 16]


def test_a_chunk_that_feeds_all_workers_is_told():
    chunk, times = better_chunk(KNOWN, 20, 0.0)
    assert KNOWN.on(20, 0.0, chunk).seconds * times == pytest.approx(KNOWN.on(20).seconds)
    assert times > 1.1
    assert better_chunk(KNOWN, 1, 0.0) is None


def test_memory_that_does_not_hold_the_workers_is_refused():
    offer = Offer(workers=12, nodes=2, memory=4 * GIB)
    assert reasons_against(KNOWN, offer, 1.0) == [
        "memory: is 4G a node, but 6 workers of 700 MiB and the driver's 500 MiB need 4.59G; wanted --memory 6G, or at "
        "most 5 workers a node"
    ]
    assert reasons_against(KNOWN, offer._replace(workers=10), 1.0) == []


def test_a_search_that_takes_longer_than_its_limit_is_refused():
    offer = Offer(workers=4, hours=0.5)
    assert reasons_against(KNOWN, offer, 1799) == []
    (line,) = reasons_against(KNOWN, offer, 3600)
    assert line.startswith("hours: is 0.5, but the search takes about 1 hours on 4 workers; wanted --hours 1.2")


def test_idle_workers_are_refused_with_the_chunk_that_mends_it():
    experiment = small("search.population=48", "execution.chunk=16")
    with pytest.raises(ConfigError, match=r"makes 3 chunks of 48.*there are 8 workers, so 5 would idle; wanted.*=6$"):
        check_offer(experiment, Offer(workers=8, meant=True), set())
    check_offer(experiment, Offer(workers=8), set())
    check_offer(small("search.population=48", "execution.chunk=6"), Offer(workers=8, meant=True), set())
    with pytest.raises(ConfigError, match="wanted at most 48 workers"):
        check_offer(experiment, Offer(workers=64, meant=True), set())


def test_gpus_that_the_device_does_not_use_are_refused():
    with pytest.raises(ConfigError, match=r"gpus: is 2, but execution.device is 'cpu', which uses none; wanted"):
        check_offer(small("execution.device=cpu"), Offer(workers=2, gpus=2), {"device"})


def test_without_a_search_there_is_nothing_to_tell():
    with pytest.raises(ConfigError, match="search: is not given"):
        check_offer(small("search=null"), Offer(workers=1), set())


def test_the_table_has_a_row_for_each_number_of_workers():
    shown = table(KNOWN, Offer(workers=6))
    assert list(shown.columns[0].cells) == ["1", "2", "4", "6"]
    seconds = [float(cell.removesuffix(" s")) for cell in shown.columns[1].cells]
    assert seconds == sorted(seconds, reverse=True)
    assert "700 MiB at its peak" in lines(KNOWN, "x")[2]


def test_a_real_search_is_timed_on_a_worker_and_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["metaplastic", "estimate", str(small_file(tmp_path)), "--workers", "2", "--cpus", "2"]
    )
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--memory", "1G", "--seconds", "0.1", "--hours", "0.00001"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert "4 generations of 7 individuals with 3 lifetimes each, in 3 chunks of 3" in out
    rows = [line.split() for line in out.splitlines() if line.strip()[:1] in "12"]
    assert [row[0] for row in rows] == ["1", "2"]
    assert "estimate: starting Ray and a worker" in err
    told = [line for line in err.splitlines() if not line.startswith("estimate:")]
    assert [line.split(":")[0 if number else 1].strip() for number, line in enumerate(told)] == ["memory", "hours"]
    assert not os.path.exists(tmp_path / "runs")


def test_peak_memory_is_at_least_what_is_held_now():
    from metaplastic.platform.ray_costs import peak_memory

    before, block = peak_memory(), bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    with open("/proc/self/statm", encoding="ascii") as file:
        held = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert max(before, held - 1) <= peak_memory() < max(before, held) + 64


def test_a_number_that_makes_no_sense_is_one_line(tmp_path):
    done = CliRunner().invoke(cli.app, ["estimate", str(small_file(tmp_path)), "--seconds", "-1"])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("--seconds is -1")
