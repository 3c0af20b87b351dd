"""Synapses with a fixed and a plastic part: by hand, against the plain network, by gradient, and that they learn."""

from __future__ import annotations

import math

import pytest
import torch
from driven_neurons import draw

from metaplastic import rng
from metaplastic.core import Gene
from metaplastic.inner_loop.critics import Zero
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.plastic_rnn import PlasticRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.plastic.differentiable import modulation, run
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.rules.sequence import Trials
from metaplastic.platform.evaluate import evaluate, generation_key, genome_of
from metaplastic.platform.experiment import Experiment
from metaplastic.tasks.association.pattern_memory import PatternMemory

P, L, S, N, T = 2, 3, 2, 4, 5
RULE_KINDS = ["decay", "oja", "simple", "retroactive"]
TASK = PatternMemory(bits=6, patterns=2, cycles=1, show=2, blank=1, test=2, trials=2, test_trials=1)


def parts(**given: torch.Tensor) -> dict[str, torch.Tensor]:
    """Numbers of P × L networks."""
    shapes = {"w": (N, N), "alpha": (N, N), "eta": (1, 1), "listens": (1, N), "listens_bias": (1, 1), "fan": (N, 1)}
    shapes["fan_bias"] = (N, 1)
    made = {name: draw(P, L, *shape, seed=k) for k, (name, shape) in enumerate(shapes.items())}
    return {**made, "eta": made["eta"].abs() * 0.3, **given}


def drive() -> torch.Tensor:
    return draw(T, P, L, S, N, seed=9)


@pytest.mark.parametrize("hebb", RULE_KINDS)
def test_without_a_plastic_part_it_is_a_plain_recurrent_network(hebb: str):
    own, y = parts(alpha=torch.zeros(P, L, N, N, dtype=torch.float64)), torch.zeros(P, L, S, N, dtype=torch.float64)
    rates, plastic = run(own, drive(), hebb)
    for step, now in enumerate(drive()):
        y = torch.tanh(now + (own["w"][:, :, None] * y[..., None, :]).sum(-1))
        assert torch.equal(rates[step], y)
    assert (plastic != 0).any()


@pytest.mark.parametrize("hebb", RULE_KINDS)
def test_it_is_the_loop_one_would_write_from_the_papers(hebb: str):
    own, limit = parts(), 0.05
    rates, plastic = run(own, drive(), hebb, limit if hebb in ("simple", "retroactive") else math.inf)
    p, lifetime, s = 1, 2, 1
    w, alpha = own["w"][p, lifetime].tolist(), own["alpha"][p, lifetime].tolist()
    eta = own["eta"][p, lifetime, 0, 0].item()
    h, e = [[0.0] * N for _ in range(N)], [[0.0] * N for _ in range(N)]
    y = [0.0] * N
    for step in range(T):
        old = y
        given = drive()[step, p, lifetime, s].tolist()
        y = [math.tanh(given[i] + sum((w[i][j] + alpha[i][j] * h[i][j]) * old[j] for j in range(N))) for i in range(N)]
        m = modulation(own, torch.tensor(y, dtype=torch.float64).expand(P, L, S, N))[p, lifetime, s].tolist()
        for i in range(N):
            for j in range(N):
                product = y[i] * old[j]
                if hebb == "decay":
                    h[i][j] = (1 - eta) * h[i][j] + eta * product
                elif hebb == "oja":
                    h[i][j] += eta * y[i] * (old[j] - y[i] * h[i][j])
                elif hebb == "simple":
                    h[i][j] = max(-limit, min(limit, h[i][j] + m[i] * product))
                else:
                    h[i][j] = max(-limit, min(limit, h[i][j] + m[i] * e[i][j]))
                    e[i][j] = (1 - eta) * e[i][j] + eta * product
    assert rates[-1, p, lifetime, s].tolist() == pytest.approx(y, abs=1e-13)
    torch.testing.assert_close(plastic[p, lifetime, s], torch.tensor(h, dtype=torch.float64), rtol=0, atol=1e-13)


def test_the_message_reaches_each_neuron_through_its_own_fan():
    own, y = parts(), draw(P, L, S, N)
    heard = math.tanh((own["listens"][1, 0, 0] * y[1, 0, 1]).sum().item() + own["listens_bias"][1, 0].item())
    wanted = own["fan"][1, 0, 3, 0].item() * heard + own["fan_bias"][1, 0, 3, 0].item()
    assert modulation(own, y)[1, 0, 1, 3].item() == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize("hebb", RULE_KINDS)
