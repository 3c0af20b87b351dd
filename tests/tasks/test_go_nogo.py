"""Going or waiting: trials and pay by hand, what one stimulus of a pair is worth, messages."""

import math

import pytest
import torch
from seen_trials import check_even, played, score_of, seen, total

from metaplastic.core import ConfigError
from metaplastic.tasks.memory.go_nogo import DelayPairedAssociation, GoNogo
from metaplastic.tasks.registry import make

GO, PAIR = "GoNogo-v0", "DelayPairedAssociation-v0"


def test_a_go_trial_by_hand():
    """500 ms each of stimulus, delay and decision, in steps of 20 ms."""
    task = make(GO, preset="neurogym")
    batch = task.render(torch.arange(30), 0)
    for lane in range(30):
        go = int(batch.kind[lane])
        x = batch.x[:, lane]
        assert len(x) == 75
        assert x[:, 0].tolist() == [1.0] * 50 + [0.0] * 25
        assert x[:, 1 + go].tolist() == [1.0] * 25 + [0.0] * 50
        assert not x[:, 2 - go].any()
        assert batch.y[:, lane].argmax(-1).tolist() == [0] * 50 + [go] * 25


@pytest.mark.parametrize(("task", "error", "miss"), [(GoNogo(), -0.5, -0.5), (DelayPairedAssociation(), -1.0, 0.0)])
def test_what_going_and_waiting_pay(task, error, miss):
    batch = task.render(torch.arange(40), 0)
    label = task.label(task.drawn(torch.arange(40), 0).values.conditions)
    assert set(label.tolist()) == {0, 1}
    last = batch.epoch == len(task.epochs) - 1
    go = torch.stack((~last, last), -1).float()
    wait = torch.stack((last | ~last, last & ~last), -1).float()
    assert task.judge(go, batch).reward.tolist() == [1.0 if right else error for right in label]
    assert task.judge(wait, batch).reward.tolist() == pytest.approx([miss if right else 1.0 for right in label])
    assert torch.equal(task.judge(wait, batch).score, 1.0 - label)


def test_an_early_answer_costs_a_tenth_and_the_trial_goes_on():
    task = GoNogo(trials=1, test_trials=1)
    go = int(task.render(torch.arange(1), 0).kind[0])
    rewards, ends = played(task, [1] * 3 + [0] * 72)
    assert rewards[:3] == pytest.approx([-0.1] * 3)
    assert ends.index(True) == 74
    assert rewards[74] == (-0.5 if go else 1.0)


def test_pairs_come_alike_and_one_of_them_says_nothing():
    task = make(PAIR, preset="neurogym")
    check_even(task)
    assert task.spec.trial_steps * task.dt == 4500
    batch = seen(task, 2000)
    first, second = (total(task, batch, name, name).argmax(-1) for name in ("first", "second"))
    assert (score_of(task, batch, (first == second).long()) == 1).all()  # 1 and 3, 2 and 4
    for one in (first, second, 1 - first):
        assert score_of(task, batch, one).mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(2000))


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        (GO, {"timing": {"stimulus": 0}}, ["timing.stimulus may last 0 ms"]),
        (PAIR, {"timing": {"decision": 0}}, ["timing.decision may last 0 ms"]),
        (PAIR, {"timing": {"delay": 500}}, ["timing.delay", "did you mean 'delay"]),
        (GO, {"early": "penalize"}, ["early", "did you mean 'penalise'?"]),
        (GO, {"rewards": "neurogim"}, ["rewards", "did you mean 'neurogym'?"]),
        (GO, {"sigma": 1.0}, ["sigma is 1, wanted 0"]),
    ],
)
def test_wrong_settings_are_told(id, settings, words):
    with pytest.raises(ConfigError) as caught:
        make(id, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
