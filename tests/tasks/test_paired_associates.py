"""Paired associates: a trial step by step, in both codes, and who remembers or guesses."""

from typing import Any

import pytest
import torch
from one_graph import check_one_graph
from scipy.stats import chisquare

from metaplastic.core import ConfigError
from metaplastic.tasks.association.paired_associates import PairedAssociates
from metaplastic.tasks.registry import make

TIMED: dict[str, Any] = {"pairs": 3, "items": 5, "show": 2, "blank": 1, "delay": 4, "gain": 2.0}


def test_a_trial_shows_pairs_then_nothing_then_every_key_alone():
    task = PairedAssociates(**TIMED)
    batch = task.render(torch.arange(7), 1)
    assert batch.x.shape == (9 + 4 + 8, 7, 10)
    assert batch.epoch[:, 0].tolist() == [0, 0, 1] * 3 + [1] * 4 + [2, 2, 1, 2, 2, 1, 2, 2]
    assert batch.w[:, 0].tolist() == [0.0] * 13 + [0, 1, 0, 0, 1, 0, 0, 1]
    assert (batch.x[batch.epoch[:, 0] == 1] == 0).all()
    key, value = batch.x[..., :5] / 2, batch.x[..., 5:] / 2
    study, query = [0, 3, 6], [13, 16, 19]
    assert torch.equal(batch.x[study], batch.x[[1, 4, 7]])
    assert (key[study].sum(-1) == 1).all()
    assert (value[study].sum(-1) == 1).all()
    assert (value[13:] == 0).all()
    for lane in range(7):
        pairs = dict(zip(key[study, lane].argmax(-1).tolist(), value[study, lane].argmax(-1).tolist(), strict=True))
        assert len(pairs) == 3  # no key twice
        asked = key[query, lane].argmax(-1).tolist()
        assert sorted(asked) == sorted(pairs)
        assert batch.y[query, lane].argmax(-1).tolist() == [pairs[name] for name in asked]
        assert torch.equal(batch.y[query, lane], batch.y[[14, 17, 20], lane])


def test_orders_keys_and_values_come_each_alike():
    task = PairedAssociates(pairs=3, items=4)
    batch = task.render(torch.arange(6000), 0)
    key, value = batch.x[..., :4].argmax(-1), batch.x[:3, :, 4:].argmax(-1)
    for some in (key[:3], key[3:]):
        code = (some * torch.tensor([16, 4, 1])[:, None]).sum(0).bincount(minlength=64)
        assert (code > 0).sum() == 24
        assert chisquare(code[code > 0].numpy()).pvalue > 1e-4
    code = (value * torch.tensor([16, 4, 1])[:, None]).sum(0).bincount(minlength=64)
    assert chisquare(code.numpy()).pvalue > 1e-4  # with replacement
    same = (key[:3] == key[3:]).float().mean()
    assert abs(same - 1 / 3) < 0.02  # the order of queries does not tell that of study


def test_who_remembers_is_right_and_who_forgets_one_pair_is_not():
    task = PairedAssociates(pairs=4, items=6)
    batch = task.render(torch.arange(5), 0)
    assert (task.judge(batch.y, batch).correct == 1).all()
    output = batch.y.clone()
    output[5] = output[5].roll(1, -1)
    verdict = task.judge(output, batch)
    assert (verdict.score == 0.75).all()
    assert (verdict.correct == 0).all()
    assert torch.allclose(verdict.reward, torch.full((5,), -(2 / 6) / 4))


def test_bits_score_the_part_that_has_its_sign():
    task = PairedAssociates(code="bits", bits=4, pairs=2)
    batch = task.render(torch.arange(5), 0)
    assert batch.x.shape == (4, 5, 8)
    assert (batch.x[:2].abs() == 1).all()
    assert (batch.x[2:, :, 4:] == 0).all()
    output = 0.5 * batch.y.clone()
    output[2, :, 0] *= -1
    output[3, :, 1] = 0
    verdict = task.judge(output, batch)
    assert (verdict.score == (0.75 + 0.875) / 2).all()
    assert (task.judge(0.1 * batch.y, batch).correct == 1).all()


def test_pairs_of_a_lifetime_stay_and_come_in_other_orders():
    task = PairedAssociates(fresh=False)
    sets, orders = [], []
    for trial in (0, 1, 101):
        x = task.render(torch.arange(9), trial).x[:4]
        orders.append(x)
        sets.append([sorted(map(tuple, x[:, lane].tolist())) for lane in range(9)])
    assert sets[0] == sets[1] == sets[2]
    assert not torch.equal(orders[0], orders[1])
    fresh = PairedAssociates()
    assert not torch.equal(*(fresh.render(torch.arange(9), trial).x[:4].sum(0) for trial in (0, 1)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pairs": 9}, ["pairs is 9, wanted at most 8", "raise items"]),
        ({"pairs": 9, "code": "bits", "bits": 3}, ["pairs is 9, wanted at most 8", "raise bits"]),
        ({"code": "onehot"}, ["did you mean 'one_hot'?"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("PairedAssociates-v0", **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.slow
def test_a_step_is_one_graph():
    check_one_graph(("PairedAssociates-v0", {"code": "bits", "fresh": False, "blank": 1}))
