"""Evidence accumulation: cues, delays and labels by hand, the published trial, what counting less earns, messages."""

import math

import pytest
import torch
from scipy.stats import binom
from seen_trials import check_even

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.memory.evidence_accumulation import EvidenceAccumulation, EvidenceAccumulationChoice
from metaplastic.tasks.registry import make

ID, CHOICE = "EvidenceAccumulation-v0", "EvidenceAccumulationChoice-v0"
L = 3000


def sides(task: EvidenceAccumulation, lives: int = L) -> torch.Tensor:
    """Cues on the right less cues on the left, [7, L]: -1 or 1 each, from what is shown (steps of 10 ms)."""
    x = task.render(torch.arange(lives), 0).x[:105]
    return (x[..., 1] - x[..., 0])[torch.arange(7) * 15 + 10]


def test_a_trial_by_hand():
    """7 cues of 100 ms after 50 ms of nothing each, 1,050 ms, 150 ms of question; steps of 10 ms."""
    task = EvidenceAccumulation()
    lives = torch.arange(40)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    assert batch.x.shape == (225, 40, 3)
    on = torch.arange(105) % 15 >= 5
    assert torch.equal(batch.x[:105, :, :2].sum(-1), on.float()[:, None].expand(-1, 40))
    assert not batch.x[105:, :, :2].any()
    assert torch.equal(batch.x[..., 2], (torch.arange(225) >= 210).float()[:, None].expand(-1, 40))
    more = (sides(task, 40).sum(0) > 0).long()
    assert torch.equal(more, drawn["label"])
    assert torch.equal(batch.y[210:], one_hot(more, 2).expand(15, 40, 2))
    assert torch.equal(batch.w, batch.x[..., 2])


def test_cues_come_on_the_favoured_side_with_probability_7_tenths():
    shown = (sides(EvidenceAccumulation()) > 0).sum(0)
    counts = shown.bincount(minlength=8).double() / L
    wanted = 0.5 * torch.tensor(binom.pmf(range(8), 7, 0.7) + binom.pmf(range(8), 7, 0.3))
    assert (counts - wanted).abs().max() < 4 * math.sqrt(0.25 / L)
    check_even(EvidenceAccumulation())


def test_the_last_cue_alone_is_worth_less_than_the_criterion():
    task = EvidenceAccumulation()
    batch = task.render(torch.arange(L), 0)
    shown = sides(task)
    last = one_hot((shown[-1] > 0).long(), 2).expand_as(batch.y)
    counted = one_hot((shown.sum(0) > 0).long(), 2).expand_as(batch.y)
    assert task.judge(counted, batch).score.min() == 1
    # of 6 others k favour the last one's side: it is right from 3 on
    same = sum(w * (p * binom.sf(2, 6, p)) for w, p in ((1, 0.7), (1, 0.3)))
    reached = task.judge(last, batch).score.double().mean().item()
    assert reached == pytest.approx(same, abs=4 * math.sqrt(0.25 / L))
    assert reached < task.spec.criterion


def test_the_published_trial_spikes():
    task = make(ID, preset="eprop")
    lives = torch.arange(9)
    batch, lines = task.render(lives, 0), EvidenceAccumulation(dt=1.0).render(lives, 0)
    assert (task.spec.trial_steps, task.spec.observations) == (2250, 40)
    assert task.spec.channels["background"] == (30, 40)
    on = lines.x.repeat_interleave(10, -1)
    assert not batch.x[..., :30][on == 0].any()
    for spikes, rate in ((batch.x[..., :30][on == 1], 0.04), (batch.x[..., 30:].flatten(), 0.01)):
        assert spikes.mean().item() == pytest.approx(rate, abs=4 * math.sqrt(rate / len(spikes)))
    assert torch.equal(batch.y, lines.y)


def test_numbers_of_cues_and_delays_vary():
    task = make(ID, preset="varied")
    lives = torch.arange(400)
    bounds, drawn = task.epoch_bounds(lives, 0), task.conditions(lives, 0)
    assert torch.equal(bounds[:, 0, 1], drawn["total"] * 15)
    assert set(drawn["total"].tolist()) == {1, 3, 5, 7}
    delays = (bounds[:, 1, 1] - bounds[:, 1, 0]) * 10
    assert 500 <= delays.min() < 560
    assert 1440 < delays.max() < 1500
    assert task.trial_length()[:2] == (15 + 50 + 15, 105 + 149 + 15)


def test_a_choice_is_the_same_trial():
    task, readout = EvidenceAccumulationChoice(), EvidenceAccumulation()
    lives = torch.arange(60)
    batch = task.render(lives, 2)
    assert torch.equal(batch.x, readout.render(lives, 2).x)
    right = readout.render(lives, 2).kind + 1
    due = batch.epoch == 2
    for action, score in ((right, 1.0), (3 - right, 0.0)):
        assert (task.judge(one_hot(action * due, 3), batch).score == score).all()
    early = task.judge(one_hot(right * (batch.epoch == 1), 3), batch)
    assert (early.reward == -1).all()


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        (ID, {"counts": [7, 4]}, ["counts are (7, 4)", "odd"]),
        (ID, {"cue": 200.0}, ["cue is 200 ms, wanted at most period = 150"]),
        (ID, {"dt": 20.0, "timing": {"delay": 1000, "recall": 100}}, ["period is 150 ms", "use 140 or 160"]),
        (ID, {"timing": {"cues": 1050}}, ["timing.cues follows from counts and period"]),
        (ID, {"timing": {"recall": 0}}, ["timing.recall may last 0 ms"]),
        (ID, {"weights": "flat"}, ["weights is 'flat', wanted 'decision'"]),
        (ID, {"neurons": 2}, ["neurons is 2, wanted at least 5"]),
        (CHOICE, {"preset": "e-prop"}, ["did you mean 'eprop'?"]),
    ],
)
def test_wrong_settings_are_told(id, settings, words):
    with pytest.raises(ConfigError) as caught:
        make(id, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
