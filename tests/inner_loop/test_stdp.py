"""Rules of spikes: the window by a pairing protocol, drifts of Poisson trains, and the rate that inhibition seeks."""

from __future__ import annotations

import pytest
import torch
from driven_neurons import numbers

from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.rules.library import RULES


def lived(rule, pre: torch.Tensor, post: torch.Tensor, w: torch.Tensor, **scalars: float) -> torch.Tensor:
    """Weights after spike trains [T, P, L, 1, pre] and [T, P, L, post, 1], and the trial's end."""
    program, parameters = rule.program(), numbers(rule)
    traces, signals = to_torch.start(program, w), {}
    for x, y in zip(pre, post, strict=True):
        signals = {"pre": x, "post": y, **{name: w.new_full((1, 1, 1, 1), value) for name, value in scalars.items()}}
        w, traces = to_torch.step(program, parameters, w, traces, signals)
    return to_torch.trial_end(program, parameters, w, traces, signals)


def pair(lag: int, steps: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """One presynaptic spike, and a postsynaptic one `lag` steps after it."""
    pre, post = torch.zeros(2, steps, 1, 1, 1, 1, dtype=torch.float64)
    pre[max(0, -lag)] = 1
    post[max(0, lag)] = 1
    return pre, post


@pytest.mark.parametrize("lag", [-7, -1, 0, 1, 4])
def test_the_window_is_exponential_on_both_sides(lag: int):
    rule = RULES["stdp"](eta=0.1, potentiation=2.0, depression=3.0, pre_decay=0.8, post_decay=0.6)
    w = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    change = lived(rule, *pair(lag), w).item() - 0.5
    wanted = 0.1 * (2.0 * 0.8**lag if lag > 0 else -3.0 * 0.6**-lag if lag < 0 else 0.0)
    assert change == pytest.approx(wanted, abs=1e-15)


def test_soft_bounds_weaken_changes_near_them():
    rule = RULES["stdp"](eta=0.1, softness=2.0, largest=1.5, pre_decay=0.8, post_decay=0.6, depression=3.0)
    w = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)
    assert lived(rule, *pair(3), w).item() - 0.5 == pytest.approx(0.1 * 0.8**3 * 1.0**2)
    assert lived(rule, *pair(-3), w).item() - 0.5 == pytest.approx(-0.3 * 0.6**3 * 0.25)


def test_pairs_of_spikes_hold_the_other_rules():
    """Inhibitory STDP always; STDP where no two spikes are of one step."""
    pre, post = trains(60, 3, 0.2, 0.3)
    w = torch.zeros(1, 3, 1, 1, dtype=torch.float64)
    inhibitory = lived(RULES["inhibitory_stdp"](eta=0.1, rate=0.05, pre_decay=0.8, post_decay=0.9), pre, post, w)
    numbers_of = {
        "eta": -0.1,
        "alpha": -2 * 0.05 / 0.1,
        "gamma": 1.0,
        "kappa": 1.0,
        "pre_decay": 0.8,
        "post_decay": 0.9,
    }
    torch.testing.assert_close(lived(RULES["spike_pairs"](**numbers_of), pre, post, w), inhibitory)
    apart = post * (1 - pre)  # no spikes of the same step
    numbers_of = {"eta": 0.1, "gamma": 2.0, "kappa": -1.5, "pre_decay": 0.8, "post_decay": 0.9}
    pairs = lived(RULES["spike_pairs"](**numbers_of), pre, apart, w)
    settings = {"eta": 0.1, "potentiation": 2.0, "depression": 1.5, "pre_decay": 0.8, "post_decay": 0.9}
    torch.testing.assert_close(pairs, lived(RULES["stdp"](**settings), pre, apart, w))


def trains(steps: int, lives: int, *rates: float) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [(torch.rand(steps, 1, lives, 1, 1, generator=generator) < rate).double() for rate in rates]


def test_the_drift_of_independent_trains_is_that_of_the_windows_area():
    rule = RULES["stdp"](eta=1.0, potentiation=1.0, depression=0.6, pre_decay=0.5, post_decay=0.7)
    steps, lives, x, y = 400, 400, 0.2, 0.3
    w = lived(rule, *trains(steps, lives, x, y), torch.zeros(1, lives, 1, 1, dtype=torch.float64))
    drift = x * y * (0.5 / (1 - 0.5) - 0.6 * 0.7 / (1 - 0.7))
    error = w.std().item() / lives**0.5 / steps
    assert abs(w.mean().item() / steps - drift) < 4 * error + 2e-4  # the traces began at 0
    assert error < abs(drift) / 10


def test_a_reward_that_was_expected_changes_nothing_and_another_follows_the_covariance():
    rule = RULES["reward_stdp"](eta=1.0)
    pre, post = trains(50, 200, 0.2, 0.3)
    w = torch.zeros(1, 200, 1, 1, dtype=torch.float64)
    assert torch.equal(lived(rule, pre, post, w, rpe=0.0), w)
    eligibility = lived(rule, pre, post, w, rpe=1.0)
    assert torch.equal(lived(rule, pre, post, w, rpe=-2.0), -2 * eligibility)
    # E[R e] - Rbar E[e] = Cov(R, e), with R = e + 5 and its mean as expectation
    reward = eligibility + 5
    told = (reward - reward.mean()) * eligibility
    assert told.mean().item() == pytest.approx(eligibility.var(unbiased=False).item(), rel=1e-10)


def test_inhibition_brings_a_neuron_to_its_rate():
    """A leaky integrate-and-fire neuron with steady excitation and plastic inhibition."""
    lives, inputs, steps, rate = 8, 60, 2500, 0.05
    rule = RULES["inhibitory_stdp"](eta=0.001, rate=rate, pre_decay=0.95, post_decay=0.95, dale=-1.0)
    program, parameters = rule.program(), numbers(rule)
    generator = torch.Generator().manual_seed(1)
    drive = 0.2 + 0.3 * torch.arange(lives, dtype=torch.float64).reshape(1, lives, 1, 1) / lives
    w = torch.full((1, lives, 1, inputs), -0.01, dtype=torch.float64)
    traces, v, counts = to_torch.start(program, w), torch.zeros(1, lives, 1, 1, dtype=torch.float64), []
    for spikes in (torch.rand(steps, 1, lives, 1, inputs, generator=generator) < 0.1).double():
        v = 0.9 * v + drive + (w * spikes).sum(-1, keepdim=True)
        fired = (v > 1).double()
        v = v * (1 - fired)
        w, traces = to_torch.step(program, parameters, w, traces, {"pre": spikes, "post": fired})
        counts.append(fired)
    found = torch.stack(counts[-1000:]).mean(0)
    before = torch.stack(counts[:100]).mean(0)
    assert (before > 1.4 * rate).all()
    torch.testing.assert_close(found, torch.full_like(found, rate), rtol=0.1, atol=0)
    assert (w <= 0).all()
