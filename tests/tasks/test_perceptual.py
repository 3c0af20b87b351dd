"""Random dots and pulses: published values, timelines, ceilings against observers of the frames."""

import math

import pytest
import torch
from scipy.stats import binom
from seen_trials import check_even, played, score_of, seen, total

from metaplastic.core import ConfigError
from metaplastic.tasks.perception import ideal
from metaplastic.tasks.perception.pulses import PulseDecisionMaking
from metaplastic.tasks.registry import make

DOTS = "PerceptualDecisionMaking-v0"


def test_the_published_ceiling_and_those_of_each_coherence():
    task = make(DOTS, preset="song17")
    assert task.spec.ceiling == pytest.approx(0.810, abs=1e-3)
    each = [ideal.two_channels((c,), task.timing["stimulus"], 10.0, task.sigma) for c in task.coherences]
    assert each == pytest.approx([0.5, 0.72, 0.86, 0.97, 0.999], abs=5e-3)


@pytest.mark.parametrize("dt", [5.0, 10.0, 50.0])
def test_the_ceiling_hardly_depends_on_dt(dt):
    assert make(DOTS, preset="song17", dt=dt).spec.ceiling == pytest.approx(0.810, abs=0.01)


def test_presets_carry_the_published_values():
    song, rt, delay = (make(DOTS, preset=name) for name in ("song17", "rt", "delay"))
    assert (song.dt, song.sigma, song.coherences) == (10.0, math.sqrt(2), (0.0, 0.064, 0.128, 0.256, 0.512))
    assert (rt.sigma, rt.reward_decay, rt.coherences[1]) == (math.sqrt(3), 10_000.0, 0.032)
    assert [song.timing[e].ends(10.0)[:2] for e in song.epochs] == [(75, 75), (8, 149), (0, 0), (50, 50)]
    assert delay.timing["delay"].values == (300, 500, 700, 900, 1200, 2000, 3200, 4000)


@pytest.mark.parametrize("directions", [2, 5])
def test_an_observer_of_the_frames_earns_the_ceiling(directions):
    task = make(DOTS, dt=50, directions=directions, coherences=(0.064, 0.256), timing={"decision": 100})
    batch = seen(task)
    answer = total(task, batch, "evidence", "stimulus")
    if directions > 2:  # project on the templates
        angle = torch.arange(directions) * (2 * math.pi / directions)
        answer = answer @ torch.cos(angle[:, None] - angle).double()
    found = score_of(task, batch, answer.argmax(-1) + 1).mean().item()
    assert found == pytest.approx(task.spec.ceiling, abs=4 * 0.5 / math.sqrt(3000))


def test_directions_and_coherences_are_drawn_alike():
    check_even(make(DOTS, directions=3))


def test_a_trial_of_dots_by_hand():
    task = make(DOTS, dt=50, sigma=0, coherences=(0.5,), timing={"fixation": 100, "stimulus": 50, "decision": 100})
    batch = task.render(torch.arange(9), 0)
    left = batch.kind == 0
    high, low = torch.where(left, 0.75, 0.25), torch.where(left, 0.25, 0.75)
    zero, one = torch.zeros(9), torch.ones(9)
    wanted = [(one, zero, zero)] * 2 + [(one, high, low)] + [(zero, zero, zero)] * 2
    assert torch.equal(batch.x, torch.stack([torch.stack(row, -1) for row in wanted]))
    label = int(batch.kind[0]) + 1
    assert played(task, [0, 0, 0, label]) == ([0, 0, 0, 1], [False, False, False, True])
    assert played(task, [0, 0, 0, 0, 0]) == ([0, 0, 0, 0, -1], [False] * 4 + [True])
    assert played(task, [0, 1]) == ([0, -1], [False, True])


def test_a_reaction_pays_less_the_later_it_comes():
    task = make(DOTS, preset="rt", dt=50, timing={"fixation": 50})
    label = int(task.oracle(task.step(task.reset(torch.arange(1))[0], torch.zeros(1, dtype=torch.int64))[0])[0])
    early, late = played(task, [0, label])[0][-1], played(task, [0, 0, 0, 0, 0, label])[0][-1]
    assert (early, late) == (1.0, pytest.approx(math.exp(-200 / 10_000)))


