"""Comparing two vibrations: trials by hand, published settings, and what one vibration alone would tell."""

import itertools
import math

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare

from metaplastic.tasks.base import one_hot
from metaplastic.tasks.memory.comparison_values import ideal_comparison
from metaplastic.tasks.memory.delay_comparison import ROMO_PAIRS, SONG_PAIRS, DelayComparison

L = 5
PRESETS = tuple(DelayComparison.presets)
KNOWN, UNSEEN = ((0.0, 1.0),), ((math.inf, 1.0),)


def shown(task: DelayComparison, lanes: int = L):
    """Inputs without noise, conditions and bounds of epochs."""
    lives = torch.arange(lanes)
    clean = task.model_copy(update={"sigma": 0.0})
    return clean.render(lives, 0).x, task.conditions(lives, 0), task.epoch_bounds(lives, 0)


def test_a_trial_shows_both_frequencies_as_the_equation_says():
    x, drawn, bounds = shown(DelayComparison())
    for lane in range(L):
        f1, f2 = drawn["first"][lane].item(), drawn["second"][lane].item()
        (_, a), (b, c), (d, e), (f, g), (h, end) = bounds[lane].tolist()
        assert (a, b, c - b, d, g - f, end - h) == (75, 75, 50, 125, 50, 50)
        assert 270 <= e - d < 330
        assert (x[:h, lane, 0] == 1).all()
        assert not x[h:, lane].any()
        assert not x[:a, lane, 1:].any()
        assert not x[d:e, lane, 1:].any()
        for frequency, start in ((f1, b), (f2, f)):
            s = (frequency - 10) / 24
            wanted = torch.tensor([(1 + s) / 2, (1 - s) / 2]).expand(50, 2)
            torch.testing.assert_close(x[start : start + 50, lane, 1:], wanted)


@pytest.mark.parametrize(
    ("preset", "f", "codes"),
    [("pycog", 22.0, (0.8, 0.8)), ("neurogym", 22.0, (0.75,)), ("romo99", 24.0, (0.75, 0.25))],
)
def test_other_codes_by_hand(preset, f, codes):
    task = DelayComparison(preset=preset, pairs=((f, f + 2),), catch=0.0)
    x, _, bounds = shown(task)
    torch.testing.assert_close(x[bounds[0, 1, 0], 0, 1:], torch.tensor(codes))


def test_the_higher_one_is_right_and_waiting_is_not():
    task = DelayComparison(pairs=((18, 10), (10, 18), (22, 30)))
    batch = task.render(torch.arange(40), 0)
    drawn = task.conditions(torch.arange(40), 0)
    label = torch.where(drawn["first"] > drawn["second"], 1, 2)
    due = task.within(batch.epoch, ("decision",)) & (torch.arange(len(batch.w))[:, None] < batch.length)
    right, wrong = (task.judge(one_hot(answer * due, 3), batch) for answer in (label, 3 - label))
    none = task.judge(one_hot(due * 0, 3), batch)
    assert (right.reward == 1).all()
    assert (wrong.reward == 0).all()
    assert (none.reward == -1).all()
    assert not wrong.score.any()
    assert not none.score.any()


def test_every_pair_comes_alike():
    task = DelayComparison(preset="romo99")
    drawn = task.conditions(torch.arange(6000), 3)
    assert chisquare(drawn["kind"].bincount(minlength=13).numpy()).pvalue > 1e-4
    pairs = {(a, b) for a, b in zip(drawn["first"].tolist(), drawn["second"].tolist(), strict=True)}
    assert pairs == set(ROMO_PAIRS)


def test_the_first_vibration_alone_is_right_in_seven_of_ten():
    assert DelayComparison().shortcut_score() == pytest.approx(0.70)
    assert ideal_comparison(SONG_PAIRS, UNSEEN, KNOWN) == pytest.approx(0.70)
    assert ideal_comparison(SONG_PAIRS, UNSEEN, UNSEEN) == pytest.approx(0.5)
    inner = tuple(pair for pair in SONG_PAIRS if pair[0] in (18, 22, 26))
    alone = sum(max(sum(f == a and s for a, *_, s in ((p[0], p[0] > p[1]) for p in inner)), 1) for f in (18, 22, 26))
    assert alone / len(inner) == 0.5  # where the first lies in the middle it tells nothing


def test_a_policy_that_feels_f1_alone_earns_the_shortcut_and_misses_the_criterion():
    task = DelayComparison()
    lives = torch.arange(3000)
    batch, drawn = task.render(lives, 0), task.conditions(lives, 0)
    due = task.within(batch.epoch, ("decision",))
    guess = torch.where(drawn["first"] > 22, 1, 2)
    score = task.judge(one_hot(guess * due, 3), batch).score.mean().item()
    assert score == pytest.approx(0.70, abs=4 * math.sqrt(0.21 / 3000))
    assert task.spec.criterion == pytest.approx(0.97, abs=1e-4)
    for preset in PRESETS:
        other = DelayComparison(preset=preset)
        assert other.spec.criterion > other.catch + (1 - other.catch) * other.shortcut_score()


