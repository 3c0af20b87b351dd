"""Context-dependent decisions, by choice and by a sign: published values, cues, ceilings, what ignoring costs."""

import math

import pytest
import torch
from scipy.stats import norm
from seen_trials import check_even, score_of, seen, total

from metaplastic.core import ConfigError
from metaplastic.tasks.perception import ideal
from metaplastic.tasks.registry import make

CONTEXT = "ContextDecisionMaking-v0"
READOUT = "ContextReadout-v0"
FAST = {"dt": 50.0, "timing": {"fixation": 100, "delay": 100, "decision": 100}}


def test_the_published_ceiling_and_those_of_each_coherence():
    task = make(CONTEXT, preset="song17")
    assert task.spec.ceiling == pytest.approx(0.871, abs=1e-3)
    each = [ideal.two_channels((c,), task.timing["stimulus"], 10.0, task.sigma) for c in task.coherences]
    assert each == pytest.approx([0.686, 0.927, 1.0], abs=1e-3)


def test_presets_carry_the_published_values():
    song, pycog = make(CONTEXT, preset="song17"), make(CONTEXT, preset="pycog")
    assert (song.sigma, song.coherences, song.spec.observations) == (2.0, (0.05, 0.15, 0.5), 6)
    assert [song.timing[e].ends(10.0)[:2] for e in song.epochs] == [(75, 75), (75, 75), (30, 149), (50, 50)]
    assert (pycog.catch, pycog.timing["stimulus"].values) == (1 / 73, (800.0,))


def test_an_observer_of_what_counts_earns_the_ceiling_and_others_at_most_three_quarters():
    task = make(CONTEXT, **FAST)
    batch = seen(task)
    sides = [total(task, batch, name, "stimulus").argmax(-1) + 1 for name in ("motion", "colour")]
    asked = total(task, batch, "context", "fixation").argmax(-1)
    margin = 4 * 0.5 / math.sqrt(3000)
    right = score_of(task, batch, torch.where(asked == 0, *sides)).mean().item()
    assert right == pytest.approx(task.spec.ceiling, abs=margin)
    motion = score_of(task, batch, sides[0]).mean().item()
    assert motion == pytest.approx(0.5 * task.spec.ceiling + 0.25, abs=margin)
    summed = sum(total(task, batch, name, "stimulus") for name in ("motion", "colour"))
    assert score_of(task, batch, summed.argmax(-1) + 1).mean() < 0.75 + margin


def test_sides_coherences_and_contexts_are_drawn_alike():
    check_even(make(CONTEXT, **FAST))


@pytest.mark.parametrize("settings", [{}, {"preset": "neurogym"}, {"implicit": True}, {"preset": "pycog"}])
def test_what_says_that_an_answer_is_due_goes_off_at_the_decision(settings):
    """NeuroGym's goes off with the stimulus (issue 279): delay and decision look alike there."""
    task = make(CONTEXT, sigma=0.0, **settings)
    batch = task.render(torch.arange(60), 0)
    due = (batch.epoch == 3) & (torch.arange(len(batch.w))[:, None] < batch.length)
    assert not batch.x[due].any()
    before = batch.x[batch.epoch < 3]
    assert (before[:, 0] == 1).all() if task.fixation or task.implicit else (before[:, :2].sum(-1) == 1).all()


def test_an_implicit_context_belongs_to_the_lifetime_and_is_not_shown():
    task = make(CONTEXT, implicit=True, sigma=0.0, **FAST)
    contexts = torch.stack([task.conditions(torch.arange(40), trial)["context"] for trial in range(5)])
    assert (contexts == contexts[0]).all()
    assert set(contexts[0].tolist()) == {0, 1}
    assert "context" not in task.spec.channels
    assert "meta-learning" in task.tags_of_settings()
    other = task.drawn(torch.arange(40), 0)
    flipped = other.values._replace(conditions=other.values.conditions._replace(context=1 - contexts[0]))
    t = torch.arange(21)[:, None].expand(-1, 40)
    shown = [task.frame(drawn, t) for drawn in (other, other._replace(values=flipped))]
    assert torch.equal(shown[0].x, shown[1].x)
    assert not torch.equal(shown[0].y, shown[1].y)


