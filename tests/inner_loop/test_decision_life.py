"""Lives of one-step decisions in PyTorch: by hand, by gradient, by independence."""

import math

import pytest
import torch
from tiny_decisions import KEY, TinyTask, component, formula, plan

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.critics import CRITICS
from metaplastic.inner_loop.decision_life import LEARNED, RECORDS, born, decide, forward, learn, live_decisions
from metaplastic.inner_loop.decision_plan import Plan
from metaplastic.inner_loop.gradient.backprop import Backprop
from metaplastic.inner_loop.lifetime import backend_for, live
from metaplastic.inner_loop.networks.feedforward import Feedforward
from metaplastic.inner_loop.objectives import OBJECTIVES
from metaplastic.inner_loop.policies import POLICIES
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.q_agrel import QAgrel

DOUBLE = torch.float64


def after_one(one: Plan, brain=None):
    """The state before and after the first trial, and what happened in it."""
    brain = brain or born(one)
    layers = forward(one, brain.weights, one.decisions.observation[0])
    outcome = decide(one, brain, layers[-1].post, 0, True)
    return brain, learn(one, brain, layers, outcome, 0), layers, outcome


def innate(*weights: float) -> Values:
    return Values(torch.tensor([weights], dtype=DOUBLE), "synapse")


def test_one_decision_of_a_2_1_2_network_by_hand():
    network = Feedforward(units=1, activation="tanh")
    network = network.model_copy(update={"initial_weights": innate(0.1, 0.5, -0.3, 0.2, 0.8, -0.1, -0.6)})
    task = TinyTask(inputs=2, actions=2, trials=1, pays="drawn")
    one = plan(QAgrel(eta=0.25), network, task, dtype=DOUBLE)
    _, after, _, _ = after_one(one)

    u, v = one.decisions.observation[0, 0].tolist()
    y = math.tanh(0.1 + 0.5 * u - 0.3 * v)
    q = [0.2 + 0.8 * y, -0.1 - 0.6 * y]
    a = 0 if q[0] >= q[1] else 1
    delta = one.decisions.payoff[0, 0, a].item() - q[a]
    fb = (0.8, -0.6)[a] * (1 - y * y)
    hidden = [0.1 + 0.25 * delta * fb, 0.5 + 0.25 * delta * fb * u, -0.3 + 0.25 * delta * fb * v]
    output = [[0.2, 0.8], [-0.1, -0.6]]
    output[a] = [output[a][0] + 0.25 * delta, output[a][1] + 0.25 * delta * y]
    torch.testing.assert_close(after.weights[0][0, 0], torch.tensor([hidden], dtype=DOUBLE), rtol=1e-12, atol=0)
    torch.testing.assert_close(after.weights[1][0, 0], torch.tensor(output, dtype=DOUBLE), rtol=1e-12, atol=0)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_q_agrel_with_symmetric_feedback_descends_half_the_squared_prediction_error(activation, layers):
    network = Feedforward(units=5, activation=activation, layers=layers)
    one = plan(QAgrel(eta=1.0), network, TinyTask(pays="drawn"), individuals=2, lifetimes=3, dtype=DOUBLE)
    before, after, _, outcome = after_one(one)
    weights = [w.clone().requires_grad_() for w in before.weights]
    q = forward(one, tuple(weights), one.decisions.observation[0])[-1].post
    delta = outcome.payoff - q.gather(-1, outcome.action[..., None])[..., 0]
    gradients = torch.autograd.grad((0.5 * delta**2).sum(), weights)
    for old, new, gradient in zip(before.weights, after.weights, gradients, strict=True):
        assert gradient.abs().max() > 1e-6
        torch.testing.assert_close(new - old, -gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_backprop_descends_the_cross_entropy_of_the_best_answer(activation, layers):
    network = Feedforward(units=5, activation=activation, layers=layers)
    one = plan(Backprop(eta=1.0), network, individuals=2, lifetimes=3, dtype=DOUBLE)
    before, after, _, _ = after_one(one)
    weights = [w.clone().requires_grad_() for w in before.weights]
    q = forward(one, tuple(weights), one.decisions.observation[0])[-1].post
    best = one.decisions.payoff[0].argmax(-1).expand(2, 3)
    cost = torch.nn.functional.cross_entropy(q.flatten(0, 1), best.flatten(), reduction="sum")
    for old, new, gradient in zip(before.weights, after.weights, torch.autograd.grad(cost, weights), strict=True):
        assert gradient.abs().max() > 1e-6
        torch.testing.assert_close(new - old, -gradient, rtol=1e-10, atol=1e-12)


RULE = formula("eta * rpe * feedback * pre - decay * w + 0.01 * drive", parameters={"eta": 0.1, "decay": 0.02})
SETTINGS = {
    "objective": {"kind": "mixture", "terms": [{"kind": "reward"}, {"kind": "energy"}, {"kind": "homeostasis"}]},
    "policy": {"kind": "max_boltzmann", "epsilon": 0.5},
    "critic": "running_average",
}


def varied(individuals: slice) -> dict:
    """Five individuals with rates of their own, or some of them."""
    rule = RULE.model_copy(
        update={"parameters": {**RULE.parameters, "eta": Values(torch.linspace(0, 0.4, 5)[individuals])}}
    )
    units = Values(torch.tensor([3.0, 7.0, 5.0, 8.0, 2.0])[individuals], "brain", 11)
    return {"rule": rule, "network": Feedforward(layers=2).model_copy(update={"units": units})}


def test_five_brains_at_once_are_five_brains_alone_exactly():
    together = live_decisions(plan(**varied(slice(0, 5)), **SETTINGS, individuals=5, lifetimes=3), ("weights",))
    for p in range(5):
        for lifetime in range(3):
            some = plan(**varied(slice(p, p + 1)), **SETTINGS, lifetimes=1, first=lifetime)
            alone = live_decisions(some, ("weights",))
            assert torch.equal(alone.score[0, 0], together.score[p, lifetime])
            assert torch.equal(alone.curve[0, 0], together.curve[p, lifetime])
            for name, w in alone.recordings.items():
                assert torch.equal(w[:, 0, 0], together.recordings[name][:, p, lifetime])


def test_random_numbers_lie_where_the_schedule_says():
    one = plan(QAgrel(), Feedforward(units=5), lifetimes=3)
    lifetime, trial, post, pre = 2, 4, 1, 3
    policy = rng.fold(rng.fold(rng.fold(KEY, rng.POLICY), lifetime), trial)
    assert torch.equal(one.coins[trial, lifetime], rng.uniform(rng.words(policy, 2)))
    birth = rng.fold(rng.fold(rng.fold(KEY, rng.INIT), lifetime), 1)
    drawn = rng.normal(rng.words(birth, 1, post * 6 + pre))
    assert torch.equal(one.brains.weights[1].draw[lifetime, post, pre], drawn[0])


def test_without_plasticity_weights_keep_their_bits():
    record = live_decisions(plan(Fixed(), lifetimes=3, policy="softmax"), ("weights",))
    for w in record.recordings.values():
        assert (w == w[0]).all()
    learned = live_decisions(plan(QAgrel(eta=0.1), lifetimes=3, policy="softmax"), ("weights",)).recordings
    assert all((w[-1] != w[0]).any() for w in learned.values())


def test_plasticity_is_off_in_the_test():
    weights = live_decisions(plan(QAgrel(eta=0.1), lifetimes=2), ("weights",)).recordings["weights.hidden"]
    assert torch.equal(weights[6], weights[8])
    assert not torch.equal(weights[5], weights[6])


def test_missing_neurons_leave_the_network_that_is_without_them():
    task = TinyTask(pays="equal")
    network = Feedforward(layers=2).model_copy(update={"units": Values(torch.tensor([3.0]), "brain", 7)})
    padded = plan(RULE, network, task, **SETTINGS, dtype=DOUBLE)
    small = plan(RULE, Feedforward(layers=2, units=3), task, **SETTINGS, dtype=DOUBLE)
    cut = zip(padded.brains.weights, small.brains.sizes, strict=True)
    weights = tuple(birth._replace(draw=birth.draw[:, :post, :pre]) for birth, (post, pre) in cut)
    small = small._replace(brains=small.brains._replace(weights=weights))
    large, little = (live_decisions(one, ("weights", "q", "hidden")).recordings for one in (padded, small))
    assert large["hidden"].shape[-1] == 7
    assert (large["hidden"][..., 3:] == 0).all()
    torch.testing.assert_close(large["hidden"][..., :3], little["hidden"], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(large["q"], little["q"], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(large["weights.hidden2"][..., :3, :4], little["weights.hidden2"], rtol=1e-12, atol=1e-14)
    assert (large["weights.hidden2"][..., 3:, :] == 0).all()
    assert (large["weights.hidden2"][..., 4:] == 0).all()


def test_all_individuals_live_the_same_lives():
    record = live_decisions(plan(QAgrel(), individuals=3, lifetimes=2, policy="softmax"), ("action", "weights"))
    assert torch.equal(record.recordings["action"][:, 0], record.recordings["action"][:, 2])
    assert torch.equal(record.recordings["weights.output"][:, 0], record.recordings["weights.output"][:, 2])
    assert not torch.equal(
        record.recordings["weights.output"][..., 0, :, :], record.recordings["weights.output"][..., 1, :, :]
    )


def test_learned_feedback_keeps_its_distance_and_random_feedback_stays():
    for kind in ("learned", "random"):
        one = plan(QAgrel(eta=0.3), Feedforward(units=5, layers=2, feedback=kind), lifetimes=2, dtype=DOUBLE)
        before = brain = born(one)
        for _ in range(3):
            _, brain, _, _ = after_one(one, brain)
        for k, (old, new) in enumerate(zip(before.carriers, brain.carriers, strict=True), 1):
            moved = brain.weights[k][..., 1:] - before.weights[k][..., 1:]
            assert moved.abs().max() > 1e-3
            torch.testing.assert_close(new - old, moved if kind == "learned" else 0 * moved, rtol=1e-10, atol=1e-14)


def test_learned_feedback_decays_to_the_forward_weights():
    rule = QAgrel(eta=0.1, weight_decay=0.1)
    one = plan(rule, Feedforward(units=5, feedback="learned"), dtype=DOUBLE)
    before = brain = born(one)
    for _ in range(4):
        _, brain, _, _ = after_one(one, brain)
    apart = [b.weights[1][..., 1:] - b.carriers[0] for b in (before, brain)]
    torch.testing.assert_close(apart[1], 0.9**4 * apart[0], rtol=1e-10, atol=1e-14)


def test_feedback_alignment_carries_signals_through_weights_of_its_own():
    one = plan(QAgrel(eta=0.3), Feedforward(units=5, activation="linear", feedback="random"), dtype=DOUBLE)
    before, after, layers, outcome = after_one(one)
    carried = before.carriers[0][0, 0, outcome.action[0, 0]]
    expected = 0.3 * outcome.rpe[0, 0] * carried[:, None] * layers[0].pre[0, 0]
    torch.testing.assert_close(after.weights[0][0, 0] - before.weights[0][0, 0], expected, rtol=1e-10, atol=1e-14)


def test_a_running_average_is_used_before_it_is_renewed_and_kept_for_each_trial_type():
    critic = {"kind": "running_average", "decay": 0.75}
    one = plan(Fixed(), task=TinyTask(pays="drawn", trials=12), critic=critic, lifetimes=2, dtype=DOUBLE)
    seen = live_decisions(one, ("reward", "prediction")).recordings
    for lifetime in range(2):
        expected = [0.0, 0.0]
        for n in range(12):
            kind = int(one.decisions.kind[n, lifetime])
            assert seen["prediction"][n, 0, lifetime].item() == pytest.approx(expected[kind], abs=1e-12)
            expected[kind] = 0.75 * expected[kind] + 0.25 * seen["reward"][n, 0, lifetime].item()


def test_homeostasis_drives_with_the_mean_that_has_just_been_renewed():
    aim = {"kind": "homeostasis", "weight": 2.0, "target": 0.3, "rate": 0.25}
    one = plan(formula("drive"), Feedforward(units=5), objective=aim, dtype=DOUBLE)
    before, after, layers, _ = after_one(one)
    drive = 2.0 * (0.3 - 0.25 * layers[0].post[0, 0])
    change = after.weights[0][0, 0] - before.weights[0][0, 0]
    torch.testing.assert_close(change, drive[:, None].expand(-1, 5), rtol=1e-10, atol=1e-14)
    assert torch.equal(after.weights[1], before.weights[1])


def test_traces_start_anew_unless_the_rule_keeps_them():
    traces = {"e": "0.5 * e + pre"}
    for keeps, expected in ((False, 1.0), (True, 1.5)):
        rule = formula("e", traces=traces, keeps_traces=keeps)
        one = plan(rule, Feedforward(units=5), dtype=DOUBLE)
        _, once, _, _ = after_one(one)
        _, twice, _, _ = after_one(one, once)
        bias = (twice.weights[0] - once.weights[0])[0, 0, :, 0]
        torch.testing.assert_close(bias, torch.full_like(bias, expected), rtol=1e-12, atol=0)


def test_quiet_trials_pass_without_a_write():
    record = live_decisions(plan(QAgrel(eta=0.1, quiet_trials=4), lifetimes=2), ("weights",))
    w = record.recordings["weights.output"]
    assert torch.equal(w[0], w[4])
    assert not torch.equal(w[4], w[5])


def test_a_diverging_life_has_no_score():
    record = live_decisions(plan(formula("w * 1e30", writes="step"), task=TinyTask(trials=9), lifetimes=2))
    assert record.score.isnan().all()
    assert record.metrics["test_reward"].isfinite().all()


def test_regret_is_what_the_best_action_would_have_earned_more():
    one = plan(Fixed(), task=TinyTask(pays="drawn"), individuals=2, lifetimes=3)
    record = live_decisions(one, ("action",))
    action = record.recordings["action"][:6, 0]
    earned = one.decisions.payoff[:6].gather(-1, action[..., None])[..., 0]
    torch.testing.assert_close(record.metrics["regret"][0], (one.decisions.best[:6] - earned).sum(0))
    torch.testing.assert_close(record.metrics["learning_reward"][1], earned.mean(0))
    assert record.curve.shape == (2, 3, 6)


def lived(**settings):
    parts = (component(OBJECTIVES, "reward"), component(POLICIES, "softmax"), component(CRITICS, "action_value"))
    settings = {"individuals": 2, "lifetime": torch.arange(3), "key": KEY, "backend": "torch", **settings}
    return live(Feedforward(units=5), QAgrel(eta=0.1), *parts, TinyTask(), **settings)


def test_a_life_does_not_depend_on_the_lifetimes_beside_it(monkeypatch):
    whole = lived(record=("q", "weights every 4"))
    monkeypatch.setattr("metaplastic.inner_loop.lifetime.AT_ONCE", 200)
    parts = lived(record=("q", "weights every 4"))
    assert torch.equal(whole.score, parts.score)
    assert torch.equal(whole.curve, parts.curve)
    assert whole.recordings["weights.hidden"].shape == (3, 2, 3, 5, 5)
    assert all(torch.equal(whole.recordings[name], parts.recordings[name]) for name in whole.recordings)


def test_recordings_have_the_axes_that_their_names_say():
    for layers in (0, 2):
        names = tuple(name for name in RECORDS if "weights" not in name)
        lived = live_decisions(plan(QAgrel(), Feedforward(units=5, layers=layers), lifetimes=2), (*names, LEARNED))
        extent = {"trial": 9, "individual": 1, "lifetime": 2, "input": 4, "action": 3, "layer": layers, "neuron": 5}
        for name in names:
            shape = [extent[axis] for axis in RECORDS[name][0]]
            assert list(lived.recordings[name].shape) == (shape if layers or shape[-1] != 5 else [9, 1, 2, 0, 0])
        assert lived.recordings[f"{LEARNED}.output"].shape == (1, 2, 3, 6 if layers else 5)


def test_live_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="no such signal \\(did you mean 'rpe'"):
        lived(record=("rpee",))
    with pytest.raises(ValueError, match=r"numba.*records learned_weights alone"):
        lived(record=("rpe",), backend="numba")
    with pytest.raises(ValueError, match="did you mean 'torch'"):
        lived(backend="torhc")


def test_the_fused_kernel_is_taken_where_it_can_do_it():
    network, rule, task = Feedforward(units=5), QAgrel(), TinyTask()
    assert backend_for(network, rule, task) == "numba"
    assert backend_for(network, rule, task, record=("rpe",)) == "torch"
    assert backend_for(network, rule, task, dtype=torch.float64) == "torch"
    assert backend_for(network, rule, task, backend="step") == "torch"
    assert backend_for(network, formula("pre / e", traces={"e": "e + rpe"}), task) == "numba"
    assert backend_for(network, formula("f", traces={"f": "rpe / e", "e": "e + rpe"}), task) == "torch"