def test_the_ceiling_is_what_thresholded_estimates_reach_by_simulation():
    pairs, sd = ((0.0, 1.0), (1.0, 0.0), (1.0, 2.0), (2.0, 1.0)), 0.6
    generator = torch.Generator().manual_seed(3)
    which = torch.randint(0, 4, (200_000,), generator=generator)
    levels = torch.tensor(pairs, dtype=torch.float64)
    seen = levels[which] + sd * torch.randn(200_000, 2, generator=generator, dtype=torch.float64)
    log = -0.5 * ((seen[:, None] - levels) / sd).square().sum(-1)
    is_first = levels[:, 0] > levels[:, 1]
    says_first = log[:, is_first].logsumexp(-1) > log[:, ~is_first].logsumexp(-1)
    reached = (says_first == is_first[which]).double().mean().item()
    ideal = ideal_comparison(pairs, ((sd, 1.0),), ((sd, 1.0),))
    assert reached == pytest.approx(ideal, abs=4 * math.sqrt(0.25 / 200_000))
    mixed = ideal_comparison(pairs, ((sd, 0.25), (0.0, 0.75)), ((sd, 1.0),))
    parts = [ideal_comparison(pairs, ((s, 1.0),), ((sd, 1.0),)) for s in (sd, 0.0)]
    assert mixed == pytest.approx(0.25 * parts[0] + 0.75 * parts[1])


def test_catch_trials_come_once_in_eleven_last_2800_ms_and_want_nothing():
    task = DelayComparison(preset="pycog")
    lives = torch.arange(4000)
    batch, drawn = task.model_copy(update={"sigma": 0.0}).render(lives, 0), task.conditions(lives, 0)
    caught = ~drawn["felt"]
    count = int(caught.sum())
    assert chisquare([count, 4000 - count], [4000 / 11, 4000 * 10 / 11]).pvalue > 1e-4
    assert (batch.length[caught] == 280).all()
    assert not batch.x[:, caught][..., 1:].any()
    assert (batch.kind[caught] == len(SONG_PAIRS)).all()
    waits = task.judge(one_hot(torch.zeros_like(batch.epoch, dtype=torch.int64), 3), batch)
    assert torch.equal(waits.correct == 1, caught)


@pytest.mark.parametrize(
    ("preset", "times", "sigma"),
    [
        ("song17", ([75] * 2, [50] * 2, [270, 329], [50] * 2, [50] * 2), math.sqrt(0.2)),
        ("romo99", ([75] * 2, [50] * 2, [300] * 2, [50] * 2, [50] * 2), math.sqrt(0.2)),
        ("pycog", ([10] * 2, [50] * 2, [250, 349], [50] * 2, [30] * 2), math.sqrt(0.02)),
        ("neurogym", ([5] * 2, [5] * 2, [10] * 2, [5] * 2, [1] * 2), 1.0),
        ("psychrnn", ([0, 24], [0, 49], [0, 49], [0, 49], [10, 24]), math.sqrt(0.02)),
    ],
)
def test_presets_have_the_published_times_and_noise(preset, times, sigma):
    task = DelayComparison(preset=preset)
    assert [list(task.timing[name].ends(task.dt)[:2]) for name in task.epochs] == list(times)
    assert task.sigma == sigma
    assert task.dt == (100 if preset == "neurogym" else 10)
    assert len(task.pairs) == (13 if preset == "romo99" else 10)


def test_all_pairs_of_romo_differ_by_8_hz_and_stay_within_6_to_42():
    assert len(set(ROMO_PAIRS)) == 13
    assert {abs(a - b) for a, b in ROMO_PAIRS} == {8.0}
    assert (min(itertools.chain(*ROMO_PAIRS)), max(itertools.chain(*ROMO_PAIRS))) == (6, 42)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pairs": ((18, 18),)}, r"pairs has \(18, 18\), of which neither is higher"),
        ({"lowest": 40}, "highest is 34 Hz, wanted more than lowest = 40"),
        ({"catch": 0.1}, "catch_duration is 0 ms, wanted at least dt = 10"),
        ({"code": "wyde"}, "did you mean 'wide'"),
        ({"timing": {"f1": 505}}, "505 ms, which is not a multiple of dt = 10"),
    ],
)
def test_mistakes_name_the_mend(settings, words):
    with pytest.raises(ValidationError, match=words):
        DelayComparison.model_validate(settings)
