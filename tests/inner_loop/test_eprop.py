"""e-prop against autograd with stopped gradients, its traces against the backward scan, feedback and costs."""

import pytest
import torch
from small_recurrent import (
    GROUPS,
    KEY,
    LIKE,
    SPEC,
    A,
    I,
    L,
    N,
    P,
    S,
    T,
    derivatives,
    leaf,
    normals,
    relative,
    spiking,
    spiking_run,
    trials,
)

from metaplastic.inner_loop.feedback.eprop import EProp, alignment, traced
from metaplastic.inner_loop.gradient.adjoint import backward_filtered, carried, outer_sum
from metaplastic.inner_loop.gradient.bptt import BPTT
from metaplastic.inner_loop.gradient.descent import losses, output_error
from metaplastic.inner_loop.gradient.spiking_gradient import spiking_gradient
from metaplastic.inner_loop.networks.spiking import SpikingRNN, distances

EXACT = 1e-9
STEPS = 24


def case(**options):
    """A network, its state, tensors, inputs, trials and tape; it spikes, and some of its neurons adapt."""
    network, state = spiking(**options)
    given = trials(STEPS, spikes=True)
    tape = network.run(state, given.x)
    assert 0.02 < float(tape.rates.mean()) < 0.7
    return network, state, network.tensors(state), network.shown(given.x), given, tape


def autograd(net, seen, given, *, local, loss="cross_entropy", extra=None, window=None):
    net = leaf(net)
    output, spikes, voltage, level = spiking_run(net, seen, local, window)
    total = losses(output, given, loss, "mean").mean(-1)
    return derivatives(net, total if extra is None else total + extra(spikes, voltage, level))


def estimate(net, tape, error, feedback, **options):
    """What e-prop makes of an error."""
    return spiking_gradient(net, tape, error, feedback, through_others=False, **options)


def gradient(net, tape, error, window=None):
    """Through time, with the surrogate."""
    return spiking_gradient(net, tape, error, net.readout, through_others=True, window=window)


def error_of(tape, given, loss="cross_entropy"):
    return output_error(tape.output, given, loss, "mean")


@pytest.mark.parametrize("options", [{}, {"current": "leak", "threshold": 0.1}, {"refractory": 0.0, "adaptive": 0.0}])
def test_the_network_runs_as_a_plain_loop_does(options):
    _, _, net, seen, _, tape = case(**options)
    output, spikes, _, _ = spiking_run(net, seen, local=False)
    assert torch.equal(tape.rates, spikes)
    assert torch.allclose(tape.output, output, atol=1e-13)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("options", [{}, {"current": "leak", "threshold": 0.1}, {"adaptive": 0.0}])
def test_e_prop_is_autograd_with_the_spikes_that_leave_a_neuron_stopped(options, loss):
    _, _, net, seen, given, tape = case(**options)
    found = estimate(net, tape, error_of(tape, given, loss), net.readout)
    assert relative(found, autograd(net, seen, given, local=True, loss=loss)) < EXACT


def test_bptt_is_autograd_with_the_surrogate():
    _, _, net, seen, given, tape = case()
    found = gradient(net, tape, error_of(tape, given))
    assert relative(found, autograd(net, seen, given, local=False)) < EXACT


@pytest.mark.parametrize("window", [1, 7])
def test_windows_of_bptt_detach_the_whole_state(window):
    _, _, net, seen, given, tape = case()
    found = gradient(net, tape, error_of(tape, given), window)
    assert relative(found, autograd(net, seen, given, local=False, window=window)) < EXACT


def test_e_prop_leaves_something_out_and_still_points_the_same_way():
    _, _, net, _, given, tape = case()
    error = error_of(tape, given)
    pair = [one["recurrent"].flatten() for one in (gradient(net, tape, error), estimate(net, tape, error, net.readout))]
    assert 0.3 < torch.cosine_similarity(*pair, dim=0) < 0.999


@pytest.mark.parametrize("adaptive", [0.0, 0.6])
def test_the_traces_as_stated_give_the_sum_of_the_backward_scan(adaptive):
    _, _, net, _, given, tape = case(adaptive=adaptive)
    signal = carried(error_of(tape, given), net.readout)
    felt = carried(backward_filtered(error_of(tape, given), net.kappa), net.readout)
    assert torch.allclose(felt, backward_filtered(signal, net.kappa), atol=1e-14)
    found = estimate(net, tape, error_of(tape, given), net.readout)
    assert relative({**found, "recurrent": traced(net, tape.slope, tape.before, signal)}, found) < EXACT
    seen = tape.seen[:, None].expand(-1, P, -1, -1, -1)
    assert relative({**found, "input": traced(net, tape.slope, seen, signal)}, found) < EXACT


def test_the_traces_and_the_scan_agree_in_float32():
    network, state, _, _, given, _ = case()
    net = network.tensors({name: value.float() for name, value in state.items()})
    tape = network.run({name: value.float() for name, value in state.items()}, given.x.float())
    error = output_error(tape.output, given._replace(y=given.y.float(), w=given.w.float()), "squared", "mean")
    found = estimate(net, tape, error, net.readout)
    online = traced(net, tape.slope, tape.before, carried(error, net.readout))
    assert relative({**found, "recurrent": online}, found) < 1e-6 * 5


