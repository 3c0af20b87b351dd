"""Rate networks live tasks that are answered by choices: the largest output acts, the first answer is judged."""

import pytest
import torch

from metaplastic import rng
from metaplastic.inner_loop.critics import RunningAverage
from metaplastic.inner_loop.lifetime import live
from metaplastic.inner_loop.networks.rate_rnn import RateRNN
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.policies import Greedy
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.perturbation import Miconi17, NodePerturbation
from metaplastic.platform.evaluate import generation_key
from metaplastic.platform.living import live_file
from metaplastic.tasks.registry import make

SHORT = {"dt": 50.0, "timing": {"fixation": 100, "stimulus": {"choice": [100, 200]}, "decision": 150}}
DOTS = make("PerceptualDecisionMaking-v0", trials=7, test_trials=3, **SHORT)
NETWORK = RateRNN(units=11, tau=100.0, perturbation_rate=0.3, perturbation=4.0, undisturbed=1)


def lived(network, rule, task=DOTS, **options):
    """Two individuals' lives in five lifetimes."""
    return live(
        network, rule, Reward(), Greedy(), RunningAverage(), task,
        individuals=2, lifetime=torch.arange(5), key=rng.fold(rng.root(3), 1), **options,
    )  # fmt: skip


def test_a_network_that_always_waits_earns_the_omission_of_every_trial():
    record = lived(NETWORK.model_copy(update={"clamped": {0: 9.0, 1: -9.0, 2: -9.0}}), Fixed(), record=("reward",))
    assert (record.recordings["reward"] == -1.0).all()
    assert not record.score.any()


def test_a_network_that_answers_at_once_aborts_every_trial():
    impatient = NETWORK.model_copy(update={"clamped": {0: -9.0, 1: 9.0, 2: -9.0}})
    record = lived(impatient, Fixed(), record=("reward",))
    assert (record.recordings["reward"] == -1.0).all()
    forgiving = DOTS.model_copy(update={"early": "ignore"})  # its answers wait until they count: always left
    record = lived(impatient, Fixed(), forgiving, record=("reward", "kind"))
    left = record.recordings["kind"] < 5
    assert torch.equal(record.recordings["reward"], left[:, None].expand(-1, 2, -1).float())


def test_what_is_recorded_is_what_the_task_judges():
    record = lived(NETWORK, Miconi17(eta=0.1), record=("output", "reward", "score"))
    for trial in (0, 8):
        batch = DOTS.render(torch.arange(5), trial, rng.fold(rng.root(3), 1))
        judged = DOTS.judge(record.recordings["output"][trial], batch)
        assert torch.equal(judged.reward, record.recordings["reward"][trial])
        assert torch.equal(judged.score, record.recordings["score"][trial])


def test_the_backends_agree_and_the_rule_changes_something():
    settings = {"record": ("reward", "weights")}
    here, there = (
        lived(NETWORK, Miconi17(eta=0.5, quiet_trials=2), backend=b, **settings).recordings for b in ("torch", "numba")
    )
    assert torch.equal(here["reward"], there["reward"])
    torch.testing.assert_close(here["weights.recurrent"], there["weights.recurrent"], rtol=1e-4, atol=1e-5)
    assert not torch.equal(here["weights.recurrent"][0], here["weights.recurrent"][-1])


def test_an_experiment_with_dots_is_lived_from_its_file(tmp_path):
    file = tmp_path / "dots.yaml"
    file.write_text(
        "name: dots\n"
        "task: {kind: PerceptualDecisionMaking-v0, trials: 5, test_trials: 2, dt: 50,\n"
        "       timing: {fixation: 100, stimulus: 200, decision: 150}}\n"
        "network: {kind: rate_rnn, units: 9, tau: 100, perturbation_rate: 0.1, perturbation: 4}\n"
        "rule: {kind: miconi17}\n"
        "lifetimes: 3\n"
    )
    text = live_file(file, [], None, ("reward",), out=tmp_path / "life")
    assert "3 lives of 5 trials of PerceptualDecisionMaking-v0" in text
    assert (tmp_path / "life" / "lifetimes.csv").read_text().count("\n") == 4


@pytest.mark.slow
def test_the_side_of_noiseless_dots_is_learned_from_reward_alone():
    """Without a fixation to hold; measured over 8 lives: .81 with node perturbation, .37 without plasticity."""
    task = make(
        "PerceptualDecisionMaking-v0",
        trials=2000, test_trials=100, dt=20.0, coherences=(1.0,), sigma=0.0, early="ignore", rewards="signed",
        timing={"fixation": 0, "stimulus": 200, "decision": 100},
    )  # fmt: skip
    network = RateRNN(units=60, tau=60.0, clamped={10: 1.0, 11: -1.0}, perturbation_rate=0.02, perturbation=8.0)
    still, learned = (
        live(
            network, rule, Reward(), Greedy(), RunningAverage(decay=0.75), task,
            individuals=1, lifetime=torch.arange(8), key=generation_key(0, 0),
        ).score.mean()
        for rule in (Fixed(), NodePerturbation(eta=0.05, limit=1e-3))
    )  # fmt: skip
    assert learned > still + 0.25, (still, learned)
