"""full-FORCE for spiking neurons: a step by hand, the components, who sees the target when, and the whole of it."""

import math

import pytest
import torch

from metaplastic import rng
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.rls import student_kernel
from metaplastic.inner_loop.rls.full_force_spiking import FullForceSpiking, concluded, principal
from metaplastic.inner_loop.rls.spiking_student import spiking_step
from metaplastic.inner_loop.rules.sequence import Lived, State, Trials
from metaplastic.inner_loop.sequence_life import live_sequences
from metaplastic.tasks.patterns.pattern_generation import PatternGeneration

P, L, N, C = 2, 1, 3, 2
NETWORK = RateRNN(units=9, tau=10.0, gain=1.4, start=1.0, integration="exponential")
TASK = PatternGeneration.model_validate({"dt": 20.0, "timing": {"run": 1200}, "trials": 9, "test_trials": 1})
RULE = FullForceSpiking(settle=1, component_trials=2, mean_trials=2, membrane=50.0, fast=50.0)


def test_a_step_of_three_neurons_by_hand():
    """dt 1; the first is pushed by 5, the second by -2, the third is not there; all hear h = -1."""
    one = lambda *values: torch.tensor(values, dtype=torch.float64).expand(P, L, -1)  # noqa: E731
    own = {name: torch.full((P, 1), value, dtype=torch.float64) for name, value in {
        "membrane": 0.9, "reset": -10.0, "slow": 0.99, "fast": 0.8, "kick": -20.0}.items()}  # fmt: skip
    drive, push = torch.zeros(P, L, N, C).double(), torch.zeros(P, L, N, 1).double()
    drive[..., 0, 0], drive[..., 1, 1], push[..., 0, 0] = 2.0, 1.0, 4.0
    state = {
        "leak": one(0.1, 0.1, 0.0), "drive": drive, "push": push, "y": one(2.0, -1.0), "mean": one(0.0, 1.0, 0.0),
        "h": torch.full((P, L), -1.0).double(), "v": one(-0.2, -1.0, 0.0), "s": one(1.0, 2.0, 3.0, 4.0),
        "heard": torch.full((P, L), 2),
    }  # fmt: skip
    after = spiking_step(state, own, torch.tensor([[0.25]]).double())
    assert after["spikes"][0, 0].tolist() == [1, 0, 0]  # V = 2 2 + 4 .25 - 1 = 4: v = 4 + (-.2 - 4) .9 = .22
    assert after["v"][0, 0, 0] == -10
    assert after["v"][0, 0, 1] == pytest.approx(-3 + (-1 + 3) * 0.9, abs=1e-12)  # V = -1 - 1 - 1
    assert after["h"][0, 0] == pytest.approx(-1 * 0.8 - 20, abs=1e-12)
    assert after["s"][0, 0].tolist() == pytest.approx([1.99, 1.98, 3.4, 3.2], abs=1e-12)


def test_components_are_the_fewest_with_their_share_of_the_variance():
    q = torch.linalg.qr(rng.normals(rng.root(0), 5, 5).double()).Q
    spread = torch.tensor([6.0, 3.0, 0.9, 0.1, 0.0]).double()
    covariance = (q * spread) @ q.T
    two, four = (
        principal(covariance.expand(1, 1, 5, 5), torch.tensor([share]).double())[0, 0] for share in (0.89, 0.995)
    )
    assert two.shape == (5, 2)
    assert four.shape == (5, 4)
    assert torch.allclose(four.T @ four, torch.eye(4).double(), rtol=0, atol=1e-12)
    assert torch.allclose((four.T @ covariance @ four).diagonal(), spread[:4], rtol=0, atol=1e-12)
    wide = principal(covariance.expand(2, 1, 5, 5), torch.tensor([0.89, 0.995]).double())
    assert (wide[0, ..., 2:] == 0).all()  # others in the batch add columns of 0 alone
    assert torch.equal(wide[0, 0, :, :2], two)


def one_more(state: State, number: int, learns: bool = True, target: float = 1.0) -> Lived:
    """A trial of two lives; its targets are multiplied."""
    batch, like = TASK.render(torch.arange(2), number), state["v"]
    x, y, w = (part.unsqueeze(2).to(like) for part in (batch.x, batch.y * target, batch.w))
    shown = Trials(x, y, w, batch.epoch[:, :, None], torch.full((2, 1), len(x)))
    return RULE.trial(NETWORK, state, shown, rng.lifetime_keys(number, torch.arange(2)), number, learns)


