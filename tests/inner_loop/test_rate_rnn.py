"""The rate network: its dynamics against known laws, its birth, sizes and errors."""

import math

import pytest
import torch
from tiny_trials import KEY, TinyTrials, formula, plan, with_numbers

from metaplastic import rng
from metaplastic.core import Gene, Values
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.trial_plan import Synapses, born
from metaplastic.inner_loop.trial_torch import draw_noise, injected, run_trial

UNITS, INPUTS = 5, 3


def run(network, steps, x=None, *, task=None, individuals=1, lifetimes=1, dtype=torch.float64):
    """The rates of one trial without plasticity, [T, P, L, N]."""
    task = task or TinyTrials(inputs=INPUTS, outputs=1, steps=steps)
    one = plan(network, Fixed(), task, individuals=individuals, lifetimes=lifetimes, dtype=dtype)
    x = torch.zeros(steps, lifetimes, task.inputs) if x is None else x
    return one, run_trial(one, born(one), x, 0, plastic=False, keep_rates=True).rates


def exact(one, u, time):
    """x(time) of the linear network with constant input u: the matrix exponential."""
    w, size = one.brains.weights[0, 0], one.brains.size
    flow = (w - torch.eye(size, dtype=w.dtype)) / 10.0
    current = one.brains.input_weights[0] @ u
    x0 = 0.1 * (2 * rng.uniforms(rng.fold(rng.fold(one.noise, 0), 0), size)[0].double() - 1)
    rest = torch.linalg.solve(flow, current / 10.0)
    return torch.linalg.matrix_exp(flow * time) @ (x0 + rest) - rest


def linear_error(steps, dt):
    network = RateRNN(units=UNITS, activation="linear", tau=10.0, gain=0.7)
    u = torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)
    one, rates = run(network, steps, u.expand(steps, 1, -1), task=TinyTrials(outputs=1, steps=steps, dt=dt))
    wanted = exact(one, u, steps * dt)
    return float((rates[-1, 0, 0] - wanted).abs().max() / wanted.abs().max())


def test_a_linear_network_follows_the_matrix_exponential():
    assert linear_error(steps=1600, dt=0.0025) < 1e-4


def test_the_error_of_a_step_halves_with_the_step():
    assert linear_error(40, 0.2) / linear_error(80, 0.1) == pytest.approx(2.0, rel=0.05)


def test_one_neuron_by_hand():
    network = RateRNN(units=1, activation="linear", tau=4.0, gain=0.0, start=0.0, input_gain=2.0)
    one, rates = run(network, 2, torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]]))
    current = 2.0 * one.brains.input_weights[0, 0, 0]
    assert rates[:, 0, 0, 0].tolist() == pytest.approx([float(current / 4), float(current / 4 * 3 / 4)])


def test_an_exponential_step_is_exact_while_the_input_is_constant():
    network = RateRNN(units=1, activation="linear", tau=4.0, gain=0.0, start=0.0, integration="exponential")
    one, rates = run(network, 3, torch.tensor([1.0, 0.0, 0.0]).expand(3, 1, -1))
    current = float(one.brains.input_weights[0, 0, 0])
    assert float(rates[-1]) == pytest.approx(current * (1 - math.exp(-3 / 4)))


@pytest.mark.parametrize(("gain", "grows"), [(0.8, False), (2.5, True)])
def test_two_nearly_equal_starts_part_only_in_chaos(gain, grows):
    """Sompolinsky, Crisanti & Sommers 1988: the silent state is stable for g < 1, the activity chaotic for g > 1."""
    network = with_numbers(RateRNN(units=90, tau=2.0, gain=gain), start=Values(torch.tensor([0.1, 0.100001])))
    _, rates = run(network, 100, individuals=2)
    apart = (rates[:, 0] - rates[:, 1]).norm(dim=-1).squeeze()
    assert bool(apart[-1] > 100 * apart[0]) is grows
    assert bool(rates[-1].square().mean() > 0.05) is grows


def test_clamped_neurons_hold_their_level():
    _, rates = run(RateRNN(units=UNITS, clamped={1: 1.0, 4: -0.5}), 6)
    assert torch.equal(rates[..., 1], torch.full_like(rates[..., 1], 1.0).tanh())
    assert torch.equal(rates[..., 4], torch.full_like(rates[..., 4], -0.5).tanh())
    assert rates[..., 2].std() > 0


def test_white_noise_gives_a_silent_neuron_its_deviation_at_any_step():
    for dt in (0.5, 3.0):
        network = RateRNN(units=80, activation="linear", gain=0.0, noise=0.3, tau=5.0, start=0.0)
        _, rates = run(network, 200, task=TinyTrials(outputs=1, steps=200, dt=dt))
        assert float(rates[50:].std()) == pytest.approx(0.3, rel=0.05)


