"""UORO and KF-RTRL: draws of RTRL's gradient, right in the mean, each brain and stream with signs of its own."""

import pytest
import torch
from small_recurrent import GROUPS, KEY, LIKE, SPEC, I, N, S, leaky, relative, trials

from metaplastic import rng
from metaplastic.inner_loop.gradient.descent import output_error
from metaplastic.inner_loop.gradient.rank_one import KFRTRL, SIGNS, UORO
from metaplastic.inner_loop.gradient.rtrl import RTRL
from metaplastic.inner_loop.networks.leaky_rnn import LeakyRNN

RULES = [UORO(), KFRTRL()]
DRAWS = 20_000


def gradients_of(rule, network, state, given, keys=KEY):
    """The estimate, with signs by `keys`."""
    tape = network.run(state, given.x)
    error = output_error(tape.output, given, "squared", "mean")
    return rule.gradients(network, state | {SIGNS: keys}, tape, error)


def repeated(rule, steps=10, draws=DRAWS):
    """Estimates [draws, n] of one brain's gradient by all weights inside, and the gradient itself."""
    network, state = leaky()
    one = {name: value[:1] for name, value in state.items()}
    given = trials(steps, streams=1)
    exact = gradients_of(RTRL(), network, one, given)
    alike = {name: value.expand(1, draws, *value.shape[2:]) for name, value in one.items()}
    many = given._replace(**{name: getattr(given, name).expand(steps, draws, *getattr(given, name).shape[2:])
                             for name in ("x", "y", "w")})  # fmt: skip
    found = gradients_of(rule, network, alike, many, rng.fold(KEY[0], torch.arange(draws)))
    flat = torch.cat([found[name][0].flatten(1) for name in GROUPS[:2]], -1)
    return flat, torch.cat([exact[name][0, 0].flatten() for name in GROUPS[:2]])


def deviations(flat, wanted, parts=1):
    """How many standard errors the means of so many parts are off: the root mean square over weights and parts."""
    z = [(part.mean(0) - wanted) / (part.std(0) / len(part) ** 0.5) for part in flat.chunk(parts)]
    return float(torch.stack(z).square().mean().sqrt())


@pytest.mark.parametrize("rule", RULES)
def test_the_mean_of_many_draws_is_rtrl(rule):
    flat, wanted = repeated(rule)
    assert 0.8 < deviations(flat, wanted, parts=10) < 1.2  # the weights of one part are not independent
    assert torch.cosine_similarity(flat.mean(0), wanted, dim=0) > 0.99
    assert deviations(flat, wanted) < 2 < deviations(flat, 1.1 * wanted)  # it would see a tenth too much


def test_kronecker_factors_are_less_noisy():
    cosines = []
    for rule in RULES:
        flat, wanted = repeated(rule, draws=2_000)
        cosines.append(float(torch.cosine_similarity(flat, wanted[None], dim=-1).mean()))
    assert 0.05 < cosines[0] < cosines[1] < 0.9


def test_one_step_of_kronecker_factors_is_exact():
    network, state = leaky()
    given = trials(1)
    found, wanted = (gradients_of(rule, network, state, given) for rule in (KFRTRL(), RTRL()))
    assert relative(found, wanted) < 1e-10


@pytest.mark.parametrize("rule", RULES)
def test_one_step_of_a_neuron_without_others_is_exact(rule):
    network = LeakyRNN(units=1, gain=0.0, tau=3.0, input_gain=0.7, readout_gain=1.0)
    state = network.born(SPEC, 2, KEY, LIKE)
    found, wanted = (gradients_of(one, network, state, trials(1)) for one in (rule, RTRL()))
    assert relative_inside(found, wanted) < 1e-10


def relative_inside(found, wanted):
    """Largest error of what the factors estimate, relative to the largest number."""
    return max(float((found[name] - wanted[name]).abs().max() / wanted[name].abs().max()) for name in GROUPS[:2])