def run(trials: int, dtype: torch.dtype = torch.float64) -> State:
    """The state after so many trials."""
    like = torch.zeros((), dtype=dtype)
    state = RULE.born(NETWORK, TASK.spec, P, rng.lifetime_keys(1, torch.arange(2), rng.INIT), like)
    for number in range(trials):
        state = one_more(state, number).state
    return state


@pytest.mark.parametrize("before", [2, 4, 5, 6])
def test_the_kernel_does_what_the_reference_does(before, monkeypatch):
    """Components, mean inputs, the teacher's currents, learning: the same trial from the same state."""
    state = run(before, torch.float32)
    quick = one_more(state, before)
    monkeypatch.setattr(student_kernel, "fits", lambda _: False)
    slow = one_more(state, before)
    assert torch.allclose(quick.output, slow.output, atol=2e-3)
    assert torch.equal(quick.seen["rates"], slow.seen["rates"])
    for name in ("shadow", "covariance", "sum", "mean", "v", "h", "s", "inverse", "learned"):
        scale = slow.state[name].abs().max() + 1 if slow.state[name].numel() else 1
        assert torch.allclose(quick.state[name], slow.state[name], atol=2e-3 * float(scale)), name
    assert before < 4 or quick.seen["rates"].sum() > 5


def test_the_phases_follow_each_other():
    names = [RULE.phase(number) for number in range(8)]
    assert names == ["settle", "components", "components", "means", "means", "settle", "learn", "learn"]


def test_components_come_first_then_the_mean_then_weights():
    assert run(1)["components"].shape[-1] == 0
    found = run(3)
    assert found["components"].shape[-1] > 0
    assert (found["mean"] == 0).all()
    assert (run(5)["mean"] != 0).any()
    assert (run(6)["learned"] == 0).all()
    assert (run(7)["learned"] != 0).any()


def test_in_the_test_nothing_is_learned_and_targets_are_not_seen():
    before = run(8)
    one, other = one_more(before, 8, False), one_more(before, 8, False, target=-3.0)
    assert torch.equal(one.output, other.output)
    assert torch.equal(one.state["learned"], before["learned"])
    assert torch.equal(one.state["inverse"], before["inverse"])
    assert not torch.equal(
        one_more(before, 8).output, one_more(before, 8, target=-3.0).output
    )  # while learning they are


def test_without_spikes_the_potential_relaxes_exactly():
    state = run(6)
    own = {
        "membrane": torch.full((P, 1), math.exp(-20 / 50), dtype=torch.float64),
        "reset": torch.full((P, 1), -10.0).double(),
    }
    own |= {name: torch.zeros(P, 1).double() for name in ("slow", "fast", "kick")}
    state |= {"y": torch.zeros_like(state["y"]), "mean": torch.ones_like(state["mean"]), "v": -3 + 0 * state["v"]}
    state |= {"h": torch.zeros_like(state["h"])}
    for _ in range(4):
        state = spiking_step(state, own, torch.zeros(2, 1).double())
    assert (state["v"] - (-1 - 2 * math.exp(-4 * 20 / 50))).abs().max() < 1e-12


def test_a_phase_that_asks_for_nothing_changes_nothing():
    state = run(1)
    assert concluded(state, "settle", torch.ones(P).double(), 1) is state


@pytest.mark.slow
def test_a_spiking_network_draws_four_sines():
    task = PatternGeneration.model_validate({"timing": {"start": 50, "run": 1150}, "trials": 36, "test_trials": 2})
    network = RateRNN(units=150, tau=10.0, gain=1.4, start=1.0, integration="exponential")
    rule = FullForceSpiking(settle=2, component_trials=2, mean_trials=3)
    record = live_sequences(
        network, rule, Reward(), RunningAverage(), task,
        individuals=1, lifetime=torch.arange(2), key=rng.root(0), record=("rates",),
    )  # fmt: skip
    hertz = 1000 * record.recordings["rates"][-1].mean()
    print("score", record.score.tolist(), "rate", float(hertz), "Hz")
    assert (record.score > 0.9).all()
    assert 3 < hertz < 40
