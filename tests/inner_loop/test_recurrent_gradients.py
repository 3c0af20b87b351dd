"""Gradients of leaky rate networks through time, exact and approximate, against autograd."""

import pytest
import torch
from small_recurrent import (
    KEY,
    LIKE,
    SPEC,
    A,
    I,
    L,
    N,
    P,
    T,
    derivatives,
    detached,
    leaf,
    leaky,
    leaky_output,
    normals,
    own_only,
    relative,
    trials,
    whole,
)

from metaplastic.inner_loop.feedback.rflo import RFLO
from metaplastic.inner_loop.gradient.adjoint import carried
from metaplastic.inner_loop.gradient.bptt import BPTT, leaky_gradient
from metaplastic.inner_loop.gradient.descent import losses, output_error
from metaplastic.inner_loop.gradient.rtrl import RTRL, SnAp1, influence_read, local_read, local_trace, summed
from metaplastic.inner_loop.networks.leaky_rnn import LeakyRNN, run

EXACT = 1e-10


def autograd(net, seen, given, cut, loss="squared", window=None):
    net = leaf(net)
    return derivatives(net, losses(leaky_output(net, seen, cut, window), given, loss, "mean").mean(-1))


@pytest.fixture
def case():
    """A network, its state, tensors, inputs, trials and tape."""
    network, state = leaky()
    given = trials()
    return network, state, network.tensors(state), network.shown(given.x), given, network.run(state, given.x)


def test_the_network_runs_as_a_plain_loop_does(case):
    _, _, net, seen, _, tape = case
    assert torch.allclose(tape.output, leaky_output(net, seen, whole), atol=1e-14)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_bptt_is_autograd(case, loss):
    _, _, net, seen, given, tape = case
    error = output_error(tape.output, given, loss, "mean")
    assert relative(leaky_gradient(net, tape, error), autograd(net, seen, given, whole, loss)) < EXACT


def test_one_window_as_long_as_the_trial_is_all_of_bptt(case):
    _, _, net, _, given, tape = case
    error = output_error(tape.output, given, "squared", "mean")
    assert relative(leaky_gradient(net, tape, error, T), leaky_gradient(net, tape, error)) == 0


@pytest.mark.parametrize("window", [1, 4])
def test_windows_detach_the_state_where_they_begin(case, window):
    _, _, net, seen, given, tape = case
    error = output_error(tape.output, given, "squared", "mean")
    found = leaky_gradient(net, tape, error, window)
    assert relative(found, autograd(net, seen, given, whole, window=window)) < EXACT
    assert relative(found, leaky_gradient(net, tape, error)) > 1e-3


def gradients_of(rule, case):
    network, state, _, _, given, tape = case
    return rule.gradients(network, state, tape, output_error(tape.output, given, "squared", "mean"))


def test_rtrl_is_bptt(case):
    assert relative(gradients_of(RTRL(), case), gradients_of(BPTT(), case)) < EXACT


def test_snap_one_is_autograd_with_the_influence_on_others_detached(case):
    _, _, net, seen, given, _ = case
    wanted = autograd(net, seen, given, own_only)
    assert relative(gradients_of(SnAp1(), case), wanted) < EXACT
    assert relative(gradients_of(RTRL(reach=1), case), wanted) < EXACT


def test_rflo_with_symmetric_feedback_is_autograd_with_recurrent_inputs_detached(case):
    _, _, net, seen, given, _ = case
    found = rflo_gradients(RFLO(feedback="symmetric"), case)
    assert relative(found, autograd(net, seen, given, detached)) < EXACT


def rflo_gradients(rule, case):
    network, state, *_ = case
    state = state | rule.more(network, SPEC, state, KEY)
    return gradients_of(rule, (network, state, *case[2:]))


def test_random_feedback_changes_what_neurons_learn_and_not_the_readout(case):
    random, symmetric = (rflo_gradients(RFLO(feedback=word), case) for word in ("random", "symmetric"))
    assert torch.equal(random["readout"], symmetric["readout"])
    assert relative(random, symmetric) > 0.1


