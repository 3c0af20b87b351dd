"""Producing intervals: scores and trials by hand, published settings, what the ideal observer does and earns."""

import math

import pytest
import torch
from seen_trials import check_even, played

from metaplastic.core import ConfigError
from metaplastic.tasks.base import one_hot
from metaplastic.tasks.registry import make
from metaplastic.tasks.timing.interval_values import bell, production_score
from metaplastic.tasks.timing.ready_set_go import ReadySetGo
from metaplastic.tasks.timing.timed_pulse import TimedPulse

GO, RAMP, BUMP, PULSE = "ReadySetGo-v0", "ReadySetGoRamp-v0", "ReadySetGoReadout-v0", "TimedPulse-v0"
L = 3000


def going(task: ReadySetGo, steps: torch.Tensor, trial: int = 0) -> torch.Tensor:
    """Scores of going this many steps after set in lifetimes 0, 1, …"""
    lives = torch.arange(len(steps))
    batch = task.render(lives, trial)
    set_ = task.epoch_bounds(lives, trial)[:, 2, 0]
    action = (torch.arange(len(batch.w))[:, None] == set_ + steps).to(torch.int64)
    return task.judge(one_hot(action, 2), batch).score


def test_the_score_of_an_error_by_hand():
    """t_g = 800 ms: W = 0.2 * 800 + 25 = 185 ms."""
    eps = torch.tensor([0.0, 37.0, 92.5, 150.0, 185.0, 185.1], dtype=torch.float64)
    wanted = [1.0, 0.8**1.5, 0.5**1.5, 0.1, 0.1, 0.0]
    assert production_score(eps, torch.tensor(185.0)).tolist() == pytest.approx(wanted)


def test_going_at_the_right_time_or_30_ms_off():
    task = make(GO, priors=[600])
    goal = torch.full((L,), 60)
    assert (going(task, goal) == 1).all()
    for off in (-3, 3):
        torch.testing.assert_close(going(task, goal + off), torch.full((L,), (1 - 30 / 145) ** 1.5))
    assert not going(task, goal + 15).any()


def test_a_trial_by_hand():
    """400 ms, times 1.5: 60 steps of 10 ms, and 2.5 * 600 + 300 ms to answer."""
    task = make(GO, priors=[400], gains=[1.5], timing={"fixation": 200})
    x = task.render(torch.arange(2), 0).x[:, 0]
    assert len(x) == 20 + 40 + 180
    fixation, ready, set_ = (x[:, k].nonzero()[:, 0].tolist() for k in range(3))
    assert fixation == list(range(60))
    assert ready == list(range(20, 30))
    assert set_ == list(range(60, 70))
    assert task.render(torch.arange(2), 0).y[:, 0].argmax(-1).nonzero()[:, 0].tolist() == list(range(120, 240))


def test_what_a_trial_pays():
    task = make(GO, priors=[400], timing={"fixation": 200}, trials=1, test_trials=1)
    assert played(task, [0] * 30 + [1])[0][-1] == -1  # in the measured interval
    rewards, ends = played(task, [0] * 100 + [1])
    assert (rewards[-1], ends.index(True)) == (1, 100)
    rewards, ends = played(task, [0] * 190)
    assert (sum(rewards), ends.index(True)) == (0, 189)


def test_priors_and_gains_are_cued_and_drawn_alike():
    for preset, told in (("sohn19", "prior"), ("remington18", "gain")):
        task = make(GO, preset=preset)
        check_even(task)
        x, drawn = task.render(torch.arange(50), 0).x, task.conditions(torch.arange(50), 0)
        assert task.spec.channels[told] == (3, 5)
        assert torch.equal(x[0, :, 3:], one_hot(drawn[told], 2))


def test_presets_carry_the_published_values():
    spans = {"js10_short": (490, 850), "js10_mid": (670, 1020), "js10_long": (850, 1200), "js15": (530, 1060)}
    for preset, (low, high) in spans.items():
        (prior,) = make(GO, preset=preset).priors
        assert [10 * step for step in prior.ends(10.0)[:2]] == [low, high]
        assert len(prior.values) == 11
    short, long = make(GO, preset="sohn19").priors
    assert (short.values, long.values) == ((480, 560, 640, 720, 800), (800, 900, 1000, 1100, 1200))
    remington = make(GO, preset="remington18")
    assert (remington.gains, remington.spec.trial_types) == ((1.0, 1.5), 2)
    neurogym = make(GO, preset="neurogym")
    assert (neurogym.dt, neurogym.priors[0].values, neurogym.early) == (80.0, (800.0, 1500.0), "penalise")
    assert (neurogym.rewards.early, neurogym.margin, neurogym.slack) == (-0.1, 0.2, 25.0)


