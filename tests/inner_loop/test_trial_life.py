"""Lives of whole trials: worked by hand, factorised against step by step, exact independence, what learning needs."""

from functools import partial

import numba
import pytest
import torch
from tiny_trials import KEY, TinyTrials, formula, live, plan, with_numbers

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.critics import ActionValue, RunningAverage, Zero
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Energy, Reward
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.perturbation import Miconi17, NodePerturbation
from metaplastic.inner_loop.rules.three_factor import ThreeFactor
from metaplastic.inner_loop.trial_plan import Synapses, born
from metaplastic.inner_loop.trial_torch import finish, run_trial

EVERY = ("reward", "prediction", "rpe", "score", "correct", "kind", "observation", "output", "rates", "weights")
NOISY = RateRNN(units=7, tau=3.0, perturbation_rate=0.3, perturbation=2.0, undisturbed=1)
LEARNER = NodePerturbation(eta=0.5, limit=0.2, quiet_trials=0, settle=1)
torch64 = partial(live, dtype=torch.float64)


def test_a_three_factor_rule_by_hand():
    """One linear neuron without recurrent weight, x <- x + (u - x) / 2, u = 4, 0, 0; e <- e / 2 + r(t) r(t-1)."""
    network = RateRNN(units=1, activation="linear", tau=2.0, gain=0.0, start=0.0)
    one = plan(network, ThreeFactor(eta=0.1, trace_decay=0.5), TinyTrials(outputs=1), individuals=1, lifetimes=1)
    one = one._replace(brains=one.brains._replace(input_weights=torch.tensor([[[1.0, 0.0, 0.0]]])))
    x = torch.zeros(3, 1, 3)
    x[0, 0, 0] = 4.0
    trial = run_trial(one, born(one), x, 0)
    assert trial.output[:, 0, 0, 0].tolist() == [2.0, 1.0, 0.5]
    after = finish(one, trial, 3, torch.tensor([[5.0]]), torch.tensor([[2.0]]))
    assert float(after.traces["e"]) == 0.5 * (0.5 * 0.0 + 2.0 * 1.0) + 1.0 * 0.5
    assert float(after.w) == pytest.approx(0.1 * 3.0 * 1.5)


def test_a_weight_that_is_written_at_every_step_acts_at_the_next():
    """r = 2, then w = 0.5 * 2, so x = 2 + (w 2 - 2) / 2 = 2."""
    network = RateRNN(units=1, activation="linear", tau=2.0, gain=0.0, start=0.0)
    one = plan(network, formula("0.5 * post"), TinyTrials(outputs=1), individuals=1, lifetimes=1)
    one = one._replace(brains=one.brains._replace(input_weights=torch.tensor([[[1.0, 0.0, 0.0]]])))
    x = torch.zeros(3, 1, 3)
    x[0, 0, 0] = 4.0
    trial = run_trial(one, born(one), x, 0)
    assert trial.output[:, 0, 0, 0].tolist() == [2.0, 2.0, 3.0]  # w = 1, then 2
    assert float(trial.synapses.w) == 3.5