def test_the_gradient_through_a_trial_is_what_finite_differences_find(hebb: str):
    own = {name: value[:1, :1, :3, :3] for name, value in parts().items()}
    names = [name for name in own if hebb in ("simple", "retroactive") or name in ("w", "alpha", "eta")]
    names = [name for name in names if not (hebb == "simple" and name == "eta")]

    def last(*values: torch.Tensor) -> torch.Tensor:
        return run({**own, **dict(zip(names, values, strict=True))}, drive()[:, :1, :1, :1, :3], hebb)[0][-1]

    assert torch.autograd.gradcheck(last, [own[name].clone().requires_grad_() for name in names], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("differentiable_plasticity", {"hebb": "oja"}), ("differentiable_plasticity", {"alpha_per": "post"})]
    + [("backpropamine", {"hebb": hebb}) for hebb in ("simple", "retroactive")],
)
def test_training_is_adams_first_step_down_the_error(kind: str, settings: dict):
    """Adam's first step has the size of its rate and the sign of the gradient, which differences of the error give."""
    network, rule = PlasticRNN(gain=0.3), RULES[kind](alpha_gain=0.5, eta=0.2, rate=1e-3, **settings)
    key, like = rng.lifetime_keys(rng.root(2), torch.arange(2), rng.INIT), torch.zeros((), dtype=torch.float64)
    state = rule.born(network, TASK.spec, 2, key, like)
    x, y = 0.5 * draw(4, 2, 3, 7), draw(4, 2, 3, 6, seed=3)
    w = torch.zeros(4, 2, 3, dtype=torch.float64)
    w[-1] = 1
    trials = Trials(x, y, w, torch.zeros(4, 2, 3, dtype=torch.int64), torch.full((2, 3), 4))

    def error(now: dict[str, torch.Tensor]) -> torch.Tensor:
        output = rule.trial(network, now, trials, key, 0, learns=False).output
        return (output[-1] - y[-1]).square().sum(-1).mean(-1)[1, 0]

    after = rule.trial(network, state, trials, key, 0, learns=True).state
    for name in rule.trained(state):
        step = torch.zeros_like(state[name])
        step[1, 0, 0, -1] = 1e-6
        slope = error({**state, name: state[name] + step}) - error({**state, name: state[name] - step})
        moved = (after[name] - state[name])[1, 0, 0, -1].item()
        if abs(slope) > 1e-10:
            assert moved == pytest.approx(-math.copysign(1e-3, slope.item()), rel=1e-3), name
    assert torch.equal(
        after["w"][0, 0], rule.trial(network, lone(state), alone(trials), key[:1], 0, True).state["w"][0, 0]
    )


def lone(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value[:1, :1] for name, value in state.items()}


def alone(trials: Trials) -> Trials:
    return Trials(trials.x[:, :1], trials.y[:, :1], trials.w[:, :1], trials.epoch[:, :1], trials.length[:1])


def lived(rule, task: PatternMemory = TASK, individuals: int = 1, lifetimes: int = 2, **network):
    return live(
        PlasticRNN(**network), rule, Reward(), Greedy(), Zero(), task,
        individuals=individuals, lifetime=torch.arange(lifetimes), key=rng.root(4),
    )  # fmt: skip


def test_without_a_rate_nothing_lasts_from_trial_to_trial():
    rule = RULES["differentiable_plasticity"](rate=0.0, alpha=0.5, eta=0.3)
    short, long = lived(rule), lived(rule, TASK.model_copy(update={"trials": 3}))
    assert short.curve.shape == (1, 2, 2)
    assert torch.equal(short.curve[..., 0], long.curve[..., 0])


def test_the_rule_fixed_is_the_network_without_its_plastic_part():
    rule = RULES["differentiable_plasticity"](rate=0.0, alpha=0.0)
    assert torch.equal(lived(RULES["fixed"]()).score, lived(rule).score)


def test_alpha_and_eta_are_genes_of_any_granularity():
    rule = RULES["differentiable_plasticity"](alpha=Gene(-1, 1, per="synapse"), eta=Gene(0, 1), rate=0.0)
    one = Experiment(name="plastic", task=TASK, network=PlasticRNN(), rule=rule, lifetimes=2)
    genome = genome_of(one)
    assert genome.length == 7 * 7 + 1
    fitness = evaluate(one, torch.stack([genome.start(), genome.start() + 0.4]), generation_key(0, 0)).fitness
    assert fitness.isfinite().all()
    assert fitness[0] != fitness[1]


@pytest.mark.parametrize("kind", ["differentiable_plasticity", "backpropamine"])
def test_other_networks_are_refused(kind: str):
    with pytest.raises(ValueError, match=f"rule {kind} changes networks of kind plastic_rnn, and this one is rate_rnn"):
        Experiment(name="wrong", task=TASK, network={"kind": "rate_rnn"}, rule={"kind": kind})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["differentiable_plasticity", "backpropamine"])
def test_a_trained_network_completes_patterns_and_one_without_plasticity_does_not(kind: str):
    task = PatternMemory(bits=16, patterns=2, cycles=1, show=3, blank=2, test=3, trials=2000, test_trials=50)
    rule = RULES[kind](rate=3e-3, batch=5)
    frozen = RULES["differentiable_plasticity"](rate=3e-3, batch=5, eta=0.0, alpha=0.0)
    score, without = (lived(each, task, lifetimes=2).score.mean().item() for each in (rule, frozen))
    print(kind, score, without)
    assert score > without + 0.1
