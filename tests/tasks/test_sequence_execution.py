"""Sequences of eye movements: one trial of each by hand, what the cue is worth, messages."""

import pytest
import torch
from seen_trials import check_even

from metaplastic.core import ConfigError
from metaplastic.tasks.registry import make

ID = "SequenceExecution-v0"


def place(dot: int) -> list[float]:
    return [(-0.5, 0.0, 0.5)[dot % 3], (0.5, 0.0, -0.5)[dot // 3]]


@pytest.mark.parametrize(
    ("number", "path", "lit"),
    [
        (0, [4, 5, 1, 0], [{3, 4, 5}, {1, 5, 7}, {0, 1, 2}]),
        (2, [4, 3, 7, 8], [{3, 4, 5}, {1, 3, 7}, {6, 7, 8}]),
        (7, [4, 5, 7, 8], [{3, 4, 5}, {1, 5, 7}, {6, 7, 8}]),
    ],
)
def test_a_sequence_by_hand(number, path, lit):
    """Rest and fixation of 1,000 ms, three moves of 500 ms, steps of 10 ms."""
    task = make(ID, preset="pycog")
    batch = task.render(torch.arange(60), 0)
    lane = (batch.kind == number).nonzero()[0, 0]
    x, y = batch.x[:, lane], batch.y[:, lane]
    edges = [100, 200, 250, 300, 350]
    for start, end, dots in zip(edges[:-1], edges[1:], [{4}, *lit], strict=True):
        assert all(set(row.nonzero()[:, 0].tolist()) == dots for row in x[start:end, :9])
    assert not x[:100, :9].any()
    assert (x[:, 9:].argmax(-1) == number).all()
    assert (x[:, 9:].sum(-1) == 1).all()
    for start, end, dot in zip(edges[:-1], edges[1:], path, strict=True):
        assert y[start:end].tolist() == [place(dot)] * (end - start)
    assert batch.w[:, lane].tolist() == [0.0] * 100 + [1.0] * 250


def test_sequences_come_alike_and_differ_in_their_moves():
    task = make(ID)
    check_even(task)
    batch = task.render(torch.arange(60), 0)
    ends = {int(kind): tuple(batch.y[[225, 275, 325], lane].flatten().tolist()) for lane, kind in enumerate(batch.kind)}
    assert len(set(ends.values())) == 8


def test_the_time_without_the_cue_is_worth_nothing():
    task = make(ID)
    batch = task.render(torch.arange(400), 0)
    mean = batch.y.mean(1, keepdim=True).expand_as(batch.y)
    assert task.judge(mean, batch).score.mean() < 0.05
    assert task.judge(batch.y, batch).score.min() == 1
    missed = batch.y.clone()
    missed[300:] = 0
    # sequence 4-5-1-0, in units of 50 steps: squares 1/4 + 1/4 + 1/2, sum 1, and 10 numbers; the last move is 1/2
    score = task.judge(missed, batch).score[batch.kind == 0]
    assert score.tolist() == pytest.approx([1 - 0.5 / (1 - 1 / 10)] * len(score))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": "flat"}, ["weights is 'flat', wanted 'decision'"]),
        ({"timing": {"move2": 0}}, ["timing.move2 may last 0 ms"]),
        ({"sigma": 0.5}, ["sigma is 0.5, wanted 0", "ObsNoise"]),
        ({"timing": {"move4": 500}}, ["timing.move4", "did you mean"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make(ID, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
