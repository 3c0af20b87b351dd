"""Rules that descend through time, in whole lives: each brain its own, off means off, what is not there stays away."""

import pytest
import torch
from small_recurrent import GROUPS, SPEC, A, N, P, S, different, trials
from tiny_trials import KEY, TinyTrials

from metaplastic import rng
from metaplastic.core import Values
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.feedback.eprop import EProp
from metaplastic.inner_loop.feedback.rflo import RFLO
from metaplastic.inner_loop.gradient.bptt import BPTT
from metaplastic.inner_loop.gradient.rank_one import KFRTRL, UORO
from metaplastic.inner_loop.gradient.rtrl import RTRL, SnAp1
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.leaky_rnn import LeakyRNN
from metaplastic.inner_loop.networks.spiking import SpikingRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.tasks.patterns.pattern_generation import PatternGeneration

LIVES = 2
BIRTH = rng.lifetime_keys(3, torch.arange(LIVES), rng.INIT)
LIKE = torch.zeros((), dtype=torch.float64)
NETWORKS = {
    "leaky_rnn": LeakyRNN(units=N, density=0.6, input_gain=1.0),
    "spiking_rnn": SpikingRNN(units=N, density=0.6, input_gain=2.0, refractory=1.0),
}
TRACES = [RFLO(), SnAp1(), RTRL(), RTRL(reach=2), UORO(), KFRTRL()]
RULES = [*TRACES, BPTT(), BPTT(optimiser="adam", truncation=4), EProp(batch=S)]
CASES = [(rule, name) for rule in RULES for name in rule.networks]


def shown(steps=9):
    """Different trials for each of two lives."""
    one = trials(steps, spikes=True)
    both = [torch.cat([part, part.flip(2)], 1) for part in one[:4]]
    return one._replace(x=both[0], y=both[1], w=both[2], epoch=both[3], length=torch.full((LIVES, S), steps))


def taught(rule, name, writes=2, individuals=P):
    """States at birth and after some minibatches."""
    network = NETWORKS[name]
    born = different(rule.born(network, SPEC, individuals, BIRTH, LIKE))
    state = born
    for number in range(writes):
        state = rule.trial(network, state, shown(), BIRTH, number, learns=True).state
    return born, state


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_a_rate_of_0_changes_nothing_and_a_test_neither(rule, name):
    born, state = taught(rule.model_copy(update={"eta": 0.0}), name)
    assert all(torch.equal(born[group], state[group]) for group in GROUPS)
    born, state = taught(rule, name)
    assert all(not torch.equal(born[group], state[group]) for group in GROUPS)
    lived = rule.trial(NETWORKS[name], state, shown(), BIRTH, 0, learns=False)
    assert all(torch.equal(lived.state[group], state[group]) for group in GROUPS)


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_synapses_that_are_not_there_stay_away(rule, name):
    _, state = taught(rule, name)
    missing = state["mask.recurrent"] == 0
    assert missing.any()
    assert (state["recurrent"][missing] == 0).all()


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_a_brain_learns_what_it_would_learn_alone(rule, name):
    born, state = taught(rule, name)
    network, alone = NETWORKS[name], {key: value[1:, 1:] for key, value in born.items()}
    given = shown()
    mine = given._replace(x=given.x[:, 1:], y=given.y[:, 1:], w=given.w[:, 1:], epoch=given.epoch[:, 1:])
    for number in range(2):
        alone = rule.trial(network, alone, mine, BIRTH[1:], number, learns=True).state
    assert all(torch.allclose(alone[group], state[group][1:, 1:], atol=1e-9) for group in GROUPS)
    assert not torch.allclose(state["recurrent"][0, 0], state["recurrent"][1, 0])


WRITERS = [
    *(RFLO(), RFLO(feedback="symmetric"), SnAp1(), RTRL(), UORO(), KFRTRL()),
    EProp(optimiser="sgd", rate_weight=0.0, batch=S),
    EProp(optimiser="sgd", rate_weight=0.0, batch=S, voltage_weight=0.5, feedback="random"),
]


@pytest.mark.parametrize("rule", WRITERS)
def test_writing_at_every_step_is_writing_at_the_end_for_a_small_rate(rule):
    changes, name = [], rule.networks[0]
    for writes in ("trial", "step"):
        born, state = taught(rule.model_copy(update={"writes": writes, "eta": 1e-7}), name, writes=1)
        changes.append({group: (state[group] - born[group]) / 1e-7 for group in GROUPS})
    worst = max(float((changes[0][group] - changes[1][group]).abs().max()) for group in GROUPS)
    assert worst < 1e-5 * float(changes[0]["recurrent"].abs().max())
    born, state = taught(rule.model_copy(update={"writes": "step", "eta": 0.3}), name, writes=1)
    assert float(((state["recurrent"] - born["recurrent"]) / 0.3 - changes[0]["recurrent"]).abs().max()) > 1e-4


