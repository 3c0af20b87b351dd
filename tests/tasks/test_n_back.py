"""N-back and parity: answers by a plain loop, frequencies, and who answers the same throughout."""

import math
from typing import Any

import pytest
import torch
from scipy.stats import binomtest, chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.registry import make
from metaplastic.tasks.sequences.n_back import NBack
from metaplastic.tasks.sequences.parity import Parity


def test_an_answer_says_whether_the_symbol_is_that_of_n_before():
    task = NBack(back=3, symbols=4, length=11, show=2, blank=1)
    batch = task.render(torch.arange(50), 1)
    assert batch.x.shape == (11 * 3 - 1, 50, 4)
    assert batch.epoch[:, 0].tolist() == [0, 0, 1] * 10 + [0, 0]
    assert (batch.x[2::3] == 0).all()
    assert torch.equal(batch.x[::3], batch.x[1::3])
    assert batch.w[:, 0].tolist() == [0.0] * 9 + [0, 1, 0] * 7 + [0, 1]
    symbol, answer = batch.x[::3].argmax(-1), batch.y[::3].argmax(-1)
    for lane in range(50):
        shown = symbol[:, lane].tolist()
        assert answer[3:, lane].tolist() == [int(shown[i] == shown[i - 3]) for i in range(3, 11)]


def test_matches_come_as_often_as_they_should_and_symbols_each_alike():
    task = NBack(back=2, symbols=3, length=7, match=0.3)
    batch = task.render(torch.arange(4000), 0)
    matches = int(batch.y[2:].argmax(-1).sum())
    assert binomtest(matches, 5 * 4000, 0.3).pvalue > 1e-4
    for step in (0, 1, 6):
        assert chisquare(batch.x[step].sum(0).numpy()).pvalue > 1e-4
    pairs = (batch.x[3].argmax(-1) * 3 + batch.x[4].argmax(-1)).bincount(minlength=9)
    assert chisquare(pairs.numpy()).pvalue > 1e-4  # neighbours tell nothing of each other


def test_the_same_answer_throughout_does_not_reach_the_criterion():
    task = make("NBack-v0", preset="jaeggi08")
    assert (task.spec.trial_steps, task.spec.observations) == (22, 8)
    batch = task.render(torch.arange(2000), 0)
    score = task.judge(torch.tensor([1.0, 0.0]).expand(batch.y.shape), batch).score
    assert abs(score.mean() - 0.7) < 4 * score.std() / math.sqrt(2000)
    assert task.spec.criterion == pytest.approx(0.97)


def test_parity_is_that_of_the_ones_so_far():
    batch = Parity(length=7).render(torch.arange(200), 2)
    bits = batch.x[..., 0].long()
    assert (batch.x[..., 1] == 1).all()
    for lane in range(200):
        row = bits[:, lane].tolist()
        assert batch.y[:, lane].argmax(-1).tolist() == [sum(row[: i + 1]) % 2 for i in range(7)]
    assert (batch.w == 1).all()
    assert Parity(length=7, judged="last").render(torch.arange(2), 0).w[:, 0].tolist() == [0.0] * 6 + [1.0]


def test_all_rows_of_bits_come_alike_and_the_last_bit_alone_tells_nothing():
    batch = Parity(length=3, judged="last").render(torch.arange(4000), 0)
    bits = batch.x[..., 0].long()
    code = (bits * torch.tensor([4, 2, 1])[:, None]).sum(0).bincount(minlength=8)
    assert chisquare(code.numpy()).pvalue > 1e-4
    agrees = int((bits[-1] == batch.y[-1].argmax(-1)).sum())
    assert binomtest(agrees, 4000, 0.5).pvalue > 1e-4


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        ("NBack-v0", {"back": 4, "length": 4}, "length is 4, wanted more than back = 4"),
        ("NBack-v0", {"match": 1.0}, "NBack-v0: match"),
        ("Parity-v0", {"judged": "lats"}, "did you mean 'last'"),
    ],
)
def test_wrong_settings_are_told(id: str, settings: dict[str, Any], words: str):
    with pytest.raises(ConfigError, match=words):
        make(id, **settings)
