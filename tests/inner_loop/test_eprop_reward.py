"""Reward-based e-prop against autograd of its losses, and against its errors of prediction taken as they come."""

import pytest
import torch
from small_recurrent import (
    GROUPS,
    KEY,
    LIKE,
    SPEC,
    A,
    L,
    N,
    P,
    S,
    derivatives,
    different,
    leaf,
    normals,
    spiking_run,
    trials,
)

from metaplastic import rng
from metaplastic.inner_loop.feedback.eprop import traced
from metaplastic.inner_loop.feedback.eprop_reward import EPropReward, chosen, drawn, gumbel
from metaplastic.inner_loop.networks.spiking import SpikingRNN, tensors
from metaplastic.inner_loop.rules.sequence import Trials

STEPS = 20
CHOICE = SPEC._replace(response="choice")
PLAIN = {"rate_weight": 0.0, "voltage_weight": 0.0}


def case(**options):
    """A rule, its state, what it did, and a reward for each stream."""
    rule = EPropReward(discount=0.9, value_weight=0.7, entropy=0.2, **{**PLAIN, **options})
    network = SpikingRNN(units=N, tau=6.0, tau_adaptation=30.0, refractory=2.0, input_gain=1.5)
    state = different(rule.born(network, CHOICE, P, KEY, LIKE))
    given = trials(STEPS, spikes=True)
    tape = network.run(state, given.x)
    likely = tape.output + torch.tensor([2.0, 0.0], dtype=LIKE.dtype)  # to wait, most of the time
    action = (likely + gumbel(KEY, tape.output)).argmax(-1)
    did = chosen(tape.output, action, given.length)
    assert 1 < float(did.alive.sum(0).double().mean()) < STEPS
    return rule, state, given, tape, (did, action), normals(30, P, L, S)


def losses(rule, output, value, did, reward):
    """The actor's and the critic's losses of each brain."""
    did, action = did
    target = 0.9**did.left * reward
    log_chance = torch.log_softmax(output, -1)
    taken = log_chance.gather(-1, action[..., None])[..., 0]
    entropy = -(log_chance.exp() * log_chance).sum(-1)
    gain = target - value
    each = -taken * gain.detach() + 0.5 * rule.value_weight * gain**2 - rule.entropy * entropy
    return (each * did.alive).sum(0).mean(-1)


def test_it_is_autograd_of_the_losses_with_the_spikes_that_leave_a_neuron_stopped():
    rule, state, given, tape, did, reward = case()
    net, critic = leaf(tensors(state)), state["value"].clone().requires_grad_()
    output, spikes, _, _ = spiking_run(net, given.x, local=True)
    value = filtered_plainly(spikes @ critic.mT, net.kappa)[..., 0]
    total = losses(rule, output, value, did, reward)
    wanted = derivatives(net, total) | {
        "value": torch.autograd.grad(losses(rule, *remade(state, critic, given), did, reward).sum(), critic)[0]
    }
    found = rule.gradients(None, state, tape, rule.errors(state, tape, did[0], reward))
    for name in (*GROUPS, "value"):
        assert torch.allclose(found[name], wanted[name], atol=1e-9 * float(wanted[name].abs().max()))


def remade(state, critic, given):
    output, spikes, _, _ = spiking_run(tensors(state), given.x, local=True)
    return output, filtered_plainly(spikes @ critic.mT, tensors(state).kappa)[..., 0]


def filtered_plainly(current, kappa):
    rows, smooth = [], torch.zeros_like(current[0])
    for now in current:
        smooth = kappa * smooth + (1 - kappa) * now
        rows.append(smooth)
    return torch.stack(rows)


def test_it_is_the_sum_of_errors_of_prediction_times_the_discounted_traces():
    """Equation (3) as it is stated, stream by stream."""
    rule, state, _, tape, did, reward = case()
    rule = rule.model_copy(update={"entropy": 0.0})
    (did, action), net, value = did, tensors(state), rule.value(state, tape)
    taken = torch.nn.functional.one_hot(action, A).to(LIKE)
    signal = torch.einsum("tplsa,plan->tplsn", tape.output.softmax(-1) - taken, state["readout"])
    signal = (signal - rule.value_weight * state["value"][:, :, 0][:, :, None]) * did.alive[..., None]
    total = torch.zeros_like(state["recurrent"])
    for s in range(S):
        one = slice(s, s + 1)
        for p in range(P):
            last = int(did.alive[:, p, 0, s].sum()) - 1
            sums = torch.zeros(N, N, dtype=LIKE.dtype)
            for t in range(last + 1):
                credit = torch.zeros_like(sums)  # F_gamma(L e)_t
                parts = [trace_of(net, tape, signal, u, one, p) for u in range(t + 1)]
                credit = sum(0.9 ** (t - u) * part for u, part in enumerate(parts))
                coming = 0.9 * value[t + 1, p, 0, s] if t < last else reward[p, 0, s]
                sums = sums + (coming - value[t, p, 0, s]) * credit
            total[p, 0] += sums / S
    found = rule.gradients(None, state, tape, rule.errors(state, tape, did, reward))["recurrent"]
    assert torch.allclose(found, total, atol=1e-10)