def test_in_a_catch_trial_nothing_is_shown_and_waiting_is_right():
    task = make(CONTEXT, preset="pycog", catch=0.5, sigma=0.0)
    batch = seen(task, 400)
    caught = batch.kind == 72
    assert 150 < caught.sum() < 250
    assert (batch.length[caught] == 200).all()  # 2,000 ms
    assert not batch.x[:, caught, 1:].any()
    assert (batch.y[:, caught].argmax(-1) == 0).all()
    waits = score_of(task, batch, torch.zeros(400, dtype=torch.int64))
    assert torch.equal(waits, caught.float())
    assert task.spec.chance == pytest.approx(1 / 3)


def test_the_context_of_pycog_is_shown_with_the_stimulus():
    batch = make(CONTEXT, preset="pycog", catch=0.0, sigma=0.0).render(torch.arange(9), 0)
    assert torch.equal(batch.x[..., 1:3].sum(-1), (batch.epoch == 1).float())


def test_the_stimulus_of_miconi_by_hand():
    task = make(READOUT, preset="miconi17", sigma=0.0)
    assert (task.sigma, make(READOUT).sigma, task.spec.trial_steps, task.spec.observations) == (0.0, 0.5, 700, 5)
    for trial, (context, sign) in enumerate([(0, 1), (1, 1), (0, -1), (1, -1)]):
        batch = task.render(torch.arange(50), trial)
        modalities, told = batch.x[..., 1:3], batch.x[..., 3:]
        shown = modalities.abs().sum((1, 2)).nonzero()[:, 0]
        assert (int(shown[0]), int(shown[-1])) == (1, 499)
        assert (told[..., context] == 1).all()
        assert not told[..., 1 - context].any()
        assert torch.equal(modalities[1, :, context], torch.full((50,), 0.25 * sign))
        assert set(modalities[1, :, 1 - context].tolist()) == {-0.25, 0.25}
        assert (batch.y == sign).all()
        assert batch.w.sum(0).tolist() == [200.0] * 50


def test_kim_integrates_for_200_of_500_steps():
    task = make(READOUT, preset="kim19")
    batch = task.render(torch.arange(300), 0)
    inputs = batch.x[..., :2]
    assert (task.spec.trial_steps, task.spec.observations) == (500, 4)
    assert inputs.abs().sum((1, 2)).nonzero()[:, 0].tolist() == list(range(50, 250))
    assert inputs[50:250].std().item() == pytest.approx(math.sqrt(1 + 0.25), abs=0.02)
    assert batch.w.nonzero()[:, 0].unique().tolist() == list(range(250, 500))


def test_the_sign_of_what_was_summed_earns_the_ceiling_of_a_hard_readout():
    task = make(READOUT, sigma=6.0, order="random")
    batch = task.render(torch.arange(2000), 0)
    summed = (batch.x[..., 1:3].double() * batch.x[..., 3:]).sum((0, 2)).sign()
    judged = task.judge(summed.float().expand(len(batch.w), -1)[..., None], batch)
    assert task.spec.ceiling == pytest.approx(norm.cdf(0.25 * math.sqrt(499) / 6))
    for found in (judged.score, judged.correct):
        assert found.mean().item() == pytest.approx(task.spec.ceiling, abs=4 * 0.4 / math.sqrt(2000))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make(CONTEXT, coherences=(-0.1,)), ["coherences", "-0.1", "[0, 1]"]),
        (lambda: make(CONTEXT, catch=0.1), ["catch_duration is 0 ms", "at least dt = 10 ms"]),
        (lambda: make(CONTEXT, catch=0.1, catch_duration=500), ["fixation is false, wanted true"]),
        (lambda: make(READOUT, weights="flat"), ["weights is 'flat'", "'decision'"]),
        (lambda: make(READOUT, timing={"response": 0}), ["timing.response", "at least one step"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
