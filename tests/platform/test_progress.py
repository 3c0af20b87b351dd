"""The progress of a search is readable on a terminal and in a log file."""

import io

import pytest
from rich.console import Console

from metaplastic.platform.progress import LiveProgress, PlainProgress, duration, number, rate, show_progress, sparkline


def record(generation, **changes):
    return {
        "generation": generation,
        "failed": 2,
        "seconds": 3.0,
        "lifetimes_per_second": 12345.6,
        "fitness": {"score": {"median": 0.51234}},
        "best_so_far": {"score": 0.9},
    } | changes


def shown(terminal, records, generations=40):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, legacy_windows=False)
    with show_progress(generations, "score", console) as progress:
        for one in records:
            progress.update(one)
        progress.say("a [bold] word")
    return file.getvalue()


def test_elsewhere_than_on_a_terminal_a_generation_is_one_plain_line():
    lines = shown(False, [record(0), record(1)]).splitlines()
    assert lines == [
        "generation 1/40  best 0.9  median 0.5123  failed 2  lifetimes/s 12,346  left 1:57",
        "generation 2/40  best 0.9  median 0.5123  failed 2  lifetimes/s 12,346  left 1:54",
        "a [bold] word",
    ]


def test_a_terminal_gets_a_display_that_is_redrawn():
    text = shown(True, [record(0), record(1)])
    assert "\x1b[" in text
    assert "2/40" in text
    assert "12,346" in text
    assert "a [bold] word" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_generation_without_survivors_is_shown_too(terminal):
    dead = record(0, best_so_far={"score": None}, fitness={"score": {"median": None}}, lifetimes_per_second=None)
    assert "–" in shown(terminal, [dead])


def test_the_time_left_follows_the_last_generations_and_not_one_slow_one():
    line = shown(False, [record(n, seconds=2.0) for n in range(8)] + [record(8, seconds=600.0)]).splitlines()[8]
    assert line.endswith("left 1:02")


def test_the_console_decides():
    assert isinstance(show_progress(1, "score", Console(file=io.StringIO(), force_terminal=True)), LiveProgress)
    assert isinstance(show_progress(1, "score", Console(file=io.StringIO())), PlainProgress)


def test_numbers_as_text():
    assert [duration(s) for s in (3, 123, 3723.4)] == ["0:03", "2:03", "1:02:03"]
    assert [number(v) for v in (None, 0.123456, -12345.6)] == ["–", "0.1235", "-1.235e+04"]
    assert [rate(v) for v in (None, 0.25, 12.4)] == ["–", "0.25", "12"]


def test_a_sparkline_goes_from_lowest_to_highest_and_ends_with_the_last_value():
    assert sparkline([0.0, 3.5, 7.0], 9) == "▁▅█"
    assert sparkline([float(n) for n in range(100)], 5)[-1] == "█"
    assert len(sparkline([float(n) for n in range(100)], 5)) == 5
    assert sparkline([2.0, 2.0], 9) == "▁▁"
    assert sparkline([], 9) == ""