def trace_of(net, tape, signal, step, one, p):
    """L_i F_kappa(e_ij) of one step, by the traces."""
    alone = torch.zeros_like(signal[:, :, :, one])
    alone[step] = signal[step, :, :, one]
    return traced(net, tape.slope[:, :, :, one], tape.before[:, :, :, one], alone)[p, 0]


def test_actions_are_drawn_from_the_softmax():
    output = torch.tensor([0.0, 1.0, -1.0]).expand(4000, 1, 1, 5, 3)
    drawn = (output + gumbel(rng.fold(rng.root(2), torch.zeros(1, dtype=torch.int64)), output)).argmax(-1)
    counts = torch.bincount(drawn.flatten(), minlength=3) / drawn.numel()
    assert torch.allclose(counts, output[0, 0, 0, 0].softmax(-1), atol=0.012)


def test_a_trial_ends_with_its_first_answer_or_in_time():
    output = torch.zeros(5, 1, 1, 3, 2)
    output[..., 0] = 1.0
    output[2:, 0, 0, 1, 1] = 2.0
    did = chosen(output, output.argmax(-1), torch.tensor([[5, 5, 3]]))
    assert did.alive[:, 0, 0].sum(0).tolist() == [5, 3, 3]
    assert did.left[:, 0, 0, 1].tolist() == [2, 1, 0, 0, 0]


def test_outputs_that_are_no_choice_are_drawn_from_a_gaussian():
    noise = normals(31, STEPS, P, L, S, A)
    output = normals(32, STEPS, P, L, S, A).requires_grad_()
    deviation = torch.tensor([0.5, 2.0], dtype=LIKE.dtype)[:, None, None, None]
    action = (output + deviation * noise).detach()
    cost = 0.5 * ((action - output) / deviation).square()  # - log of the chance of the action
    did = drawn(deviation * noise, deviation, torch.full((L, S), STEPS))
    assert torch.allclose(did.pull, torch.autograd.grad(cost.sum(), output)[0], atol=1e-12)
    assert did.alive.all()
    assert did.left[:, 0, 0, 0].tolist() == list(range(STEPS))[::-1]


@pytest.mark.parametrize("spec", [CHOICE, SPEC])
def test_what_was_done_waits_for_the_judgement_and_is_then_forgotten(spec):
    rule = EPropReward()
    network = SpikingRNN(units=N, input_gain=2.0)
    state = rule.born(network, spec, P, KEY, LIKE)
    lived = rule.trial(network, state, trials(STEPS, spikes=True), KEY, 0, learns=True)
    after = rule.told(lived.state, torch.ones(P, L, S, dtype=LIKE.dtype), torch.zeros(P, L, S, dtype=LIKE.dtype))
    assert set(after) == set(state)
    assert all(not torch.equal(after[name], state[name]) for name in (*GROUPS, "value"))
    test = rule.trial(network, after, trials(STEPS, spikes=True), KEY, 0, learns=False)
    assert set(test.state) == set(state)


def two_sides(number, lives=3, streams=32, steps=40, inputs=8):
    """Half of the input neurons fire: which half is the side that is to be named, 1 or 2; 0 waits."""
    key = rng.fold(rng.fold(rng.root(3), number), torch.arange(lives))
    side = rng.uniforms(key, streams) < 0.5
    fires = rng.uniforms(rng.fold(key, 1), streams, steps, inputs) < 0.4
    shown = (fires & ((torch.arange(inputs) < inputs // 2) == side[:, :, None, None])).float().permute(2, 0, 1, 3)
    weight = torch.ones(shown.shape[:-1])
    length = torch.full((lives, streams), steps)
    return Trials(shown, torch.zeros(*shown.shape[:-1], 3), weight, weight.long(), length), side.long() + 1


def earned(output, side):
    """1 where the first answer names the side, -1 elsewhere."""
    action = output.argmax(-1)
    first = (action != 0).float().argmax(0)
    return 2 * (action.gather(0, first[None])[0] == side).float() - 1


def test_reward_alone_teaches_to_wait_for_the_spikes_and_to_name_their_side():
    network = SpikingRNN(units=40, input_gain=2.5, tau=10.0, tau_out=10.0, refractory=2.0)
    rule = EPropReward(eta=0.05)
    spec, key = CHOICE._replace(observations=8, actions=3), rng.lifetime_keys(1, torch.arange(3), rng.INIT)
    state = rule.born(network, spec, 1, key, torch.zeros(()))
    course = []
    for number in range(100):
        given, side = two_sides(number)
        lived = rule.trial(network, state, given, rng.fold(key, number), number, learns=True)
        reward = earned(lived.output, side)
        state = rule.told(lived.state, reward, torch.zeros_like(reward))
        course.append(float(reward.mean()))
    assert abs(sum(course[:10]) / 10) < 0.2
    assert sum(course[-10:]) / 10 > 0.4
    given, side = two_sides(1000)
    assert float(earned(rule.trial(network, state, given, key, 0, learns=False).output, side).mean()) > 0.8
