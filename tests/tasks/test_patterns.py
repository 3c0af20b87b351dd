"""Curves to draw: periods and amplitudes by hand, laws of the systems that are integrated, what a lifetime draws."""

import math

import pytest
import torch

from metaplastic.core import ConfigError
from metaplastic.tasks.patterns import drawn_curves
from metaplastic.tasks.patterns.drawn_curves import FAMILIES
from metaplastic.tasks.patterns.pattern_generation import PatternGeneration
from metaplastic.tasks.patterns.targets import CURVES, SERIES, at, integrated, lorenz, table
from metaplastic.tasks.registry import make

ID = "PatternGeneration-v0"
L = 5
lives = torch.arange(L)


def curve(name: str, dt: float = 1.0) -> torch.Tensor:
    return table(name, dt, "cpu").double()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sine", {0: 0, 50: 1, 150: -1}),
        ("sine_fast", {15: 1, 45: -1}),
        ("sine_slow", {2000: 1, 6000: -1}),
        ("triangle", {0: 0, 75: 0.5, 150: 1, 300: 0, 450: -1}),
        ("square", {0: 1, 299: 1, 300: -1, 599: -1}),
        ("sawtooth", {0: 0, 50: 1, 100: 0, 150: -1}),  # asin(sin) at 5 Hz
        ("product", {0: 0, 125: 0, 50: math.sin(0.4 * math.pi) * math.sin(0.6 * math.pi)}),
        ("sum4", {0: 0, 600: 0, 300: 1.3 / 1.5 * (1 - 1 / 6)}),  # sin(k pi / 2) = 1, 0, -1, 0
    ],
)
def test_curves_by_hand(name, values):
    made = curve(name)[:, 0]
    assert [made[t].item() for t in values] == pytest.approx(list(values.values()), abs=1e-6)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_every_curve_fills_its_period_and_is_the_same_at_another_dt(name):
    length, outputs, _ = CURVES[name]
    made, coarser = curve(name), curve(name, 2.0)
    assert made.shape == (length, outputs)
    if length < SERIES:
        same = slice(len(coarser) // 2) if name == "rising" else slice(None)  # whose second half mirrors step by step
        torch.testing.assert_close(coarser[same], made[::2][same], atol=1e-6, rtol=0)
    assert made.abs().max() <= (1.23 if name == "sum4" else 1 + 1e-6)


@pytest.mark.parametrize("name", ["sum16", "one_shot", "selected", "lorenz", "lorenz_3d", "van_der_pol"])
def test_curves_of_no_given_size_reach_1(name):
    assert curve(name).abs().amax(0).tolist() == pytest.approx([1.0] * CURVES[name][1], abs=1e-3)


def test_the_rising_curve_has_six_cycles_and_is_fastest_in_the_middle():
    made = curve("rising")[:, 0]
    up = ((made[1:] > 0) & (made[:-1] <= 0)).sum().item() + (made[0] == 0 and made[1] > 0) * 0
    assert up == 6
    assert made[250].item() == pytest.approx(math.sin(2 * math.pi * 0.25 * 1.5))
    torch.testing.assert_close(made, -made.flip(0))
    zeros = ((made[1:] > 0) != (made[:-1] > 0)).nonzero()[:, 0]
    gaps = zeros.diff()
    assert gaps.argmin() in range(len(gaps) // 2 - 2, len(gaps) // 2 + 2)


def test_the_integrator_is_of_fourth_order():
    """x' = -100 x: steps of .01 and .005 units are one part each, whose errors go with the fifth power."""
    errors = [
        abs(integrated(lambda state: (-100 * state[0],), (1.0,), step, 2)[1, 0].item() - math.exp(-100 * step))
        for step in (0.01, 0.005)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(5, abs=0.5)


def test_the_lorenz_system_is_reproducible_and_rests_at_its_fixed_points():
    one, again = (integrated(lorenz, (1.0, 1.0, 20.0), 0.01, 300) for _ in range(2))
    assert torch.equal(one, again)
    c = math.sqrt(8 / 3 * 27)  # x = y = sqrt(beta (rho - 1)), z = rho - 1
    rest = integrated(lorenz, (c, c, 27.0), 0.01, 50)
    torch.testing.assert_close(rest, rest[:1].expand(50, 3), atol=1e-9, rtol=0)
    made = curve("lorenz_3d")
    assert made[:, 2].min() > 0  # z stays positive


def test_the_van_der_pol_oscillators_have_their_periods():
    """mu = .3: 2 pi (1 + mu^2 / 16) units of 50 ms; mu = 5: 11.6 units (tabulated)."""
    for name, units in (("van_der_pol", 2 * math.pi * (1 + 0.3**2 / 16)), ("van_der_pol_relaxation", 11.612)):
        x = curve(name)[:, 0]
        rises = ((x[1:] > 0) & (x[:-1] <= 0)).nonzero()[:, 0]
        period = (rises[-1] - rises[0]).item() / (len(rises) - 1)
        assert period == pytest.approx(50 * units, rel=2e-3)


def test_a_curve_goes_on_from_its_start():
    steps = torch.tensor([[0, 599, 600], [601, 1200, 4]])
    assert torch.equal(at("triangle", 1.0, steps)[..., 0], table("triangle", 1.0, "cpu")[steps % 600, 0])


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_what_a_lifetime_draws_is_scaled_closed_and_its_own(name):
    family = FAMILIES[name]
    sines = drawn_curves.born(family, torch.arange(7) * 1_000_003, 500)
    s = torch.arange(501) / 500
    made = drawn_curves.at(family, sines, s[:, None])
    assert made.shape == (501, 7, family.outputs)
    torch.testing.assert_close(made[:500].abs().amax((0, 2)), torch.ones(7))
    torch.testing.assert_close(made[500], made[0], atol=1e-5, rtol=0)
    assert (made[:500] - made[:500, :1]).abs().amax((0, 2))[1:].min() > 0.1
    if family.from_zero:
        assert made[0].abs().max() < 1e-6
    spectrum = torch.fft.rfft(made[:500, 0, 0].double()).abs()
    assert spectrum[1:].topk(len(family.cycles)).indices.sort().values.tolist() == [n - 1 for n in family.cycles]


def test_the_pattern_of_eprop_stays_in_a_lifetime_and_so_do_its_spikes():
    task = make(ID, preset="eprop")
    first, second = (task.render(lives, trial) for trial in (0, 7))
    assert torch.equal(first.y, second.y)
    assert torch.equal(first.x, second.x)
    assert not torch.equal(first.x[:, 0], first.x[:, 1])
    assert first.x.shape == (1000, L, 101)
    spikes = first.x[..., 1:].double()
    assert spikes.mean().item() == pytest.approx(0.05, abs=4 * math.sqrt(0.05 / spikes.numel()))


def test_the_input_selects_the_curve():
    task = make(ID, preset="sussillo09_selected")
    batch = task.render(torch.arange(60), 0)
    which = task.conditions(torch.arange(60), 0)["which"]
    assert len(which.unique()) == 10
    assert torch.equal(batch.x[..., 1:].argmax(-1), which.expand(1800, 60))
    assert torch.equal(batch.y[:1200], batch.y[600:])
    for number in range(10):
        mine = batch.y[:600, which == number, 0]
        assert torch.equal(mine, curve("selected")[600 * number : 600 * (number + 1)].float().expand(-1, mine.shape[1]))


@pytest.mark.parametrize(("preset", "steps"), [("fullforce_osc", 50), ("sussillo09_one_shot", 50), ("nicola17", 0)])
def test_a_pulse_starts_the_curve(preset, steps):
    task = make(ID, preset=preset)
    batch = task.render(lives, 2)
    assert batch.x[:, 0, 0].nonzero()[:, 0].tolist() == list(range(steps))
    assert torch.equal(batch.y[:, 3, 0], table(task.curve, 1.0, "cpu")[:, 0].repeat(10)[: len(batch.y)])


def test_noise_of_the_target_is_drawn_for_every_trial_and_lowers_the_ceiling():
    task = make(ID, preset="sussillo09_noisy")
    assert task.spec.ceiling == pytest.approx(0.5 / (0.5 + 0.04))
    clean = task.model_copy(update={"noise": 0.0})
    curves, noisy = clean.render(torch.arange(200), 0), task.render(torch.arange(200), 0)
    assert not torch.equal(noisy.y, task.render(torch.arange(200), 1).y)
    assert (noisy.y - curves.y).std().item() == pytest.approx(0.2, rel=0.01)
    scores = task.judge(curves.y, noisy).score.double()
    assert scores.mean().item() == pytest.approx(task.spec.ceiling, abs=1e-3)


def test_a_constant_explains_nothing_and_a_late_curve_less():
    task = make(ID, preset="sussillo09")
    batch = task.render(lives, 0)
    outputs = torch.stack((batch.y, torch.zeros_like(batch.y), batch.y.roll(20, 0)), 1)
    score = task.judge(outputs, batch).score[:, 0]
    assert score.tolist()[:2] == [1.0, 0.0]
    assert 0.8 < score[2] < 1


def test_presets_name_the_published_trials():
    lasts = {name: make(ID, preset=name).spec.trial_steps for name in PatternGeneration.presets}
    assert (lasts["fullforce_osc"], lasts["eprop"], lasts["sussillo09_one_shot"]) == (2000, 1000, 2000)
    assert make(ID, preset="nicola17_lorenz").spec.actions == 3
    assert make(ID, preset="nicola17_noisy").noise == 0.05


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"curve": "triangel"}, ["'triangel'", "did you mean 'triangle'?"]),
        ({"timing": {"run": 700}}, ["trials of 700 ms", "not whole periods of 1200", "timing.start"]),
        ({"curve": "lorenz"}, ["a curve without a period", "timing.start"]),
        ({"dt": 7.0, "timing": {"run": 1400}}, ["dt is 7 ms", "divides 1200 ms"]),
        ({"timing": {"run": {"uniform": [600, 1200]}}}, ["timing.run is drawn"]),
        ({"curve": "sines", "noise": 0.1}, ["noise is 0.1, wanted 0"]),
        ({"sigma": 1.0}, ["sigma is 1, wanted 0", "ObsNoise"]),
        ({"frozen": 3, "frozen_rate": 2000.0}, ["frozen_rate is 2000 Hz, wanted at most 1000"]),
    ],
)
def test_wrong_settings_are_told(settings, words):
    with pytest.raises(ConfigError) as caught:
        make(ID, **settings)
    assert all(word in str(caught.value) for word in words), str(caught.value)