@pytest.mark.parametrize("rule", RULES)
def test_the_factors_are_those_of_a_plain_loop(rule):
    """Equations (1) and (2) with matrices, one stream, signs read from the rule's own chance."""
    network, state = leaky()
    given, net = trials(4), network.tensors(state)
    found, trace, total = gradients_of(rule, network, state, given), None, torch.zeros(N, I + 1 + N).to(LIKE)
    tape = network.run(state, given.x)
    error = output_error(tape.output, given, "squared", "mean")
    for stream in range(S):
        trace = None
        for step in range(4):
            chance = rng.fold(rng.fold(KEY[0], step), stream)
            nu = (2.0 * rng.coin(rng.words(chance, N), 0.5) - 1).to(LIKE)
            a = torch.cat([tape.seen[step, 0, stream], tape.before[step, 1, 0, stream]])
            g = tape.gate[step, 1, 0, stream]
            D = torch.diag(1 - net.leak[1, 0, 0]) + torch.diag(g) @ net.recurrent[1, 0]
            trace = plain(rule, trace, D, g, a, nu)
            q = error[step, 1, 0, stream] @ net.readout[1, 0]
            part = (q @ trace[0]) * trace[1] if rule.kind == "uoro" else torch.outer(q @ trace[1], trace[0])
            total = total + part / S
    both = torch.cat([found["input"], found["recurrent"]], -1)[1, 0]
    assert torch.allclose(both, total, atol=1e-10)


def plain(rule, trace, D, g, a, nu):
    """A and B after a step."""
    if rule.kind == "uoro":
        now = torch.outer(nu * g, a)
        p1 = (now.norm() / nu.norm()).sqrt()
        if trace is None:
            return p1 * nu, now / p1
        p0 = (trace[1].norm() / (D @ trace[0]).norm()).sqrt()
        return p0 * D @ trace[0] + p1 * nu, trace[1] / p0 + now / p1
    p1 = (g.norm() / a.norm()).sqrt()
    if trace is None:
        return nu[1] * p1 * a, nu[1] * torch.diag(g) / p1
    p0 = ((D @ trace[1]).norm() / trace[0].norm()).sqrt()
    return nu[0] * p0 * trace[0] + nu[1] * p1 * a, nu[0] * D @ trace[1] / p0 + nu[1] * torch.diag(g) / p1


@pytest.mark.parametrize("rule", RULES)
def test_missing_neurons_and_more_streams_change_no_draw(rule):
    """The same brain in a larger batch: padded to more neurons, beside more streams."""
    network, state = leaky()
    given = trials(streams=2)
    alone = gradients_of(rule, network, state, given)
    bigger = {name: padded(name, value) for name, value in state.items()}
    wide = gradients_of(rule, network, bigger, given)
    assert torch.allclose(wide["recurrent"][..., :N, :N], alone["recurrent"], atol=1e-12)
    twice = given._replace(**{name: torch.cat([getattr(given, name)] * 2, 2) for name in ("x", "y", "w")})
    halves = gradients_of(rule, network, state, twice._replace(w=twice.w * torch.tensor([1, 1, 0, 0])))
    assert torch.allclose(2 * halves["recurrent"], alone["recurrent"], atol=1e-12)


def padded(name, value):
    """Two more neurons that do not exist, whose activity at the start is not 0."""
    more = {"input": (0, 0, 0, 2), "recurrent": (0, 2, 0, 2), "readout": (0, 2), "leak": (0, 2), "start": (0, 2)}
    group = name.removeprefix("mask.")
    fill = 0.5 if name in ("leak", "start") else 0.0
    return torch.nn.functional.pad(value, more[group], value=fill)


@pytest.mark.parametrize("rule", RULES)
def test_every_trial_has_chance_of_its_own(rule):
    network, _ = leaky()
    given = trials()
    born = rule.born(network, SPEC, 2, KEY, LIKE)
    one, same, other = (rule.trial(network, born, given, key, 0, learns=True).state
                        for key in (KEY, KEY, rng.fold(KEY, 1)))  # fmt: skip
    assert torch.equal(one["recurrent"], same["recurrent"])
    assert not torch.equal(one["recurrent"], other["recurrent"])
    assert SIGNS not in one
