"""Miconi 2017: delayed non-match to sample, learned from a reward at the trial's end by a network that sees no error.

The authors' notes to their code (eLife 6:e20899) promise the criterion by about 1000 trials and good convergence by 10
to 20 thousand. The criterion here is 95 of the last 100 trials with an error below 0.5, checked from trial 200 on; in
our C port of their code 7 of 8 networks reached it between 889 and 3086 trials (node perturbation: 8 of 8 by 6189).
"""

import pytest
import torch

from metaplastic import rng
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.perturbation import Miconi17, NodePerturbation
from metaplastic.inner_loop.trial_life import live_trials
from metaplastic.tasks.memory.delay_match import LEARNED_ERROR, DelayNonMatchSample

NETWORK = RateRNN(
    units=200,
    tau=30.0,
    gain=1.5,
    activation="tanh",
    clamped={1: 1.0, 10: 1.0, 11: -1.0},
    start=0.1,
    perturbation_rate=0.003,
    perturbation=16.0,
    undisturbed=4,
)
"""the published network; unit 0 is the output"""


def lives(rule, task, lifetimes, network=NETWORK, **options):
    return live_trials(
        network,
        rule,
        Reward(),
        Greedy(),
        RunningAverage(decay=0.75),
        task,
        individuals=1,
        lifetime=torch.arange(lifetimes),
        key=rng.fold(rng.root(0), 0),
        record=("reward", "weights every 50"),
        **options,
    )


def trials_to_criterion(reward: torch.Tensor) -> list[int | None]:
    """For each lifetime of [trials, L], after how many trials 95 of the last 100 had an error below 0.5."""
    good = (-reward < LEARNED_ERROR).double()
    hundreds = good.unfold(0, 100, 1).sum(-1)[100:] >= 95  # first: trials 100 … 199, known after trial 200
    return [int(column.nonzero()[0]) + 200 if column.any() else None for column in hundreds.T]


def test_the_criterion_is_first_checked_after_200_trials():
    reward = torch.full((400, 3), -1.0)
    reward[:, 0] = 0.0
    reward[150:, 1] = -0.4
    assert trials_to_criterion(reward) == [200, 245, None]


def test_a_short_form_of_the_experiment_learns():
    """A tenth of the time, a quarter of the neurons; reward rises within 150 trials of each life."""
    task = DelayNonMatchSample(
        trials=300, test_trials=4, trial=100.0, stimulus=20.0, delay=10.0, response=20.0, onset=1.0
    )
    network = NETWORK.model_copy(update={"units": 50, "tau": 8.0, "perturbation_rate": 0.02, "perturbation": 8.0})
    record = lives(NodePerturbation(quiet_trials=50, eta=0.02, limit=3e-3), task, 6, network)
    weights, reward = record.recordings["weights.recurrent"], record.recordings["reward"][:, 0]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert float((weights[2] - weights[1]).abs().max()) <= 50 * 3e-3 * 1.001
    assert reward[200:300].mean() > reward[:100].mean() + 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "trials", "enough"), [(Miconi17(), 3000, 5), (NodePerturbation(), 7000, 6)])
def test_most_networks_learn_delayed_non_match_to_sample(rule, trials, enough):
    task = DelayNonMatchSample(preset="miconi17", trials=trials, test_trials=100)
    record = lives(rule, task, lifetimes=8)
    when = trials_to_criterion(record.recordings["reward"][:trials, 0])
    print(
        f"{rule.kind}: criterion after {when} trials; correct in the test {record.metrics['test_correct'][0].tolist()}"
    )
    assert sum(trial is not None for trial in when) >= enough
