"""The loops of spiking networks give what PyTorch gives."""

import pytest
import torch
from small_recurrent import GROUPS, KEY, SPEC, A, L, N, P, S, normals, spiking, trials

from metaplastic.inner_loop.feedback.eprop import EProp
from metaplastic.inner_loop.gradient.descent import output_error
from metaplastic.inner_loop.gradient.spiking_costs import Costs
from metaplastic.inner_loop.gradient.spiking_gradient import spiking_gradient
from metaplastic.inner_loop.kernels import spiking_kernel
from metaplastic.inner_loop.networks.spiking import run, run_steps, tensors

STEPS = 30


def case(**options):
    """Tensors of a network, inputs and trials, float32."""
    network, state = spiking(**options)
    given = trials(STEPS, spikes=True)
    given = given._replace(x=given.x.float(), y=given.y.float(), w=given.w.float())
    return tensors({name: value.float() for name, value in state.items()}), network.shown(given.x), given


def close(found, wanted, limit=1e-5):
    return float((found - wanted).abs().max()) <= limit * float(wanted.abs().max())


@pytest.mark.parametrize("options", [{}, {"current": "leak", "threshold": 0.1, "refractory": 0.0, "bias": True}])
def test_a_trial_forward(options):
    net, seen, _ = case(**options)
    spikes, slope, distance = spiking_kernel.run_forward(net, seen, with_distance=True)
    wanted = run_steps(net, seen)
    assert torch.equal(spikes, wanted[0])
    assert 0.02 < float(spikes.mean()) < 0.9
    assert close(slope, wanted[1])
    assert close(distance, wanted[2])
    assert torch.equal(spiking_kernel.run_forward(net, seen)[1], slope)


def both(net, tape, error, costs=None, **options):
    """The gradient by the loops and by PyTorch."""
    feedback = normals(8, P, L, A, N).float()
    return [spiking_gradient(net, tape, error, feedback, costs, by_kernel=way, **options) for way in (True, False)]


@pytest.mark.parametrize("through_others", [True, False])
@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("current", ["whole", "leak"])
def test_the_gradient_back(through_others, window, current):
    net, seen, given = case(current=current, threshold=0.2 if current == "leak" else 0.6)
    tape = run(net, seen)
    error = output_error(tape.output, given, "cross_entropy", "mean")
    found, wanted = both(net, tape, error, through_others=through_others, window=window)
    assert all(close(found[name], wanted[name]) for name in GROUPS)


def test_costs_reach_the_gradient():
    net, seen, given = case()
    tape = run(net, seen)
    error = output_error(tape.output, given, "squared", "mean")
    shape = (STEPS, P, L, S, N)
    costs = Costs(normals(20, P, L, 1, N).float(), (normals(21, *shape).float(), normals(22, *shape).float()))
    found, wanted = both(net, tape, error, costs, through_others=False)
    plain, _ = both(net, tape, error, through_others=False)
    assert all(close(found[name], wanted[name]) for name in GROUPS)
    assert not close(found["recurrent"], plain["recurrent"], 1e-2)


def test_a_rule_learns_the_same_either_way(monkeypatch):
    network, _ = spiking()
    _, _, given = case()
    rule = EProp(optimiser="sgd")
    state = rule.born(network, SPEC, P, KEY, torch.zeros(()))
    fast = rule.trial(network, state, given, KEY, 0, learns=True).state
    monkeypatch.setattr(spiking_kernel, "fits", lambda _: False)
    slow = rule.trial(network, state, given, KEY, 0, learns=True).state
    assert all(close(fast[name] - state[name], slow[name] - state[name], 1e-3) for name in GROUPS)