def test_noise_of_the_measurement_grows_with_the_interval():
    assert bell().mean == pytest.approx(0, abs=1e-9)
    task = make(GO, priors=[{"choice": [500, 1000]}], measure_noise=0.1)
    drawn = task.conditions(torch.arange(20_000), 0)
    for sample in (50, 100):
        seen = drawn["measured"][drawn["sample"] == sample].double()
        assert seen.mean().item() == pytest.approx(sample, abs=4 * 0.1 * sample / 100)
        # rounding to steps adds 1/12, and the tails are cut at three standard deviations
        assert seen.std().item() == pytest.approx(math.hypot(0.1 * sample * 0.987, 1 / math.sqrt(12)), rel=0.03)


@pytest.mark.parametrize("preset", ["js10_short", "js10_mid", "js10_long", "js15"])
def test_the_ideal_observer_is_biased_towards_the_mean(preset):
    task = make(GO, preset=preset, measure_noise=0.1)
    measured, best = task.best_production()
    table = torch.full((int(measured.max()) // 10 + 1,), torch.nan, dtype=torch.float64)
    table[(measured // 10).long()] = best.double()
    drawn = task.conditions(torch.arange(20_000), 0)
    sample, produced = drawn["sample"].double() * 10, table[drawn["measured"]]
    slope = torch.cov(torch.stack((sample, produced)))[0] / sample.var()
    assert 0.3 < slope[1] < 0.9
    early, late = sample == sample.min(), sample == sample.max()
    assert produced[early].mean() > sample.min() + 10
    assert produced[late].mean() < sample.max() - 10


def test_without_noise_the_ideal_observer_reproduces():
    measured, best = make(GO, preset="remington18").best_production(gain=1)
    assert torch.equal(best, (measured * 1.5 + 5) // 10 * 10)
    assert make(GO, preset="remington18").spec.ceiling == 1


def test_the_same_measurement_is_produced_later_where_the_prior_is_longer():
    """Jazayeri & Shadlen 2010, figure 2: 847 ms ends one prior, lies within another and begins a third."""
    produced = []
    for preset in ("js10_short", "js10_mid", "js10_long"):
        measured, best = make(GO, preset=preset, measure_noise=0.1).best_production()
        produced.append(best[(measured - 850).abs().argmin()].item())
    assert produced == sorted(produced)
    assert produced[0] < produced[2]


def test_who_follows_the_ideal_observer_earns_the_ceiling_and_a_fixed_time_not_the_criterion():
    task = make(GO, measure_noise=0.1)
    measured, best = task.best_production()
    table = torch.zeros(int(measured.max()) // 10 + 1, dtype=torch.int64)
    table[(measured // 10).long()] = (best // 10).long()
    scores = going(task, table[task.conditions(torch.arange(L), 0)["measured"]]).double()
    margin = 4 * scores.std().item() / math.sqrt(L)
    assert scores.mean().item() == pytest.approx(task.spec.ceiling, abs=margin)
    fixed = max(going(task, torch.full((L,), steps)).mean().item() for steps in range(40, 120, 10))
    assert fixed == pytest.approx(0.293, abs=0.03)
    assert fixed + margin < task.spec.criterion == pytest.approx((0.2928 + task.spec.ceiling) / 2, abs=1e-4)


def test_the_ramp_reaches_1_at_the_goal():
    for tau, middle in ((None, 0.5), (200.0, math.expm1(1) / math.expm1(2))):
        task = make(RAMP, priors=[400], timing={"fixation": 200}, ramp_tau=tau)
        y = task.render(torch.arange(2), 0).y[:, 0, 0]
        assert not y[:61].any()
        assert y[80].item() == pytest.approx(middle)
        assert y[99] < 1
        assert (y[100:] == 1).all()


def test_an_output_goes_when_it_first_reaches_1():
    task = make(RAMP, priors=[400], timing={"fixation": 200})
    lives = torch.arange(3)
    batch = task.render(lives, 0)
    output = torch.full_like(batch.y, 0.999)
    output[torch.tensor([103, 100, 40]), lives] = torch.tensor([[1.0], [1.7], [1.0]])
    output[110:] = 5.0
    verdict = task.judge(output, batch)
    assert verdict.score.tolist() == pytest.approx([(1 - 30 / 105) ** 1.5, 1, 0])
    assert verdict.reward.tolist() == pytest.approx([(1 - 30 / 105) ** 1.5, 1, -1])


def test_a_bump_comes_when_the_interval_has_passed_again():
    """Baseline -.5, to 1 in the middle of 500 ms; a quarter in, (4 * 1/4 * 3/4)^3 = 27/64 of the way."""
    task = make(BUMP, preset="fullforce", timing={"before": 10, "measure": {"choice": [100, 300]}})
    lives = torch.arange(8)
    batch, bounds = task.render(lives, 0), task.epoch_bounds(lives, 0)
    for lane in range(8):
        lasts = int(bounds[lane, 2, 1] - bounds[lane, 2, 0])
        assert lasts in (100, 300)
        go = 10 + 50 + lasts + 50 + lasts
        y = batch.y[:, lane, 0]
        assert y[[0, go, go + 250, go + 500]].tolist() == pytest.approx([-0.5, -0.5, 1.0, -0.5])
        assert y[[go + 125, go + 375]].tolist() == pytest.approx([-0.5 + 1.5 * 27 / 64] * 2, abs=1e-5)
        assert batch.length[lane] == go + 510
        assert batch.x[:, lane, 0].nonzero()[:, 0].tolist() == list(range(10, 60))
        assert batch.x[:, lane, 1].nonzero()[:, 0].tolist() == list(range(60 + lasts, 110 + lasts))
        assert (batch.w[: go + 510, lane] == 1).all()


def test_the_hint_rises_to_the_interval_and_falls_to_0():
    task = make(BUMP, timing={"before": 10, "measure": 300})
    hint = task.hints(torch.arange(2), 0)[:, 0]
    assert hint[[60, 385, 710]].tolist() == pytest.approx([0, 0.3, 0])
    assert hint[60 + 65].item() == pytest.approx(0.3 * 65 / 325)
    assert not hint[710:].any()


def test_presets_of_the_bump_carry_the_published_values():
    published, short = make(BUMP, preset="fullforce"), make(BUMP, preset="short")
    assert (published.dt, published.timing["measure"].values) == (1.0, (100.0, 2100.0))
    shortest, longest = 200 + 50 + 100 + 50 + 100 + 500 + 200, 4199 + 50 + 2099 + 50 + 2099 + 500 + 4199
    assert published.trial_length()[:2] == (shortest, longest)
    assert short.spec.trial_steps * short.dt < 2500


def test_a_timed_pulse_by_hand():
    task = make(PULSE, preset="laje13", timing={"before": 20}, bump=250)
    batch = task.render(torch.arange(2), 0)
    y = batch.y[:, 0, 0]
    assert batch.x[:, 0, 0].nonzero()[:, 0].tolist() == list(range(20, 70))
    assert y[[270, 240, 300, 210]].tolist() == pytest.approx([1, math.exp(-0.5), math.exp(-0.5), math.exp(-2)])
    assert task.judge(batch.y, batch).score.tolist() == [1, 1]
    for useless in (batch.y.roll(60, 0), torch.zeros_like(batch.y)):  # two widths late, or not at all
        assert not task.judge(useless, batch).score.any()


@pytest.mark.parametrize(
    ("id", "settings", "words"),
    [
        (GO, {"gains": [0.0]}, ["gains", "above 0"]),
        (GO, {"priors": [100]}, ["shortest interval is 100 ms", "pulse + dt = 110", "ready must end before set"]),
        (GO, {"measure_noise": 0.3}, ["shortest interval is 53 ms"]),
        (GO, {"preset": "js16"}, ["'js16'", "did you mean 'js15'?"]),
        (GO, {"timing": {"fixate": 100}}, ["timing.fixate", "did you mean 'fixation'?"]),
        (RAMP, {"ramp_tau": 0.0}, ["ramp_tau", "greater than 0"]),
        (BUMP, {"timing": {"ready": 55}, "dt": 10.0}, ["timing.ready", "multiple of dt = 10"]),
        (PULSE, {"bump": 2000.0}, ["bump is 2000 ms, wanted at most 1110", "timing.after longer"]),
    ],
)
def test_wrong_settings_are_told(id, settings, words):
    with pytest.raises(ConfigError) as caught:
        make(id, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_default_pulse_is_the_preset():
    assert make(PULSE, preset="laje13").model_copy(update={"preset": None}) == TimedPulse()