def test_perturbations_have_their_rate_and_size():
    network = RateRNN(units=150, perturbation_rate=0.1, perturbation=4.0, undisturbed=7, gain=0.0)
    one = plan(network, formula("e", traces={"e": "e + noise * pre"}, writes="trial"), individuals=1, lifetimes=1)
    noise = draw_noise(one, 0, 200)
    xi = torch.stack([injected(one, noise, step, perturbed=True) for step in range(200)])
    assert not xi[:7].any()
    assert float((xi[7:] != 0).double().mean()) == pytest.approx(0.1, rel=0.05)
    assert float(xi[xi != 0].abs().mean()) == pytest.approx(2.0, rel=0.05)
    assert not injected(one, noise, 50, perturbed=False).any()


@pytest.mark.parametrize("plastic_input", [False, True])
def test_a_masked_network_is_the_smaller_network(plastic_input):
    rule = Fixed()
    base = RateRNN(plastic_input=plastic_input, density=0.7, bias=True, output="readout")
    both = with_numbers(base, units=Values(torch.tensor([7.0, 11.0]), high=11.0))
    small = with_numbers(base, units=Values(torch.tensor([7.0]), high=11.0))
    x = rng.normals(KEY, 9, 3, INPUTS)
    outputs = []
    for network, individuals in ((both, 2), (small, 1)):
        one = plan(network, rule, individuals=individuals, dtype=torch.float64)
        trial = run_trial(one, born(one), x, 0, plastic=False, keep_rates=True)
        assert not trial.rates[:, 0, :, 7:].any()
        outputs.append(trial.output[:, 0])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-12, atol=1e-13)


def test_weights_have_the_gain_and_density_that_were_asked_for():
    one = plan(RateRNN(units=120, gain=1.3, density=0.25), Fixed(), individuals=1, lifetimes=2)
    w = one.brains.weights
    assert float((w != 0).double().mean()) == pytest.approx(0.25, rel=0.05)
    assert float(w.square().sum(-1).mean()) == pytest.approx(1.3**2, rel=0.05)
    assert float(torch.linalg.eigvals(w[0, 0]).abs().max()) == pytest.approx(1.3, rel=0.15)


def test_births_differ_between_lifetimes_and_not_between_individuals():
    one = plan(RateRNN(units=UNITS), Fixed(), individuals=2, lifetimes=3)
    w = one.brains.weights
    assert torch.equal(w[0], w[1])
    assert not torch.equal(w[0, 0], w[0, 1])
    assert torch.equal(
        plan(RateRNN(units=UNITS), Fixed(), individuals=1, lifetimes=1, first=2).brains.weights[0, 0], w[0, 2]
    )


def test_innate_weights_replace_the_random_ones():
    innate = torch.arange(2 * 3 * 3, dtype=torch.float32).reshape(2, 9)
    network = with_numbers(RateRNN(units=3), initial_weights=Values(innate, "synapse"))
    w = plan(network, Fixed(), individuals=2).brains.weights
    assert torch.equal(w[:, 0], innate.reshape(2, 3, 3))


def test_every_neuron_can_have_its_own_time_constant():
    network = with_numbers(RateRNN(units=3), tau=Values(torch.tensor([[10.0, 20.0, 40.0]]), "post"))
    leak = plan(network, Fixed(), individuals=1).brains.leak
    assert leak[0].tolist() == pytest.approx([0.1, 0.05, 0.025])


def test_input_synapses_are_a_group_of_their_own_if_they_are_plastic():
    network = RateRNN(units=Gene(5, 9), plastic_input=True, bias=True)
    layout = network.layout(TinyTrials().spec)
    assert [(c.name, c.post_count, c.pre_count) for c in layout.connections] == [("input", 9, 4), ("recurrent", 9, 9)]


def test_a_clamped_neuron_must_exist():
    with pytest.raises(ValueError, match=r"units is 4; the outputs and clamped neurons need at least 8"):
        plan(RateRNN(units=4, clamped={7: 1.0}), Fixed())


def test_settings_are_written_and_read_back():
    network = RateRNN(units=Gene(5, 9), clamped={1: 1.0, 4: -1.0}, initial_weights=Gene(-1, 1), noise=0.1)
    assert RateRNN.model_validate(network.model_dump()) == network


def test_a_gradient_goes_through_a_trial():
    one = plan(RateRNN(units=3), Fixed(), individuals=1, lifetimes=1, dtype=torch.float64)
    x = rng.normals(KEY, 4, 1, INPUTS).double()

    def output(w):
        return run_trial(one, Synapses(w, {}), x, 0, plastic=False).output

    assert torch.autograd.gradcheck(output, one.brains.weights.clone().requires_grad_())
