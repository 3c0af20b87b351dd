"""Recursive least squares against the closed form, the kernel against its reference, FORCE and full-FORCE at work."""

import pytest
import torch

from metaplastic import rng
from metaplastic.core import TrialBatch, Values
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.rls import recursive_least_squares as rls
from metaplastic.inner_loop.rls import student, student_kernel
from metaplastic.inner_loop.rls.force import Force
from metaplastic.inner_loop.rls.full_force import FullForce
from metaplastic.inner_loop.rls.innate import Innate, by_neuron, unchanged_from
from metaplastic.inner_loop.rules.sequence import Trials
from metaplastic.inner_loop.sequence_life import live_sequences
from metaplastic.tasks.patterns.pattern_generation import PatternGeneration
from metaplastic.tasks.timing.timed_pulse import TimedPulse

T, B, A, N = 23, 3, 2, 5


def seen(seed: int, *shape: int) -> torch.Tensor:
    return rng.normals(rng.root(seed), *shape).double()


@pytest.mark.parametrize("forgetting", [1.0, 0.9])
def test_every_step_is_the_ridge_regression_of_all_steps_so_far(forgetting):
    r, target = seen(1, T, B, N), seen(2, T, B, A)
    alpha, lam = torch.tensor([0.1, 1.0, 7.0]).double(), torch.full((B,), forgetting, dtype=torch.float64)
    w, inverse = torch.zeros(B, A, N).double(), rls.start(alpha, N)
    for t in range(T):
        error = (w * r[t][:, None]).sum(-1) - target[t]
        w, inverse = rls.step(w, inverse, r[t], error, lam)
        best = rls.ridge(r[: t + 1], target[: t + 1], alpha, lam)
        assert (w - best).abs().max() < 1e-10


def test_p_is_the_inverse_of_what_was_seen_and_stays_symmetric():
    r, alpha = seen(3, T, B, N), torch.tensor([0.5, 1.0, 2.0]).double()
    inverse = rls.start(alpha, N)
    for t in range(T):
        gain = rls.gain(inverse, r[t], torch.ones(B).double())
        inverse = gain.inverse
        assert torch.equal(inverse, inverse.mT)
        assert torch.allclose(
            (inverse * r[t][:, None]).sum(-1), gain.k, rtol=0, atol=1e-12
        )  # Parga et al. 2022, eq. 34
    square = torch.einsum("tbi,tbj->bij", r, r) + alpha[:, None, None] * torch.eye(N)
    assert torch.allclose(inverse, torch.linalg.inv(square), rtol=0, atol=1e-12)


def test_a_lane_that_does_not_write_keeps_every_bit():
    w, r, error = seen(4, B, A, N), seen(5, B, N), seen(6, B, A)
    inverse, writes = rls.start(torch.ones(B).double(), N), torch.tensor([True, False, True])
    moved, after = rls.step_where(writes, w, inverse, r, error, torch.ones(B).double())
    assert torch.equal(moved[1], w[1])
    assert torch.equal(after[1], inverse[1])
    assert not torch.equal(moved[0], w[0])


P, L = 2, 3
NETWORK = RateRNN(units=11, tau=30.0, gain=1.2, start=0.5, noise=0.05, bias=True)
TASK = PatternGeneration.model_validate({"dt": 12.0, "timing": {"run": 1200}, "trials": 2, "test_trials": 1})


def lived(rule, network=NETWORK, dtype=torch.float32, individuals=P, lifetimes=L, trials=1):
    """What `trials` trials leave, and their last output."""
    lifetime, like = torch.arange(lifetimes), torch.zeros((), dtype=dtype)
    key = rng.lifetime_keys(3, lifetime, rng.INIT)
    state, out = rule.born(network, TASK.spec, individuals, key, like), None
    for trial in range(trials):
        out = rule.trial(network, state, trials_of(TASK.render(lifetime, trial), like), key + trial, trial, True)
        state = out.state
    assert out is not None
    return out


def trials_of(batch: TrialBatch, like: torch.Tensor) -> Trials:
    length = torch.full_like(batch.kind, len(batch.x))[:, None]
    x, y, w = (part.unsqueeze(2).to(like) for part in (batch.x, batch.y, batch.w))
    return Trials(x, y, w, batch.epoch[:, :, None], length)