def test_the_traces_carried_forward_are_the_product_at_the_end_in_float32():
    network, state = leaky()
    state = {name: value.float() for name, value in state.items()}
    given = trials()
    given = given._replace(x=given.x.float(), y=given.y.float(), w=given.w.float())
    tape, net = network.run(state, given.x), network.tensors(state)
    error = output_error(tape.output, given, "squared", "mean")
    for rule in (RFLO(), SnAp1()):
        all_of_it = state | rule.more(network, SPEC, state, KEY)
        deferred = rule.gradients(network, all_of_it, tape, error)

        def carry(trace, gate, pre, rule=rule, state=all_of_it):
            return rule.carry(net, state, trace, gate, pre)

        online = summed(tape, error, rule.carrier(net, all_of_it), carry, local_read)
        assert relative(online, deferred) < 1e-6


def chain():
    """Each neuron drives the next one, and itself: neuron 0 reaches neuron N - 1 after N - 1 synapses."""
    network, state = leaky()
    keep = torch.eye(N, dtype=LIKE.dtype) + torch.diag(torch.ones(N - 1, dtype=LIKE.dtype), -1)
    state = state | {"recurrent": state["recurrent"] * keep}
    given = trials()
    return network, state, network.tensors(state), network.shown(given.x), given, network.run(state, given.x)


def test_snap_n_is_rtrl_once_it_spans_the_network():
    case = chain()
    wanted = gradients_of(RTRL(), case)
    errors = [relative(gradients_of(RTRL(reach=n), case), wanted) for n in range(1, N + 1)]
    assert errors[-1] < EXACT
    assert all(error > 1e-6 for error in errors[:-1])


def test_snap_one_of_a_chain_keeps_the_diagonal_alone():
    case = chain()
    assert relative(gradients_of(RTRL(reach=1), case), gradients_of(SnAp1(), case)) < EXACT


def test_a_trace_with_its_own_time_constant_decays_by_it(case):
    network, state, net, _, _, tape = case
    rule = RFLO(feedback="symmetric", trace_tau=8.0)
    state = state | rule.more(network, SPEC, state, KEY)
    error = normals(9, T, P, L, 3, A)
    found = rule.gradients(network, state, tape, error)
    trace, total, signal = None, 0.0, carried(error, net.readout)
    for step in range(T):
        kept = torch.full((P, L, 1, N), 1 - 1 / 8.0, dtype=LIKE.dtype)
        trace = local_trace(kept, trace, tape.gate[step], tape.before[step])
        total = total + local_read(trace, signal[step])
    assert torch.allclose(found["recurrent"], total, atol=1e-12)


def test_influence_is_read_as_a_mean_over_streams():
    trace = normals(4, P, L, 3, N, N, I)
    signal = normals(6, P, L, 3, N)
    one = [influence_read(trace[:, :, s : s + 1], signal[:, :, s : s + 1]) for s in range(3)]
    assert torch.allclose(influence_read(trace, signal), sum(one) / 3, atol=1e-12)


def test_brains_are_independent(case):
    network, state, _, _, given, tape = case
    error = output_error(tape.output, given, "squared", "mean")
    alone = {name: value[1:] for name, value in state.items()}
    tape_alone = network.run(alone, given.x)
    assert torch.allclose(tape_alone.output, tape.output[:, 1:], atol=1e-14)
    found = leaky_gradient(network.tensors(alone), tape_alone, error[:, 1:])
    every = leaky_gradient(network.tensors(state), tape, error)
    assert all(torch.allclose(found[name], every[name][1:], atol=1e-14) for name in found)


def test_bptt_points_where_rflo_does_not_quite():
    network = LeakyRNN(units=40, gain=1.2, input_gain=1.0, readout_gain=1.0, tau=10.0)
    state = network.born(SPEC, 1, KEY, LIKE)
    given = trials(steps=60)
    tape = network.run(state, given.x)
    error = output_error(tape.output, given, "squared", "mean")
    rule = RFLO(feedback="symmetric")
    state = state | rule.more(network, SPEC, state, KEY)
    exact, approximate = (one.gradients(network, state, tape, error)["recurrent"] for one in (BPTT(), rule))
    assert 0.4 < torch.cosine_similarity(exact.flatten(), approximate.flatten(), dim=0) < 0.99


def test_the_start_and_the_leak_are_those_of_the_network(case):
    _, state, net, _, _, _ = case
    assert torch.allclose(state["leak"], torch.full((P, L, N), 1 / 3.0, dtype=LIKE.dtype))
    silent = run(net._replace(input=net.input * 0, recurrent=net.recurrent * 0), torch.zeros(2, L, 1, I + 1).to(LIKE))
    assert torch.allclose(silent.rates[1], net.start * (2 / 3) ** 2)