def test_psychrnn_adds_the_coherence_to_one_of_two_equal_inputs():
    task = make(DOTS, preset="psychrnn", sigma=0.0)
    batch = task.render(torch.arange(200), 0)
    shown = batch.epoch == 1
    low, high = batch.x[..., 1:].amin(-1)[shown], batch.x[..., 1:].amax(-1)[shown]
    torch.testing.assert_close(low, torch.ones_like(low))
    assert sorted({round(c, 4) for c in (high - 1).tolist()}) == [0.1, 0.3, 0.5, 0.7]
    assert task.trial_length()[:2] == (25 + 2 + 23, 99 + 74 + 2 + 23)
    per_step = make(DOTS, preset="psychrnn").sigma / math.sqrt(10)
    assert per_step == pytest.approx(math.sqrt(2 * 0.01 * math.sqrt(10) * math.sqrt(10)) * 0.1)


def test_the_noise_of_psychrnn_is_there_all_the_time():
    batch = make(DOTS, preset="psychrnn").render(torch.arange(100), 0)
    within = torch.arange(len(batch.w))[:, None] < batch.length
    for epoch in (0, 2, 3):
        deviation = batch.x[..., 1:][(batch.epoch == epoch) & within].std().item()
        assert deviation == pytest.approx(math.sqrt(0.002), rel=0.1)


def test_a_fixation_goes_off_when_an_answer_is_due_also_after_a_delay():
    """NeuroGym (issue 279) has none: there delay and decision look alike."""
    for preset in ("neurogym", "delay"):
        task = make(DOTS, preset=preset)
        batch = task.render(torch.arange(5), 0)
        due = (batch.epoch == 3) & (torch.arange(len(batch.w))[:, None] < batch.length)
        assert not batch.x[..., 0][due].any()
        assert batch.x[..., 0][batch.epoch < 3].all()


def test_pulses_are_shown_for_a_moment_in_their_bins_and_the_side_with_more_is_right():
    task = make("PulseDecisionMaking-v0", preset="neurogym")
    batch = task.render(torch.arange(2000), 0)
    pulses, wanted = batch.x[..., 1:], batch.y[200:].argmax(-1).amax(0)
    at = pulses.amax((1, 2)).nonzero()[:, 0].tolist()
    assert at == [50 + 25 * k for k in range(6)]  # 10 ms of each bin of 250 ms, after 500 ms
    count = pulses.sum(0)
    clear = count[:, 0] != count[:, 1]
    assert torch.equal(count.argmax(-1)[clear] + 1, wanted[clear])
    ties = wanted[~clear]
    assert 0.3 < (ties == 1).double().mean() < 0.7
    favoured = torch.where(batch.kind == 0, count[:, 0], count[:, 1])
    assert favoured.double().mean().item() == pytest.approx(6 * 0.7, abs=0.1)


def test_the_ceiling_of_pulses_is_lost_to_ties_alone():
    k = torch.arange(7)
    ties = (binom.pmf(k, 6, 0.7) * binom.pmf(k, 6, 0.3)).sum()
    assert PulseDecisionMaking().spec.ceiling == pytest.approx(1 - ties / 2)
    check_even(PulseDecisionMaking(), 5000)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make(DOTS, coherences=(0.1, 1.2)), ["coherences", "1.2", "[0, 1]"]),
        (lambda: make(DOTS, added=True, directions=3), ["added", "directions 3", "wanted 2"]),
        (lambda: make("PulseDecisionMaking-v0", timing={"pulses": 1600}), ["timing.pulses", "250"]),
        (lambda: make("PulseDecisionMaking-v0", chances=(0.7, 1.3)), ["chances", "1.3"]),
        (lambda: make("PulseDecisionMaking-v0", sigma=1.0), ["sigma"]),
    ],
)
def test_mistakes_name_what_came_and_what_was_wanted(call, words):
    with pytest.raises(ConfigError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)