def test_rates_are_pulled_to_their_target_at_every_step_too():
    rule = EProp(optimiser="sgd", eta=1e-7, writes="step", batch=S, rate_target=2000.0)
    free, pulled = (
        taught(rule.model_copy(update={"rate_weight": weight}), "spiking_rnn", writes=1)[1] for weight in (0.0, 5.0)
    )
    change = (pulled["input"] - free["input"]).sum(-1)  # inputs are spikes: more weight is more current
    assert (change >= 0).all()
    assert (change > 0).any()


def test_each_group_has_the_rate_of_its_gene():
    rates = Values(torch.tensor([[0.0, 0.1, 0.0], [0.0, 0.0, 0.2]]), per="connection")
    born, state = taught(RFLO().model_copy(update={"eta": rates}), "leaky_rnn")
    changed = [[not torch.equal(born[group][p], state[group][p]) for group in GROUPS] for p in range(P)]
    assert changed == [[False, True, False], [False, False, True]]


def test_clipping_bounds_a_brains_gradient_alone():
    free, clipped = (taught(BPTT(eta=1.0, clip=clip), "leaky_rnn", writes=1) for clip in (None, 1e-3))
    norms = [
        torch.cat([(state[group] - born[group]).flatten(2) for group in GROUPS], -1).norm(dim=-1)
        for born, state in (free, clipped)
    ]
    assert (norms[0] > 1e-3).all()
    assert torch.allclose(norms[1], torch.full_like(norms[1], 1e-3), rtol=1e-6)


def test_adam_takes_the_sign_of_the_gradient_at_its_first_step():
    born, state = taught(BPTT(optimiser="adam", eta=0.01), "leaky_rnn", writes=1)
    change = (state["readout"] - born["readout"]).abs()
    assert torch.allclose(change, torch.full_like(change, 0.01), rtol=1e-3)


def lived(network, rule, **options):
    """The record of lives in the tiny task."""
    task, individuals = TinyTrials(steps=20, outputs=1, trials=8), options.pop("individuals", 2)
    return live(
        network, rule, Reward(), Greedy(), RunningAverage(), task,
        individuals=individuals, lifetime=torch.arange(3), key=KEY, **options,
    )  # fmt: skip


@pytest.mark.parametrize(("rule", "name"), [(rule.model_copy(update={"batch": 4}), name) for rule, name in CASES])
def test_an_experiment_lives_them(rule, name):
    record = lived(NETWORKS[name], rule, record=("rates",))
    assert record.score.shape == (2, 3)
    assert record.score.isfinite().all()
    assert record.recordings["rates"].shape[-1] == N


def test_a_network_of_another_kind_is_refused_and_plasticity_off_is_not():
    with pytest.raises(ValueError, match="eprop learns in spiking_rnn, and the network is leaky_rnn"):
        lived(NETWORKS["leaky_rnn"], EProp(batch=4))
    off = [lived(NETWORKS["spiking_rnn"], rule, record=("output",)) for rule in (Fixed(), EProp(batch=1, eta=0.0))]
    assert torch.equal(off[0].recordings["output"], off[1].recordings["output"])


def test_individuals_of_different_sizes_share_a_batch():
    sizes = Values(torch.tensor([5.0, 8.0, 7.0]), high=12.0)
    network = LeakyRNN(input_gain=1.0).model_copy(update={"units": sizes})
    together = lived(network, RFLO(eta=0.3), individuals=3, dtype=torch.float64)
    alone = lived(
        network.model_copy(update={"units": Values(sizes.data[2:], high=12.0)}), RFLO(eta=0.3), individuals=1,
        dtype=torch.float64,
    )  # fmt: skip
    assert torch.allclose(together.score[2:], alone.score, atol=1e-9)
    state = RFLO().born(network, SPEC, 3, BIRTH, LIKE)
    assert state["recurrent"].shape[2:] == (8, 8)
    assert (state["readout"][0, :, :, 5:] == 0).all()
    assert (state["feedback"][0, :, :, 5:] == 0).all()
    assert state["readout"].shape[2] == A


@pytest.mark.parametrize(
    "rule",
    [BPTT(eta=0.3), *(pytest.param(rule, marks=pytest.mark.slow) for rule in (RFLO(eta=0.3), SnAp1(eta=0.3)))],
)
def test_a_sine_is_learned_within_60_trials_and_not_without_a_rate(rule):
    task = PatternGeneration.model_validate(
        {"curve": "sine_fast", "timing": {"start": 0, "run": 60}, "trials": 60, "test_trials": 1}
    )
    scores = [
        live(
            LeakyRNN(units=20), rule.model_copy(update={"eta": eta}), Reward(), Greedy(), RunningAverage(), task,
            individuals=1, lifetime=torch.arange(3), key=rng.root(0),
        ).score.mean()
        for eta in (0.3, 0.0)
    ]  # fmt: skip
    assert float(scores[0]) > 0.5
    assert float(scores[1]) < 0.05
