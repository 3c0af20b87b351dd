"""Store and recall: what is asked follows from what was shown; rates of symbols and spikes, scores, messages."""

import math

import pytest
import torch

from metaplastic.core import ConfigError
from metaplastic.tasks.memory.store_recall import StoreRecall
from metaplastic.tasks.registry import make

ID = "StoreRecall-v0"
L = 400


def shown(task: StoreRecall, lives: int = L, trial: int = 0) -> torch.Tensor:
    """Symbols of trials [S, L, 4]."""
    return task.render(torch.arange(lives), trial).x[:: round(task.symbol / task.dt)]


def test_what_is_wanted_is_the_bit_that_came_with_the_last_store():
    """The loop one would write."""
    task = StoreRecall(dt=200.0)
    batch = task.render(torch.arange(L), 3)
    for lane in range(L):
        stored = None
        for x, y, w in zip(
            batch.x[:, lane].tolist(), batch.y[:, lane].tolist(), batch.w[:, lane].tolist(), strict=True
        ):
            zero, one, store, recall = x
            assert zero + one == 1 - recall
            if recall:
                assert stored is not None
                assert (y, w) == ([float(stored == 0), float(stored == 1)], 1.0)
                stored = None
            else:
                assert w == 0
            if store:
                assert stored is None
                stored = int(one)
        assert stored is None


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_every_trial_stores_and_recalls_at_least_two_symbols_later(p):
    x = shown(StoreRecall(p=p))
    store, recall = (x[..., line].bool() for line in (2, 3))
    assert torch.equal(store.sum(0), recall.sum(0))
    assert (store.sum(0) >= 1).all()
    assert not (recall[1:] & store[:-1]).any()
    for lane in range(20):
        pairs = zip(store[:, lane].nonzero()[:, 0].tolist(), recall[:, lane].nonzero()[:, 0].tolist(), strict=True)
        assert all(asked - kept >= 2 for kept, asked in pairs)
    if p == 1:
        assert store[:, 0].nonzero()[:, 0].tolist() == [0, 3, 6, 9]
    if p == 0:
        assert store[:, 0].nonzero()[:, 0].tolist() == [9]
        assert recall[:, 0].nonzero()[:, 0].tolist() == [11]


def test_store_comes_with_its_probability_and_bits_are_fair():
    x = shown(StoreRecall(), 4000)
    margin = 4 * math.sqrt(0.16 / 4000)
    assert x[0, :, 2].mean().item() == pytest.approx(0.2, abs=margin)
    again = x[2, x[0, :, 2] == 1, 3]  # RECALL two symbols after a STORE at the first
    assert again.mean().item() == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / len(again)))
    bits = x[..., 1][x[..., 3] == 0]
    assert bits.mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(bits)))


def test_the_spiking_task_tells_the_same_symbols_with_25_neurons_at_50_hz():
    task = make(ID, preset="bellec18")
    lines, batch = shown(StoreRecall(), 9), task.render(torch.arange(9), 0)
    assert batch.x.shape == (2400, 9, 100)
    assert task.spec.channels["store"] == (50, 75)
    on = lines.repeat_interleave(200, 0).repeat_interleave(25, -1)
    assert not batch.x[on == 0].any()
    spikes = batch.x[on == 1]
    assert spikes.mean().item() == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / len(spikes)))
    assert torch.equal(batch.y[::200], StoreRecall().render(torch.arange(9), 0).y[::10])
    assert make(ID, preset="eprop").p == pytest.approx(1 / 7)


def test_scores_by_hand():
    task = StoreRecall()
    batch = task.render(torch.arange(50), 0)
    silent = torch.zeros_like(batch.y)
    start = torch.arange(len(batch.y))[:, None] % 10 < 3  # the other bit in the first 3 of 10 steps
    late = torch.where(start[..., None], batch.y.flip(-1), batch.y)
    outputs = torch.stack((batch.y, late, silent), 1)
    verdict = task.judge(outputs, batch)
    assert (verdict.score[0] == 1).all()
    torch.testing.assert_close(verdict.score[1], torch.full((50,), 0.7))
    assert verdict.correct.sum(-1).tolist()[:2] == [50, 0]
    assert verdict.reward[2].tolist() == pytest.approx([-0.5] * 50)


def test_who_answers_with_the_last_bit_seen_is_at_chance():
    task = StoreRecall(dt=200.0, p=0.2)
    batch = task.render(torch.arange(4000), 0)
    last = batch.x[..., :2].roll(1, 0)
    score = task.judge(last, batch).score.double()
    assert score.mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(4000))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dt": 30.0}, ["symbol is 200 ms", "multiple of dt = 30", "use 180 or 210"]),
        ({"neurons": 1}, ["neurons is 1, wanted at least 2", "fires 10 spikes"]),
        ({"neurons": 25, "rate": 100.0}, ["rate is 100 Hz, wanted at most 50"]),
        ({"symbols": 2}, ["symbols", "greater than or equal to 3"]),
        ({"preset": "bellec19"}, ["did you mean 'bellec18'?"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make(ID, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
