"""Two samples, two tests: a trial of either order by hand, the ideal observer against one that counts, messages."""

import pytest
import torch
from seen_trials import check_even

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.memory.dual_match import DualDelayMatchSample
from metaplastic.tasks.registry import make

ID = "DualDelayMatchSample-v0"


def lines(direction: int) -> list[float]:
    return [float(direction == 0), float(direction == 1)]


def test_trials_by_hand():
    """Eight epochs of 500 ms in steps of 100 ms: 5 steps each."""
    task = make(ID, preset="neurogym", sigma=0.0)
    lives = torch.arange(60)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    assert len(batch.x) == 40
    for lane in range(60):
        order, (a, b) = int(drawn["tested_first"][lane]), drawn["samples"][lane].tolist()
        match = drawn["match"][lane].tolist()
        tests = [a if match[0] else 1 - a, b if match[1] else 1 - b]
        first, second = [order, 1 - order]
        wanted = {name: [1.0, 0, 0, 0, 0, 0, 0] for name in task.epochs}
        wanted["sample"][1:5] = lines(a) + lines(b)
        for item, number in ((first, 1), (second, 2)):
            wanted[f"cue{number}"][5 + item] = 1.0
            wanted[f"test{number}"][0] = 0.0
            wanted[f"test{number}"][1 + 2 * item : 3 + 2 * item] = lines(tests[item])
        assert batch.x[:, lane].tolist() == [wanted[name] for name in task.epochs for _ in range(5)]
        for item, at in ((first, slice(20, 25)), (second, slice(35, 40))):
            assert batch.y[at, lane].tolist() == [[float(match[item]), float(not match[item])]] * 5
    assert batch.w[:, 0].nonzero()[:, 0].tolist() == [*range(20, 25), *range(35, 40)]


def test_orders_and_matches_come_alike():
    check_even(DualDelayMatchSample())


@pytest.mark.parametrize("sigma", [10.0, 25.0])
def test_an_observer_of_all_that_was_shown_earns_the_ceiling(sigma):
    task = DualDelayMatchSample(sigma=sigma, dt=50.0)
    lives = torch.arange(4000)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    x, epoch = batch.x.double(), batch.epoch[:, 0]
    evidence = torch.stack((x[..., 2] - x[..., 1], x[..., 4] - x[..., 3]), -1)  # towards direction 1, by item
    kept = evidence[epoch == 1].sum(0)
    output = torch.zeros_like(batch.y)
    for number, item in ((4, drawn["tested_first"]), (7, 1 - drawn["tested_first"])):
        seen = evidence[epoch == number].cumsum(0)
        agree = (seen * kept).gather(-1, item[None, :, None].expand(len(seen), -1, 1))[..., 0]
        output[epoch == number] = one_hot((agree < 0).long(), 2)
    score = task.judge(output, batch).score.double()
    assert score.mean().item() == pytest.approx(task.spec.ceiling, abs=4 * score.std().item() / 4000**0.5)
    assert task.spec.criterion == pytest.approx(0.5 + 0.9 * (task.spec.ceiling - 0.5))


def test_the_test_alone_says_nothing():
    task = DualDelayMatchSample(sigma=0.0)
    batch = task.render(torch.arange(4000), 0)
    told = torch.stack((batch.x[..., 1] + batch.x[..., 3], batch.x[..., 2] + batch.x[..., 4]), -1)
    score = task.judge(told, batch).score.double()
    assert score.mean().item() == pytest.approx(0.5, abs=4 * score.std().item() / 4000**0.5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": "flat"}, ["weights is 'flat', wanted 'decision'"]),
        ({"timing": {"test1": {"uniform": [300, 500]}}}, ["timing.test1", "wanted a fixed time"]),
        ({"timing": {"sample": 0}}, ["timing.sample is 0", "above 0"]),
        ({"timing": {"test3": 500}}, ["timing.test3", "did you mean 'test"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make(ID, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