def test_a_rule_that_writes_at_every_step_hears_of_the_reward_at_the_last_one():
    one = plan(RateRNN(units=3), formula("eta * rpe", parameters={"eta": 0.25}), individuals=1, lifetimes=1)
    start = born(one)
    trial = run_trial(one, start, rng.normals(KEY, 5, 1, 3), 0)
    assert torch.equal(trial.synapses.w, start.w)
    after = finish(one, trial, 5, torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    torch.testing.assert_close(after.w, start.w + 0.5)


def test_the_prediction_is_the_running_mean_of_the_trial_type():
    record = live(NOISY, Fixed(), critic=RunningAverage(decay=0.75), record=EVERY, individuals=1, lifetimes=2)
    kind, reward, prediction = (record.recordings[name] for name in ("kind", "reward", "prediction"))
    for life in range(2):
        mean = {0: 0.0, 1: 0.0}
        for trial in range(len(kind)):
            k, r = int(kind[trial, life]), float(reward[trial, 0, life])
            assert float(prediction[trial, 0, life]) == pytest.approx(mean[k], abs=1e-6)
            mean[k] = 0.75 * mean[k] + 0.25 * r
    torch.testing.assert_close(record.recordings["rpe"], reward - prediction)


@pytest.mark.parametrize(
    "rule",
    [
        Miconi17(eta=2.0, limit=0.1, quiet_trials=0),
        NodePerturbation(eta=2.0, limit=0.1, quiet_trials=0, trace_decay=0.8, keeps_traces=True),
        formula(
            "0.1 * rpe * (e + f)",
            traces={"e": "0.7 * e + (post - pre)**2", "f": "f + e * 0 + gate * abs(pre)"},
            writes="trial",
        ),
    ],
)
@pytest.mark.parametrize("lifetimes", [1, 3])
def test_factorised_traces_are_those_of_the_steps(rule, lifetimes):
    fast, slow = (
        live(NOISY, rule, backend=backend, dtype=torch.float64, record=("weights",), lifetimes=lifetimes)
        for backend in ("torch", "step")
    )
    weights = fast.recordings["weights.recurrent"]
    assert float((weights[-1] - weights[0]).abs().max()) > 1e-3
    torch.testing.assert_close(weights, slow.recordings["weights.recurrent"], rtol=1e-10, atol=1e-12)


def test_node_perturbation_learns_nothing_without_perturbations():
    silent = NOISY.model_copy(update={"perturbation_rate": 0.0})
    for backend in ("torch", "numba"):
        record = live(silent, LEARNER, backend=backend, record=("weights",))
        weights = record.recordings["weights.recurrent"]
        assert torch.equal(weights, weights[:1].expand_as(weights))


def test_node_perturbation_climbs_the_reward():
    """Fiete & Seung 2006: on average the change is along the gradient; lifetimes with equal weights are the samples."""
    innate = 0.5 * rng.normals(KEY, 1, 25)
    network = RateRNN(units=5, tau=3.0, start=0.0, perturbation_rate=0.5, perturbation=0.05, undisturbed=0)
    network = with_numbers(network, initial_weights=Values(innate, "synapse"))
    rule = formula("rpe * e", traces={"e": "e + pre * noise"}, writes="trial")
    one = plan(network, rule, individuals=1, lifetimes=1500, dtype=torch.float64)
    x = rng.normals(KEY, 10, 1, 3).double().expand(-1, 1500, -1)
    one = one._replace(brains=one.brains._replace(input_weights=one.brains.input_weights[:1].expand(1500, -1, -1)))

    def reward(output):
        return -(output[-3:, ..., 0] - 0.4).square().sum(0)

    w = one.brains.weights[:, :1].clone().requires_grad_()
    quiet = run_trial(one, Synapses(w.expand(-1, 1500, -1, -1), {}), x, 0, plastic=False, perturbed=False)
    expected = reward(quiet.output)
    (gradient,) = torch.autograd.grad(expected[0, 0], w)
    with torch.no_grad():
        trial = run_trial(one, born(one), x, 0)
        after = finish(one, trial, 10, reward(trial.output), expected.detach())
    change = (after.w - one.brains.weights).mean(1, keepdim=True)
    assert float(torch.cosine_similarity(change.flatten(), gradient.flatten(), dim=0)) > 0.9


def test_brains_do_not_touch_each_other():
    eta = torch.tensor([0.1, 0.5, 0.9])
    changed = torch.tensor([0.1, 5.0, 0.9])
    for options in ({"backend": "torch"}, {"backend": "numba"}):
        runs = []
        for values in (eta, changed):
            rule = LEARNER.model_copy(update={"eta": Values(values)})
            record = live(NOISY, rule, individuals=3, record=("weights",), **options)
            runs.append(record.recordings["weights.recurrent"])
        same = [torch.equal(runs[0][:, k], runs[1][:, k]) for k in range(3)]
        assert same == [True, False, True]


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_a_life_does_not_depend_on_the_batch(backend):
    eta = torch.tensor([0.1, 0.5, 0.9, 0.4])
    gain = torch.tensor([1.5, 0.5, 1.1, 1.9])

    def some(first, last, lives, life):
        network = with_numbers(NOISY, gain=Values(gain[first:last]))
        rule = LEARNER.model_copy(update={"eta": Values(eta[first:last])})
        return live(
            network, rule, individuals=last - first, lifetimes=lives, first=life, backend=backend, record=("weights",)
        )

    whole = some(0, 4, 3, 0)
    for first, last, lives, life in ((0, 4, 1, 2), (1, 2, 1, 0), (1, 4, 2, 1)):
        part = some(first, last, lives, life)
        where = (slice(first, last), slice(life, life + lives))
        assert torch.equal(part.score, whole.score[where])
        assert torch.equal(part.recordings["weights.recurrent"], whole.recordings["weights.recurrent"][:, *where])


def test_the_number_of_threads_changes_nothing():
    before, results = numba.get_num_threads(), []
    for threads in (1, min(2, before)):
        numba.set_num_threads(threads)
        results.append(live(NOISY, LEARNER, backend="numba", record=("weights",)).recordings["weights.recurrent"])
    numba.set_num_threads(before)
    assert torch.equal(*results)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_nothing_is_learned_at_rate_zero_in_quiet_trials_and_in_the_test(backend):
    def weights(rule):
        return live(NOISY, rule, backend=backend, record=("weights",)).recordings["weights.recurrent"]

    still = weights(LEARNER.model_copy(update={"eta": 0.0}))
    assert torch.equal(still, still[:1].expand_as(still))
    moving = weights(
        LEARNER.model_copy(update={"quiet_trials": 2})
    )  # recorded as they were in each trial, 2 tests last
    assert [torch.equal(moving[k], moving[k + 1]) for k in range(5)] == [True, True, False, False, True]


def test_test_trials_have_no_perturbations():
    loud = NOISY.model_copy(update={"perturbation": 50.0})
    records = [live(network, Fixed(), record=("output",)).recordings["output"] for network in (NOISY, loud)]
    assert not torch.equal(records[0][:4], records[1][:4])
    assert torch.equal(records[0][4:], records[1][4:])


def test_kept_traces_live_on_and_others_start_anew():
    def final(keeps):
        rule = formula("0.01 * e", traces={"e": "e + pre * post"}, writes="trial", keeps_traces=keeps)
        return torch64(NOISY, rule, record=("weights",)).recordings["weights.recurrent"]

    kept, cleared = final(True), final(False)
    torch.testing.assert_close(kept[1], cleared[1])
    assert float((kept[2] - cleared[2]).abs().max()) > 1e-4


def test_a_record_has_the_shapes_it_names():
    network = NOISY.model_copy(update={"plastic_input": True})
    task = TinyTrials(trials=25, test_trials=3)
    record = live(network, LEARNER, task, record=("weights every 10", "rates every 9", "output", "kind"))
    shapes = {name: tuple(value.shape) for name, value in record.recordings.items()}
    assert shapes == {
        "weights.recurrent": (3, 2, 3, 7, 7),
        "weights.input": (3, 2, 3, 7, 3),
        "rates": (4, 9, 2, 3, 7),
        "output": (28, 9, 2, 3, 2),
        "kind": (28, 3),
    }
    assert record.score.shape == (2, 3)
    assert record.curve.shape == (2, 3, 20)
    assert set(record.metrics) == {"test_reward", "learning_reward", "test_correct", "learning_correct"}


def test_learning_beats_the_same_network_without_it():
    task = TinyTrials(trials=120, test_trials=20, steps=12)
    network = RateRNN(units=9, tau=3.0, gain=0.5, perturbation_rate=0.1, perturbation=2.0, bias=True)
    rule = formula(
        "clip(eta * rpe * e, -0.05, 0.05)", traces={"e": "e + pre * noise"}, writes="trial", parameters={"eta": 0.2}
    )
    learned, fixed = (live(network, one, task, individuals=1, lifetimes=8).score.mean() for one in (rule, Fixed()))
    assert learned > fixed + 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"critic": ActionValue()}, "critic is 'action_value'; whole trials have no action values"),
        ({"objective": Energy()}, "objective has energy; in whole trials only reward drives a brain"),
        ({"backend": "numba", "dtype": torch.float64}, "backend is 'numba' with torch.float64 on cpu"),
        ({"record": ("weigths",)}, r"record has 'weigths', no such signal \(did you mean 'weights'\?\)"),
    ],
)
def test_what_cannot_be_lived_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        live(NOISY, LEARNER, **options)


def test_reward_is_weighted_by_the_objective():
    half = live(NOISY, Fixed(), critic=Zero(), objective=Reward(weight=0.5), record=("reward",)).recordings["reward"]
    whole = live(NOISY, Fixed(), critic=Zero(), record=("reward",)).recordings["reward"]
    torch.testing.assert_close(half, whole / 2)