RULES = [
    Force(interval=3, forgetting=0.99),
    FullForce(alpha=2.0),
    Force(runs_on=False),
    Innate(innate_trials=1),
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_kernel_does_what_the_reference_does(rule, activation, monkeypatch):
    network = NETWORK.model_copy(update={"activation": activation, "density": 0.6})
    quick = lived(rule, network, trials=3)
    monkeypatch.setattr(student_kernel, "fits", lambda _: False)
    slow = lived(rule, network, trials=3)
    assert torch.allclose(quick.output, slow.output, atol=2e-3)
    assert torch.allclose(quick.seen["rates"], slow.seen["rates"], atol=2e-3)
    for name, value in slow.state.items():
        assert torch.allclose(quick.state[name], value, atol=5e-3), name


@pytest.mark.parametrize("rule", [Force(), FullForce(), Innate(innate_trials=0)])
def test_lives_do_not_touch_each_other_and_what_goes_in_is_kept(rule):
    whole, alone = lived(rule), lived(rule, individuals=1, lifetimes=2)
    assert torch.equal(whole.output[:, :1, :2], alone.output)
    state = {name: value.clone() for name, value in whole.state.items()}
    batch = trials_of(TASK.render(torch.arange(L), 0), torch.zeros(()))
    rule.trial(NETWORK, whole.state, batch, rng.lifetime_keys(3, torch.arange(L), rng.INIT), 1, True)
    assert all(torch.equal(state[name], whole.state[name]) for name in state)


@pytest.mark.parametrize("rule", [Force(), FullForce()])
def test_a_smaller_network_in_a_batch_is_the_network_alone(rule):
    units = Values(data=torch.tensor([8.0, 11.0]), per="brain", high=11.0)
    padded = lived(rule, NETWORK.model_copy(update={"units": units}))
    assert (padded.state["learned"][0][..., 8:] == 0).all()
    assert (padded.seen["rates"][:, 0, ..., 8:] == 0).all()
    full = lived(rule)
    assert torch.allclose(padded.output[:, 1], full.output[:, 1], atol=1e-4)


def test_a_student_whose_sums_are_its_teachers_follows_it():
    """W = J + U w_out' where z* = w_out r: then W r = F, and both walk the same way (float64)."""
    j, u, w_out = 0.3 * seen(7, N, N), seen(8, N, 1), 0.2 * seen(9, 1, N)
    x = seen(10, N)
    plant = student.Plant(
        fixed=j[None, None], feedback=u[None, None], leak=torch.full((1, N), 0.1, dtype=torch.float64),
        current=seen(11, 1, N, 1), gain=torch.ones(1).double(), white=torch.zeros(1, N).double(), is_noisy=False,
        activation="tanh", teaches=True,
    )  # fmt: skip
    learned = torch.cat([j + u @ w_out, w_out])[None, None]
    told = (learned[0, 0] @ x.tanh())[None, None]
    walk, z = x, []
    for _ in range(T):
        walk = walk + 0.1 * (learned[0, 0, :N] @ walk.tanh() + plant.current[0, :, 0] - walk)
        z.append(w_out @ walk.tanh())
    start = student.Student(
        learned, torch.eye(N).double()[None, None], x[None, None], told, x[None, None], told[..., :N]
    )
    lesson = student.Lesson(
        torch.ones(T, 1, 1).double(), torch.stack(z)[:, None], torch.zeros(T, 1, 1, dtype=torch.bool),
        torch.ones(1).double(), torch.zeros(1, dtype=torch.int64),
    )  # fmt: skip
    after = student.run(plant, start, lesson).student
    assert torch.allclose(after.shadow, after.x, rtol=0, atol=1e-12)
    assert torch.allclose(after.aim, after.told[..., :N], rtol=0, atol=1e-12)
    assert torch.allclose(after.x[0, 0], walk, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", [Force(), FullForce()])
def test_a_small_network_draws_four_sines_by_itself(rule):
    task = TASK.model_copy(update={"dt": 6.0})
    network = RateRNN(units=120, tau=60.0, gain=1.2, start=0.5)
    score, before = (
        live_sequences(
            network, rule, Reward(), RunningAverage(), task.model_copy(update={"trials": trials}),
            individuals=1, lifetime=torch.arange(5), key=rng.root(0),
        ).score[0]
        for trials in (12, 1)
    )  # fmt: skip
    assert (score > 0.9).sum() >= 4
    assert score.mean() > before.mean() + 0.1


def test_the_synapses_of_a_neuron_are_those_that_are_there():
    w = seen(12, 1, 2, N, N) * (seen(13, 1, 2, N, N) > 0)
    wiring = by_neuron(w)
    again = torch.zeros_like(w).scatter_add(-1, wiring.partners, wiring.weights)
    assert torch.equal(again, w)
    assert torch.equal(wiring.counts, (w != 0).sum(-1))


def test_a_network_is_left_alone_from_the_end_of_the_last_pulse_on():
    x = torch.tensor([0.0, 1, 1, 0, 0, 2, 0, 0])[:, None, None]
    assert unchanged_from(x)[:, 0].tolist() == [False] * 6 + [True] * 2
    assert unchanged_from(torch.zeros(3, 2, 1)).all()


def test_innate_training_makes_a_network_repeat_itself_and_time_a_pulse():
    """A fifth of the published network and of its time; every trial starts elsewhere, the same pulse is shown."""
    timing = {"before": 100, "pulse": 50, "after": 250}
    task = TimedPulse.model_validate({"timing": timing, "bump": 175, "width": 25, "trials": 24, "test_trials": 1})
    network = RateRNN(units=150, tau=10.0, gain=1.8, density=0.3, start=1.0, input_gain=8.0, noise=1e-4)
    record = live_sequences(
        network, Innate(innate_trials=16), Reward(), RunningAverage(), task,
        individuals=1, lifetime=torch.arange(3), key=rng.root(0), record=("rates",),
    )  # fmt: skip
    rates = record.recordings["rates"][:, 151:, 0, :, 0].movedim(2, 1).flatten(2)  # [trial, L, T N], after the pulse
    apart, after, in_test = (1 - torch.cosine_similarity(rates[0], rates[trial], -1) for trial in (1, 16, 24))
    assert (after < 0.45 * apart).all()
    assert (in_test < 0.45 * apart).all()
    assert (record.score[0] > 0.6).all()