def rate_cost(spikes, *_):
    mean = spikes.mean((0, 3))
    return 0.5 * 3.0 * (mean - 0.02).square().sum(-1)


def voltage_cost(_, voltage, level):
    above, below = (voltage - level).clamp(min=0), (-voltage - level).clamp(min=0)
    return 0.7 * (above.square() + below.square()).mean((0, 3)).sum(-1)


@pytest.mark.parametrize("rule", [EProp, BPTT])
def test_costs_of_rate_and_voltage_are_descended_too(rule):
    network, state, net, seen, given, tape = case()
    one = rule(rate_weight=3.0, rate_target=20.0, voltage_weight=0.7, loss="cross_entropy")
    state = state | {"dt": torch.ones(P, L, dtype=LIKE.dtype)}
    found = one.gradients(network, state, tape, error_of(tape, given))
    extra = lambda *parts: rate_cost(*parts) + voltage_cost(*parts)  # noqa: E731
    assert relative(found, autograd(net, seen, given, local=rule is EProp, extra=extra)) < EXACT
    assert relative(found, autograd(net, seen, given, local=rule is EProp)) > 1e-4


def learned(rule, **options):
    """State at birth and after a trial."""
    network, _ = spiking(**options)
    given = trials(STEPS, spikes=True)
    state = rule.born(network, SPEC, P, KEY, LIKE)
    return state, rule.trial(network, state, given, KEY, 0, learns=True).state


def test_random_feedback_stays_as_it_is():
    before, after = learned(EProp(feedback="random"))
    assert torch.equal(before["feedback"], after["feedback"])
    assert all(not torch.equal(before[name], after[name]) for name in GROUPS)


def test_adaptive_feedback_comes_nearer_to_the_readout_by_its_decay_at_every_write():
    rule = EProp(feedback="adaptive", decay=0.1)
    before, after = learned(rule)
    distance = [state["readout"] - state["feedback"] for state in (before, after)]
    assert torch.allclose(distance[1], 0.9 * distance[0], atol=1e-12)
    assert (alignment(after["readout"], after["feedback"]) > alignment(before["readout"], before["feedback"])).all()


def test_feedback_reaches_neurons_by_its_own_weights():
    network, state, net, _, given, tape = case()
    rule = EProp(feedback="random")
    state = state | rule.more(network, SPEC, state, KEY) | {"dt": torch.ones(P, L, dtype=LIKE.dtype)}
    found = rule.model_copy(update={"rate_weight": 0.0}).gradients(network, state, tape, error_of(tape, given))
    wanted = traced(net, tape.slope, tape.before, carried(error_of(tape, given), state["feedback"]))
    assert torch.allclose(found["recurrent"], wanted, atol=1e-12)


def test_no_autapse_appears_and_no_rate_means_no_change():
    for optimiser in ("adam", "sgd"):
        before, after = learned(EProp(optimiser=optimiser))
        assert (torch.diagonal(after["recurrent"], dim1=-2, dim2=-1) == 0).all()
        assert not torch.equal(before["recurrent"], after["recurrent"])
        before, after = learned(EProp(optimiser=optimiser, eta=0.0))
        assert all(torch.equal(before[name], after[name]) for name in GROUPS)


def test_refractory_neurons_neither_fire_nor_learn():
    *_, tape = case(refractory=4.0)
    fired = tape.rates[:-1]
    for lag in (1, 2, 3):
        assert not (fired[:-lag] * tape.rates[lag:-1]).any()
        assert not (fired[:-lag] * tape.slope[lag:-1]).any()


def test_published_numbers_of_the_evidence_network():
    network = SpikingRNN()
    state = network.born(SPEC, 1, KEY, LIKE)
    assert float(state["beta"][0, 0, -1]) == pytest.approx(0.0174, abs=5e-5)
    assert int((state["beta"] > 0).sum()) == 50
    assert EProp().batch == 64
    assert (EProp().eta, EProp().optimiser, EProp().rate_target) == (0.005, "adam", 10.0)


def test_a_neuron_with_constant_current_fires_at_the_rate_of_its_equation():
    """A LIF neuron with reset by subtraction: mean current minus leak is what the resets take away."""
    network = SpikingRNN(units=1, adaptive=0.0, refractory=0.0, tau=50.0, gain=0.0, bias=True, input_gain=1.0)
    state = network.born(SPEC, 1, KEY, LIKE)
    state = state | {"input": torch.zeros_like(state["input"])}
    state["input"][..., 0] = 0.1
    tape = network.run(state, torch.zeros(3000, L, 1, I, dtype=LIKE.dtype))
    net = network.tensors(state)
    voltage = net.theta * (distances(net, tape.seen) + 1)
    wanted = (0.1 - (1 - float(net.alpha)) * voltage.mean()) / float(net.theta)
    assert float(tape.rates.mean()) == pytest.approx(float(wanted), rel=5e-3)


def test_streams_are_averaged():
    error = normals(2, T, P, L, S, A)
    rates = normals(3, T, P, L, S, N)
    assert torch.allclose(
        outer_sum(error, rates)[1, 0], sum(error[:, 1, 0, s].T @ rates[:, 1, 0, s] for s in range(S)) / S
    )
