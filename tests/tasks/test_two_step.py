"""The two-step task: what leads where, what pays, what can be earned, and how planners and repeaters stay."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from metaplastic.core import ConfigError
from metaplastic.tasks.bandits import two_step_values as values
from metaplastic.tasks.bandits.two_step import TwoStep
from metaplastic.tasks.bandits.two_step_analysis import Stays, Trials, stays, trials_of
from metaplastic.tasks.registry import make


class Planner:
    """A Bayesian of good and bad states (reversal), greedy in what it expects of the first action."""

    def __init__(self, task: TwoStep, lives: int) -> None:
        self.task, self.odds, self.place = task, torch.zeros(lives), torch.zeros(lives, dtype=torch.int64)

    def __call__(self, state, observation):
        stage = observation[:, :3].argmax(-1)
        if bool((stage == 0).all()):
            if bool((state.trial > 0).all()):
                evidence = math.log(self.task.good / self.task.bad)
                self.odds += torch.where((state.reward > 0) == (self.place == 0), evidence, -evidence)
                p, h = self.odds.sigmoid(), self.task.reversal
                self.odds = (p * (1 - h) + (1 - p) * h).logit()
            return (self.odds < 0).long()
        self.place = stage - 1
        return torch.zeros_like(stage)


class Repeater:
    """SARSA(1): first actions gain by the rewards that came after them; softmax choice."""

    def __init__(self, lives: int, rate: float = 0.5, inverse_temperature: float = 5.0) -> None:
        self.q, self.rate, self.beta = torch.full((lives, 2), 0.5), rate, inverse_temperature
        self.choice = torch.zeros(lives, dtype=torch.int64)
        self.generator = torch.Generator().manual_seed(0)

    def __call__(self, state, observation):
        if bool((observation[:, 0] == 1).all()):
            if bool((state.trial > 0).all()):
                old = self.q.gather(1, self.choice[:, None])
                self.q = self.q.scatter_add(1, self.choice[:, None], self.rate * (state.reward[:, None] - old))
            self.choice = torch.multinomial((self.beta * self.q).softmax(-1), 1, generator=self.generator)[:, 0]
            return self.choice
        return torch.zeros_like(self.choice)


def lived(task: TwoStep, policy, lives: int) -> Trials:
    return trials_of(task, task.rollout(policy, torch.arange(lives), 2 * task.trials))


def test_a_bayesian_planner_earns_the_ceiling_and_stays_as_the_specification_says():
    task, lives = TwoStep(), 1000
    seen = lived(task, Planner(task, lives), lives)
    earned = seen.reward.double().mean(0)
    assert abs(earned.mean() - task.spec.ceiling) < 4 * earned.std() / lives**0.5 + 0.001
    assert task.spec.ceiling == pytest.approx(0.7051, abs=0.002)
    found = stays(seen)
    assert found == pytest.approx((1.0, 0.669, 0.659, 1.0), abs=0.02)
    assert abs(found.reward_effect) < 0.02
    assert found.interaction > 0.6


def test_a_learner_without_a_model_stays_after_any_reward():
    task, lives = TwoStep(), 1000
    seen = lived(task, Repeater(lives), lives)
    found = stays(seen)
    assert found == pytest.approx((0.948, 0.851, 0.496, 0.696), abs=0.02)
    assert found.reward_effect > 0.25


def test_transitions_are_common_and_payments_are_as_the_state_says():
    task, lives = TwoStep(common=0.7, good=0.8, bad=0.3, reversal=0.0), 3000
    state, now = task.reset(torch.arange(lives))
    good = state.world.pays[:, 2] > 0.5
    assert chisquare(good.long().bincount().numpy()).pvalue > 1e-4
    state, now = task.step(state, torch.ones(lives, dtype=torch.int64))
    place = now.observation[:, :3].argmax(-1)
    assert chisquare(place.bincount()[1:].numpy(), [0.3 * lives, 0.7 * lives]).pvalue > 1e-4
    _, now = task.step(state, torch.zeros(lives, dtype=torch.int64))
    is_good = (place == 2) == good
    for which, p in ((is_good, 0.8), (~is_good, 0.3)):
        paid, count = now.reward[which].sum().item(), which.sum().item()
        assert chisquare([paid, count - paid], [p * count, (1 - p) * count]).pvalue > 1e-4
    assert torch.equal(now.info.best, torch.where(is_good, 0.8, 0.3))


def test_the_good_state_changes_places_as_often_as_set():
    task, lives = TwoStep(), 400
    state, now = task.reset(torch.arange(lives))
    pays = []
    for _ in range(100):
        pays.append(state.world.pays[:, 0] > 0.5)
        for _ in (1, 2):
            state, now = task.step(state, now.info.target)
    rate = torch.stack(pays).diff(dim=0).double().mean()
    assert abs(rate - 0.025) < 4 * (0.025 / (99 * lives)) ** 0.5


def test_walks_step_by_025_between_mirrors_and_stay_uniform():
    task, lives = TwoStep(preset="daw"), 600
    state, now = task.reset(torch.arange(lives))
    assert kstest(state.world.pays.flatten().numpy(), "uniform", args=(0.25, 0.5)).pvalue > 1e-4
    pays = []
    for _ in range(60):
        pays.append(state.world.pays)
        for _ in (1, 2):
            state, now = task.step(state, now.info.target)
    walk = torch.stack(pays)
    steps = walk.diff(dim=0)[(walk[:-1] - 0.5).abs() < 0.15]
    assert steps.std().item() == pytest.approx(0.025, rel=0.02)
    assert walk.min() >= 0.25
    assert walk.max() <= 0.75
    assert kstest(walk[-1].flatten().numpy(), "uniform", args=(0.25, 0.5)).pvalue > 1e-4
    assert torch.equal(walk * 2.0**24, (walk * 2.0**24).round())


def test_a_walks_second_stage_pays_by_action():
    task, lives = TwoStep(preset="daw"), 3000
    state, now = task.reset(torch.arange(lives))
    state, now = task.step(state, torch.zeros(lives, dtype=torch.int64))
    place = now.observation[:, :3].argmax(-1)
    choice = torch.arange(lives) % 2
    wanted = state.world.pays.gather(1, (2 * (place - 1) + choice)[:, None])[:, 0]
    _, now = task.step(state, choice)
    z = (now.reward - wanted).sum() / (wanted * (1 - wanted)).sum().sqrt()
    assert abs(z) < 4


def test_the_oracle_of_walks_is_the_mean_of_order_statistics():
    pays = np.random.default_rng(1).uniform(0.25, 0.75, (400_000, 2, 2)).max(-1)
    drawn = 0.7 * pays.max(-1) + 0.3 * pays.min(-1)
    assert values.walk_oracle(0.7) == pytest.approx(0.61)
    assert drawn.mean() == pytest.approx(values.walk_oracle(0.7), abs=4 * drawn.std() / 400_000**0.5)


def test_an_ideal_observer_of_two_trials_by_hand():
    # first trial: 1/2; then S = .9 .9 + .1 .1 = .82 that the arm pays, so B = (1 + .64 / .8) / 2 = .9
    wanted = (0.5 + 0.1 + 0.8 * (0.8 * 0.9 + 0.2 * 0.1)) / 2
    assert values.reversal_ceiling(0.8, 0.9, 0.1, 0.0, 2) == pytest.approx(wanted, abs=1e-9)
    assert values.reversal_ceiling(0.8, 0.7, 0.1, 0.0, 2) == values.reversal_oracle(0.8, 0.7, 0.1)


def test_stay_probabilities_by_hand():
    choice = torch.tensor([[0, 0, 1, 1, 0, 0, 0, 1]]).T
    state = torch.tensor([[0, 1, 1, 1, 1, 0, 0, 0]]).T
    reward = torch.tensor([[1.0, 1, 0, 1, 0, 0, 1, 0]]).T
    # before: CR stay, UR go, CU stay, CR go, UU stay, CU stay, CR go
    assert stays(Trials(choice, state, reward)) == pytest.approx((1 / 3, 0, 1, 1))
    assert Stays(0.9, 0.6, 0.5, 0.8).interaction == pytest.approx(0.6)
    assert Stays(0.9, 0.6, 0.5, 0.8).reward_effect == pytest.approx(0.1)


def test_trials_of_a_rollout_are_its_first_choices_second_states_and_last_rewards():
    task = TwoStep(trials=5)
    seen = task.rollout(task.random_policy(torch.arange(3)), torch.arange(3), 10)
    trials = trials_of(task, seen)
    assert torch.equal(trials.choice, seen.action[[0, 2, 4, 6, 8]])
    assert torch.equal(trials.state + 1, (seen.observation[[1, 3, 5, 7, 9], :, :3] @ torch.arange(3.0)).long())
    assert torch.equal(trials.reward, seen.reward[[1, 3, 5, 7, 9]])
    with pytest.raises(ValueError, match="has 9 steps, wanted an even number"):
        trials_of(task, task.rollout(task.oracle_policy(), torch.arange(3), 9))
    with pytest.raises(ValueError, match="one_action: false"):
        trials_of(TwoStep(one_action=True), seen)


def test_presets_carry_the_published_values():
    wang18, wang16, daw = (make("TwoStep-v0", preset=name) for name in ("wang18", "wang16", "daw"))
    names = ("common", "good", "bad", "reversal", "trials", "payment")
    assert [getattr(wang18, name) for name in names] == [0.8, 0.9, 0.1, 0.025, 100, "reversal"]
    assert [getattr(wang16, name) for name in names] == [0.75, 0.9, 0.1, 0.0, 10, "reversal"]
    assert (daw.common, daw.payment, daw.drift) == (0.7, "walk", 0.025)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"payment": "walks"}, "did you mean 'walk'?"),
        ({"payment": "walk", "one_action": True}, "one_action is true with payment walk"),
        ({"good": 0.2, "bad": 0.4}, "good is 0.2, wanted more than bad = 0.4"),
    ],
)
def test_wrong_settings_name_what_was_wanted(settings, words):
    with pytest.raises(ConfigError) as caught:
        make("TwoStep-v0", **settings)
    assert words in str(caught.value)
